using Storage;

namespace Tests.Storage;

public sealed class StoreUrlTests
{
    [Theory]
    [InlineData("/var/lib/x/", StoreKind.File, "/var/lib/x", "")]
    [InlineData("file:///var/lib/x", StoreKind.File, "/var/lib/x", "")]
    [InlineData("s3://bucket", StoreKind.S3, "bucket", "")]
    [InlineData("s3://bucket/some/prefix/?endpoint=http://127.0.0.1:7480&region=eu-west-1", StoreKind.S3, "bucket", "some/prefix/")]
    [InlineData("azblob://container/p?endpoint=http://127.0.0.1:10000/devstoreaccount1", StoreKind.AzureBlob, "container", "p/")]
    public void Parse_Valid_GivesItsParts(string text, StoreKind kind, string root, string prefix)
    {
        StoreUrl url = StoreUrl.Parse(text);
        Assert.Equal((kind, root, prefix), (url.Kind, url.Root, url.Prefix));
        Assert.Equal(url, StoreUrl.Parse(url.ToString()));
    }

    [Theory]
    [InlineData("")]
    [InlineData("relative/folder")]
    [InlineData("ftp://host/x")]
    [InlineData("file://host/x")]
    [InlineData("s3://")]
    [InlineData("s3://bucket?endpoint=ftp://x")]
    [InlineData("s3://bucket?secret=1")]
    [InlineData("azblob://container?region=x")]
    [InlineData("s3://bucket/a//b")]
    public void Parse_Invalid_SaysWhy(string text) => Assert.Equal(StoreError.Invalid, Assert.Throws<StoreException>(() => StoreUrl.Parse(text)).Error);

    [Fact]
    public void Parse_Credentials_AreRefusedAndNotRepeated()
    {
        StoreException e = Assert.Throws<StoreException>(() => StoreUrl.Parse("s3://key:hushhush@bucket/x"));
        Assert.DoesNotContain("hushhush", e.Message, StringComparison.Ordinal);
    }
}
