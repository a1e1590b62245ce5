using IO = System.IO;

namespace Snapshot.Images;

/// <summary>A folder in the making, locked by its maker so that nobody takes it for abandoned.</summary>
public sealed class ScratchFolder : IDisposable
{
    private FileStream? _lock;

    internal ScratchFolder(string path)
    {
        Path = path;
        Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        _lock = new FileStream(IO.Path.Combine(path, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
    }

    public string Path { get; }

    /// <summary>Leaves the folder, with what is in it, to whoever opens it next.</summary>
    internal void Keep()
    {
        _lock?.Dispose();
        _lock = null;
    }

    /// <summary>Deletes the folder unless it became a cache entry.</summary>
    public void Dispose()
    {
        if (_lock is null)
            return;
        _lock.Dispose();
        _lock = null;
        if (Directory.Exists(Path))
            Directory.Delete(Path, recursive: true);
    }

    internal void MoveTo(string path)
    {
        Directory.Move(Path, path);
        _lock?.Dispose();
        _lock = null;
    }
}
