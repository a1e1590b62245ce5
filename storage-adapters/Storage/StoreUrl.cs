using System.Globalization;

namespace Storage;

/// <summary>Which adapter a URL asks for.</summary>
public enum StoreKind
{
    File,
    S3,
    AzureBlob,
}

/// <summary>
/// A parsed store URL: <c>file:///folder</c> (or a plain absolute path), <c>s3://bucket/prefix?endpoint=http://host:port&amp;region=name</c>,
/// <c>azblob://container/prefix?endpoint=http://host:port/account</c>. Credentials are never part of it: they come from where each SDK
/// looks for them, so that URLs may be logged and shown.
/// </summary>
public sealed record StoreUrl
{
    private const int MaxPatience = 24 * 3600;

    public required StoreKind Kind { get; init; }

    /// <summary>The folder, bucket or container.</summary>
    public required string Root { get; init; }

    /// <summary>What goes before every key: "" or text that ends in '/'.</summary>
    public string Prefix { get; init; } = "";

    /// <summary>A server other than the cloud's own.</summary>
    public Uri? Endpoint { get; init; }

    public string? Region { get; init; }

    /// <summary>Make the bucket or container when it is missing (option <c>create=true</c>).</summary>
    public bool Create { get; init; }

    /// <summary>How long a server that fails is asked again (option <c>patience=SECONDS</c>); null for <see cref="StorePolicy.Patience"/>.</summary>
    public int? PatienceSeconds { get; init; }

    /// <summary>How long the server may take.</summary>
    public StorePolicy Policy => PatienceSeconds is { } seconds ? StorePolicy.Default with { Patience = TimeSpan.FromSeconds(seconds) } : StorePolicy.Default;

    /// <summary>Reads a URL; throws <see cref="StoreException"/> that says what is wrong.</summary>
    public static StoreUrl Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.StartsWith('/'))
            return new StoreUrl { Kind = StoreKind.File, Root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(text)) };
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? uri))
            throw Wrong(text, "write file:///folder, s3://bucket/prefix or azblob://container/prefix");
        if (uri.UserInfo.Length > 0)
            throw new StoreException(StoreError.Invalid, $"a store URL carries no credentials; give them as {uri.Scheme} tools expect them (environment or profile)");
        switch (uri.Scheme)
        {
            case "file":
                if (uri.Host.Length > 0 || uri.LocalPath.Length < 2 || uri.Query.Length > 0)
                    throw Wrong(text, "a folder is written file:///absolute/path");
                return new StoreUrl { Kind = StoreKind.File, Root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(uri.LocalPath)) };
            case "s3":
                return WithOptions(text, uri, new StoreUrl { Kind = StoreKind.S3, Root = Host(text, uri, "bucket"), Prefix = PrefixOf(uri) });
            case "azblob":
                return WithOptions(text, uri, new StoreUrl { Kind = StoreKind.AzureBlob, Root = Host(text, uri, "container"), Prefix = PrefixOf(uri) });
            default:
                throw Wrong(text, $"'{uri.Scheme}' is none of file, s3, azblob");
        }
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        if (Kind == StoreKind.File)
            return $"file://{Root}";
        string options = string.Join('&', new[]
        {
            Endpoint is null ? null : $"endpoint={Endpoint.ToString().TrimEnd('/')}",
            Region is null ? null : $"region={Region}",
            Create ? "create=true" : null,
            PatienceSeconds is null ? null : $"patience={PatienceSeconds}",
        }.Where(o => o is not null));
        return $"{(Kind == StoreKind.S3 ? "s3" : "azblob")}://{Root}/{Prefix}{(options.Length > 0 ? "?" + options : "")}";
    }

    private static string Host(string text, Uri uri, string what)
    {
        // Uri lower-cases hosts; bucket and container names are lower case by their own rules, so nothing is lost.
        if (uri.Host.Length == 0 || !uri.IsDefaultPort)
            throw Wrong(text, $"it names no {what}");
        return uri.Host;
    }

    private static string PrefixOf(Uri uri)
    {
        string path = Uri.UnescapeDataString(uri.AbsolutePath).Trim('/');
        if (path.Length == 0)
            return "";
        StoreKeys.Validate(path);
        return path + "/";
    }

    private static StoreUrl WithOptions(string text, Uri uri, StoreUrl url)
    {
        foreach (string option in uri.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = option.IndexOf('=', StringComparison.Ordinal);
            string value = equals < 0 ? "" : Uri.UnescapeDataString(option[(equals + 1)..]);
            switch (equals < 0 ? option : option[..equals])
            {
                case "endpoint" when Uri.TryCreate(value, UriKind.Absolute, out Uri? endpoint) && endpoint.Scheme is "http" or "https"
                    && endpoint.UserInfo.Length == 0 && endpoint.Query.Length == 0:
                    url = url with { Endpoint = endpoint };
                    break;
                case "region" when value.Length > 0 && url.Kind == StoreKind.S3:
                    url = url with { Region = value };
                    break;
                case "create" when value is "true" or "false":
                    url = url with { Create = value == "true" };
                    break;
                case "patience" when int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int seconds) && seconds <= MaxPatience:
                    url = url with { PatienceSeconds = seconds };
                    break;
                default:
                    throw Wrong(text, $"the option '{(equals < 0 ? option : option[..equals])}' is unknown or its value is no good; there are endpoint=http://host:port{(url.Kind == StoreKind.S3 ? ", region=name" : "/account")}, patience=SECONDS and create=true");
            }
        }

        return url;
    }

    private static StoreException Wrong(string text, string why)
    {
        int at = text.IndexOf('@', StringComparison.Ordinal);
        string shown = at >= 0 ? "the store URL" : $"'{text}'";
        return new StoreException(StoreError.Invalid, $"{shown} is no valid store URL: {why}");
    }
}
