namespace RestoreAgent.Api;

/// <summary>HTTP headers of our own.</summary>
public static class ApiHeaders
{
    /// <summary>The build of whoever sends it, in requests (optional) and answers.</summary>
    public const string Build = "Snapshot-Build";
}
