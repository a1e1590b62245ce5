namespace Sentry.Kernel.Events;

/// <summary>A page of a pipe that holds bytes.</summary>
[Savable("pipe-page", Version = 2)]
public partial struct PipePage
{
    [Saved(1)] public byte[]? Data;
    [Saved(2)] public int Start;
    [Saved(3)] public int End;

    /// <summary>Written in packet mode (O_DIRECT): not appended to, and read alone.</summary>
    [Saved(4)] public bool IsPacket;

    /// <summary>In the place of <see cref="Data"/>: bytes that others hold too and nobody changes (splice from a socket).</summary>
    [Saved(5, Since = 2)] public ReadOnlyMemory<byte> Shared;

    internal readonly ReadOnlySpan<byte> Bytes => Data is null ? Shared.Span[Start..End] : Data.AsSpan(Start, End - Start);
}

/// <summary>
/// The buffer of pipe(7): a ring of pages, as Linux has it, because its size in pages shows in what guests see: a write of at most a page
/// goes in whole or waits, and 16 writes of one byte after 16 full pages do not fit although there are holes.
/// </summary>
[Savable("pipe")]
public sealed partial class Pipe
{
    public const int PageSize = 4096;
    public const int DefaultPages = 16;

    /// <summary>/proc/sys/fs/pipe-max-size.</summary>
    public const long MaxCapacity = 1 << 20;

    [Saved(1)] private PipePage[] _ring = new PipePage[DefaultPages];
    [Saved(2)] private int _head;
    [Saved(3)] private int _count;
    [Saved(4)] private int _readers;
    [Saved(5)] private int _writers;
    [Saved(6)] private long _readerOpens;
    [Saved(7)] private long _writerOpens;
    [NotSaved("a cache of one page")] private byte[]? _spare;
    [NotSaved("waiters register again when their call is tried again")] private readonly WaitQueue _waiters = new();

    public Pipe()
    {
    }

    public WaitQueue Waiters => _waiters;

    public int Readers => _readers;

    public int Writers => _writers;

    /// <summary>How often it was opened for reading; tells an opener that someone came, even if they have left again (fifo(7)).</summary>
    public long ReaderOpens => _readerOpens;

    public long WriterOpens => _writerOpens;

    public bool IsEmpty => _count == 0;

    /// <summary>No page free; a small write may still fit into the last one.</summary>
    public bool IsFull => _count == _ring.Length;

    /// <summary>F_GETPIPE_SZ.</summary>
    public long Capacity => (long)_ring.Length * PageSize;

    /// <summary>FIONREAD.</summary>
    public long BytesAvailable
    {
        get
        {
            long bytes = 0;
            for (int i = 0; i < _count; i++)
                bytes += At(i).End - At(i).Start;
            return bytes;
        }
    }

    /// <summary>An end comes to be.</summary>
    public void Open(bool reader, bool writer)
    {
        if (reader)
        {
            _readers++;
            _readerOpens++;
        }

        if (writer)
        {
            _writers++;
            _writerOpens++;
        }

        _waiters.Wake();
    }

    /// <summary>An end goes.</summary>
    public void Close(bool reader, bool writer)
    {
        if (reader)
            _readers--;
        if (writer)
            _writers--;
        if (_readers == 0 && _writers == 0)
        {
            Array.Clear(_ring);
            _head = _count = 0;
        }

        if (reader && _readers == 0)
            _waiters.Wake(PollEvents.WriteMask | PollEvents.Err | PollEvents.Hup);
        if (writer && _writers == 0)
            _waiters.Wake(PollEvents.ReadMask | PollEvents.Hup);
    }

    /// <summary>Takes what is there; 0 at the end, EAGAIN when empty with a writer left.</summary>
    public Result<long> Read(in UserBuffer destination)
    {
        if (_count == 0)
            return _writers == 0 ? 0L : Errno.EAGAIN;
        bool wasFull = IsFull;
        long done = 0;
        while (done < destination.Length && _count > 0)
        {
            ref PipePage page = ref At(0);
            int wanted = (int)Math.Min(destination.Length - done, page.End - page.Start);
            int copied = destination.CopyOut(page.Bytes[..wanted], done);
            page.Start += copied;
            done += copied;
            bool packet = page.IsPacket;
            if (copied == wanted && (packet || page.Start == page.End))
                DropFirst();
            if (copied < wanted || packet)
                break;
        }

        if (done == 0 && destination.Length > 0)
            return Errno.EFAULT;
        if (wasFull && !IsFull)
            _waiters.Wake(PollEvents.WriteMask);
        return done;
    }

    /// <summary>Copies what is there without taking it (tee(2)); the number of bytes.</summary>
    public int Peek(Span<byte> destination)
    {
        int done = 0;
        for (int i = 0; i < _count && done < destination.Length; i++)
        {
            PipePage page = At(i);
            int length = Math.Min(destination.Length - done, page.End - page.Start);
            page.Bytes[..length].CopyTo(destination[done..]);
            done += length;
        }

        return done;
    }

