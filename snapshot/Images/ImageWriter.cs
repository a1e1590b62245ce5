using System.Buffers;
using System.Collections.Concurrent;
using Microsoft.Win32.SafeHandles;
using Storage;

namespace Snapshot.Images;

/// <summary>How an image is written.</summary>
public sealed record ImageWriterOptions
{
    /// <summary>zstd level, 1 to 19.</summary>
    public int CompressionLevel { get; init; } = 1;

    /// <summary>Deletes a snapshot of the same name at the last moment before publishing the new one.</summary>
    public bool Replace { get; init; }

    /// <summary>Called when all data is in the store and the manifest is about to be made: may change the properties of what is described.</summary>
    public Func<SnapshotInfo, Task>? BeforeManifest { get; init; }
}

/// <summary>What writing came to.</summary>
public sealed record WrittenImage
{
    /// <summary>SHA-256 of the manifest: the identity of the image and its key in <see cref="ImageCache"/>.</summary>
    public required string ManifestId { get; init; }

    public required SnapshotInfo Info { get; init; }

    public long StateBytes { get; init; }

    /// <summary>The bytes of memory in chunks, that is without holes and zero pages around them.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>New bytes in the store; chunks that were there already are not counted.</summary>
    public long StoredBytes { get; init; }

    public int Chunks { get; init; }

    /// <summary>Chunks equal to others of the same image or of one already in the store.</summary>
    public int ReusedChunks { get; init; }
}

/// <summary>
/// Writes a checkpoint's two local files into a store as a named snapshot: reading, hashing and compressing on every core, uploading at the
/// same time. Order is what makes it safe: packs, then their manifest, then the name; whoever sees the name sees everything.
/// </summary>
public sealed class ImageWriter : IDisposable
{
    private readonly IObjectStore _store;
    private readonly SnapshotInfo _info;
    private readonly ImageWriterOptions _options;
    private readonly PackWriter _packs;
    private readonly KnownChunks _known;
    private readonly ConcurrentDictionary<Digest, ChunkPlace> _places = new();
    private readonly List<(DataWindow Piece, ChunkPlace Place)> _rows = [];
    private int _reused;

    private ImageWriter(IObjectStore store, SnapshotInfo info, ImageWriterOptions options, KnownChunks known)
    {
        _store = store;
        _info = info;
        _options = options;
        _known = known;
        _packs = new PackWriter(store, Guid.NewGuid().ToString("N"));
    }

