using Storage;
using Storage.AzureBlob;
using Storage.S3;

namespace Tests.Storage.Faults;

/// <summary>Through a proxy in front of Ceph's S3 gateway.</summary>
[NeedsServer("rgw")]
[Collection("s3 variables")] // credentials come from the environment, which the process has once
public sealed class S3TransferTests(RgwFixture server) : TransferTests, IClassFixture<RgwFixture>
{
    private readonly string _bucket = $"t-{Guid.NewGuid():N}";

    protected override Uri Server => new(server.Settings["S3_ENDPOINT"]);

    protected override IObjectStore Open(Uri endpoint, StorePolicy policy)
    {
        foreach (string name in (string[])["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
            Environment.SetEnvironmentVariable(name, server.Settings[name]);
        return S3Store.Open(StoreUrl.Parse($"s3://{_bucket}/prefix?endpoint={endpoint.ToString().TrimEnd('/')}&create=true"), policy);
    }
}

/// <summary>Through a proxy in front of Azurite.</summary>
[NeedsServer("azurite")]
[Collection("azure variables")] // credentials come from the environment, which the process has once
public sealed class AzureTransferTests(AzuriteFixture server) : TransferTests, IClassFixture<AzuriteFixture>
{
    private readonly string _container = $"t-{Guid.NewGuid():N}";

    protected override Uri Server => new(server.Settings["AZURE_ENDPOINT"]);

    protected override IObjectStore Open(Uri endpoint, StorePolicy policy)
    {
        Environment.SetEnvironmentVariable("AZURE_STORAGE_CONNECTION_STRING",
            $"DefaultEndpointsProtocol=http;AccountName=tester;AccountKey={server.Settings["AZURE_STORAGE_KEY"]};BlobEndpoint={endpoint.ToString().TrimEnd('/')};");
        return AzureBlobStore.Open(StoreUrl.Parse($"azblob://{_container}/prefix?create=true&endpoint={endpoint.ToString().TrimEnd('/')}"), policy);
    }
}
