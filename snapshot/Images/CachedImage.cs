namespace Snapshot.Images;

/// <summary>A cache entry in use: keep it for as long as its files may be opened; a mapping that exists outlives it safely.</summary>
public sealed class CachedImage : IDisposable
{
    internal const string StateName = "state";
    internal const string MemoryName = "memory";

    private readonly FileStream _use;

    internal CachedImage(string folder, FileStream use)
    {
        StateFile = Path.Combine(folder, StateName);
        MemoryFile = Path.Combine(folder, MemoryName);
        _use = use;
    }

    /// <summary>The kernel state, read-only.</summary>
    public string StateFile { get; }

    /// <summary>The uncompressed memory, sparse and read-only.</summary>
    public string MemoryFile { get; }

    /// <inheritdoc/>
    public void Dispose() => _use.Dispose();
}
