using Storage;
using Storage.AzureBlob;

namespace Tests.Storage;

public sealed class AzuriteFixture() : ServerFixture("azurite");

/// <summary>The conformance suite against Azurite.</summary>
[NeedsServer("azurite")]
[Collection("azure variables")] // credentials come from the environment, which the process has once
public sealed class AzureBlobStoreTests : ObjectStoreTests, IClassFixture<AzuriteFixture>
{
    private readonly AzuriteFixture _server;

    public AzureBlobStoreTests(AzuriteFixture server)
    {
        _server = server;
        Environment.SetEnvironmentVariable("AZURE_STORAGE_CONNECTION_STRING", null);
        UseKey(_server.Settings.GetValueOrDefault("AZURE_STORAGE_KEY"));
    }

    [ServerFact]
    public async Task Open_ConnectionString_IsUsed()
    {
        string text = $"DefaultEndpointsProtocol=http;AccountName=tester;AccountKey={_server.Settings["AZURE_STORAGE_KEY"]};BlobEndpoint={_server.Settings["AZURE_ENDPOINT"]};";
        Environment.SetEnvironmentVariable("AZURE_STORAGE_CONNECTION_STRING", text);
        UseKey("bm90IHRoZSBrZXk=");
        await using IObjectStore store = AzureBlobStore.Open(StoreUrl.Parse("azblob://connection?create=true"));
        Assert.True(await store.PutIfAbsentAsync("key", "x"u8.ToArray()));
    }

    [ServerFact]
    public void Open_NoCredentials_SaysWhatToSet()
    {
        UseKey(null);
        StoreException e = Assert.Throws<StoreException>(() => Open("azblob://container", ""));
        Assert.Equal(StoreError.AccessDenied, e.Error);
        Assert.Contains("AZURE_STORAGE_KEY", e.Message, StringComparison.Ordinal);
    }

    protected override IObjectStore Create() => Open($"azblob://t-{Guid.NewGuid():N}/prefix", "&create=true");

    protected override async Task<IObjectStore?> CreateWithWrongCredentialsAsync()
    {
        string container = $"azblob://t-{Guid.NewGuid():N}";
        await using (IObjectStore right = Open(container, "&create=true"))
            await right.GetLengthAsync("made");
        UseKey("bm90IHRoZSBrZXk=");
        return Open(container, "");
    }

    protected override IObjectStore? CreateUnreachable() => AzureBlobStore.Open(StoreUrl.Parse("azblob://container?endpoint=http://127.0.0.1:9/tester"));

    protected override IObjectStore? CreateMissing() => Open("azblob://not-made", "");

    private static void UseKey(string? key)
    {
        Environment.SetEnvironmentVariable("AZURE_STORAGE_ACCOUNT", "tester");
        Environment.SetEnvironmentVariable("AZURE_STORAGE_KEY", key);
    }

    private AzureBlobStore Open(string url, string options) =>
        AzureBlobStore.Open(StoreUrl.Parse($"{url}?endpoint={_server.Settings["AZURE_ENDPOINT"]}{options}"));
}
