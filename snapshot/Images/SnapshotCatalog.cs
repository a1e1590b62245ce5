using Snapshot.State;
using Storage;

namespace Snapshot.Images;

/// <summary>One line of a listing.</summary>
public sealed record SnapshotEntry
{
    public required string Name { get; init; }

    /// <summary>Null when it cannot be read; then <see cref="Problem"/> says why.</summary>
    public string? ManifestId { get; init; }

    public DateTimeOffset Created { get; init; }

    /// <summary>Bytes of state and memory without holes.</summary>
    public long Size { get; init; }

    /// <summary>One line about what is wrong with it.</summary>
    public string? Problem { get; init; }
}

/// <summary>The snapshots of a store.</summary>
public static class SnapshotCatalog
{
    /// <summary>How long what nobody refers to is kept in case somebody is about to.</summary>
    public static readonly TimeSpan DefaultGrace = TimeSpan.FromHours(1);

    private const int Parallelism = 8;

    /// <summary>All snapshots by name; damaged ones too, with their problem.</summary>
    public static async Task<List<SnapshotEntry>> ListAsync(IObjectStore store, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        List<SnapshotEntry> entries = [];
        await Parallel.ForEachAsync(
            await KeysAsync(store, ImageFormat.SnapshotPrefix, cancellationToken).ConfigureAwait(false),
            new ParallelOptions { MaxDegreeOfParallelism = Parallelism, CancellationToken = cancellationToken },
            async (item, token) =>
            {
                SnapshotEntry? entry = await EntryAsync(store, item.Key[ImageFormat.SnapshotPrefix.Length..], token).ConfigureAwait(false);
                if (entry is not null)
                {
                    lock (entries)
                        entries.Add(entry);
                }
            }).ConfigureAwait(false);
        entries.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
        return entries;
    }

    /// <summary>Removes a name. Its chunks go with the next <see cref="CollectGarbageAsync"/>.</summary>
    /// <exception cref="StoreException">With <see cref="StoreError.NotFound"/> when there is none of that name.</exception>
    public static async Task DeleteAsync(IObjectStore store, string name, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        SnapshotNames.Validate(name);
        string key = SnapshotRef.KeyOf(name);
        if (await store.GetLengthAsync(key, cancellationToken).ConfigureAwait(false) is null)
            throw new StoreException(StoreError.NotFound, $"{store.Location} has no snapshot named {name}");
        await store.DeleteAsync(key, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Reads and checks every byte of a snapshot; throws <see cref="InvalidImageException"/> for the first that is wrong.</summary>
    /// <returns>What was read.</returns>
    public static async Task<ImageReader> VerifyAsync(IObjectStore store, string name, Transfer? transfer = null, CancellationToken cancellationToken = default)
    {
        ImageReader reader = await ImageReader.OpenAsync(store, name, cancellationToken).ConfigureAwait(false);
        await reader.VerifyAsync(transfer, cancellationToken).ConfigureAwait(false);
        return reader;
    }

    /// <summary>
    /// Deletes objects that belong to no snapshot, in two steps so that it is safe beside running writers: what is old enough and not
    /// referred to is marked condemned (writers no longer count on it); what was condemned longer than the grace period ago and is still not
    /// referred to is deleted by a later run. Refuses to delete anything while a snapshot cannot be read, since its chunks are not known.
    /// </summary>
    /// <param name="grace">Null for <see cref="DefaultGrace"/>; zero, when nobody writes to the store, for everything at once.</param>
    /// <returns>The bytes freed.</returns>
    public static async Task<long> CollectGarbageAsync(IObjectStore store, TimeSpan? grace = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        TimeSpan keep = grace ?? DefaultGrace;
        List<StoredObject> candidates = [];
        foreach (string prefix in (string[])[ImageFormat.PackPrefix, ImageFormat.IndexPrefix, ImageFormat.ManifestPrefix])
            candidates.AddRange(await KeysAsync(store, prefix, cancellationToken).ConfigureAwait(false));
        Dictionary<string, DateTimeOffset> condemned = [];
        foreach (StoredObject item in await KeysAsync(store, ImageFormat.CondemnedPrefix, cancellationToken).ConfigureAwait(false))
            condemned[item.Key[ImageFormat.CondemnedPrefix.Length..]] = item.Modified;

        // Names are read after the marks: a name published meanwhile is seen, and what it needs spared.
        HashSet<string> wanted = await WantedAsync(store, cancellationToken).ConfigureAwait(false);
        DateTimeOffset before = DateTimeOffset.UtcNow - keep;
        long freed = 0;
        HashSet<string> seen = [];
        foreach (StoredObject item in candidates)
        {
            seen.Add(item.Key);
            bool marked = condemned.TryGetValue(item.Key, out DateTimeOffset since);
            string mark = ImageFormat.CondemnedPrefix + item.Key;
            if (wanted.Contains(item.Key))
            {
                if (marked)
                    await store.DeleteAsync(mark, cancellationToken).ConfigureAwait(false);
            }
            else if (keep == TimeSpan.Zero || (marked && since < before))
            {
                await store.DeleteAsync(item.Key, cancellationToken).ConfigureAwait(false);
                if (marked)
                    await store.DeleteAsync(mark, cancellationToken).ConfigureAwait(false);
                freed += item.Length;
            }
            else if (!marked && item.Modified < before)
            {
                await store.PutIfAbsentAsync(mark, "condemned\n"u8.ToArray(), cancellationToken).ConfigureAwait(false);
            }
        }

        foreach (string orphan in condemned.Keys.Where(k => !seen.Contains(k)))
            await store.DeleteAsync(ImageFormat.CondemnedPrefix + orphan, cancellationToken).ConfigureAwait(false);
        return freed;
    }

    private static async Task<HashSet<string>> WantedAsync(IObjectStore store, CancellationToken cancellationToken)
    {
        HashSet<string> wanted = [];
        foreach (StoredObject item in await KeysAsync(store, ImageFormat.SnapshotPrefix, cancellationToken).ConfigureAwait(false))
        {
            ImageReader reader;
            try
            {
                reader = await ImageReader.OpenAsync(store, item.Key[ImageFormat.SnapshotPrefix.Length..], cancellationToken).ConfigureAwait(false);
            }
            catch (StoreException e) when (e.Error == StoreError.NotFound)
            {
                continue;
            }

            wanted.Add(ImageFormat.ManifestPrefix + reader.ManifestId);
            foreach (string key in reader.PackKeys)
            {
                wanted.Add(key);
                wanted.Add(ImageFormat.IndexPrefix + key[ImageFormat.PackPrefix.Length..]);
            }
        }

        return wanted;
    }

    private static async Task<SnapshotEntry?> EntryAsync(IObjectStore store, string name, CancellationToken cancellationToken)
    {
        if (!SnapshotNames.IsValid(name))
            return null;
        try
        {
            SnapshotRef reference = await ImageReader.ReadRefAsync(store, name, cancellationToken).ConfigureAwait(false);
            return new SnapshotEntry { Name = name, ManifestId = reference.ManifestId, Created = reference.Created, Size = reference.Size };
        }
        catch (InvalidImageException e)
        {
            return new SnapshotEntry { Name = name, Problem = e.Message };
        }
        catch (StoreException e) when (e.Error == StoreError.NotFound)
        {
            return null;
        }
    }

    private static async Task<List<StoredObject>> KeysAsync(IObjectStore store, string prefix, CancellationToken cancellationToken)
    {
        List<StoredObject> found = [];
        await foreach (StoredObject item in store.ListAsync(prefix, cancellationToken).ConfigureAwait(false))
            found.Add(item);
        return found;
    }
}
