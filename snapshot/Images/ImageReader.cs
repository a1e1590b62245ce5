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
    private const int Attempts = 3;

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
        for (int attempt = 1; ; attempt++)
        {
            int length = await GetAllAsync(store, ImageFormat.ManifestPrefix + reference.ManifestId, 0, bytes, what, cancellationToken).ConfigureAwait(false);
            if (length == bytes.Length && Manifest.IdOf(bytes) == reference.ManifestId)
                break;
            if (attempt == Attempts)
                throw Manifest.Damaged(what, "its manifest is cut short or altered");
        }

        _ = Zstd.Version;
        return new ImageReader(store, Manifest.Decode(bytes, what), reference.ManifestId);
    }

    /// <summary>Writes the state and memory files (sparse, of exact length), every chunk checked before it is written. On failure what was
    /// written is of no use; <see cref="ImageCache.GetAsync"/> never shows it to anybody.</summary>
    public Task MaterializeAsync(string stateFile, string memoryFile, CancellationToken cancellationToken = default) =>
        MaterializeAsync(stateFile, memoryFile, null, null, cancellationToken);

    /// <summary>The same, with what the journal has already left out.</summary>
    internal async Task MaterializeAsync(string stateFile, string memoryFile, FetchJournal? journal, Transfer? transfer, CancellationToken cancellationToken)
    {
        try
        {
            using SafeFileHandle state = journal is null ? Create(stateFile, StateLength) : OpenExisting(stateFile);
            using SafeFileHandle memory = journal is null ? Create(memoryFile, MemoryLength) : OpenExisting(memoryFile);
            await ReadChunksAsync((chunk, content) => WriteSparse(chunk.File == ImageFile.State ? state : memory, chunk.Offset, content), journal, transfer, cancellationToken).ConfigureAwait(false);
        }
        catch (IOException e)
        {
            throw LocalFiles.Translate(e, Path.GetDirectoryName(memoryFile)!);
        }
    }

    /// <summary>Reads and checks every chunk.</summary>
    public Task VerifyAsync(Transfer? transfer = null, CancellationToken cancellationToken = default) => ReadChunksAsync((_, _) => { }, null, transfer, cancellationToken);

    internal static async Task<SnapshotRef> ReadRefAsync(IObjectStore store, string name, CancellationToken cancellationToken)
    {
        // One byte more than a reference may have, so that a longer one is seen.
        byte[] bytes = new byte[ImageFormat.MaxRefSize + 1];
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                int length = await store.GetAsync(SnapshotRef.KeyOf(name), 0, bytes, cancellationToken).ConfigureAwait(false);
                return SnapshotRef.Decode(name, bytes.AsSpan(0, length));
            }
            catch (StoreException e) when (e.Error == StoreError.NotFound)
            {
                throw new StoreException(StoreError.NotFound, $"{store.Location} has no snapshot named {name}; see the list of snapshots, or name another store", e);
            }
            catch (InvalidImageException) when (attempt < Attempts)
            {
                // Damaged on the way, perhaps.
            }
        }
    }

    /// <summary>Keys of the packs that the image needs.</summary>
    internal IEnumerable<string> PackKeys => _manifest.Header.Packs.Select(p => ImageFormat.PackPrefix + p.Name);

    /// <summary>Reads on where an answer was shorter than what there is, as from a proxy that loses bytes and says nothing.</summary>
    private static async Task<int> GetAllAsync(IObjectStore store, string key, long offset, Memory<byte> destination, string what, CancellationToken cancellationToken)
    {
        int total = 0;
        while (total < destination.Length)
        {
            int n = await GetAsync(store, key, offset + total, destination[total..], what, cancellationToken).ConfigureAwait(false);
            if (n == 0)
                break;
            total += n;
        }

        return total;
    }

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
        return OpenExisting(path);
    }

    private static SafeFileHandle OpenExisting(string path) => File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);

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

    private Task ReadChunksAsync(ChunkAction action, FetchJournal? journal, Transfer? transfer, CancellationToken cancellationToken)
    {
        transfer ??= new Transfer();
        transfer.Total = DataBytes;
        int[] wanted = [.. Enumerable.Range(0, _manifest.Chunks.Length).Where(row => journal?.Has(row) != true)];
        transfer.Add(DataBytes - wanted.Sum(row => (long)_manifest.Chunks[row].Length));
        return FetchAsync(wanted, (rows, frames, offset, _) =>
        {
            Use(rows, frames, offset, action);
            journal?.Add(rows);
            return Task.CompletedTask;
        }, transfer, cancellationToken);
    }

    /// <summary>Gives a builder all rows, and the frames of those that it lacks.</summary>
    internal async Task CopyFramesAsync(ImageBuilder builder, Transfer reading, CancellationToken cancellationToken)
    {
        ManifestChunk[] chunks = _manifest.Chunks;
        Dictionary<int, ChunkPlace> wanted = [];
        for (int row = 0; row < chunks.Length; row++)
        {
            if (await builder.ClaimAsync(PieceOf(row), chunks[row].Plain, cancellationToken).ConfigureAwait(false) is { } place)
                wanted.Add(row, place);
        }

        await FetchAsync(wanted.Keys, async (rows, frames, offset, token) =>
        {
            Use(rows, frames, offset, (_, _) => { });
            foreach (int row in rows)
            {
                ReadOnlyMemory<byte> frame = frames.AsMemory((int)(chunks[row].FrameOffset - offset), chunks[row].FrameLength);
                await builder.FillAsync(wanted[row], PieceOf(row), chunks[row].Plain, frame, token).ConfigureAwait(false);
            }
        }, reading, cancellationToken).ConfigureAwait(false);
    }

    private DataWindow PieceOf(int row) => new(_manifest.Chunks[row].File, _manifest.Chunks[row].Offset, _manifest.Chunks[row].Length);

    /// <summary>Fetches the frames of some rows, several requests at a time.</summary>
    /// <param name="use">Told of the rows of a request, its bytes, and where in their pack they begin; throws <see cref="InvalidImageException"/> when
    /// they are not what they should be, and they are fetched again.</param>
    private Task FetchAsync(IEnumerable<int> rows, FetchAction use, Transfer transfer, CancellationToken cancellationToken)
    {
        IObjectStore paced = _store.With(transfer);
        return Parallel.ForEachAsync(
            Plan(rows),
            new ParallelOptions { MaxDegreeOfParallelism = Transfers, CancellationToken = cancellationToken },
            async (fetch, token) => await ReadAsync(paced, fetch, use, transfer, token).ConfigureAwait(false));
    }

    private async Task ReadAsync(IObjectStore store, Fetch fetch, FetchAction use, Transfer transfer, CancellationToken cancellationToken)
    {
        string what = $"snapshot {Info.Name}";
        string key = ImageFormat.PackPrefix + _manifest.Header.Packs[fetch.Pack].Name;
        long work = fetch.Rows.Sum(row => (long)_manifest.Chunks[row].Length);
        bool done = false;
        byte[] frames = ArrayPool<byte>.Shared.Rent(fetch.Length);
        transfer.Begin(work, fetch.Length);
        try
        {
            for (int attempt = 1; !done; attempt++)
            {
                try
                {
                    int length = await GetAllAsync(store, key, fetch.Offset, frames.AsMemory(0, fetch.Length), what, cancellationToken).ConfigureAwait(false);
                    if (length != fetch.Length)
                        throw Manifest.Damaged(what, $"its object {key} is cut short");
                    await use(fetch.Rows, frames, fetch.Offset, cancellationToken).ConfigureAwait(false);
                    done = true;
                }
                catch (InvalidImageException) when (attempt < Attempts)
                {
                    // Damaged on the way, perhaps; what is damaged in the store stays so.
                }
            }
        }
        finally
        {
            transfer.End(work, fetch.Length, done);
            ArrayPool<byte>.Shared.Return(frames);
        }
    }

    private void Use(IReadOnlyList<int> rows, byte[] frames, long offset, ChunkAction action)
    {
        string what = $"snapshot {Info.Name}";
        using Zstd.Decompressor decompressor = new();
        byte[] plain = ArrayPool<byte>.Shared.Rent(rows.Max(row => _manifest.Chunks[row].Length));
        try
        {
            ManifestChunk last = default;
            foreach (int row in rows)
            {
                ManifestChunk chunk = _manifest.Chunks[row];
                string key = ImageFormat.PackPrefix + _manifest.Header.Packs[chunk.Pack].Name;
                Span<byte> content = plain.AsSpan(0, chunk.Length);
                if (chunk.FrameOffset != last.FrameOffset || chunk.Length != last.Length || chunk.Plain != last.Plain || last.Length == 0)
                {
                    ReadOnlySpan<byte> frame = frames.AsSpan((int)(chunk.FrameOffset - offset), chunk.FrameLength);
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
    private IEnumerable<Fetch> Plan(IEnumerable<int> rows)
    {
        ManifestChunk[] chunks = _manifest.Chunks;
        int[] order = [.. rows.OrderBy(i => chunks[i].Pack).ThenBy(i => chunks[i].FrameOffset)];
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

    private delegate Task FetchAction(IReadOnlyList<int> rows, byte[] frames, long offset, CancellationToken cancellationToken);

    private sealed class Fetch
    {
        private const int MaxGap = 64 << 10;

        internal Fetch(int row, ManifestChunk chunk)
        {
            (Pack, Offset, Length) = (chunk.Pack, chunk.FrameOffset, chunk.FrameLength);
            Rows.Add(row);
        }

        internal int Pack { get; }

        internal long Offset { get; }

        internal int Length { get; private set; }

        internal List<int> Rows { get; } = [];

        internal bool TryAdd(int row, ManifestChunk chunk)
        {
            long end = Math.Max(Offset + Length, chunk.FrameOffset + chunk.FrameLength);
            if (chunk.Pack != Pack || chunk.FrameOffset > Offset + Length + MaxGap || end - Offset > MaxFetch)
                return false;
            Length = (int)(end - Offset);
            Rows.Add(row);
            return true;
        }
    }
}
