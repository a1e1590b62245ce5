namespace Sentry.Kernel.Files;

/// <summary>Whence the bytes of a piece of a file come.</summary>
internal enum ExtentKind
{
    /// <summary>Pages of the arena: writable, shared with those who map them.</summary>
    Arena,

    /// <summary>The lower file, not yet written to here.</summary>
    Lower,

    /// <summary>The image the sandbox was restored from.</summary>
    Image,
}

/// <summary>A run of whole pages of a file and its source.</summary>
[Savable("file-extent")]
internal partial struct FileExtent
{
    [Saved(1)] public long Offset;
    [Saved(2)] public long Length;
    [Saved(3)] public ExtentKind Kind;
    [Saved(4)] public long Source;

    public readonly long End => Offset + Length;

    /// <summary>The part of it within [start, end).</summary>
    public readonly FileExtent Slice(long start, long end) =>
        new() { Offset = start, Length = end - start, Kind = Kind, Source = Source + (start - Offset) };
}

/// <summary>The bytes of a file in memory (tmpfs, overlay, memfd, shared anonymous memory): pages of the arena where written, of a lower file or
/// of the image where not, zeros where there is nothing. Up to a page may be kept in an array until it is mapped or grows.</summary>
[Savable("file-data")]
public sealed partial class FileData : IAfterLoad
{
    private const long PageSize = 4096;
    private const long CopyUnit = 65536;
    private const long MaxGrowth = 64 << 20;

    /// <summary>Sizes and offsets of files are below this (s_maxbytes is larger on Linux; nobody can fill it).</summary>
    public const long MaxSize = 1L << 62;

    [NotSaved("written as _saved")] private List<FileExtent> _extents = [];
    [NotSaved("those who map it ask again after a restore")] private bool _mapped;
    [Saved(1)] private FileDataRegistry _registry;
    [Saved(2)] private long _size;
    [Saved(3)] private byte[]? _small;
    [Saved(4)] private FileExtent[] _saved = [];
    [Saved(5)] private LowerFile? _lower;

    public FileData(FileDataRegistry registry) => _registry = registry;

    /// <summary>Data that rests on a lower file of that size until written.</summary>
    public FileData(FileDataRegistry registry, LowerFile lower, long size)
    {
        _registry = registry;
        _lower = lower;
        _size = size;
        if (size > 0)
            _extents.Add(new FileExtent { Length = RoundUp(size), Kind = ExtentKind.Lower });
        registry.Add(this);
    }

    public long Size => _size;

    /// <summary>Bytes that have storage, for st_blocks.</summary>
    public long AllocatedBytes
    {
        get
        {
            if (_small is not null)
                return PageSize;
            long sum = 0;
            long limit = RoundUp(_size);
            foreach (FileExtent extent in _extents)
                sum += Math.Max(0, Math.Min(extent.End, limit) - extent.Offset);
            return sum;
        }
    }

    /// <summary>How far from <paramref name="start"/> towards <paramref name="end"/> content can be put when there are <paramref name="room"/> more bytes of storage.</summary>
    internal long Reach(long start, long end, long room)
    {
        long stored = _small is not null ? PageSize : RoundUp(_size);
        for (long at = start & -PageSize; at < end;)
        {
            bool hole = at >= stored;
            long next = hole ? RoundUp(end) : stored;
            if (!hole && _small is null)
                next = PieceAt(at, Math.Min(stored, RoundUp(end)), out hole).End;
            if (hole)
            {
                long possible = Math.Min(next - at, room & -PageSize);
                room -= possible;
                if (at + possible < next)
                    return Math.Max(start, Math.Min(end, at + possible));
            }

            at = next;
        }

        return end;
    }

    /// <summary>Whether some of it still comes from the lower file.</summary>
    public bool UsesLower
    {
        get
        {
            foreach (FileExtent extent in _extents)
            {
                if (extent.Kind == ExtentKind.Lower)
                    return true;
            }

            return false;
        }
    }

    // ---- reading and writing -------------------------------------------------------------------------------------

    /// <summary>Bytes read at an offset; 0 at or beyond the end.</summary>
    public Result<int> Read(Span<byte> destination, long offset)
    {
        if (offset >= _size)
            return 0;
        int count = (int)Math.Min(destination.Length, _size - offset);
        destination = destination[..count];
        if (_small is not null)
        {
            int have = (int)Math.Clamp(_small.Length - offset, 0, count);
            if (have > 0)
                _small.AsSpan((int)offset, have).CopyTo(destination);
            destination[have..].Clear();
            return count;
        }

        Errno error = Errno.None;
        int done = 0;
        while (done < count && error == Errno.None)
        {
            FileExtent piece = PieceAt(offset + done, offset + count, out bool hole);
            Span<byte> part = destination.Slice(done, (int)piece.Length);
            if (hole)
                part.Clear();
            else
                error = ReadPiece(piece, part);
            done += part.Length;
        }

        return error == Errno.None ? count : error;
    }

