using Snapshot.State;
using Storage;

namespace Snapshot.Images;

/// <summary>An image in a store, its manifest read and checked.</summary>
public sealed class ImageReader
{
    private ImageReader(SnapshotInfo info, string manifestId)
    {
        Info = info;
        ManifestId = manifestId;
    }

    public SnapshotInfo Info { get; }

    /// <summary>SHA-256 of the manifest.</summary>
    public string ManifestId { get; }

    public long StateLength { get; private init; }

    public long MemoryLength { get; private init; }

    /// <summary>Finds a snapshot by name and checks its manifest.</summary>
    /// <exception cref="StoreException">With <see cref="StoreError.NotFound"/> when there is none of that name.</exception>
    /// <exception cref="InvalidImageException">It is damaged.</exception>
    public static Task<ImageReader> OpenAsync(IObjectStore store, string name, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Writes the state and memory files into an existing folder, every chunk checked before it is written. On failure what was
    /// written is of no use; <see cref="ImageCache.GetAsync"/> never shows it to anybody.</summary>
    public Task MaterializeAsync(string stateFile, string memoryFile, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Reads and checks every chunk.</summary>
    public Task VerifyAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();
}
