using System.Runtime.InteropServices;

namespace Sentry.Kernel.Memory;

/// <summary>An address space as the kernel knows it: its areas, its heap, and the way to its bytes. Shared by the threads of a process
/// and by a vfork child until it execs.</summary>
[Savable("mm")]
public sealed partial class MemoryManager
{
    [NotSaved("made anew by the restoring platform")] private IAddressSpace _space = null!;

    public MemoryManager(IAddressSpace space) => _space = space;

    /// <summary>The platform's side.</summary>
    public IAddressSpace Space
    {
        get => _space;
        set => _space = value;
    }

    /// <summary>Copies from guest memory; returns the bytes copied, short at an unreadable page.</summary>
    public int Read(ulong address, Span<byte> destination) => destination.Length == 0 ? 0 : _space.Read(address, destination);

    /// <summary>Copies to guest memory; returns the bytes copied, short at an unwritable page.</summary>
    public int Write(ulong address, ReadOnlySpan<byte> source) => source.Length == 0 ? 0 : _space.Write(address, source);

    /// <summary>Reads a plain struct of <see cref="Abi"/>; false is EFAULT.</summary>
    public bool TryRead<T>(ulong address, out T value)
        where T : unmanaged
    {
        value = default;
        Span<byte> bytes = MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref value, 1));
        return Read(address, bytes) == bytes.Length;
    }

    /// <summary>Writes a plain struct of <see cref="Abi"/>; false is EFAULT.</summary>
    public bool TryWrite<T>(ulong address, in T value)
        where T : unmanaged
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(MemoryMarshal.CreateReadOnlySpan(in value, 1));
        return Write(address, bytes) == bytes.Length;
    }

    /// <summary>All of the bytes or false.</summary>
    public bool TryReadAll(ulong address, Span<byte> destination) => Read(address, destination) == destination.Length;

    public bool TryWriteAll(ulong address, ReadOnlySpan<byte> source) => Write(address, source) == source.Length;

    /// <summary>Reads a NUL-terminated byte string of at most <paramref name="limit"/> bytes with its NUL, each byte a char of the result
    /// (Latin-1; file names are bytes). EFAULT, or <paramref name="tooLong"/> when there is no NUL in time.</summary>
    public Result<string> ReadString(ulong address, int limit, Errno tooLong = Errno.ENAMETOOLONG)
    {
        Span<byte> page = stackalloc byte[512];
        System.Text.StringBuilder? longer = null;
        int total = 0;
        while (total < limit)
        {
            // Never across a page border: the next page may not be there and need not be.
            int want = (int)Math.Min((ulong)Math.Min(page.Length, limit - total), 4096 - (address & 4095));
            int got = Read(address, page[..want]);
            if (got <= 0)
                return Errno.EFAULT;
            int end = page[..got].IndexOf((byte)0);
            ReadOnlySpan<byte> piece = page[..(end < 0 ? got : end)];
            if (end >= 0 && longer is null)
                return System.Text.Encoding.Latin1.GetString(piece);
            longer ??= new System.Text.StringBuilder();
            longer.Append(System.Text.Encoding.Latin1.GetString(piece));
            if (end >= 0)
                return longer.ToString();
            total += got;
            address += (ulong)got;
        }

        return tooLong;
    }

    /// <summary>A path argument: at most PATH_MAX bytes with the NUL, else ENAMETOOLONG.</summary>
    public Result<string> ReadPath(ulong address) => ReadString(address, 4096);
}
