using System.Buffers;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Win32.SafeHandles;
using Snapshot.State;

namespace Snapshot.Images;

/// <summary>SHA-256 of base-tree files, remembered per (path, device, inode, size, mtime, ctime) so that a file is read once, not at every
/// checkpoint and restore.</summary>
public sealed class BaseFileHasher : IDisposable
{
    private const int MaxRemembered = 50_000;
    private const long MaxCacheFile = 64 << 20;

    /// <summary>A file changed this recently may change again within the same timestamp; its hash is not remembered.</summary>
    private const long Settled = 2_000_000_000;

    private readonly BaseTree _tree;
    private readonly string _rootFolder;
    private readonly string? _cacheFile;
    private readonly ConcurrentDictionary<string, RememberedHash> _remembered = new();
    private bool _changed;

    /// <param name="rootFolder">The base tree; names are looked up in it as after a chroot to it.</param>
    /// <param name="cacheFile">Where hashes are remembered between runs; null for nowhere.</param>
    public BaseFileHasher(string rootFolder, string? cacheFile = null)
    {
        _rootFolder = rootFolder;
        _cacheFile = cacheFile;
        try
        {
            _tree = new BaseTree(rootFolder);
        }
        catch (IOException e)
        {
            throw LocalFiles.Translate(e, rootFolder);
        }

        Recall();
    }

    /// <summary>Hashes files by guest path.</summary>
    /// <exception cref="InvalidImageException">A file is missing or has another size than the guest saw.</exception>
    public async Task<BaseTreeFile[]> HashAsync(IEnumerable<(string Path, long Size)> files, CancellationToken cancellationToken = default)
    {
        ConcurrentDictionary<string, BaseTreeFile> hashed = new();
        await Parallel.ForEachAsync(
            files,
            cancellationToken,
            (file, token) =>
            {
                (long size, string hash) = Hash(file.Path, token)
                    ?? throw new InvalidImageException($"{file.Path} is open in the sandbox but gone from {_rootFolder}; a snapshot of it could not be restored");
                if (size != file.Size)
                    throw new InvalidImageException($"{file.Path} in {_rootFolder} was changed while the sandbox ran ({file.Size} bytes then, {size} now)");
                hashed[file.Path] = new BaseTreeFile { Path = file.Path, Size = size, Sha256 = hash };
                return ValueTask.CompletedTask;
            }).ConfigureAwait(false);
        Remember();
        return [.. hashed.Values.OrderBy(f => f.Path, StringComparer.Ordinal)];
    }

    /// <summary>Compares the tree with the files an image depends on.</summary>
    /// <exception cref="InvalidImageException">Names files that are missing or different.</exception>
    public async Task CheckAsync(IReadOnlyList<BaseTreeFile> files, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(files);
        ConcurrentBag<string> different = [];
        await Parallel.ForEachAsync(
            files,
            cancellationToken,
            (file, token) =>
            {
                if (Hash(file.Path, token) is not { } found)
                    different.Add($"{file.Path} (missing)");
                else if (found.Size != file.Size || found.Hash != file.Sha256)
                    different.Add(file.Path);
                return ValueTask.CompletedTask;
            }).ConfigureAwait(false);
        Remember();
        if (different.IsEmpty)
            return;
        string[] names = [.. different.Order(StringComparer.Ordinal)];
        string more = names.Length > 3 ? $" and {names.Length - 3} more" : "";
        throw new InvalidImageException($"{_rootFolder} is not the tree the snapshot was made over: {string.Join(", ", names.Take(3))}{more} {(names.Length == 1 ? "differs" : "differ")}; give the original one with --rootfs");
    }

    /// <inheritdoc/>
    public void Dispose() => _tree.Dispose();

    private (long Size, string Hash)? Hash(string path, CancellationToken cancellationToken)
    {
        if (_tree.TryOpen(path) is not { } opened)
            return null;
        using SafeFileHandle file = opened.File;
        FileIdentity identity = opened.Identity;
        if (_remembered.TryGetValue(path, out RememberedHash? known) && known.Identity == identity)
            return (identity.Size, known.Sha256);
        string hash = Read(file, cancellationToken);
        if (BaseTree.Identify(file) != identity)
            throw new InvalidImageException($"{path} in {_rootFolder} changes while it is read; stop what writes to it");
        long now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() * 1_000_000;
        if (now - identity.ChangeTime > Settled && _remembered.Count < MaxRemembered)
        {
            _remembered[path] = new RememberedHash { Path = path, Identity = identity, Sha256 = hash };
            _changed = true;
        }

        return (identity.Size, hash);
    }

    private static string Read(SafeFileHandle file, CancellationToken cancellationToken)
    {
        const int BufferSize = 1 << 20;
        using IncrementalHash sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        try
        {
            long offset = 0;
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                int n = RandomAccess.Read(file, buffer, offset);
                if (n == 0)
                    return Convert.ToHexStringLower(sha.GetHashAndReset());
                sha.AppendData(buffer, 0, n);
                offset += n;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void Recall()
    {
        try
        {
            if (_cacheFile is null || !File.Exists(_cacheFile) || new FileInfo(_cacheFile).Length > MaxCacheFile)
                return;
            RememberedHash[]? hashes = JsonSerializer.Deserialize(File.ReadAllBytes(_cacheFile), HashCacheJson.Default.RememberedHashArray);
            foreach (RememberedHash hash in hashes ?? [])
            {
                if (hash is { Path: not null, Identity: not null } && Digest.IsHex(hash.Sha256))
                    _remembered[hash.Path] = hash;
            }
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            // Only a cache: files are hashed anew.
        }
    }

    private void Remember()
    {
        if (_cacheFile is null || !_changed)
            return;
        _changed = false;
        string temporary = $"{_cacheFile}.{Guid.NewGuid():N}";
        try
        {
            using (FileStream file = new(temporary, new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }))
            {
                JsonSerializer.Serialize(file, [.. _remembered.Values], HashCacheJson.Default.RememberedHashArray);
            }

            File.Move(temporary, _cacheFile, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Only a cache: the next run hashes again.
        }
    }
}

/// <summary>A remembered hash.</summary>
internal sealed record RememberedHash
{
    public required string Path { get; init; }

    public required FileIdentity Identity { get; init; }

    public required string Sha256 { get; init; }
}

/// <summary>The codec of the file of remembered hashes.</summary>
[JsonSerializable(typeof(RememberedHash[]))]
internal sealed partial class HashCacheJson : JsonSerializerContext;
