using Storage;

namespace Snapshot.Images;

/// <summary>The chunks that a store holds already, as far as it is cheap to know: the newest packs' indexes.</summary>
internal sealed class KnownChunks
{
    private const int MaxIndexes = 256;
    private const long MaxIndexSize = 16 << 20;

    private readonly Dictionary<Digest, (ManifestPack Pack, PackedChunk Chunk)> _chunks = [];

    /// <summary>When the store was looked at: what garbage collection condemned later is still there for the grace period.</summary>
    internal DateTimeOffset AsOf { get; } = DateTimeOffset.UtcNow;

    internal static async Task<KnownChunks> LoadAsync(IObjectStore store, CancellationToken cancellationToken)
    {
        KnownChunks known = new();
        HashSet<string> condemned = [];
        await foreach (StoredObject item in store.ListAsync(ImageFormat.CondemnedPrefix, cancellationToken).ConfigureAwait(false))
            condemned.Add(item.Key[ImageFormat.CondemnedPrefix.Length..]);
        Dictionary<string, long> packs = [];
        await foreach (StoredObject item in store.ListAsync(ImageFormat.PackPrefix, cancellationToken).ConfigureAwait(false))
        {
            if (!condemned.Contains(item.Key))
                packs[item.Key[ImageFormat.PackPrefix.Length..]] = item.Length;
        }

        List<StoredObject> indexes = [];
        await foreach (StoredObject item in store.ListAsync(ImageFormat.IndexPrefix, cancellationToken).ConfigureAwait(false))
        {
            if (item.Length <= MaxIndexSize && packs.ContainsKey(item.Key[ImageFormat.IndexPrefix.Length..]))
                indexes.Add(item);
        }

        indexes.Sort((a, b) => b.Modified.CompareTo(a.Modified));
        await Parallel.ForEachAsync(
            indexes.Take(MaxIndexes),
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