    /// <summary>Writes and publishes an image. The name appears in the store when everything else is there, or not at all.</summary>
    /// <param name="stateFile">The kernel state.</param>
    /// <param name="memoryFile">The uncompressed, sparse memory image.</param>
    /// <param name="dataRanges">Where in the memory file there is data: pairs of offset and length, ascending; null for everywhere.</param>
    /// <exception cref="StoreException">With <see cref="StoreError.Exists"/> when the name is taken.</exception>
    public static async Task<WrittenImage> WriteAsync(IObjectStore store, SnapshotInfo info, string stateFile, string memoryFile,
        IReadOnlyList<long>? dataRanges, ImageWriterOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(info);
        options ??= new ImageWriterOptions();
        SnapshotNames.Validate(info.Name);
        _ = Zstd.Version;
        if (!options.Replace && await store.GetLengthAsync(SnapshotRef.KeyOf(info.Name), cancellationToken).ConfigureAwait(false) is not null)
            throw Taken(store, info.Name);
        KnownChunks known = await KnownChunks.LoadAsync(store, cancellationToken).ConfigureAwait(false);
        using ImageWriter writer = new(store, info, options, known);
        using SafeFileHandle state = File.OpenHandle(stateFile);
        using SafeFileHandle memory = File.OpenHandle(memoryFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        return await writer.WriteAsync(state, memory, dataRanges, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public void Dispose() => _packs.Dispose();

    private async Task<WrittenImage> WriteAsync(SafeFileHandle state, SafeFileHandle memory, IReadOnlyList<long>? dataRanges, CancellationToken cancellationToken)
    {
        long stateLength = RandomAccess.GetLength(state);
        long memoryLength = RandomAccess.GetLength(memory);
        IEnumerable<DataWindow> windows = DataWindows.Of(ImageFile.State, stateLength, null).Concat(DataWindows.Of(ImageFile.Memory, memoryLength, dataRanges));
        string? manifestKey = null;
        try
        {
            await WriteChunksAsync(windows, file => file == ImageFile.State ? state : memory, cancellationToken).ConfigureAwait(false);
            if (_options.BeforeManifest is { } last)
                await last(_info).ConfigureAwait(false);
            Manifest manifest = BuildManifest(stateLength, memoryLength);
            byte[] bytes = manifest.Encode();
            string id = Manifest.IdOf(bytes);
            manifestKey = ImageFormat.ManifestPrefix + id;
            await _store.PutIfAbsentAsync(manifestKey, bytes, cancellationToken).ConfigureAwait(false);
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
        catch
        {
            await RemoveOwnAsync(manifestKey).ConfigureAwait(false);
            throw;
        }
    }

    private async Task WriteChunksAsync(IEnumerable<DataWindow> windows, Func<ImageFile, SafeFileHandle> fileOf, CancellationToken cancellationToken)
    {
        using CancellationTokenSource failed = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using IEnumerator<DataWindow> source = windows.GetEnumerator();
        List<Task> compressing = [.. Enumerable.Range(0, Math.Clamp(Environment.ProcessorCount, 2, 8))
            .Select(_ => Task.Run(() => CompressAsync(source, fileOf, failed.Token), failed.Token))];
        Task uploading = _packs.UploadAsync(failed.Token);
        List<Task> running = [.. compressing, uploading];
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
            if (compressing.Remove(ended) && compressing.Count == 0)
                _packs.Complete();
        }
    }

    private async Task CompressAsync(IEnumerator<DataWindow> source, Func<ImageFile, SafeFileHandle> fileOf, CancellationToken cancellationToken)
    {
        using Zstd.Compressor compressor = new(_options.CompressionLevel);
        byte[] plain = ArrayPool<byte>.Shared.Rent(ImageFormat.ChunkSize);
        byte[] frame = ArrayPool<byte>.Shared.Rent(Zstd.MaxFrameLength(ImageFormat.ChunkSize));
        try
        {
            while (Next(source) is { } window)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Memory<byte> buffer = plain.AsMemory(0, window.Length);
                Read(fileOf(window.File), window.Offset, buffer.Span);
                (int start, int length) = ZeroPages.Trim(buffer.Span, window.Offset);
                if (length > 0)
                    await AddAsync(new DataWindow(window.File, window.Offset + start, length), buffer.Slice(start, length), compressor, frame, cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(plain);
            ArrayPool<byte>.Shared.Return(frame);
        }
    }

    private async Task AddAsync(DataWindow piece, ReadOnlyMemory<byte> content, Zstd.Compressor compressor, byte[] frame, CancellationToken cancellationToken)
    {
        Digest digest = Digest.Of(content.Span);
        ChunkPlace own = new();
        ChunkPlace place = _places.GetOrAdd(digest, own);
        lock (_rows)
            _rows.Add((piece, place));
        if (place != own)
        {
            Interlocked.Increment(ref _reused);
        }
        else if (_known.TryGet(digest, content.Length, out ManifestPack pack, out PackedChunk chunk))
        {
            Interlocked.Increment(ref _reused);
            await _packs.ReuseAsync(pack, chunk, place, cancellationToken).ConfigureAwait(false);
        }
        else
        {
            int length = compressor.Compress(content.Span, frame);
            await _packs.AddAsync(digest, content.Length, frame.AsMemory(0, length), place, cancellationToken).ConfigureAwait(false);
        }
    }

    private static DataWindow? Next(IEnumerator<DataWindow> source)
    {
        lock (source)
            return source.MoveNext() ? source.Current : null;
    }

    private static void Read(SafeFileHandle file, long offset, Span<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            int n = RandomAccess.Read(file, buffer, offset);
            if (n == 0)
                throw new StoreException(StoreError.Other, "the checkpoint's files became shorter while they were read; make the checkpoint again");
            buffer = buffer[n..];
            offset += n;
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
            await _store.DeleteAsync(reference.Key, cancellationToken).ConfigureAwait(false);
        if (await _store.PutIfAbsentAsync(reference.Key, bytes, cancellationToken).ConfigureAwait(false))
            return;

        // A retried request finds its own work done; only another's content means that the name is taken.
        byte[] there = await _store.GetWholeAsync(reference.Key, ImageFormat.MaxRefSize, cancellationToken).ConfigureAwait(false);
        if (!there.AsSpan().SequenceEqual(bytes))
            throw Taken(_store, _info.Name);
    }

    /// <summary>A writer slower than the garbage collector's grace period must see that nothing it counts on was condemned meanwhile.</summary>
    private async Task CheckStillWantedAsync(CancellationToken cancellationToken)
    {
        if (DateTimeOffset.UtcNow - _known.AsOf < SnapshotCatalog.DefaultGrace / 2)
            return;
        HashSet<string> wanted = [.. _packs.Packs.Select(p => ImageFormat.PackPrefix + p.Name)];
        await foreach (StoredObject item in _store.ListAsync(ImageFormat.CondemnedPrefix, cancellationToken).ConfigureAwait(false))
        {
            if (wanted.Contains(item.Key[ImageFormat.CondemnedPrefix.Length..]))
                throw new StoreException(StoreError.Other, $"writing to {_store.Location} took so long that its chunks are being collected; try again");
        }

        HashSet<string> there = [];
        await foreach (StoredObject item in _store.ListAsync(ImageFormat.PackPrefix, cancellationToken).ConfigureAwait(false))
            there.Add(item.Key);
        if (!wanted.IsSubsetOf(there))
            throw new StoreException(StoreError.Other, $"writing to {_store.Location} took so long that its chunks were collected; try again");
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
        new(StoreError.Exists, $"{store.Location} has a snapshot named {name} already; choose another name, delete it first, or replace it with --force");
}