    /// <summary>Takes what <see cref="Peek"/> showed; no more than is there.</summary>
    public void Skip(int count)
    {
        bool wasFull = IsFull;
        while (count > 0)
        {
            ref PipePage page = ref At(0);
            int taken = Math.Min(count, page.End - page.Start);
            page.Start += taken;
            count -= taken;
            if (page.Start == page.End)
                DropFirst();
        }

        if (wasFull && !IsFull)
            _waiters.Wake(PollEvents.WriteMask);
    }

    /// <summary>What fits in whole free pages.</summary>
    public int Room => (_ring.Length - _count) * PageSize;

    /// <summary>Takes bytes of the first page without copying them; they never change. Not of an empty pipe.</summary>
    internal ReadOnlyMemory<byte> TakePage(int most)
    {
        bool wasFull = IsFull;
        ref PipePage page = ref At(0);
        int length = Math.Min(most, page.End - page.Start);
        ReadOnlyMemory<byte> taken = page.Data is null ? page.Shared.Slice(page.Start, length) : page.Data.AsMemory(page.Start, length);
        page.Start += length;
        if (page.Start == page.End)
        {
            DropFirst();

            // Whoever has the bytes now still reads them.
            _spare = null;
        }

        if (wasFull && !IsFull)
            _waiters.Wake(PollEvents.WriteMask);
        return taken;
    }

    /// <summary>Puts in bytes that nobody changes, without copying them, a page's worth in each place of the ring; how many had room.</summary>
    internal int AddShared(ReadOnlyMemory<byte> piece)
    {
        int done = 0;
        while (done < piece.Length && _count < _ring.Length)
        {
            int length = Math.Min(PageSize, piece.Length - done);
            _count++;
            At(_count - 1) = new PipePage { Shared = piece.Slice(done, length), End = length };
            done += length;
        }

        if (done > 0)
            _waiters.Wake(PollEvents.ReadMask);
        return done;
    }

    /// <summary>Puts in what fits: all of at most a page or nothing (PIPE_BUF, pipe(7)). EPIPE without a reader, EAGAIN when nothing fits.</summary>
    public Result<long> Write(in UserBuffer source, bool packets)
    {
        if (_readers == 0)
            return Errno.EPIPE;
        long total = source.Length;
        if (total == 0)
            return 0L;
        long done = 0;
        int head = (int)(total % PageSize);
        bool fault = false;
        if (head > 0 && _count > 0 && !packets)
        {
            ref PipePage last = ref At(_count - 1);
            if (!last.IsPacket && last.Data is not null && last.End + head <= PageSize)
            {
                int copied = source.CopyIn(last.Data.AsSpan(last.End, head));
                last.End += copied;
                done = copied;
                fault = copied < head;
            }
        }

        while (!fault && done < total && _count < _ring.Length)
        {
            byte[] data = _spare ?? new byte[PageSize];
            _spare = null;
            int wanted = (int)Math.Min(PageSize, total - done);
            int copied = source.CopyIn(data.AsSpan(0, wanted), done);
            fault = copied < wanted;
            if (copied == 0)
                break;
            _count++;
            At(_count - 1) = new PipePage { Data = data, End = copied, IsPacket = packets };
            done += copied;
        }

        if (done == 0)
            return fault ? Errno.EFAULT : Errno.EAGAIN;
        _waiters.Wake(PollEvents.ReadMask);
        return done;
    }

    /// <summary>F_SETPIPE_SZ: rounds up to a power of two of pages; EBUSY when more than that is in use, EPERM beyond the system's limit.</summary>
    public Result<long> SetCapacity(long bytes, bool privileged)
    {
        if (bytes is < 0 or > 1L << 30)
            return Errno.EINVAL;
        bytes = Math.Max(bytes, PageSize);
        int pages = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)((bytes + PageSize - 1) / PageSize));
        if (pages > _ring.Length && (long)pages * PageSize > MaxCapacity && !privileged)
            return Errno.EPERM;
        if (pages < _count)
            return Errno.EBUSY;
        bool wasFull = IsFull;
        var ring = new PipePage[pages];
        for (int i = 0; i < _count; i++)
            ring[i] = At(i);
        _ring = ring;
        _head = 0;
        if (wasFull && !IsFull)
            _waiters.Wake(PollEvents.WriteMask);
        return Capacity;
    }

    private ref PipePage At(int i) => ref _ring[(_head + i) & (_ring.Length - 1)];

    private void DropFirst()
    {
        ref PipePage first = ref At(0);
        _spare = first.Data;
        first = default;
        _head = (_head + 1) & (_ring.Length - 1);
        _count--;
    }
}
