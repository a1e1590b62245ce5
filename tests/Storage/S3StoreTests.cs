using Amazon.Runtime;
using Storage;
using Storage.S3;

namespace Tests.Storage;

public sealed class RgwFixture() : ServerFixture("rgw");

/// <summary>The conformance suite against Ceph's S3 gateway.</summary>
[NeedsServer("rgw")]
[Collection("s3 variables")] // credentials come from the environment, which the process has once
public sealed class S3StoreTests : ObjectStoreTests, IClassFixture<RgwFixture>
{
    private readonly string _endpoint;

    public S3StoreTests(RgwFixture server)
    {
        _endpoint = server.Settings.GetValueOrDefault("S3_ENDPOINT", "");
        foreach (string name in (string[])["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
            Environment.SetEnvironmentVariable(name, server.Settings.GetValueOrDefault(name));
    }

    [ServerFact]
    public async Task Open_Prefixes_DoNotSeeEachOther()
    {
        await using IObjectStore one = Open("s3://shared/one", "&create=true");
        await using IObjectStore two = Open("s3://shared/two/deep", "&create=true");
        await one.PutIfAbsentAsync("key", "1"u8.ToArray());
        await two.PutIfAbsentAsync("key", "2"u8.ToArray());
        Assert.Equal("1"u8.ToArray(), await one.GetWholeAsync("key", 10));
        Assert.Equal(["key"], await KeysAsync(two, ""));
    }

    protected override IObjectStore Create() => Open($"s3://t-{Guid.NewGuid():N}/prefix", "&create=true");

    protected override async Task<IObjectStore?> CreateWithWrongCredentialsAsync()
    {
        string bucket = $"s3://t-{Guid.NewGuid():N}";
        await using (IObjectStore right = Open(bucket, "&create=true"))
            await right.GetLengthAsync("made");
        return S3Store.Open(StoreUrl.Parse($"{bucket}?endpoint={_endpoint}"), new BasicAWSCredentials("testkey", "not-the-secret"));
    }

    protected override IObjectStore? CreateUnreachable() => S3Store.Open(StoreUrl.Parse("s3://bucket?endpoint=http://127.0.0.1:9"));

    protected override IObjectStore? CreateMissing() => Open("s3://not-made", "");

    private S3Store Open(string url, string options) => S3Store.Open(StoreUrl.Parse($"{url}?endpoint={_endpoint}{options}"));
}