    /// <summary>Copies to a reader's buffer; bytes moved, EFAULT when none could be put there.</summary>
    public Result<long> Read(in UserBuffer destination, long offset)
    {
        long left = Math.Min(destination.Length, Math.Max(0, _size - offset));
        long done = 0;
        byte[]? scratch = null;
        while (left > 0)
        {
            int moved;
            int want;
            if (_small is null && TryGetArenaSpan(offset, left, out Span<byte> direct))
            {
                want = direct.Length;
                moved = destination.CopyOut(direct, done);
            }
            else
            {
                want = (int)Math.Min(left, CopyUnit);
                if (want <= 1024)
                {
                    moved = ReadSmall(destination, done, offset, want);
                }
                else
                {
                    scratch ??= _registry.Scratch;
                    if (!Read(scratch.AsSpan(0, want), offset).TryGet(out int got, out Errno error))
                        return done > 0 ? done : error;
                    moved = destination.CopyOut(scratch.AsSpan(0, got), done);
                }

                if (moved < 0)
                    return done > 0 ? done : Errno.EIO;
            }

            done += moved;
            offset += moved;
            left -= moved;
            if (moved < want)
                return done > 0 ? done : Errno.EFAULT;
        }

        return done;
    }

    /// <summary>Writes at an offset, growing the file; ENOSPC when the arena is full.</summary>
    public Result<int> Write(ReadOnlySpan<byte> source, long offset)
    {
        if (source.Length == 0)
            return 0;
        long end = offset + source.Length;
        if (KeepsSmall(end))
        {
            source.CopyTo(SmallSpan((int)end)[(int)offset..]);
            _size = Math.Max(_size, end);
            return source.Length;
        }

        Errno error = PrepareWrite(offset, end);
        if (error != Errno.None)
            return error;
        int done = 0;
        while (done < source.Length)
        {
            FileExtent piece = PieceAt(offset + done, end, out _);
            source.Slice(done, (int)piece.Length).CopyTo(_registry.Arena.GetSpan(piece.Source, (int)piece.Length));
            done += (int)piece.Length;
        }

        _size = Math.Max(_size, end);
        return done;
    }

    /// <summary>Copies from a writer's buffer; bytes moved, EFAULT when none could be had.</summary>
    public Result<long> Write(in UserBuffer source, long offset)
    {
        long left = source.Length;
        if (left > 0 && KeepsSmall(offset + left))
        {
            int end = (int)(offset + left);
            int got = source.CopyIn(SmallSpan(end).Slice((int)offset, (int)left));
            if (got == 0)
                return Errno.EFAULT;
            _size = Math.Max(_size, offset + got);
            return got;
        }

        long done = 0;
        while (left > 0)
        {
            long want = Math.Min(left, 1 << 20);
            Errno error = PrepareWrite(offset, offset + want);
            if (error != Errno.None)
                return done > 0 ? done : error;
            FileExtent piece = PieceAt(offset, offset + want, out _);
            int moved = source.CopyIn(_registry.Arena.GetSpan(piece.Source, (int)piece.Length), done);
            done += moved;
            offset += moved;
            left -= moved;
            if (moved > 0)
                _size = Math.Max(_size, offset);
            if (moved < piece.Length)
                return done > 0 ? done : Errno.EFAULT;
        }

        return done;
    }

    // ---- size and holes ------------------------------------------------------------------------------------------

    /// <summary>Sets the size: what is cut is gone, what is added reads as zeros.</summary>
    public Errno Truncate(long size)
    {
        if (size < _size)
        {
            Errno error = ClearRange(size, RoundUp(size), false);
            if (error != Errno.None)
                return error;
            if (_small is null)
                Drop(RoundUp(size), long.MaxValue);
            else if (size == 0)
                _small = null;
        }
        else if (size > _size)
        {
            if (_small is not null && size > PageSize)
            {
                Errno error = Promote();
                if (error != Errno.None)
                    return error;
            }
            else if (_mapped)
            {
                // Who maps the last page may have written behind the end.
                ClearRange(_size, RoundUp(_size), true);
            }
        }

        _size = size;
        return Errno.None;
    }

    /// <summary>fallocate(2) FALLOC_FL_PUNCH_HOLE: the range reads as zeros and gives its whole pages back.</summary>
    public Errno PunchHole(long start, long end)
    {
        end = Math.Min(end, RoundUp(_size));
        if (start >= end)
            return Errno.None;
        long firstWhole = RoundUp(start);
        long lastWhole = end & -PageSize;
        if (_small is not null || firstWhole >= lastWhole)
            return ClearRange(start, end, false);
        Errno error = ClearRange(start, firstWhole, false);
        if (error == Errno.None)
            error = ClearRange(lastWhole, end, false);
        if (error == Errno.None)
            Drop(firstWhole, lastWhole);
        return error;
    }

