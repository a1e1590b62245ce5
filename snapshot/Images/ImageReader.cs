using System.Buffers;
using Microsoft.Win32.SafeHandles;
using Snapshot.State;
using Storage;

namespace Snapshot.Images;

/// <summary>An image in a store, its manifest read and checked. Frames are checked before they are decompressed and chunks before they are
/// used, so that nothing from the store is believed that the manifest does not vouch for.</summary>
public sealed class ImageReader
{
    private const int Transfers = 6;
    private const int MaxFetch = 4 << 20;

    private readonly IObjectStore _store;
    private readonly Manifest _manifest;

    private ImageReader(IObjectStore store, Manifest manifest, string manifestId)
    {
        _store = store;
        _manifest = manifest;
        ManifestId = manifestId;
    }

    public SnapshotInfo Info => _manifest.Header.Info;

    /// <summary>SHA-256 of the manifest.</summary>
    public string ManifestId { get; }

    public long StateLength => _manifest.Header.StateLength;

    public long MemoryLength => _manifest.Header.MemoryLength;

    /// <summary>The bytes of both files that are stored, that is without holes.</summary>
    public long DataBytes => _manifest.Chunks.Sum(c => (long)c.Length);

    /// <summary>Finds a snapshot by name and checks its manifest.</summary>
    /// <exception cref="StoreException">With <see cref="StoreError.NotFound"/> when there is none of that name.</exception>
    /// <exception cref="InvalidImageException">It is damaged.</exception>
    public static async Task<ImageReader> OpenAsync(IObjectStore store, string name, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        SnapshotNames.Validate(name);
        SnapshotRef reference = await ReadRefAsync(store, name, cancellationToken).ConfigureAwait(false);
        string what = $"snapshot {name}";
        byte[] bytes = new byte[reference.ManifestLength];
        int length = await GetAsync(store, ImageFormat.ManifestPrefix + reference.ManifestId, 0, bytes, what, cancellationToken).ConfigureAwait(false);
        if (length != bytes.Length || Manifest.IdOf(bytes) != reference.ManifestId)
            throw Manifest.Damaged(what, "its manifest is cut short or altered");
        _ = Zstd.Version;
        return new ImageReader(store, Manifest.Decode(bytes, what), reference.ManifestId);
    }

    /// <summary>Writes the state and memory files (sparse, of exact length), every chunk checked before it is written. On failure what was
    /// written is of no use; <see cref="ImageCache.GetAsync"/> never shows it to anybody.</summary>
    public async Task MaterializeAsync(string stateFile, string memoryFile, CancellationToken cancellationToken = default)
    {
        try
        {
            using SafeFileHandle state = Create(stateFile, StateLength);
            using SafeFileHandle memory = Create(memoryFile, MemoryLength);
            await ReadChunksAsync((chunk, content) => WriteSparse(chunk.File == ImageFile.State ? state : memory, chunk.Offset, content), cancellationToken).ConfigureAwait(false);
        }
        catch (IOException e)
        {
            throw LocalFiles.Translate(e, Path.GetDirectoryName(memoryFile)!);
        }
    }

    /// <summary>Reads and checks every chunk.</summary>
    public Task VerifyAsync(CancellationToken cancellationToken = default) => ReadChunksAsync((_, _) => { }, cancellationToken);

    internal static async Task<SnapshotRef> ReadRefAsync(IObjectStore store, string name, CancellationToken cancellationToken)
    {
        // One byte more than a reference may have, so that a longer one is seen.
        byte[] bytes = new byte[ImageFormat.MaxRefSize + 1];
        int length;
        try
        {
            length = await store.GetAsync(SnapshotRef.KeyOf(name), 0, bytes, cancellationToken).ConfigureAwait(false);
        }
        catch (StoreException e) when (e.Error == StoreError.NotFound)
        {
            throw new StoreException(StoreError.NotFound, $"{store.Location} has no snapshot named {name}; see the list of snapshots, or name another store", e);
        }

        return SnapshotRef.Decode(name, bytes.AsSpan(0, length));
    }

    /// <summary>Keys of the packs that the image needs.</summary>
    internal IEnumerable<string> PackKeys => _manifest.Header.Packs.Select(p => ImageFormat.PackPrefix + p.Name);

    private static async Task<int> GetAsync(IObjectStore store, string key, long offset, Memory<byte> destination, string what, CancellationToken cancellationToken)
    {
        try
        {
            return await store.GetAsync(key, offset, destination, cancellationToken).ConfigureAwait(false);
        }
        catch (StoreException e) when (e.Error == StoreError.NotFound)
        {
            throw Manifest.Damaged(what, $"{store.Location} lacks its object {key}");
        }
    }

