using System.Collections.Concurrent;
using Storage;

namespace Snapshot.Images;

/// <summary>The chunks that a store holds already, as far as it is cheap to know: the newest packs' indexes.</summary>
internal sealed class KnownChunks
{
    private const int MinIndexes = 256;
    private const int MaxIndexes = 1 << 16;
    private const long MaxIndexSize = 16 << 20;

    private readonly IObjectStore _store;
    private readonly Dictionary<Digest, (ManifestPack Pack, PackedChunk Chunk)> _chunks = [];
    private readonly ConcurrentDictionary<string, Lazy<Task<bool>>> _there = new();

    private KnownChunks(IObjectStore store) => _store = store;

    /// <summary>When the store was looked at: what garbage collection condemned later is still there for the grace period.</summary>
    internal DateTimeOffset AsOf { get; } = DateTimeOffset.UtcNow;

    /// <param name="bytes">The size of what is to be written: an image that was cut off left about that much.</param>
    internal static async Task<KnownChunks> LoadAsync(IObjectStore store, long bytes, CancellationToken cancellationToken)
    {
        KnownChunks known = new(store);
        Task<Dictionary<string, StoredObject>> marks = ListAsync(store, ImageFormat.CondemnedPrefix, cancellationToken);
        Task<Dictionary<string, StoredObject>> allPacks = ListAsync(store, ImageFormat.PackPrefix, cancellationToken);
        Task<Dictionary<string, StoredObject>> allIndexes = ListAsync(store, ImageFormat.IndexPrefix, cancellationToken);
        await Task.WhenAll(marks, allPacks, allIndexes).ConfigureAwait(false);
        Dictionary<string, StoredObject> condemned = marks.Result;
        Dictionary<string, long> packs = allPacks.Result.Where(p => !condemned.ContainsKey(ImageFormat.PackPrefix + p.Key)).ToDictionary(p => p.Key, p => p.Value.Length);
        List<StoredObject> indexes = [.. allIndexes.Result.Where(i => i.Value.Length <= MaxIndexSize && packs.ContainsKey(i.Key)).Select(i => i.Value)];
        indexes.Sort((a, b) => b.Modified.CompareTo(a.Modified));
        await Parallel.ForEachAsync(
            indexes.Take((int)Math.Min(MaxIndexes, MinIndexes + (2 * bytes / ImageFormat.PackSize))),
            new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = cancellationToken },
            async (item, token) =>
            {
                byte[] bytes = new byte[item.Length];
                int length = await ReadAsync(store, item.Key, bytes, token).ConfigureAwait(false);
                string name = item.Key[ImageFormat.IndexPrefix.Length..];
                if (length == bytes.Length && ImageFormat.IsPackName(name) && PackIndex.TryDecode(bytes, packs[name]) is { } chunks)
                    known.Add(new ManifestPack { Name = name, Length = packs[name] }, chunks);
            }).ConfigureAwait(false);
        return known;
    }

    internal bool TryGet(Digest plain, int length, out ManifestPack pack, out PackedChunk chunk)
    {
        bool found = _chunks.TryGetValue(plain, out (ManifestPack Pack, PackedChunk Chunk) known) && known.Chunk.Length == length;
        (pack, chunk) = found ? known : (null!, default);
        return found;
    }

    /// <summary>Whether a pack can be counted on: a listing may name what was deleted since, and an answer about the object itself does not.</summary>
    internal Task<bool> IsThereAsync(ManifestPack pack, CancellationToken cancellationToken) => _there.GetOrAdd(
        pack.Name,
        name => new Lazy<Task<bool>>(async () => await _store.GetLengthAsync(ImageFormat.PackPrefix + name, cancellationToken).ConfigureAwait(false) == pack.Length)).Value;

    private static async Task<Dictionary<string, StoredObject>> ListAsync(IObjectStore store, string prefix, CancellationToken cancellationToken)
    {
        Dictionary<string, StoredObject> found = [];
        await foreach (StoredObject item in store.ListAsync(prefix, cancellationToken).ConfigureAwait(false))
            found[item.Key[prefix.Length..]] = item;
        return found;
    }

    private static async Task<int> ReadAsync(IObjectStore store, string key, byte[] bytes, CancellationToken cancellationToken)
    {
        try
        {
            return await store.GetAsync(key, 0, bytes, cancellationToken).ConfigureAwait(false);
        }
        catch (StoreException e) when (e.Error == StoreError.NotFound)
        {
            return -1;
        }
    }

    private void Add(ManifestPack pack, PackedChunk[] chunks)
    {
        lock (_chunks)
        {
            foreach (PackedChunk chunk in chunks)
                _chunks.TryAdd(chunk.Plain, (pack, chunk));
        }
    }
}
