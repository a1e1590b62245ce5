using System.Net;
using System.Runtime.CompilerServices;
using Amazon;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;

namespace Storage.S3;

/// <summary>
/// A store in a bucket of Amazon S3 or a server that speaks its protocol, with conditional writes (If-None-Match: *). Credentials come from
/// where the SDK looks: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, the role of the machine. The SDK retries with back-off.
/// </summary>
public sealed class S3Store : IObjectStore
{
    private const int Tries = 4, SdkRetries = 2, BufferSize = 64 << 10;

    private readonly StoreUrl _url;
    private readonly AmazonS3Client _client;
    private readonly Transfer? _transfer;
    private volatile bool _created;

    private S3Store(StoreUrl url, AmazonS3Client client, Transfer? transfer = null) => (_url, _client, _transfer) = (url, client, transfer);

    /// <inheritdoc/>
    public string Location => _url.ToString();

    /// <inheritdoc/>
    public IObjectStore With(Transfer transfer) => new S3Store(_url, _client, transfer) { _created = _created };

    /// <summary>Opens a bucket. Nothing is asked of the server yet; a bucket that the URL says to create is made before the first use.</summary>
    public static S3Store Open(StoreUrl url, StorePolicy? policy = null) => Open(url, null, policy);

    /// <summary>For tests: with other credentials than the SDK finds.</summary>
    internal static S3Store Open(StoreUrl url, AWSCredentials? credentials, StorePolicy? policy = null)
    {
        ArgumentNullException.ThrowIfNull(url);
        AmazonS3Config config = new()
        {
            // Servers other than Amazon's know neither trailing check sums nor host names per bucket.
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
            ForcePathStyle = url.Endpoint is not null,
            RetryMode = RequestRetryMode.Standard,
            MaxErrorRetry = SdkRetries,
            BufferSize = BufferSize,
            Timeout = Timeout.InfiniteTimeSpan, // TransferHandler watches instead
            HttpClientFactory = new ClientFactory(policy ?? url.Policy),
        };
        if (url.Endpoint is not null)
        {
            config.ServiceURL = url.Endpoint.ToString();
            config.UseHttp = url.Endpoint.Scheme == "http";
            config.AuthenticationRegion = url.Region ?? "us-east-1";
        }
        else if (url.Region is not null)
        {
            config.RegionEndpoint = RegionEndpoint.GetBySystemName(url.Region);
        }

        try
        {
            return new S3Store(url, credentials is null ? new AmazonS3Client(config) : new AmazonS3Client(credentials, config));
        }
        catch (AmazonClientException e)
        {
            throw new StoreException(StoreError.Invalid, $"cannot open {url}: {e.Message}; name a region (region=… in the URL, or AWS_REGION)", e);
        }
    }

    /// <inheritdoc/>
    public Task<bool> PutIfAbsentAsync(string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default) =>
        PutAsync(key, content, replace: false, cancellationToken);

    /// <inheritdoc/>
    public Task ReplaceAsync(string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default) => PutAsync(key, content, replace: true, cancellationToken);

