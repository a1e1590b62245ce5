using Snapshot.State;

namespace Snapshot.Images;

/// <summary>SHA-256 of base-tree files, remembered per (path, device, inode, size, mtime, ctime) so that a file is read once, not at every checkpoint.</summary>
public sealed class BaseFileHasher
{
    /// <param name="rootFolder">The base tree; guest paths are looked up below it without following symbolic links out of it.</param>
    /// <param name="cacheFile">Where hashes are remembered between runs; null for nowhere.</param>
    public BaseFileHasher(string rootFolder, string? cacheFile = null) => throw new NotImplementedException();

    /// <summary>Hashes files by guest path. Throws <see cref="InvalidImageException"/> naming a file that is missing or changed its size.</summary>
    public Task<BaseTreeFile[]> HashAsync(IEnumerable<(string Path, long Size)> files, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Throws <see cref="InvalidImageException"/> that names the files which differ from those of an image.</summary>
    public Task CheckAsync(IReadOnlyList<BaseTreeFile> files, CancellationToken cancellationToken = default) => throw new NotImplementedException();
}
