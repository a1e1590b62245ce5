using System.Globalization;
using Snapshot.State;
using Storage;

namespace Snapshot.Images;

/// <summary>
/// Local uncompressed images, ready to be mapped, in a folder per manifest. An entry appears by one rename and its files never change;
/// an entry in use (a shared lock on its lock file) is never evicted, and unlinking one that is mapped harms nobody. Entries of an earlier
/// boot are not believed, because they are written without fsync: after a power cut their pages may be missing.
/// </summary>
public sealed class ImageCache
{
    private const string Marker = "complete";
    private const string LockName = "lock";
    private const int WouldBlock = 11;
    private const int MaxTries = 10_000;
    private const string Building = ".new-";
    private const string Leaving = ".gone-";
    private const string Partial = ".part-";
    private const UnixFileMode PrivateFolder = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private static readonly TimeSpan AbandonedAfter = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan PartialAfter = TimeSpan.FromDays(1);
    private static readonly string BootId = ReadBootId();

    private readonly string _folder;
    private readonly long _maxBytes;
    private readonly SemaphoreSlim _materializing = new(1);

    /// <summary>Opens the cache; removes what processes that died have left.</summary>
    /// <param name="folder">Made when missing; on a disk's file system, since mapped memory files fault faster from the page cache than from tmpfs.</param>
    /// <param name="maxBytes">Bound on the data of all entries; least recently used ones that are not in use go first.</param>
    public ImageCache(string folder, long maxBytes = 16L << 30)
    {
        _folder = Path.GetFullPath(folder);
        _maxBytes = maxBytes;
        try
        {
            Directory.CreateDirectory(_folder, PrivateFolder);
            RemoveAbandoned();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw LocalFiles.Translate(e, _folder);
        }
    }

