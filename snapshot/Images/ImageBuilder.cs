using System.Collections.Concurrent;
using Snapshot.State;
using Storage;

namespace Snapshot.Images;

/// <summary>
/// Puts an image together in a store out of chunks, wherever they come from. Order is what makes it safe: packs, then their manifest, then the
/// name; whoever sees the name sees everything. What an attempt that was cut off has left is found by the next one, and not sent again.
/// </summary>
internal sealed class ImageBuilder : IDisposable
{
    private readonly IObjectStore _store, _paced;
    private readonly SnapshotInfo _info;
    private readonly ImageWriterOptions _options;
    private readonly Transfer _transfer;
    private readonly PackWriter _packs;
    private readonly KnownChunks _known;
    private readonly ConcurrentDictionary<Digest, ChunkPlace> _places = new();
    private readonly List<(DataWindow Piece, ChunkPlace Place)> _rows = [];
    private int _reused;

    private ImageBuilder(IObjectStore store, IObjectStore paced, SnapshotInfo info, ImageWriterOptions options, Transfer transfer, KnownChunks known)
    {
        (_store, _paced, _info, _options, _transfer, _known) = (store, paced, info, options, transfer, known);
        _packs = new PackWriter(paced, Guid.NewGuid().ToString("N"), transfer);
    }

    /// <summary>Makes sure that the name is free and learns what the store holds.</summary>
    /// <param name="bytes">The plain bytes that the image may have at most.</param>
    /// <exception cref="StoreException">With <see cref="StoreError.Exists"/> when the name is taken.</exception>
    internal static async Task<ImageBuilder> BeginAsync(IObjectStore store, SnapshotInfo info, long bytes, ImageWriterOptions options, CancellationToken cancellationToken)
    {
        SnapshotNames.Validate(info.Name);
        _ = Zstd.Version;
        Transfer transfer = options.Transfer ?? new Transfer();
        transfer.Total = bytes;
        IObjectStore paced = store.With(transfer);
        Task<KnownChunks> known = KnownChunks.LoadAsync(paced, bytes, cancellationToken);
        try
        {
            if (!options.Replace && await paced.GetLengthAsync(SnapshotRef.KeyOf(info.Name), cancellationToken).ConfigureAwait(false) is not null)
                throw Taken(store, info.Name);
        }
        catch
        {
            // Nothing is left running, and the failure told is this one.
            await ((Task)known).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }

        return new ImageBuilder(store, paced, info, options, transfer, await known.ConfigureAwait(false));
    }

    /// <inheritdoc/>
    public void Dispose() => _packs.Dispose();

    /// <summary>Plain bytes that need no chunk.</summary>
    internal void Skip(long bytes) => _transfer.Add(bytes);

    /// <summary>Adds a row to the image.</summary>
    /// <returns>The place to be given a frame with <see cref="FillAsync"/>; null when the chunk is there already.</returns>
    internal async ValueTask<ChunkPlace?> ClaimAsync(DataWindow piece, Digest plain, CancellationToken cancellationToken)
    {
        ChunkPlace own = new();
        ChunkPlace place = _places.GetOrAdd(plain, own);
        lock (_rows)
            _rows.Add((piece, place));
        if (place == own)
        {
            if (!_known.TryGet(plain, piece.Length, out ManifestPack pack, out PackedChunk chunk) || !await _known.IsThereAsync(pack, cancellationToken).ConfigureAwait(false))
                return own;
            await _packs.ReuseAsync(pack, chunk, place, cancellationToken).ConfigureAwait(false);
        }

        Interlocked.Increment(ref _reused);
        _transfer.Add(piece.Length);
        return null;
    }

    internal Task FillAsync(ChunkPlace place, DataWindow piece, Digest plain, ReadOnlyMemory<byte> frame, CancellationToken cancellationToken) =>
        _packs.AddAsync(plain, piece.Length, frame, place, cancellationToken);

    /// <summary>Runs those who bring the chunks, all at the same time, uploads what they bring, and publishes the image.</summary>
    internal async Task<WrittenImage> BuildAsync(IEnumerable<Func<CancellationToken, Task>> producers, long stateLength, long memoryLength, CancellationToken cancellationToken)
    {
        string? manifestKey = null;
        try
        {
            await ProduceAsync(producers, cancellationToken).ConfigureAwait(false);
            if (_options.BeforeManifest is { } last)
                await last(_info).ConfigureAwait(false);
            Manifest manifest = BuildManifest(stateLength, memoryLength);
            byte[] bytes = manifest.Encode();
            string id = Manifest.IdOf(bytes);
            manifestKey = ImageFormat.ManifestPrefix + id;
            await _paced.PutIfAbsentAsync(manifestKey, bytes, cancellationToken).ConfigureAwait(false);
            long size = manifest.Chunks.Sum(c => (long)c.Length);
            await PublishAsync(new SnapshotRef(_info.Name, id, bytes.Length, _info.Created, size), cancellationToken).ConfigureAwait(false);
            return new WrittenImage
            {
                ManifestId = id,
                Info = _info,
                StateBytes = stateLength,
                MemoryBytes = manifest.Chunks.Where(c => c.File == ImageFile.Memory).Sum(c => (long)c.Length),
                StoredBytes = _packs.StoredBytes + bytes.Length,
                Chunks = manifest.Chunks.Length,
                ReusedChunks = _reused,
            };
        }
        catch (StoreException e) when (e.Error == StoreError.Unreachable)
        {
            throw new StoreException(StoreError.Unreachable, $"{e.Message}; what is uploaded is kept: the same command, given again within an hour, sends only the rest", e);
        }
        catch (OperationCanceledException)
        {
            // What is uploaded is as good for the next attempt as after a failure of the network.
            throw;
        }
        catch
        {
            await RemoveOwnAsync(manifestKey).ConfigureAwait(false);
            throw;
        }
    }