    /// <inheritdoc/>
    public async Task<int> GetAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken = default)
    {
        StoreKeys.Validate(key);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        TransferHandler.Current = _transfer;
        await EnsureCreatedAsync(cancellationToken).ConfigureAwait(false);
        int total = 0;
        for (int attempt = 1; total < destination.Length;)
        {
            try
            {
                using GetObjectResponse response = await _client.GetObjectAsync(
                    new GetObjectRequest
                    {
                        BucketName = _url.Root,
                        Key = _url.Prefix + key,
                        ByteRange = new ByteRange(offset + total, offset + destination.Length - 1),
                    },
                    cancellationToken).ConfigureAwait(false);
                long left = Math.Min(response.ContentLength, destination.Length - total);
                for (; left > 0; attempt = 1)
                {
                    int n = await response.ResponseStream.ReadAsync(destination.Slice(total, (int)left), cancellationToken).ConfigureAwait(false);
                    if (n == 0)
                        throw new IOException("the server closed the connection early");
                    total += n;
                    left -= n;
                }

                return total;
            }
            catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
            {
                return total;
            }
            catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.MethodNotAllowed)
            {
                // Ceph answers so where another error could not be told; listing tells it.
                await CheckBucketAsync(cancellationToken).ConfigureAwait(false);
                throw Translate(e, "read", key);
            }
            catch (Exception e) when (e is IOException or HttpRequestException && attempt < Tries && !cancellationToken.IsCancellationRequested)
            {
                // The SDK retries requests, not bodies: go on where the body broke off.
                await Task.Delay(TimeSpan.FromMilliseconds(100 << attempt), cancellationToken).ConfigureAwait(false);
                attempt++;
            }
            catch (Exception e) when (IsExpected(e, cancellationToken))
            {
                throw Translate(e, "read", key);
            }
        }

        return total;
    }

    /// <inheritdoc/>
    public async Task<long?> GetLengthAsync(string key, CancellationToken cancellationToken = default)
    {
        StoreKeys.Validate(key);
        TransferHandler.Current = _transfer;
        await EnsureCreatedAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            GetObjectMetadataResponse response = await _client.GetObjectMetadataAsync(_url.Root, _url.Prefix + key, cancellationToken).ConfigureAwait(false);
            return response.ContentLength;
        }
        catch (AmazonS3Exception e) when (e.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed)
        {
            // An answer to HEAD has no body that would tell a missing bucket: one more request does.
            await CheckBucketAsync(cancellationToken).ConfigureAwait(false);
            return null;
        }
        catch (Exception e) when (IsExpected(e, cancellationToken))
        {
            throw Translate(e, "read", key);
        }
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<StoredObject> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await EnsureCreatedAsync(cancellationToken).ConfigureAwait(false);
        string? next = null;
        do
        {
            TransferHandler.Current = _transfer;
            ListObjectsV2Response page;
            try
            {
                page = await _client.ListObjectsV2Async(
                    new ListObjectsV2Request { BucketName = _url.Root, Prefix = _url.Prefix + prefix, ContinuationToken = next },
                    cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e) when (IsExpected(e, cancellationToken))
            {
                throw Translate(e, "list", prefix);
            }

            foreach (S3Object item in page.S3Objects ?? [])
                yield return new StoredObject(item.Key[_url.Prefix.Length..], item.Size ?? 0, new DateTimeOffset(item.LastModified?.ToUniversalTime() ?? DateTime.UnixEpoch));
            next = page.IsTruncated == true ? page.NextContinuationToken : null;
        }
        while (next is not null);
    }

    /// <inheritdoc/>
    public async Task DeleteAsync(string key, CancellationToken cancellationToken = default)
    {
        StoreKeys.Validate(key);
        TransferHandler.Current = _transfer;
        await EnsureCreatedAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            await _client.DeleteObjectAsync(_url.Root, _url.Prefix + key, cancellationToken).ConfigureAwait(false);
        }
        catch (AmazonS3Exception e) when (e.ErrorCode == "NoSuchKey")
        {
            // Some servers say so; it is what was asked for.
        }
        catch (Exception e) when (IsExpected(e, cancellationToken))
        {
            throw Translate(e, "delete", key);
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _client.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<bool> PutAsync(string key, ReadOnlyMemory<byte> content, bool replace, CancellationToken cancellationToken)
    {
        StoreKeys.Validate(key);
        TransferHandler.Current = _transfer;
        await EnsureCreatedAsync(cancellationToken).ConfigureAwait(false);
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                using MemoryContent stream = new(content);
                await _client.PutObjectAsync(
                    new PutObjectRequest
                    {
                        BucketName = _url.Root,
                        Key = _url.Prefix + key,
                        InputStream = stream,
                        IfNoneMatch = replace ? null : "*",
                        UseChunkEncoding = false,
                        ContentType = "application/octet-stream",
                    },
                    cancellationToken).ConfigureAwait(false);
                return true;
            }
            catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.PreconditionFailed)
            {
                return false;
            }
            catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.Conflict && e.ErrorCode is "ConditionalRequestConflict" or "OperationAborted" && attempt < Tries)
            {
                // Another request for the same key is under way: who wins is seen when it is over.
                await Task.Delay(TimeSpan.FromMilliseconds(50 << attempt), cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e) when (IsExpected(e, cancellationToken))
            {
                throw Translate(e, "write", key);
            }
        }
    }

    private static bool IsExpected(Exception e, CancellationToken cancellationToken) =>
        e is AmazonServiceException or AmazonClientException or HttpRequestException or IOException or WebException
        || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested);

    private async Task EnsureCreatedAsync(CancellationToken cancellationToken)
    {
        if (!_url.Create || _created)
            return;
        try
        {
            await _client.PutBucketAsync(_url.Root, cancellationToken).ConfigureAwait(false);
        }
        catch (AmazonS3Exception e) when (e.ErrorCode is "BucketAlreadyOwnedByYou" or "BucketAlreadyExists")
        {
            // As wanted.
        }
        catch (Exception e) when (IsExpected(e, cancellationToken))
        {
            throw Translate(e, "create", "");
        }

        _created = true;
    }

    private async Task CheckBucketAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _client.ListObjectsV2Async(new ListObjectsV2Request { BucketName = _url.Root, MaxKeys = 1 }, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (IsExpected(e, cancellationToken))
        {
            throw Translate(e, "read", "");
        }
    }

    private sealed class ClientFactory(StorePolicy policy) : HttpClientFactory
    {
        private readonly HttpClient _client = TransferHandler.CreateClient(policy);

        public override HttpClient CreateHttpClient(IClientConfig clientConfig) => _client;

        public override bool UseSDKHttpClientCaching(IClientConfig clientConfig) => false;

        public override bool DisposeHttpClientsAfterUse(IClientConfig clientConfig) => false;
    }

    private StoreException Translate(Exception e, string verb, string key)
    {
        string what = $"cannot {verb} {(key.Length > 0 ? $"{key} in " : "")}{Location}";
        return e switch
        {
            AmazonS3Exception { ErrorCode: "NoSuchBucket" } =>
                new StoreException(StoreError.NotFound, $"{what}: there is no bucket {_url.Root}; create it, or add create=true to the URL", e),
            AmazonS3Exception { StatusCode: HttpStatusCode.NotFound } => new StoreException(StoreError.NotFound, $"{what}: there is no such object", e),
            AmazonS3Exception { StatusCode: HttpStatusCode.Forbidden or HttpStatusCode.Unauthorized } s =>
                new StoreException(StoreError.AccessDenied, $"{what}: access denied ({s.ErrorCode}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy", e),
            AmazonS3Exception { ErrorCode: "QuotaExceeded" or "InsufficientCapacity" } or AmazonS3Exception { StatusCode: HttpStatusCode.InsufficientStorage } =>
                new StoreException(StoreError.NoSpace, $"{what}: the quota is used up; delete snapshots or raise it", e),
            AmazonS3Exception { StatusCode: >= HttpStatusCode.InternalServerError or HttpStatusCode.TooManyRequests or HttpStatusCode.RequestTimeout } s =>
                new StoreException(StoreError.Unreachable, $"{what}: the server fails ({s.ErrorCode}); try again later", e),
            AmazonS3Exception { ErrorCode: "RequestTimeout" or "IncompleteBody" or "RequestTimeTooSkewed" } or AmazonUnmarshallingException =>
                new StoreException(StoreError.Unreachable, $"{what}: a request or its answer was cut short; check the network and try again", e),
            AmazonS3Exception { InnerException: not null, StatusCode: 0 } or HttpRequestException or IOException or WebException or OperationCanceledException =>
                new StoreException(StoreError.Unreachable, $"{what}: the server does not answer; check the endpoint and the network", e),
            AmazonS3Exception { ErrorCode: "InvalidBucketName" } => new StoreException(StoreError.Invalid, $"{what}: the server takes no bucket of that name", e),
            AmazonS3Exception s => new StoreException(StoreError.Other, $"{what}: {(s.Message.Length > 0 ? s.Message : "the server refused")} ({s.ErrorCode})", e),
            _ when HasNetworkCause(e) => new StoreException(StoreError.Unreachable, $"{what}: the server does not answer; check the endpoint and the network", e),
            _ => new StoreException(
                StoreError.AccessDenied, $"{what}: no usable credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, for the restore-agent", e),
        };
    }

    private static bool HasNetworkCause(Exception e)
    {
        for (Exception? cause = e; cause is not null; cause = cause.InnerException)
        {
            if (cause is HttpRequestException or System.Net.Sockets.SocketException or WebException)
                return true;
        }

        return false;
    }
}
