namespace Storage;

/// <summary>What can be said with the methods of <see cref="IObjectStore"/>.</summary>
public static class ObjectStoreExtensions
{
    /// <summary>A whole object, for those small enough to hold in memory.</summary>
    /// <param name="limit">Objects longer than this are refused before anything is allocated.</param>
    public static async Task<byte[]> GetWholeAsync(this IObjectStore store, string key, long limit, CancellationToken cancellationToken = default)
    {
        long length = await store.GetLengthAsync(key, cancellationToken).ConfigureAwait(false)
            ?? throw new StoreException(StoreError.NotFound, $"{store.Location} has no object {key}");
        if (length > limit)
            throw new StoreException(StoreError.Invalid, $"object {key} in {store.Location} has {length} bytes, more than the {limit} it may have");
        byte[] content = new byte[length];
        int got = 0;
        while (got < content.Length)
        {
            int n = await store.GetAsync(key, got, content.AsMemory(got), cancellationToken).ConfigureAwait(false);
            if (n == 0)
                throw new StoreException(StoreError.Other, $"object {key} in {store.Location} became shorter while it was read; try again");
            got += n;
        }

        return content;
    }
}
