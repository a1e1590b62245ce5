using Snapshot.State;
using Storage;

namespace Snapshot.Images;

/// <summary>One line of a listing.</summary>
public sealed record SnapshotEntry
{
    public required string Name { get; init; }

    /// <summary>Null when it cannot be read; then <see cref="Problem"/> says why.</summary>
    public string? ManifestId { get; init; }

    public DateTimeOffset Created { get; init; }

    /// <summary>Bytes of state and non-zero memory.</summary>
    public long Size { get; init; }

    /// <summary>One line about what is wrong with it.</summary>
    public string? Problem { get; init; }
}

/// <summary>The snapshots of a store.</summary>
public static class SnapshotCatalog
{
    /// <summary>All snapshots by name; damaged ones too, with their problem.</summary>
    public static Task<List<SnapshotEntry>> ListAsync(IObjectStore store, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Removes a name. Its chunks go with the next <see cref="CollectGarbageAsync"/>.</summary>
    public static Task DeleteAsync(IObjectStore store, string name, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Reads and checks every byte of a snapshot; throws <see cref="InvalidImageException"/> for the first that is wrong.</summary>
    public static Task VerifyAsync(IObjectStore store, string name, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Deletes objects that belong to no snapshot. Safe beside running writers: nothing is deleted that was wanted less than the grace period ago.</summary>
    /// <returns>The bytes freed.</returns>
    public static Task<long> CollectGarbageAsync(IObjectStore store, TimeSpan? grace = null, CancellationToken cancellationToken = default) => throw new NotImplementedException();
}
