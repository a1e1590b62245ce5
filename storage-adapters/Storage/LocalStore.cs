using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;

namespace Storage;

/// <summary>
/// A store in a folder of the local file system. An object is written to a temporary file of the same file system, synced, and linked to
/// its name (link(2) never replaces), then its folder is synced: after kill -9, a full disk or a power cut it is there whole or not at all.
/// Files and folders are private to the user, because snapshots hold memory.
/// </summary>
public sealed class LocalStore : IObjectStore
{
    private const string Incoming = ".incoming";
    private const UnixFileMode PrivateFolder = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private static readonly TimeSpan AbandonedAfter = TimeSpan.FromMinutes(1);

    private readonly string _root;
    private readonly string _incoming;
    private readonly Transfer? _transfer;

    /// <summary>Opens the store in a folder, which is made when missing; removes what writers that died have left.</summary>
    public LocalStore(string folder)
    {
        _root = Path.GetFullPath(folder);
        _incoming = Path.Combine(_root, Incoming);
        try
        {
            // One by one: the mode given counts only for the last folder of a path.
            Directory.CreateDirectory(_root, PrivateFolder);
            Directory.CreateDirectory(_incoming, PrivateFolder);
            RemoveAbandoned();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Translate(e, "open", _root);
        }
    }

    private LocalStore(LocalStore other, Transfer transfer) => (_root, _incoming, _transfer) = (other._root, other._incoming, transfer);

    /// <inheritdoc/>
    public string Location => $"file://{_root}";

    /// <inheritdoc/>
    public IObjectStore With(Transfer transfer) => new LocalStore(this, transfer);

    /// <inheritdoc/>
    public Task<bool> PutIfAbsentAsync(string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default) =>
        PutAsync(PathOf(key), content, replace: false, cancellationToken);

    /// <inheritdoc/>
    public Task ReplaceAsync(string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default) =>
        PutAsync(PathOf(key), content, replace: true, cancellationToken);

    /// <inheritdoc/>
    public async Task<int> GetAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        string path = PathOf(key);
        try
        {
            using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, FileOptions.Asynchronous);
            int total = 0;
            while (total < destination.Length)
            {
                int count = Math.Min(destination.Length - total, _transfer?.PieceSize ?? int.MaxValue);
                int n = await RandomAccess.ReadAsync(file, destination.Slice(total, count), offset + total, cancellationToken).ConfigureAwait(false);
                if (n == 0)
                    break;
                total += n;
                if (_transfer is not null)
                    await _transfer.PassAsync(n, cancellationToken).ConfigureAwait(false);
            }

