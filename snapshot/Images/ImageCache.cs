using Snapshot.State;
using Storage;

namespace Snapshot.Images;

/// <summary>Local uncompressed images, ready to be mapped, by manifest. Files in it never change; what is in use is never evicted.</summary>
public sealed class ImageCache
{
    /// <param name="folder">Made when missing; on a disk's file system, since mapped memory files fault faster from the page cache than from tmpfs.</param>
    /// <param name="maxBytes">Bound on the allocated size of all entries not in use.</param>
    public ImageCache(string folder, long maxBytes = 16L << 30) => throw new NotImplementedException();

    /// <summary>The cached image, or null. No work proportional to memory.</summary>
    public CachedImage? TryOpen(string manifestId) => throw new NotImplementedException();

    /// <summary>The cached image, made from the store first when missing.</summary>
    public Task<CachedImage> GetAsync(ImageReader reader, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Takes a checkpoint's own files as the cached image of what <see cref="ImageWriter"/> wrote from them: hard links (or moves),
    /// never copies. The caller must not write to the files afterwards; it may unlink them.</summary>
    public CachedImage Seed(string manifestId, string stateFile, string memoryFile) => throw new NotImplementedException();
}

/// <summary>A cache entry in use: keep it open for as long as the files may be opened; a mapping that exists outlives it safely.</summary>
public sealed class CachedImage : IDisposable
{
    internal CachedImage(string folder) => (StateFile, MemoryFile) = (Path.Combine(folder, "state"), Path.Combine(folder, "memory"));

    public string StateFile { get; }

    public string MemoryFile { get; }

    /// <inheritdoc/>
    public void Dispose() => throw new NotImplementedException();
}