    /// <summary>The cached image, or null. No work proportional to memory.</summary>
    public CachedImage? TryOpen(string manifestId)
    {
        string folder = FolderOf(manifestId);
        try
        {
            if (!Directory.Exists(folder))
                return null;
            using FileStream all = LockAll();
            return TryOpenLocked(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw LocalFiles.Translate(e, _folder);
        }
    }

    /// <summary>The cached image, made from the store first when missing. What was fetched before the store failed is kept for a day, and the next
    /// call goes on from there.</summary>
    /// <exception cref="InvalidImageException">The image in the store is damaged; nothing is left in the cache.</exception>
    public async Task<CachedImage> GetAsync(ImageReader reader, Transfer? transfer = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(reader);
        if (TryOpen(reader.ManifestId) is { } cached)
            return cached;

        // One at a time: a second caller for the same image finds it made, and memory for transfers stays bounded.
        await _materializing.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return TryOpen(reader.ManifestId) ?? await MaterializeAsync(reader, transfer, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _materializing.Release();
        }
    }

    /// <summary>A new private folder on the cache's file system, where files for <see cref="Seed"/> are best made; it belongs to the
    /// caller and vanishes with <see cref="ScratchFolder.Dispose"/> or when the process has died.</summary>
    public ScratchFolder CreateScratchFolder()
    {
        try
        {
            return new ScratchFolder(Path.Combine(_folder, Building + Guid.NewGuid().ToString("N")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw LocalFiles.Translate(e, _folder);
        }
    }

    /// <summary>Takes a checkpoint's own files as the cached image of what <see cref="ImageWriter"/> wrote from them. They are moved, which
    /// copies nothing when they come from <see cref="CreateScratchFolder"/>; nobody may write to them any more.</summary>
    /// <param name="dataBytes">How much of the files is data, for the bound on the cache's size; null for what they take on the disk.</param>
    public CachedImage Seed(string manifestId, string stateFile, string memoryFile, long? dataBytes = null)
    {
        string folder = FolderOf(manifestId);
        try
        {
            using ScratchFolder scratch = CreateScratchFolder();
            File.Move(stateFile, Path.Combine(scratch.Path, CachedImage.StateName));
            File.Move(memoryFile, Path.Combine(scratch.Path, CachedImage.MemoryName));
            return Admit(scratch, folder, dataBytes);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw LocalFiles.Translate(e, _folder);
        }
    }

    /// <summary>Removes an image unless it is in use.</summary>
    /// <returns>Whether it is gone.</returns>
    public bool Remove(string manifestId)
    {
        try
        {
            string folder = FolderOf(manifestId);
            string? gone;
            using (LockAll())
                gone = Directory.Exists(folder) ? Detach(folder) : null;
            if (gone is not null)
                Directory.Delete(gone, recursive: true);
            return !Directory.Exists(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw LocalFiles.Translate(e, _folder);
        }
    }

    private static string ReadBootId()
    {
        try
        {
            return File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
        }
        catch (IOException)
        {
            // Without it no entry of another process is believed.
            return Guid.NewGuid().ToString();
        }
    }

    private async Task<CachedImage> MaterializeAsync(ImageReader reader, Transfer? transfer, CancellationToken cancellationToken)
    {
        try
        {
            Evict(reader.DataBytes, except: Partial + reader.ManifestId);
            using ScratchFolder scratch = OpenPartial(reader.ManifestId);
            string state = Path.Combine(scratch.Path, CachedImage.StateName);
            string memory = Path.Combine(scratch.Path, CachedImage.MemoryName);
            try
            {
                using FetchJournal journal = FetchJournal.Open(scratch.Path, BootId, [(state, reader.StateLength), (memory, reader.MemoryLength)]);
                await reader.MaterializeAsync(state, memory, journal, transfer, cancellationToken).ConfigureAwait(false);
            }
            catch (StoreException e) when (e.Error == StoreError.Unreachable)
            {
                scratch.Keep();
                throw new StoreException(StoreError.Unreachable, $"{e.Message}; what was fetched is kept: the same command, given again within a day, fetches only the rest", e);
            }
            catch (OperationCanceledException)
            {
                scratch.Keep();
                throw;
            }

            File.Delete(Path.Combine(scratch.Path, FetchJournal.Name));
            return Admit(scratch, FolderOf(reader.ManifestId), reader.DataBytes);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw LocalFiles.Translate(e, _folder);
        }
    }

    /// <summary>The folder where an image is put together: that of an attempt that was stopped, unless another process is at it.</summary>
    private ScratchFolder OpenPartial(string manifestId)
    {
        try
        {
            return new ScratchFolder(Path.Combine(_folder, Partial + manifestId));
        }
        catch (IOException e) when (e.HResult == WouldBlock)
        {
            return CreateScratchFolder();
        }
    }

    /// <summary>Turns a scratch folder with both files into an entry, or finds that another process was faster.</summary>
    private CachedImage Admit(ScratchFolder scratch, string folder, long? dataBytes)
    {
        string state = Path.Combine(scratch.Path, CachedImage.StateName);
        string memory = Path.Combine(scratch.Path, CachedImage.MemoryName);
        File.SetUnixFileMode(state, UnixFileMode.UserRead);
        File.SetUnixFileMode(memory, UnixFileMode.UserRead);
        EntryMarker marker = new(BootId, new FileInfo(state).Length, new FileInfo(memory).Length, 0);
        marker = marker with { DataBytes = dataBytes ?? marker.StateLength + BaseTree.AllocatedBytes(memory) };
        File.WriteAllText(Path.Combine(scratch.Path, Marker), marker.Encode());
        CachedImage image;
        using (LockAll())
        {
            if (TryOpenLocked(folder) is { } other)
                return other;
            if (Directory.Exists(folder))
                Directory.Delete(Detach(folder) ?? throw new IOException($"entry {Path.GetFileName(folder)} is damaged and in use"), recursive: true);
            scratch.MoveTo(folder);
            image = TryOpenLocked(folder) ?? throw new IOException($"entry {Path.GetFileName(folder)} vanished");
        }

        Evict(0);
        return image;
    }

    private static CachedImage? TryOpenLocked(string folder)
    {
        string markerFile = Path.Combine(folder, Marker);
        if (!File.Exists(markerFile) || EntryMarker.TryDecode(File.ReadAllText(markerFile)) is not { } marker || marker.BootId != BootId)
            return null;
        FileInfo state = new(Path.Combine(folder, CachedImage.StateName));
        FileInfo memory = new(Path.Combine(folder, CachedImage.MemoryName));
        if (!state.Exists || !memory.Exists || state.Length != marker.StateLength || memory.Length != marker.MemoryLength)
            return null;

        // FileShare.Read takes a shared flock(2); its time is when the entry was last used.
        string lockFile = Path.Combine(folder, LockName);
        FileStream use = new(lockFile, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        File.SetLastWriteTimeUtc(lockFile, DateTime.UtcNow);
        return new CachedImage(folder, use);
    }

    /// <summary>Takes an entry that nobody uses out of the way; the caller holds the lock on all and deletes it.</summary>
    /// <returns>Where it is now, or null when it is in use.</returns>
    private string? Detach(string folder)
    {
        string lockFile = Path.Combine(folder, LockName);
        if (File.Exists(lockFile))
        {
            try
            {
                using FileStream sole = new(lockFile, FileMode.Open, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
            }
            catch (IOException)
            {
                return null;
            }
        }

        string gone = Path.Combine(_folder, Leaving + Guid.NewGuid().ToString("N"));
        Directory.Move(folder, gone);
        return gone;
    }

    private void Evict(long needed, string? except = null)
    {
        List<string> gone = [];
        using (LockAll())
        {
            List<(string Folder, DateTime Used, long Size)> entries = [];
            foreach (string folder in Directory.EnumerateDirectories(_folder).Where(f => Digest.IsHex(Path.GetFileName(f))))
            {
                string marker = Path.Combine(folder, Marker);
                long size = File.Exists(marker) ? EntryMarker.TryDecode(File.ReadAllText(marker))?.DataBytes ?? 0 : 0;
                entries.Add((folder, File.GetLastWriteTimeUtc(Path.Combine(folder, LockName)), size));
            }

            foreach (string folder in Directory.EnumerateDirectories(_folder, Partial + "*").Where(f => Path.GetFileName(f) != except))
            {
                string memory = Path.Combine(folder, CachedImage.MemoryName);
                entries.Add((folder, Directory.GetLastWriteTimeUtc(folder), File.Exists(memory) ? BaseTree.AllocatedBytes(memory) : 0));
            }

            long total = needed + entries.Sum(e => e.Size);
            foreach ((string folder, _, long size) in entries.OrderBy(e => e.Used))
            {
                if (total <= _maxBytes)
                    break;
                if (Detach(folder) is { } detached)
                {
                    gone.Add(detached);
                    total -= size;
                }
            }
        }

        foreach (string folder in gone)
            Directory.Delete(folder, recursive: true);
    }

    private void RemoveAbandoned()
    {
        foreach (string folder in Directory.EnumerateDirectories(_folder, ".*"))
        {
            string name = Path.GetFileName(folder);
            try
            {
                TimeSpan age = DateTime.UtcNow - Directory.GetLastWriteTimeUtc(folder);
                bool abandoned = (name.StartsWith(Building, StringComparison.Ordinal) && age > AbandonedAfter) || (name.StartsWith(Partial, StringComparison.Ordinal) && age > PartialAfter);
                if (name.StartsWith(Leaving, StringComparison.Ordinal) || (abandoned && !IsLocked(folder)))
                    Directory.Delete(folder, recursive: true);
            }
            catch (IOException)
            {
                // Another process removes it.
            }
        }
    }

    private static bool IsLocked(string folder)
    {
        try
        {
            using FileStream sole = new(Path.Combine(folder, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    /// <summary>Held for the few calls that look an entry up, admit or detach one; other processes wait.</summary>
    private FileStream LockAll()
    {
        for (int tries = 0; ; tries++)
        {
            try
            {
                return new FileStream(Path.Combine(_folder, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
            }
            catch (IOException e) when (e.HResult == WouldBlock && tries < MaxTries)
            {
                Thread.Sleep(1);
            }
        }
    }

    private string FolderOf(string manifestId)
    {
        if (!Digest.IsHex(manifestId))
            throw new ArgumentException("not the id of a manifest", nameof(manifestId));
        return Path.Combine(_folder, manifestId);
    }

    private sealed record EntryMarker(string BootId, long StateLength, long MemoryLength, long DataBytes)
    {
        internal string Encode() => string.Create(CultureInfo.InvariantCulture, $"1 {BootId} {StateLength} {MemoryLength} {DataBytes}\n");

        internal static EntryMarker? TryDecode(string text)
        {
            string[] fields = text.TrimEnd('\n').Split(' ');
            return fields.Length == 5 && fields[0] == "1"
                && long.TryParse(fields[2], NumberStyles.None, CultureInfo.InvariantCulture, out long state)
                && long.TryParse(fields[3], NumberStyles.None, CultureInfo.InvariantCulture, out long memory)
                && long.TryParse(fields[4], NumberStyles.None, CultureInfo.InvariantCulture, out long data)
                ? new EntryMarker(fields[1], state, memory, data)
                : null;
        }
    }
}
