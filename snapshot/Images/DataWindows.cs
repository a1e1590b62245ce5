using Snapshot.State;

namespace Snapshot.Images;

/// <summary>A stretch of a file that may become one chunk.</summary>
internal readonly record struct DataWindow(ImageFile File, long Offset, int Length);

/// <summary>Cuts files into windows at multiples of the chunk size, passing over what is known to be holes.</summary>
internal static class DataWindows
{
    /// <param name="ranges">Pairs of offset and length as a sentry reported them: checked here, since a sentry is not trusted.</param>
    internal static IEnumerable<DataWindow> Of(ImageFile file, long fileLength, IReadOnlyList<long>? ranges)
    {
        ranges ??= fileLength == 0 ? [] : [0, fileLength];
        Check(ranges, fileLength);
        return Enumerate(file, ranges);
    }

    private static IEnumerable<DataWindow> Enumerate(ImageFile file, IReadOnlyList<long> ranges)
    {
        long start = 0;
        long end = 0;
        for (int i = 0; i < ranges.Count; i += 2)
        {
            long position = ranges[i];
            long rangeEnd = position + ranges[i + 1];
            while (position < rangeEnd)
            {
                long boundary = Math.Min(rangeEnd, ((position / ImageFormat.ChunkSize) + 1) * ImageFormat.ChunkSize);

                // Ranges that share a window are read as one, so that a window is at most one chunk.
                if (end > start && position / ImageFormat.ChunkSize == start / ImageFormat.ChunkSize)
                {
                    end = boundary;
                }
                else
                {
                    if (end > start)
                        yield return new DataWindow(file, start, (int)(end - start));
                    (start, end) = (position, boundary);
                }

                position = boundary;
            }
        }

        if (end > start)
            yield return new DataWindow(file, start, (int)(end - start));
    }

    private static void Check(IReadOnlyList<long> ranges, long fileLength)
    {
        bool right = ranges.Count % 2 == 0;
        long end = 0;
        for (int i = 0; right && i < ranges.Count; i += 2)
        {
            right = ranges[i] >= end && ranges[i + 1] >= 0 && ranges[i] <= fileLength && ranges[i + 1] <= fileLength - ranges[i];
            end = ranges[i] + ranges[i + 1];
        }

        if (!right)
            throw new InvalidImageException("the checkpoint reported data outside its memory file or out of order; the sandbox cannot be saved");
    }
}
