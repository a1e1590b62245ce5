namespace SnapshotRpc;

/// <summary>A snapshot as a user writes it: NAME, of the store that --store says, or STORE/NAME.</summary>
/// <param name="Store">Null for the user's own folder.</param>
public sealed record SnapshotPlace(string? Store, string Name)
{
    public static SnapshotPlace Parse(string text, string? store)
    {
        int options = text.IndexOf('?', StringComparison.Ordinal);
        string place = options < 0 ? text : text[..options];
        int slash = place.LastIndexOf('/');
        if (slash < 0)
            return new SnapshotPlace(store, text);
        if (store is not null)
            throw new CliException($"'{text}' names a store of its own; leave --store out");
        string name = place[(slash + 1)..], folder = place[..slash];
        if (name.Length == 0 || folder.EndsWith(":/", StringComparison.Ordinal))
            throw new CliException($"'{text}' names a store but no snapshot: write STORE/NAME, for instance s3://bucket/prefix/NAME?endpoint=URL");
        return new SnapshotPlace(SharedOptions.Absolute(folder.Length == 0 ? "/" : folder) + (options < 0 ? "" : text[options..]), name);
    }
}
