namespace Snapshot.Images;

/// <summary>Finds pages that need not be stored.</summary>
internal static class ZeroPages
{
    /// <summary>The part of a buffer from its first to its last page that is not zero; pages count from the file's start.</summary>
    /// <param name="offset">Of the buffer in its file.</param>
    internal static (int Start, int Length) Trim(ReadOnlySpan<byte> buffer, long offset)
    {
        int start = buffer.IndexOfAnyExcept((byte)0);
        if (start < 0)
            return (0, 0);
        int last = buffer.LastIndexOfAnyExcept((byte)0);
        start = (int)Math.Max(0, ((offset + start) & ~(long)(ImageFormat.PageSize - 1)) - offset);
        int end = (int)Math.Min(buffer.Length, ((offset + last) | (ImageFormat.PageSize - 1)) + 1 - offset);
        return (start, end - start);
    }

    /// <summary>The next run of pages with data at or after a position of a buffer; an empty one at the end.</summary>
    internal static (int Start, int Length) NextRun(ReadOnlySpan<byte> buffer, int position)
    {
        while (position < buffer.Length && IsZero(buffer, position))
            position += ImageFormat.PageSize;
        if (position >= buffer.Length)
            return (buffer.Length, 0);
        int end = position;
        while (end < buffer.Length && !IsZero(buffer, end))
            end += ImageFormat.PageSize;
        return (position, Math.Min(end, buffer.Length) - position);
    }

    private static bool IsZero(ReadOnlySpan<byte> buffer, int position) =>
        !buffer.Slice(position, Math.Min(ImageFormat.PageSize, buffer.Length - position)).ContainsAnyExcept((byte)0);
}
