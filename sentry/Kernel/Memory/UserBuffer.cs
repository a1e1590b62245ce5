namespace Sentry.Kernel.Memory;

/// <summary>A piece of guest memory (iovec of readv(2)).</summary>
public readonly record struct IoVector(ulong Address, ulong Length);

/// <summary>Where a read puts its bytes, or whence a write takes them: guest memory in one or several pieces, or a buffer of the kernel's
/// own (exec, splice). Copies report how much was reachable; a caller that moved nothing answers EFAULT.</summary>
public readonly struct UserBuffer
{
    private readonly MemoryManager? _memory;
    private readonly IoVector _single;
    private readonly IoVector[]? _vectors;
    private readonly Memory<byte> _kernel;

    /// <summary>One range of guest memory.</summary>
    public UserBuffer(MemoryManager memory, ulong address, ulong length)
    {
        _memory = memory;
        _single = new IoVector(address, length);
        Length = (long)length;
    }

    /// <summary>Several ranges; the sum of the lengths has been checked (EINVAL beyond long.MaxValue).</summary>
    public UserBuffer(MemoryManager memory, IoVector[] vectors)
    {
        _memory = memory;
        _vectors = vectors;
        foreach (IoVector vector in vectors)
            Length += (long)vector.Length;
    }

    /// <summary>A buffer of the kernel.</summary>
    public UserBuffer(Memory<byte> kernel)
    {
        _kernel = kernel;
        Length = kernel.Length;
    }

    /// <summary>Total bytes.</summary>
    public long Length { get; }

    /// <summary>Copies into the buffer at <paramref name="offset"/>; returns the bytes copied, short at a fault or at the buffer's end.</summary>
    public int CopyOut(ReadOnlySpan<byte> source, long offset = 0)
    {
        if (_memory is null)
        {
            int count = (int)Math.Min(source.Length, Length - offset);
            source[..count].CopyTo(_kernel.Span[(int)offset..]);
            return count;
        }

        int done = 0;
        for (int i = 0; i < VectorCount && done < source.Length; i++)
        {
            IoVector vector = Vector(i);
            if ((ulong)offset >= vector.Length)
            {
                offset -= (long)vector.Length;
                continue;
            }

            int count = (int)Math.Min((ulong)(source.Length - done), vector.Length - (ulong)offset);
            int moved = _memory.Write(vector.Address + (ulong)offset, source.Slice(done, count));
            done += moved;
            offset = 0;
            if (moved < count)
                break;
        }

        return done;
    }

    /// <summary>Copies from the buffer at <paramref name="offset"/>; returns the bytes copied, short at a fault or at the buffer's end.</summary>
    public int CopyIn(Span<byte> destination, long offset = 0)
    {
        if (_memory is null)
        {
            int count = (int)Math.Min(destination.Length, Length - offset);
            _kernel.Span.Slice((int)offset, count).CopyTo(destination);
            return count;
        }

        int done = 0;
        for (int i = 0; i < VectorCount && done < destination.Length; i++)
        {
            IoVector vector = Vector(i);
            if ((ulong)offset >= vector.Length)
            {
                offset -= (long)vector.Length;
                continue;
            }

            int count = (int)Math.Min((ulong)(destination.Length - done), vector.Length - (ulong)offset);
            int moved = _memory.Read(vector.Address + (ulong)offset, destination.Slice(done, count));
            done += moved;
            offset = 0;
            if (moved < count)
                break;
        }

        return done;
    }

    /// <summary>The buffer without its first <paramref name="count"/> bytes.</summary>
    public UserBuffer Skip(long count)
    {
        if (_memory is null)
            return new UserBuffer(_kernel[(int)count..]);
        if (_vectors is null)
            return new UserBuffer(_memory, _single.Address + (ulong)count, _single.Length - (ulong)count);
        List<IoVector> rest = [];
        foreach (IoVector vector in _vectors)
        {
            ulong cut = Math.Min((ulong)count, vector.Length);
            count -= (long)cut;
            if (vector.Length > cut)
                rest.Add(new IoVector(vector.Address + cut, vector.Length - cut));
        }

        return new UserBuffer(_memory, [.. rest]);
    }

    /// <summary>The first <paramref name="count"/> bytes of the buffer.</summary>
    public UserBuffer Take(long count)
    {
        if (count >= Length)
            return this;
        if (_memory is null)
            return new UserBuffer(_kernel[..(int)count]);
        if (_vectors is null)
            return new UserBuffer(_memory, _single.Address, (ulong)count);
        List<IoVector> first = [];
        foreach (IoVector vector in _vectors)
        {
            ulong kept = Math.Min((ulong)count, vector.Length);
            count -= (long)kept;
            if (kept > 0)
                first.Add(new IoVector(vector.Address, kept));
        }

        return new UserBuffer(_memory, [.. first]);
    }

    private int VectorCount => _vectors?.Length ?? 1;

    private IoVector Vector(int i) => _vectors is null ? _single : _vectors[i];
}