            return total;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Translate(e, "read", path);
        }
    }

    /// <inheritdoc/>
    public Task<long?> GetLengthAsync(string key, CancellationToken cancellationToken = default)
    {
        string path = PathOf(key);
        try
        {
            FileInfo file = new(path);
            return Task.FromResult<long?>(file.Exists ? file.Length : null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Translate(e, "read", path);
        }
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<StoredObject> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prefix);
        List<StoredObject> found = await Task.Run(() => Enumerate(prefix), cancellationToken).ConfigureAwait(false);
        foreach (StoredObject item in found)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return item;
        }
    }

    /// <inheritdoc/>
    public async Task DeleteAsync(string key, CancellationToken cancellationToken = default)
    {
        string path = PathOf(key);
        try
        {
            if (!File.Exists(path))
                return;
            await Task.Run(
                () =>
                {
                    File.Delete(path);
                    NativeFiles.SyncFolder(Path.GetDirectoryName(path)!);
                },
                cancellationToken).ConfigureAwait(false);
        }
        catch (DirectoryNotFoundException)
        {
            // Another caller deleted it, which is what was asked for.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Translate(e, "delete", path);
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private async Task<bool> PutAsync(string path, ReadOnlyMemory<byte> content, bool replace, CancellationToken cancellationToken)
    {
        string temporary = Path.Combine(_incoming, Guid.NewGuid().ToString("N"));
        try
        {
            if (!replace && File.Exists(path))
                return false;
            if (!Directory.Exists(_incoming))
                CreateFolder(_incoming); // somebody has removed the whole store meanwhile
            try
            {
                await WriteSyncedAsync(temporary, content, cancellationToken).ConfigureAwait(false);
                return await Task.Run(() => Publish(temporary, path, replace), CancellationToken.None).ConfigureAwait(false);
            }
            finally
            {
                File.Delete(temporary);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Translate(e, "write", path);
        }
    }

    private async Task WriteSyncedAsync(string path, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        // FileShare.None locks the file (flock), which tells RemoveAbandoned that its writer lives.
        FileStream file = new(path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            Share = FileShare.None,
            BufferSize = 0,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        await using (file.ConfigureAwait(false))
        {
            for (int position = 0; position < content.Length;)
            {
                int count = Math.Min(content.Length - position, _transfer?.PieceSize ?? int.MaxValue);
                if (_transfer is not null)
                    await _transfer.PassAsync(count, cancellationToken).ConfigureAwait(false);
                await file.WriteAsync(content.Slice(position, count), cancellationToken).ConfigureAwait(false);
                position += count;
            }

            await Task.Run(() => file.Flush(flushToDisk: true), CancellationToken.None).ConfigureAwait(false);
        }
    }

    private bool Publish(string temporary, string path, bool replace)
    {
        string folder = Path.GetDirectoryName(path)!;
        if (!Directory.Exists(folder))
            CreateFolder(folder);
        if (replace)
            File.Move(temporary, path, overwrite: true); // rename(2)
        else if (!NativeFiles.Publish(temporary, path))
            return false;
        NativeFiles.SyncFolder(folder);
        return true;
    }

    private void CreateFolder(string folder)
    {
        string parent = Path.GetDirectoryName(folder)!;
        if (!Directory.Exists(parent))
            CreateFolder(parent);
        Directory.CreateDirectory(folder, PrivateFolder);
        NativeFiles.SyncFolder(parent);
    }

    private List<StoredObject> Enumerate(string prefix)
    {
        List<StoredObject> found = [];
        int slash = prefix.LastIndexOf('/');
        string below = slash < 0 ? "" : prefix[..slash];
        if (below.Length > 0)
            StoreKeys.Validate(below);
        DirectoryInfo start = new(Path.Combine(_root, below));
        try
        {
            if (start.Exists)
                Enumerate(start, below.Length == 0 ? "" : below + "/", prefix, found);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Translate(e, "list", start.FullName);
        }

        found.Sort((a, b) => string.CompareOrdinal(a.Key, b.Key));
        return found;
    }

    private static void Enumerate(DirectoryInfo folder, string keys, string prefix, List<StoredObject> found)
    {
        foreach (FileSystemInfo entry in folder.EnumerateFileSystemInfos())
        {
            if (entry.Name.StartsWith('.'))
                continue;
            string key = keys + entry.Name;
            try
            {
                if (entry is DirectoryInfo inner)
                {
                    string innerKeys = key + "/";
                    if (innerKeys.StartsWith(prefix, StringComparison.Ordinal) || prefix.StartsWith(innerKeys, StringComparison.Ordinal))
                        Enumerate(inner, innerKeys, prefix, found);
                }
                else if (key.StartsWith(prefix, StringComparison.Ordinal))
                {
                    found.Add(new StoredObject(key, ((FileInfo)entry).Length, entry.LastWriteTimeUtc));
                }
            }
            catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
            {
                // Deleted meanwhile: not listed.
            }
        }
    }

    private void RemoveAbandoned()
    {
        foreach (FileInfo file in new DirectoryInfo(_incoming).EnumerateFiles())
        {
            try
            {
                if (DateTime.UtcNow - file.LastWriteTimeUtc < AbandonedAfter)
                    continue;
                using FileStream locked = new(file.FullName, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
                file.Delete();
            }
            catch (IOException)
            {
                // Its writer lives, or another process removes it.
            }
        }
    }

    private string PathOf(string key)
    {
        StoreKeys.Validate(key);
        return Path.Combine(_root, key);
    }

    private StoreException Translate(Exception e, string verb, string path)
    {
        const int NoSpace = 28;
        const int ReadOnlyFileSystem = 30;
        const int QuotaExceeded = 122;
        return e switch
        {
            FileNotFoundException or DirectoryNotFoundException => new StoreException(StoreError.NotFound, $"cannot {verb} {path}: there is no such object", e),
            UnauthorizedAccessException => new StoreException(StoreError.AccessDenied, $"cannot {verb} {path}: permission denied; check who owns {_root}", e),
            { HResult: NoSpace or QuotaExceeded } => new StoreException(StoreError.NoSpace, $"cannot {verb} {path}: the disk is full; free space in {_root} or choose another store", e),
            { HResult: ReadOnlyFileSystem } => new StoreException(StoreError.AccessDenied, $"cannot {verb} {path}: the file system is read-only", e),
            _ => new StoreException(StoreError.Other, $"cannot {verb} {path}: {e.Message}", e),
        };
    }
}
