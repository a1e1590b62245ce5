namespace Snapshot.Images;

/// <summary>The constants of the container format (docs/image-format.md).</summary>
internal static class ImageFormat
{
    /// <summary>The newest version this program writes and reads; all older ones are read.</summary>
    internal const uint Version = 1;

    /// <summary>Holes and zero pages are found at this granularity.</summary>
    internal const int PageSize = 4096;

    /// <summary>Files are cut at multiples of this: small enough for equal regions to be found equal and to be fetched alone, large enough for zstd.</summary>
    internal const int ChunkSize = 256 << 10;

    /// <summary>No reader allocates more for a chunk, whatever a manifest says.</summary>
    internal const int MaxChunkSize = 4 << 20;

    /// <summary>A pack is sealed when the next frame would make it longer. It is what an upload that is cut off loses at most, for each of those
    /// under way, and large enough for requests to cost little beside their bytes.</summary>
    internal const int PackSize = 8 << 20;

    internal const long MaxPackSize = 1L << 30;

    internal const long MaxFileLength = 1L << 46;

    internal const long MaxManifestSize = 1L << 30;

    internal const int MaxRefSize = 1024;

    internal const string PackPrefix = "packs/";

    internal const string IndexPrefix = "indexes/";

    internal const string ManifestPrefix = "manifests/";

    internal const string SnapshotPrefix = "snapshots/";

    internal const string CondemnedPrefix = "condemned/";

    /// <summary>A pack's name: a random id of its writer and its number there. Never written twice, so that one being deleted is
    /// never the one that a new snapshot counts on.</summary>
    internal static string PackName(string writerId, int number) => $"{writerId}-{number:d4}";

    internal static bool IsPackName(string? name) =>
        name is { Length: >= 37 and <= 42 } && name[32] == '-' && name[..32].All(char.IsAsciiHexDigitLower) && name[33..].All(char.IsAsciiDigit);
}

/// <summary>Which of an image's files.</summary>
internal enum ImageFile : uint
{
    State = 0,
    Memory = 1,
}
