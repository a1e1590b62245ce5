using Storage;
using Storage.AzureBlob;
using Storage.S3;

namespace RestoreAgent.Agent.Snapshots;

/// <summary>Opens the stores that users name by URL, and keeps them open: a client of S3 or Azure is expensive to make.</summary>
public sealed class Stores(AgentFolders folders) : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, IObjectStore> _open = [];

    /// <summary>The URL of the user's own folder.</summary>
    public string Default => $"file://{folders.Snapshots}";

    public IObjectStore Open(string? url)
    {
        StoreUrl parsed = StoreUrl.Parse(url ?? Default);
        lock (_lock)
        {
            string key = parsed.ToString();
            if (!_open.TryGetValue(key, out IObjectStore? store))
                _open[key] = store = Make(parsed);
            return store;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (IObjectStore store in _open.Values)
            await store.DisposeAsync().ConfigureAwait(false);
    }

    private static IObjectStore Make(StoreUrl url) => url.Kind switch
    {
        StoreKind.File => new LocalStore(url.Root),
        StoreKind.S3 => new PatientStore(S3Store.Open(url), url.Policy),
        StoreKind.AzureBlob => new PatientStore(AzureBlobStore.Open(url), url.Policy),
        _ => throw new StoreException(StoreError.Invalid, $"stores of kind {url.Kind} cannot be opened"),
    };
}