    private static SafeFileHandle Create(string path, long length)
    {
        using FileStream file = new(path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        file.SetLength(length);
        return File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
    }

    private static void WriteSparse(SafeFileHandle file, long offset, ReadOnlySpan<byte> content)
    {
        // Chunks start on page boundaries, so that runs of zero pages stay holes.
        int position = 0;
        while (true)
        {
            (int start, int length) = ZeroPages.NextRun(content, position);
            if (length == 0)
                return;
            RandomAccess.Write(file, content.Slice(start, length), offset + start);
            position = start + length;
        }
    }

    private Task ReadChunksAsync(ChunkAction action, CancellationToken cancellationToken) => Parallel.ForEachAsync(
        Plan(),
        new ParallelOptions { MaxDegreeOfParallelism = Transfers, CancellationToken = cancellationToken },
        async (fetch, token) => await ReadAsync(fetch, action, token).ConfigureAwait(false));

    private async Task ReadAsync(Fetch fetch, ChunkAction action, CancellationToken cancellationToken)
    {
        string what = $"snapshot {Info.Name}";
        string key = ImageFormat.PackPrefix + _manifest.Header.Packs[fetch.Pack].Name;
        byte[] frames = ArrayPool<byte>.Shared.Rent(fetch.Length);
        try
        {
            int length = await GetAsync(_store, key, fetch.Offset, frames.AsMemory(0, fetch.Length), what, cancellationToken).ConfigureAwait(false);
            if (length != fetch.Length)
                throw Manifest.Damaged(what, $"its object {key} is cut short");
            Use(fetch, frames, action, what, key);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(frames);
        }
    }

    private void Use(Fetch fetch, byte[] frames, ChunkAction action, string what, string key)
    {
        using Zstd.Decompressor decompressor = new();
        byte[] plain = ArrayPool<byte>.Shared.Rent(fetch.MaxChunk);
        try
        {
            ManifestChunk last = default;
            foreach (int row in fetch.Rows)
            {
                ManifestChunk chunk = _manifest.Chunks[row];
                Span<byte> content = plain.AsSpan(0, chunk.Length);
                if (chunk.FrameOffset != last.FrameOffset || chunk.Length != last.Length || chunk.Plain != last.Plain || last.Length == 0)
                {
                    ReadOnlySpan<byte> frame = frames.AsSpan((int)(chunk.FrameOffset - fetch.Offset), chunk.FrameLength);
                    if (Digest.Of(frame) != chunk.Frame)
                        throw Manifest.Damaged(what, $"its object {key} was altered at byte {chunk.FrameOffset}");
                    if (decompressor.Decompress(frame, content) != chunk.Length || Digest.Of(content) != chunk.Plain)
                        throw Manifest.Damaged(what, $"its object {key} holds something else at byte {chunk.FrameOffset}");
                    last = chunk;
                }

                action(chunk, content);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(plain);
        }
    }

    /// <summary>Groups frames that lie side by side in a pack into requests of a few MiB.</summary>
    private IEnumerable<Fetch> Plan()
    {
        ManifestChunk[] chunks = _manifest.Chunks;
        int[] order = [.. Enumerable.Range(0, chunks.Length).OrderBy(i => chunks[i].Pack).ThenBy(i => chunks[i].FrameOffset)];
        Fetch? current = null;
        foreach (int row in order)
        {
            ManifestChunk chunk = chunks[row];
            if (current is null || !current.TryAdd(row, chunk))
            {
                if (current is not null)
                    yield return current;
                current = new Fetch(row, chunk);
            }
        }

        if (current is not null)
            yield return current;
    }

    private delegate void ChunkAction(ManifestChunk chunk, ReadOnlySpan<byte> content);

    private sealed class Fetch
    {
        private const int MaxGap = 64 << 10;

        internal Fetch(int row, ManifestChunk chunk)
        {
            (Pack, Offset, Length, MaxChunk) = (chunk.Pack, chunk.FrameOffset, chunk.FrameLength, chunk.Length);
            Rows.Add(row);
        }

        internal int Pack { get; }

        internal long Offset { get; }

        internal int Length { get; private set; }

        internal int MaxChunk { get; private set; }

        internal List<int> Rows { get; } = [];

        internal bool TryAdd(int row, ManifestChunk chunk)
        {
            long end = Math.Max(Offset + Length, chunk.FrameOffset + chunk.FrameLength);
            if (chunk.Pack != Pack || chunk.FrameOffset > Offset + Length + MaxGap || end - Offset > MaxFetch)
                return false;
            Length = (int)(end - Offset);
            MaxChunk = Math.Max(MaxChunk, chunk.Length);
            Rows.Add(row);
            return true;
        }
    }
}
