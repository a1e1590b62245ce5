namespace Sentry.Kernel.Files;

/// <content>The pieces a file is made of: finding them, and making them writable pages of the arena, holes, or nothing.</content>
public sealed partial class FileData
{
    private static long RoundUp(long value) => (value + PageSize - 1) & -PageSize;

    private bool KeepsSmall(long end) => end <= PageSize && _size <= PageSize && _extents.Count == 0;

    private Span<byte> SmallSpan(int end)
    {
        if (_small is null)
            _small = new byte[Math.Max(64, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)end))];
        else if (_small.Length < end)
            Array.Resize(ref _small, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)end));
        return _small;
    }

    /// <summary>From the array to the arena.</summary>
    private Errno Promote()
    {
        byte[] small = _small!;
        if (!_registry.Arena.Allocate(PageSize).TryGet(out long source, out Errno error))
            return error;
        int length = (int)Math.Min(small.Length, _size);
        small.AsSpan(0, length).CopyTo(_registry.Arena.GetSpan(source, (int)PageSize));
        _small = null;
        _extents.Add(new FileExtent { Length = PageSize, Kind = ExtentKind.Arena, Source = source });
        _registry.Add(this);
        return Errno.None;
    }

    /// <summary>The index of the first extent that ends behind <paramref name="offset"/>.</summary>
    private int FindIndex(long offset)
    {
        int low = 0;
        int high = _extents.Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (_extents[middle].End <= offset)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    /// <summary>The piece that begins at <paramref name="offset"/> and ends at <paramref name="end"/> or where the source changes.</summary>
    private FileExtent PieceAt(long offset, long end, out bool hole)
    {
        int i = FindIndex(offset);
        if (i == _extents.Count || _extents[i].Offset > offset)
        {
            hole = true;
            long next = i == _extents.Count ? end : Math.Min(end, _extents[i].Offset);
            return new FileExtent { Offset = offset, Length = next - offset };
        }

        hole = false;
        return _extents[i].Slice(offset, Math.Min(end, _extents[i].End));
    }

    private bool TryGetArenaSpan(long offset, long length, out Span<byte> span)
    {
        FileExtent piece = PieceAt(offset, offset + Math.Min(length, 1 << 20), out bool hole);
        bool found = !hole && piece.Kind == ExtentKind.Arena;
        span = found ? _registry.Arena.GetSpan(piece.Source, (int)piece.Length) : default;
        return found;
    }

    private int ReadSmall(in UserBuffer destination, long done, long offset, int want)
    {
        Span<byte> few = stackalloc byte[1024];
        if (!Read(few[..want], offset).TryGet(out int got, out _))
            return -1;
        return destination.CopyOut(few[..got], done);
    }

    private Errno ReadPiece(in FileExtent piece, Span<byte> destination)
    {
        if (piece.Kind == ExtentKind.Arena)
        {
            _registry.Arena.GetSpan(piece.Source, destination.Length).CopyTo(destination);
            return Errno.None;
        }

        Errno error;
        IHostFile? file;
        if (piece.Kind == ExtentKind.Image)
            file = _registry.Image;
        else if (!_lower!.Open().TryGet(out file, out error))
            return error;
        if (!file.ReadAt(destination, piece.Source).TryGet(out int got, out error))
            return error;
        destination[got..].Clear();
        return Errno.None;
    }

    /// <summary>Makes [start, end) writable for a caller who overwrites all of it.</summary>
    private Errno PrepareWrite(long start, long end)
    {
        Errno error = _small is not null ? Promote() : Errno.None;
        return error != Errno.None ? error : MakeArena(start & -PageSize, RoundUp(end), start, end, false);
    }

    /// <summary>Makes the whole pages of [start, end) pages of the arena with their present content, except that what is in
    /// [overwriteStart, overwriteEnd) need not be kept. <paramref name="holesOnly"/> leaves lower and image pieces.</summary>
    private Errno MakeArena(long start, long end, long overwriteStart, long overwriteEnd, bool holesOnly)
    {
        for (long at = start; at < end;)
        {
            FileExtent piece = PieceAt(at, end, out bool hole);
            if (!hole && (piece.Kind == ExtentKind.Arena || holesOnly))
            {
                at = piece.End;
                continue;
            }

            long pieceStart = at;
            long pieceEnd = piece.End;
            int index = FindIndex(at);
            if (hole)
            {
                // At the end of the file the next write will probably follow: more room than asked keeps the file in one piece.
                if (index == _extents.Count && pieceEnd == end && overwriteEnd > overwriteStart && pieceStart == (index > 0 ? _extents[index - 1].End : 0))
                    pieceEnd += Math.Min(MaxGrowth, RoundUp(pieceEnd) / 2) & -PageSize;
            }
            else
            {
                pieceStart = Math.Max(_extents[index].Offset, at & -CopyUnit);
                pieceEnd = Math.Min(_extents[index].End, (pieceEnd + CopyUnit - 1) & -CopyUnit);
            }

            if (!_registry.Arena.Allocate(pieceEnd - pieceStart).TryGet(out long source, out Errno error))
                return error;
            if (!hole)
            {
                error = CopyPages(_extents[index].Slice(pieceStart, pieceEnd), source, overwriteStart, overwriteEnd);
                if (error != Errno.None)
                {
                    _registry.Arena.Free(source, pieceEnd - pieceStart, wasMapped: false);
                    return error;
                }
            }

            Replace(index, hole, new FileExtent { Offset = pieceStart, Length = pieceEnd - pieceStart, Kind = ExtentKind.Arena, Source = source });
            _registry.Add(this);
            at = pieceEnd;
        }

        return Errno.None;
    }

    private Errno CopyPages(in FileExtent from, long arenaOffset, long overwriteStart, long overwriteEnd)
    {
        for (long at = from.Offset; at < from.End;)
        {
            int length = (int)Math.Min(from.End - at, CopyUnit);
            if (at < overwriteStart || at + length > overwriteEnd)
            {
                Errno error = ReadPiece(from.Slice(at, at + length), _registry.Arena.GetSpan(arenaOffset + (at - from.Offset), length));
                if (error != Errno.None)
                    return error;
            }

            at += length;
        }

        return Errno.None;
    }

    /// <summary>Puts an extent where there was a hole, or in place of a part of the extent at <paramref name="index"/>.</summary>
    private void Replace(int index, bool hole, in FileExtent extent)
    {
        if (!hole)
        {
            FileExtent old = _extents[index];
            _extents.RemoveAt(index);
            if (old.End > extent.End)
                _extents.Insert(index, old.Slice(extent.End, old.End));
            if (old.Offset < extent.Offset)
                _extents.Insert(index++, old.Slice(old.Offset, extent.Offset));
        }

        if (index > 0 && _extents[index - 1] is { Kind: ExtentKind.Arena } before && before.End == extent.Offset && before.Source + before.Length == extent.Source)
            _extents[index - 1] = before with { Length = before.Length + extent.Length };
        else
            _extents.Insert(index, extent);
    }

    /// <summary>Zeros in a range within one page or within the array; what has no storage stays so.</summary>
    private Errno ClearRange(long start, long end, bool arenaOnly)
    {
        if (start >= end)
            return Errno.None;
        if (_small is not null)
        {
            int from = (int)Math.Min(start, _small.Length);
            _small.AsSpan(from, (int)Math.Min(end, _small.Length) - from).Clear();
            return Errno.None;
        }

        for (long at = start; at < end;)
        {
            FileExtent piece = PieceAt(at, end, out bool hole);
            at = piece.End;
            if (hole || (arenaOnly && piece.Kind != ExtentKind.Arena))
                continue;
            Errno error = MakeArena(piece.Offset & -PageSize, RoundUp(piece.End), 0, 0, false);
            if (error != Errno.None)
                return error;
            for (long from = piece.Offset; from < piece.End;)
            {
                FileExtent part = PieceAt(from, Math.Min(piece.End, from + (1 << 20)), out _);
                _registry.Arena.GetSpan(part.Source, (int)part.Length).Clear();
                from = part.End;
            }
        }

        return Errno.None;
    }

    /// <summary>Forgets the whole pages of [start, end). Arena pages that someone may have mapped are cleared but kept until the file goes, lest another
    /// file's data show up in that mapping.</summary>
    private void Drop(long start, long end)
    {
        for (int i = FindIndex(start); i < _extents.Count && _extents[i].Offset < end;)
        {
            FileExtent old = _extents[i];
            FileExtent gone = old.Slice(Math.Max(start, old.Offset), Math.Min(end, old.End));
            if (old.Kind == ExtentKind.Arena)
            {
                if (_mapped)
                {
                    ClearRange(gone.Offset, gone.End, true);
                    i++;
                    continue;
                }

                _registry.Arena.Free(gone.Source, gone.Length, wasMapped: false);
            }

            _extents.RemoveAt(i);
            if (old.Offset < gone.Offset)
                _extents.Insert(i++, old.Slice(old.Offset, gone.Offset));
            if (old.End > gone.End)
                _extents.Insert(i++, old.Slice(gone.End, old.End));
        }
    }
}
