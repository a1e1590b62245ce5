using Storage;

namespace Snapshot.Images;

/// <summary>How an image is written.</summary>
public sealed record ImageWriterOptions
{
    /// <summary>zstd level, 1 to 19.</summary>
    public int CompressionLevel { get; init; } = 1;

    /// <summary>Deletes a snapshot of the same name at the last moment before publishing the new one.</summary>
    public bool Replace { get; init; }
}

/// <summary>What writing came to.</summary>
public sealed record WrittenImage
{
    /// <summary>SHA-256 of the manifest: the identity of the image and its key in <see cref="ImageCache"/>.</summary>
    public required string ManifestId { get; init; }

    public required SnapshotInfo Info { get; init; }

    public long StateBytes { get; init; }

    /// <summary>The bytes of memory that are not zero.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>New bytes in the store; chunks that were there already are not counted.</summary>
    public long StoredBytes { get; init; }

    public int Chunks { get; init; }

    /// <summary>Chunks equal to others of the same image or of one already in the store.</summary>
    public int ReusedChunks { get; init; }
}

/// <summary>Writes a checkpoint's two local files into a store as a named snapshot.</summary>
public static class ImageWriter
{
    /// <summary>Writes and publishes an image. The name appears in the store when everything else is there, or not at all.</summary>
    /// <param name="stateFile">The kernel state.</param>
    /// <param name="memoryFile">The uncompressed, sparse memory image.</param>
    /// <param name="dataRanges">Where in the memory file there is data: pairs of offset and length, ascending; null for everywhere.</param>
    /// <exception cref="StoreException">With <see cref="StoreError.Exists"/> when the name is taken.</exception>
    public static Task<WrittenImage> WriteAsync(IObjectStore store, SnapshotInfo info, string stateFile, string memoryFile,
        IReadOnlyList<long>? dataRanges, ImageWriterOptions? options = null, CancellationToken cancellationToken = default) => throw new NotImplementedException();
}
