namespace Storage;

/// <summary>
/// Where snapshots are kept: named, immutable byte strings. Small on purpose, so that a folder, S3 and Azure Blob mean exactly the same by
/// it (tests/Storage is the conformance suite). Keys are UTF-8 text of up to 512 bytes with segments separated by '/'; no segment is empty,
/// "." or "..", and no key is a folder of another. All methods may be called concurrently and throw <see cref="StoreException"/>.
/// </summary>
public interface IObjectStore : IAsyncDisposable
{
    /// <summary>How messages name the store: its URL without credentials.</summary>
    string Location { get; }

    /// <summary>The same store, the bytes of whose requests are counted and paced by a transfer. It lives as long as this one and need not be
    /// disposed.</summary>
    IObjectStore With(Transfer transfer);

    /// <summary>Stores an object unless the key is taken; of racing callers exactly one gets true. The object is visible whole or not at
    /// all, and durable when the task completes.</summary>
    /// <returns>False when the key existed already; nothing was changed.</returns>
    Task<bool> PutIfAbsentAsync(string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default);

    /// <summary>Stores an object, in the place of one of that key if there is one: whoever reads sees the old or the new, whole, at any time; it is
    /// durable when the task completes.</summary>
    Task ReplaceAsync(string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default);

    /// <summary>Reads from an object into a buffer.</summary>
    /// <returns>The number of bytes read: fewer than asked for only where the object ends, 0 at or beyond its end.</returns>
    Task<int> GetAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken = default);

    /// <summary>The length of an object in bytes, or null when there is none.</summary>
    Task<long?> GetLengthAsync(string key, CancellationToken cancellationToken = default);

    /// <summary>All objects whose key starts with a prefix (any text, "" for all), in ordinal order of their keys.</summary>
    IAsyncEnumerable<StoredObject> ListAsync(string prefix, CancellationToken cancellationToken = default);

    /// <summary>Deletes an object; one that does not exist is no error, since a retried deletion must succeed.</summary>
    Task DeleteAsync(string key, CancellationToken cancellationToken = default);
}

/// <summary>One object of a listing.</summary>
/// <param name="Key">Its key, without the store's own prefix.</param>
/// <param name="Length">In bytes.</param>
/// <param name="Modified">When it was stored, by the store's clock.</param>
public readonly record struct StoredObject(string Key, long Length, DateTimeOffset Modified);
