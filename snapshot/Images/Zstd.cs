using System.Runtime.InteropServices;
using Storage;

namespace Snapshot.Images;

/// <summary>The system's libzstd (RFC 8878 frames); as thin as the ZstdSharp package's own classes, so that it can take their place.</summary>
public static partial class Zstd
{
    private const string Library = "libzstd.so.1";

    /// <summary>The library's version, for instance 10504 for 1.5.4; throws <see cref="StoreException"/> where it is not installed.</summary>
    public static int Version
    {
        get
        {
            try
            {
                return (int)VersionNumber();
            }
            catch (DllNotFoundException e)
            {
                throw new StoreException(StoreError.Other, $"{Library} is missing; install it (Debian: apt-get install libzstd1)", e);
            }
        }
    }

    /// <summary>The longest frame that a given number of bytes can become.</summary>
    public static int MaxFrameLength(int length) => checked((int)CompressBound((nuint)length));

    /// <summary>Compresses one block of bytes to one frame at a time; not thread-safe.</summary>
    public sealed class Compressor(int level) : IDisposable
    {
        private readonly CompressionContext _context = CreateCompressionContext();

        /// <returns>The length of the frame.</returns>
        public unsafe int Compress(ReadOnlySpan<byte> source, Span<byte> destination)
        {
            bool held = false;
            try
            {
                _context.DangerousAddRef(ref held);
                // SAFETY: the library reads and writes within the two lengths; both spans are pinned for the call.
                fixed (byte* from = source, to = destination)
                {
                    nuint result = CompressBlock(_context.DangerousGetHandle(), to, (nuint)destination.Length, from, (nuint)source.Length, level);
                    return IsError(result) == 0 ? (int)result : throw new InvalidOperationException("the zstd frame does not fit its buffer");
                }
            }
            finally
            {
                if (held)
                    _context.DangerousRelease();
            }
        }

        /// <inheritdoc/>
        public void Dispose() => _context.Dispose();

    }

    /// <summary>Decompresses one frame at a time; not thread-safe.</summary>
    public sealed class Decompressor : IDisposable
    {
        private readonly DecompressionContext _context = CreateDecompressionContext();

        /// <returns>The number of bytes written, or -1 for what is no frame or does not fit.</returns>
        public unsafe int Decompress(ReadOnlySpan<byte> source, Span<byte> destination)
        {
            bool held = false;
            try
            {
                _context.DangerousAddRef(ref held);
                // SAFETY: the library reads and writes within the two lengths whatever the frame says; both spans are pinned for the call.
                fixed (byte* from = source, to = destination)
                {
                    nuint result = DecompressBlock(_context.DangerousGetHandle(), to, (nuint)destination.Length, from, (nuint)source.Length);
                    return IsError(result) == 0 ? (int)result : -1;
                }
            }
            finally
            {
                if (held)
                    _context.DangerousRelease();
            }
        }

        /// <inheritdoc/>
        public void Dispose() => _context.Dispose();
    }

    private sealed class CompressionContext : SafeHandle
    {
        public CompressionContext()
            : base(0, ownsHandle: true)
        {
        }

        public override bool IsInvalid => handle == 0;

        protected override bool ReleaseHandle() => FreeCompressionContext(handle) == 0;
    }

    private sealed class DecompressionContext : SafeHandle
    {
        public DecompressionContext()
            : base(0, ownsHandle: true)
        {
        }

        public override bool IsInvalid => handle == 0;

        protected override bool ReleaseHandle() => FreeDecompressionContext(handle) == 0;
    }

    [LibraryImport(Library, EntryPoint = "ZSTD_versionNumber")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial uint VersionNumber();

    [LibraryImport(Library, EntryPoint = "ZSTD_compressBound")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nuint CompressBound(nuint length);

    [LibraryImport(Library, EntryPoint = "ZSTD_isError")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial uint IsError(nuint result);

    [LibraryImport(Library, EntryPoint = "ZSTD_createCCtx")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial CompressionContext CreateCompressionContext();

    [LibraryImport(Library, EntryPoint = "ZSTD_freeCCtx")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nuint FreeCompressionContext(nint context);

    [LibraryImport(Library, EntryPoint = "ZSTD_compressCCtx")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static unsafe partial nuint CompressBlock(nint context, byte* destination, nuint capacity, byte* source, nuint length, int level);

    [LibraryImport(Library, EntryPoint = "ZSTD_createDCtx")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial DecompressionContext CreateDecompressionContext();

    [LibraryImport(Library, EntryPoint = "ZSTD_freeDCtx")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nuint FreeDecompressionContext(nint context);

    [LibraryImport(Library, EntryPoint = "ZSTD_decompressDCtx")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static unsafe partial nuint DecompressBlock(nint context, byte* destination, nuint capacity, byte* source, nuint length);
}
