using System.Buffers;
using Microsoft.Win32.SafeHandles;
using Storage;

namespace Snapshot.Images;

/// <summary>How an image is written.</summary>
public sealed record ImageWriterOptions
{
    /// <summary>zstd level, 1 to 19.</summary>
    public int CompressionLevel { get; init; } = 1;

    /// <summary>Takes the place of a snapshot of the same name, in one step and at the last moment.</summary>
    public bool Replace { get; init; }

    /// <summary>Called when all data is in the store and the manifest is about to be made: may change the properties of what is described.</summary>
    public Func<SnapshotInfo, Task>? BeforeManifest { get; init; }

    /// <summary>Paces the requests and is told how far the writing has come.</summary>
    public Transfer? Transfer { get; init; }
}

/// <summary>What writing came to.</summary>
public sealed record WrittenImage
{
    /// <summary>SHA-256 of the manifest: the identity of the image and its key in <see cref="ImageCache"/>.</summary>
    public required string ManifestId { get; init; }

    public required SnapshotInfo Info { get; init; }

    public long StateBytes { get; init; }

    /// <summary>The bytes of memory in chunks, that is without holes and zero pages around them.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>New bytes in the store; chunks that were there already are not counted.</summary>
    public long StoredBytes { get; init; }

    public int Chunks { get; init; }

    /// <summary>Chunks equal to others of the same image or of one already in the store.</summary>
    public int ReusedChunks { get; init; }
}

/// <summary>Writes a checkpoint's two local files into a store as a named snapshot: reading, hashing and compressing on every core, uploading at the
/// same time.</summary>
public static class ImageWriter
{
    /// <summary>Writes and publishes an image. The name appears in the store when everything else is there, or not at all.</summary>
    /// <param name="stateFile">The kernel state.</param>
    /// <param name="memoryFile">The uncompressed, sparse memory image.</param>
    /// <param name="dataRanges">Where in the memory file there is data: pairs of offset and length, ascending; null for everywhere.</param>
    /// <exception cref="StoreException">With <see cref="StoreError.Exists"/> when the name is taken.</exception>
    public static async Task<WrittenImage> WriteAsync(IObjectStore store, SnapshotInfo info, string stateFile, string memoryFile,
        IReadOnlyList<long>? dataRanges, ImageWriterOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(info);
        options ??= new ImageWriterOptions();
        using SafeFileHandle state = File.OpenHandle(stateFile);
        using SafeFileHandle memory = File.OpenHandle(memoryFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        long stateLength = RandomAccess.GetLength(state);
        long memoryLength = RandomAccess.GetLength(memory);
        DataWindow[] windows = [.. DataWindows.Of(ImageFile.State, stateLength, null), .. DataWindows.Of(ImageFile.Memory, memoryLength, dataRanges)];
        using ImageBuilder builder = await ImageBuilder.BeginAsync(store, info, windows.Sum(w => (long)w.Length), options, cancellationToken).ConfigureAwait(false);
        using IEnumerator<DataWindow> source = windows.AsEnumerable().GetEnumerator();
        Func<CancellationToken, Task> compress = token => CompressAsync(builder, source, file => file == ImageFile.State ? state : memory, options.CompressionLevel, token);
        return await builder.BuildAsync(Enumerable.Repeat(compress, Math.Clamp(Environment.ProcessorCount, 2, 8)), stateLength, memoryLength, cancellationToken).ConfigureAwait(false);
    }

    private static async Task CompressAsync(ImageBuilder builder, IEnumerator<DataWindow> source, Func<ImageFile, SafeFileHandle> fileOf, int level, CancellationToken cancellationToken)
    {
        using Zstd.Compressor compressor = new(level);
        byte[] plain = ArrayPool<byte>.Shared.Rent(ImageFormat.ChunkSize);
        byte[] frame = ArrayPool<byte>.Shared.Rent(Zstd.MaxFrameLength(ImageFormat.ChunkSize));
        try
        {
            while (Next(source) is { } window)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Memory<byte> buffer = plain.AsMemory(0, window.Length);
                Read(fileOf(window.File), window.Offset, buffer.Span);
                (int start, int length) = ZeroPages.Trim(buffer.Span, window.Offset);
                builder.Skip(window.Length - length);
                if (length == 0)
                    continue;
                ReadOnlyMemory<byte> content = buffer.Slice(start, length);
                DataWindow piece = new(window.File, window.Offset + start, length);
                Digest digest = Digest.Of(content.Span);
                if (await builder.ClaimAsync(piece, digest, cancellationToken).ConfigureAwait(false) is not { } place)
                    continue;
                int compressed = compressor.Compress(content.Span, frame);
                await builder.FillAsync(place, piece, digest, frame.AsMemory(0, compressed), cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(plain);
            ArrayPool<byte>.Shared.Return(frame);
        }
    }

    private static DataWindow? Next(IEnumerator<DataWindow> source)
    {
        lock (source)
            return source.MoveNext() ? source.Current : null;
    }

    private static void Read(SafeFileHandle file, long offset, Span<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            int n = RandomAccess.Read(file, buffer, offset);
            if (n == 0)
                throw new StoreException(StoreError.Other, "the checkpoint's files became shorter while they were read; make the checkpoint again");
            buffer = buffer[n..];
            offset += n;
        }
    }
}
