using System.Runtime.CompilerServices;
using Azure;
using Azure.Core;
using Azure.Storage;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;

namespace Storage.AzureBlob;

/// <summary>
/// A store in a container of Azure Blob Storage, with conditional writes (If-None-Match: *). Credentials come from the environment as Azure's
/// own tools read it: AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN. The SDK
/// retries with back-off.
/// </summary>
public sealed class AzureBlobStore : IObjectStore
{
    /// <summary>Mentions the newer version at hand of an assembly that the SDK needs; without it no program over this one would get a copy.</summary>
    private static readonly Type KeptForTheSdk = typeof(System.IO.Hashing.Crc64);

    private readonly StoreUrl _url;
    private readonly BlobContainerClient _container;
    private readonly Transfer? _transfer;
    private volatile bool _created;

    private AzureBlobStore(StoreUrl url, BlobContainerClient container, Transfer? transfer = null) => (_url, _container, _transfer) = (url, container, transfer);

    /// <inheritdoc/>
    public string Location => _url.ToString();

    /// <inheritdoc/>
    public IObjectStore With(Transfer transfer) => new AzureBlobStore(_url, _container, transfer) { _created = _created };

    /// <summary>Opens a container. Nothing is asked of the server yet; a container that the URL says to create is made before the first use.</summary>
    public static AzureBlobStore Open(StoreUrl url, StorePolicy? policy = null)
    {
        ArgumentNullException.ThrowIfNull(url);
        _ = KeptForTheSdk;
        return new AzureBlobStore(url, AzureAccount.FromEnvironment(url).Container(url.Root, policy ?? url.Policy));
    }

    /// <inheritdoc/>
    public Task<bool> PutIfAbsentAsync(string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default) =>
        PutAsync(key, content, new BlobRequestConditions { IfNoneMatch = ETag.All }, cancellationToken);

    /// <inheritdoc/>
    public Task ReplaceAsync(string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default) => PutAsync(key, content, null, cancellationToken);

    /// <inheritdoc/>
    public Task<int> GetAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        BlobClient blob = Blob(key);
        return TryAsync("read", key, async () =>
        {
            if (destination.Length == 0)
                return 0;
            try
            {
                Response<BlobDownloadStreamingResult> response = await blob.DownloadStreamingAsync(
                    new BlobDownloadOptions { Range = new HttpRange(offset, destination.Length) }, cancellationToken).ConfigureAwait(false);
                using BlobDownloadStreamingResult result = response.Value;
                return await result.Content.ReadAtLeastAsync(destination, destination.Length, throwOnEndOfStream: false, cancellationToken).ConfigureAwait(false);
            }
            catch (RequestFailedException e) when (e.Status == 416)
            {
                return 0;
            }
        }, cancellationToken);
    }

    /// <inheritdoc/>
    public Task<long?> GetLengthAsync(string key, CancellationToken cancellationToken = default)
    {
        BlobClient blob = Blob(key);
        return TryAsync<long?>("read", key, async () =>
        {
            try
            {
                Response<BlobProperties> response = await blob.GetPropertiesAsync(cancellationToken: cancellationToken).ConfigureAwait(false);
                return response.Value.ContentLength;
            }
            catch (RequestFailedException e) when (e.Status == 404 && e.ErrorCode != BlobErrorCode.ContainerNotFound)
            {
                return null;
            }
        }, cancellationToken);
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<StoredObject> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        IAsyncEnumerator<BlobItem> blobs = _container.GetBlobsAsync(prefix: _url.Prefix + prefix, cancellationToken: cancellationToken).GetAsyncEnumerator(cancellationToken);
        await using (blobs.ConfigureAwait(false))
        {
            while (await TryAsync("list", prefix, async () => await blobs.MoveNextAsync().ConfigureAwait(false), cancellationToken).ConfigureAwait(false))
            {
                BlobItem item = blobs.Current;
                yield return new StoredObject(item.Name[_url.Prefix.Length..], item.Properties.ContentLength ?? 0, item.Properties.LastModified ?? DateTimeOffset.UnixEpoch);
            }
        }
    }

    /// <inheritdoc/>
    public Task DeleteAsync(string key, CancellationToken cancellationToken = default)
    {
        BlobClient blob = Blob(key);
        return TryAsync("delete", key, async () => await blob.DeleteIfExistsAsync(cancellationToken: cancellationToken).ConfigureAwait(false), cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private Task<bool> PutAsync(string key, ReadOnlyMemory<byte> content, BlobRequestConditions? conditions, CancellationToken cancellationToken)
    {
        BlobClient blob = Blob(key);
        BlobUploadOptions options = new()
        {
            Conditions = conditions,
            TransferOptions = new StorageTransferOptions { InitialTransferSize = 64 << 20, MaximumTransferSize = 16 << 20, MaximumConcurrency = 4 },
        };
        return TryAsync("write", key, async () =>
        {
            try
            {
                await blob.UploadAsync(BinaryData.FromBytes(content), options, cancellationToken).ConfigureAwait(false);
                return true;
            }
            catch (RequestFailedException e) when (e.Status == 412 || e.ErrorCode == BlobErrorCode.BlobAlreadyExists)
            {
                return false;
            }
        }, cancellationToken);
    }

    private BlobClient Blob(string key)
    {
        StoreKeys.Validate(key);
        return _container.GetBlobClient(_url.Prefix + key);
    }

    private async Task<T> TryAsync<T>(string verb, string key, Func<Task<T>> action, CancellationToken cancellationToken)
    {
        TransferHandler.Current = _transfer;
        try
        {
            if (_url.Create && !_created)
            {
                await _container.CreateIfNotExistsAsync(cancellationToken: cancellationToken).ConfigureAwait(false);
                _created = true;
            }

            return await action().ConfigureAwait(false);
        }
        catch (RequestFailedException e)
        {
            throw Translate(e, verb, key);
        }
        catch (Exception e) when (e is HttpRequestException or (IOException and not FileNotFoundException) or AggregateException
            || e is System.Xml.XmlException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw Unreachable(e, verb, key);
        }
    }

    private StoreException Translate(RequestFailedException e, string verb, string key)
    {
        string what = What(verb, key);
        return e.Status switch
        {
            0 => Unreachable(e, verb, key),
            401 or 403 => new StoreException(
                StoreError.AccessDenied, $"{what}: access denied ({e.ErrorCode}); check AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY", e),
            404 when e.ErrorCode == BlobErrorCode.ContainerNotFound =>
                new StoreException(StoreError.NotFound, $"{what}: there is no container {_url.Root}; create it, or add create=true to the URL", e),
            404 => new StoreException(StoreError.NotFound, $"{what}: there is no such object", e),
            507 => new StoreException(StoreError.NoSpace, $"{what}: the quota is used up; delete snapshots or raise it", e),
            408 or 429 or >= 500 => new StoreException(StoreError.Unreachable, $"{what}: the server fails ({e.ErrorCode}); try again later", e),
            _ => new StoreException(StoreError.Other, $"{what}: the server refused ({e.Status} {e.ErrorCode})", e),
        };
    }

    private StoreException Unreachable(Exception e, string verb, string key) =>
        new(StoreError.Unreachable, $"{What(verb, key)}: the server does not answer; check the endpoint and the network", e);

    private string What(string verb, string key) => $"cannot {verb} {(key.Length > 0 ? $"{key} in " : "")}{Location}";
}