    private async Task ProduceAsync(IEnumerable<Func<CancellationToken, Task>> producers, CancellationToken cancellationToken)
    {
        using CancellationTokenSource failed = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        List<Task> producing = [.. producers.Select(p => Task.Run(() => p(failed.Token), failed.Token))];
        Task uploading = _packs.UploadAsync(failed.Token);
        List<Task> running = [.. producing, uploading];
        while (running.Count > 0)
        {
            Task ended = await Task.WhenAny(running).ConfigureAwait(false);
            if (!ended.IsCompletedSuccessfully)
            {
                // The first failure is the one to tell; the others only follow from stopping.
                await failed.CancelAsync().ConfigureAwait(false);
                await Task.WhenAll(running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                await ended.ConfigureAwait(false);
            }

            running.Remove(ended);
            if (producing.Remove(ended) && producing.Count == 0)
                _packs.Complete();
        }
    }

    private Manifest BuildManifest(long stateLength, long memoryLength)
    {
        _rows.Sort((a, b) => (a.Piece.File, a.Piece.Offset).CompareTo((b.Piece.File, b.Piece.Offset)));
        ManifestChunk[] chunks = new ManifestChunk[_rows.Count];
        for (int i = 0; i < chunks.Length; i++)
        {
            (DataWindow piece, ChunkPlace place) = _rows[i];
            PackedChunk chunk = place.Chunk;
            chunks[i] = new ManifestChunk(chunk.Plain, chunk.Frame, piece.File, piece.Offset, piece.Length, place.Pack, chunk.FrameOffset, chunk.FrameLength);
        }

        ManifestHeader header = new()
        {
            Info = _info,
            StateLength = stateLength,
            MemoryLength = memoryLength,
            Packs = _packs.Packs,
            Chunks = chunks.Length,
        };
        return new Manifest { Header = header, Chunks = chunks };
    }

    private async Task PublishAsync(SnapshotRef reference, CancellationToken cancellationToken)
    {
        await CheckStillWantedAsync(cancellationToken).ConfigureAwait(false);
        byte[] bytes = reference.Encode();
        if (_options.Replace)
        {
            await _paced.ReplaceAsync(reference.Key, bytes, cancellationToken).ConfigureAwait(false);
            return;
        }

        if (await _paced.PutIfAbsentAsync(reference.Key, bytes, cancellationToken).ConfigureAwait(false))
            return;

        // A retried request finds its own work done; only another's content means that the name is taken.
        byte[] there = await _paced.GetWholeAsync(reference.Key, ImageFormat.MaxRefSize, cancellationToken).ConfigureAwait(false);
        if (!there.AsSpan().SequenceEqual(bytes))
            throw Taken(_store, _info.Name);
    }

    /// <summary>A writer slower than the garbage collector's grace period must see that nothing it counts on was condemned meanwhile.</summary>
    private async Task CheckStillWantedAsync(CancellationToken cancellationToken)
    {
        if (DateTimeOffset.UtcNow - _known.AsOf < SnapshotCatalog.DefaultGrace / 2)
            return;
        HashSet<string> wanted = [.. _packs.Packs.Select(p => ImageFormat.PackPrefix + p.Name)];
        await foreach (StoredObject item in _paced.ListAsync(ImageFormat.CondemnedPrefix, cancellationToken).ConfigureAwait(false))
        {
            if (wanted.Contains(item.Key[ImageFormat.CondemnedPrefix.Length..]))
                throw new StoreException(StoreError.Other, $"writing to {_store.Location} took so long that its chunks are being collected; try again");
        }

        // Asked for one by one: a listing may be older than what was just written.
        await Parallel.ForEachAsync(wanted, cancellationToken, async (key, token) =>
        {
            if (await _paced.GetLengthAsync(key, token).ConfigureAwait(false) is null)
                throw new StoreException(StoreError.Other, $"writing to {_store.Location} took so long that its chunks were collected; try again");
        }).ConfigureAwait(false);
    }

    /// <summary>Best effort: what stays behind is found by garbage collection.</summary>
    private async Task RemoveOwnAsync(string? manifestKey)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(10));
        try
        {
            // A name whose publication failed half-seen may exist; without certainty that it does not, nothing it needs is removed.
            if (manifestKey is not null && await NameMayExistAsync(manifestKey, limit.Token).ConfigureAwait(false))
                return;
            foreach (string key in _packs.OwnKeys.Append(manifestKey).OfType<string>())
                await _store.DeleteAsync(key, limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is StoreException or OperationCanceledException)
        {
        }
    }

    private async Task<bool> NameMayExistAsync(string manifestKey, CancellationToken cancellationToken)
    {
        string key = SnapshotRef.KeyOf(_info.Name);
        if (await _store.GetLengthAsync(key, cancellationToken).ConfigureAwait(false) is null)
            return false;
        byte[] bytes = await _store.GetWholeAsync(key, ImageFormat.MaxRefSize, cancellationToken).ConfigureAwait(false);
        return bytes.AsSpan().IndexOf(System.Text.Encoding.ASCII.GetBytes(manifestKey[ImageFormat.ManifestPrefix.Length..])) >= 0;
    }

    private static StoreException Taken(IObjectStore store, string name) =>
        new(StoreError.Exists, $"{store.Location} has a snapshot named {name} already; choose another name, delete it first, or replace it with --replace");
}
