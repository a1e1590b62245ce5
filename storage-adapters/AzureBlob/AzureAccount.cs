using Azure;
using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Storage;
using Azure.Storage.Blobs;

namespace Storage.AzureBlob;

/// <summary>Which account, by what right; never shown to anybody.</summary>
internal sealed class AzureAccount
{
    private readonly Uri _endpoint;
    private readonly StorageSharedKeyCredential? _key;
    private readonly AzureSasCredential? _signature;

    private AzureAccount(Uri endpoint, StorageSharedKeyCredential? key, AzureSasCredential? signature)
    {
        _endpoint = endpoint;
        _key = key;
        _signature = signature;
    }

    internal static AzureAccount FromEnvironment(StoreUrl url)
    {
        Dictionary<string, string> settings = Parse(Environment.GetEnvironmentVariable("AZURE_STORAGE_CONNECTION_STRING"));
        string? account = settings.GetValueOrDefault("AccountName") ?? Variable("AZURE_STORAGE_ACCOUNT");
        string? key = settings.GetValueOrDefault("AccountKey") ?? Variable("AZURE_STORAGE_KEY");
        string? signature = settings.GetValueOrDefault("SharedAccessSignature") ?? Variable("AZURE_STORAGE_SAS_TOKEN");
        string? endpoint = url.Endpoint?.ToString() ?? settings.GetValueOrDefault("BlobEndpoint");
        if (endpoint is null && account is not null)
            endpoint = $"{settings.GetValueOrDefault("DefaultEndpointsProtocol") ?? "https"}://{account}.blob.{settings.GetValueOrDefault("EndpointSuffix") ?? "core.windows.net"}";
        if (endpoint is null || !Uri.TryCreate(endpoint.TrimEnd('/'), UriKind.Absolute, out Uri? uri))
            throw Missing(url, "no account is named");
        if (account is not null && key is not null)
        {
            try
            {
                return new AzureAccount(uri, new StorageSharedKeyCredential(account, key), null);
            }
            catch (FormatException e)
            {
                throw new StoreException(StoreError.AccessDenied, $"cannot open {url}: the account key is not Base64; check AZURE_STORAGE_KEY", e);
            }
        }

        return signature is not null ? new AzureAccount(uri, null, new AzureSasCredential(signature)) : throw Missing(url, "there is no account key");
    }

    internal BlobContainerClient Container(string name, StorePolicy policy)
    {
        BlobClientOptions options = new()
        {
            Retry =
            {
                Mode = RetryMode.Exponential,
                MaxRetries = 2,
                Delay = TimeSpan.FromMilliseconds(300),
                MaxDelay = TimeSpan.FromSeconds(5),
                NetworkTimeout = TimeSpan.FromDays(1), // TransferHandler watches instead
            },
            Transport = new HttpClientTransport(TransferHandler.CreateClient(policy)),
        };
        Uri container = new($"{_endpoint.ToString().TrimEnd('/')}/{name}");
        return _key is not null ? new BlobContainerClient(container, _key, options) : new BlobContainerClient(container, _signature, options);
    }

    private static StoreException Missing(StoreUrl url, string why) => new(
        StoreError.AccessDenied,
        $"cannot open {url}: {why}; set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, for the restore-agent");

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;

    private static Dictionary<string, string> Parse(string? connection) => (connection ?? "").Split(';', StringSplitOptions.RemoveEmptyEntries)
        .Select(part => part.Split('=', 2))
        .Where(pair => pair.Length == 2)
        .GroupBy(pair => pair[0].Trim(), StringComparer.OrdinalIgnoreCase)
        .ToDictionary(group => group.Key, group => group.Last()[1], StringComparer.OrdinalIgnoreCase);
}