    /// <summary>fallocate(2) without flags: storage for the range; the size is the caller's affair.</summary>
    public Errno Allocate(long start, long end)
    {
        if (KeepsSmall(end))
        {
            SmallSpan((int)end);
            return Errno.None;
        }

        return MakeArena(start & -PageSize, RoundUp(end), 0, 0, false);
    }

    /// <summary>lseek(2) SEEK_DATA and SEEK_HOLE; ENXIO at or beyond the end.</summary>
    public Result<long> SeekData(long offset, bool hole)
    {
        if (offset < 0 || offset >= _size)
            return Errno.ENXIO;
        if (_small is not null)
            return hole ? _size : offset;
        long at = offset;
        while (at < _size)
        {
            FileExtent piece = PieceAt(at, _size, out bool isHole);
            if (isHole == hole)
                return at;
            at = piece.End;
        }

        return hole ? _size : Errno.ENXIO;
    }

    /// <summary>Gives all storage back; the file is gone.</summary>
    public void Dispose()
    {
        foreach (FileExtent extent in _extents)
        {
            if (extent.Kind == ExtentKind.Arena)
                _registry.Arena.Free(extent.Source, extent.Length, _mapped);
        }

        _extents.Clear();
        _small = null;
        _size = 0;
        _registry.Remove(this);
    }

    // ---- mapping -------------------------------------------------------------------------------------------------

    /// <summary>Whether someone has mapped it, and may still.</summary>
    internal bool IsMapped => _mapped;

    /// <summary>As <see cref="FileObject.GetHostExtents"/>. <paramref name="coherent"/>: the mapping sees later writes, so everything
    /// is made pages of the arena first; otherwise lower and image pieces are given as they are.</summary>
    internal Errno GetHostExtents(ulong offset, ulong length, bool coherent, bool shared, List<HostExtent> extents)
    {
        long start = (long)offset;
        long limit = RoundUp(_size);
        if (start >= limit)
            return Errno.None;
        long end = (long)Math.Min((ulong)limit, offset + length);
        Errno error = _small is not null ? Promote() : Errno.None;
        if (error != Errno.None)
            return error;
        error = MakeArena(start, end, 0, 0, !coherent);
        if (error != Errno.None)
            return error;
        _mapped = true;
        for (long at = start; at < end;)
        {
            FileExtent piece = PieceAt(at, end, out _);
            int descriptor;
            switch (piece.Kind)
            {
                case ExtentKind.Arena:
                    descriptor = _registry.Arena.HostDescriptor;
                    break;
                case ExtentKind.Image when shared:
                    // Two who share it must share it after one of them writes.
                    error = MakeArena(piece.Offset, piece.End, 0, 0, false);
                    if (error != Errno.None)
                        return error;
                    continue;
                case ExtentKind.Image:
                    descriptor = _registry.Image.Descriptor;
                    break;
                default:
                    if (!_lower!.Open().TryGet(out IHostFile? file, out error))
                        return error;
                    descriptor = file.Descriptor;
                    break;
            }

            extents.Add(new HostExtent((ulong)piece.Offset, (ulong)piece.Length, descriptor, piece.Source));
            at = piece.End;
        }

        return Errno.None;
    }

    // ---- saving --------------------------------------------------------------------------------------------------

    internal void PrepareSave(IFileDataSaver saver)
    {
        var saved = new List<FileExtent>(_extents.Count);
        long limit = RoundUp(_size);
        foreach (FileExtent whole in _extents)
        {
            if (whole.Offset >= limit)
                break;
            FileExtent extent = whole.Slice(whole.Offset, Math.Min(whole.End, limit));
            if (extent.Kind == ExtentKind.Arena)
                extent.Source = saver.SaveArena(extent.Source, extent.Length);
            else if (extent.Kind == ExtentKind.Image)
                extent.Source = saver.SaveImage(extent.Source, extent.Length);
            if (extent.Kind == ExtentKind.Arena)
                extent.Kind = ExtentKind.Image;
            saved.Add(extent);
        }

        _saved = [.. saved];
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase != RestorePhase.Host)
            return;
        long last = 0;
        bool sound = _size is >= 0 and < MaxSize && (_small is null || _small.Length <= PageSize);
        long imageLength = _saved.Length > 0 ? context.Get<IImageMemory>().Length : 0;
        foreach (FileExtent extent in _saved)
        {
            sound &= extent.Offset >= last && extent.Length > 0 && extent.Offset < MaxSize && extent.Length < MaxSize && extent.Source >= 0;
            sound &= ((extent.Offset | extent.Length | extent.Source) & (PageSize - 1)) == 0;
            sound &= extent.Kind switch
            {
                ExtentKind.Image => extent.Source <= imageLength - extent.Length,
                ExtentKind.Lower => _lower is not null,
                _ => false,
            };
            last = extent.End;
        }

        if (!sound)
            throw new InvalidImageException("file data has impossible extents");
        _extents = [.. _saved];
        if (_small is null)
            _registry.Add(this);
    }
}
