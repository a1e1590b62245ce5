namespace Storage;

/// <summary>Why a store refused.</summary>
public enum StoreError
{
    /// <summary>Anything not below.</summary>
    Other,

    /// <summary>No such object, bucket, container or folder.</summary>
    NotFound,

    /// <summary>Wrong or missing credentials or permissions.</summary>
    AccessDenied,

    /// <summary>The server does not answer, or not in time, after all retries.</summary>
    Unreachable,

    /// <summary>The disk or the quota is full.</summary>
    NoSpace,

    /// <summary>A key, name or URL that no store accepts.</summary>
    Invalid,

    /// <summary>The name is taken.</summary>
    Exists,
}

/// <summary>A store could not do what was asked. The message is one line for a user: what failed, where, and what to do; never a credential.</summary>
public sealed class StoreException : Exception
{
    public StoreException(StoreError error, string message, Exception? inner = null)
        : base(OneLine(message), inner) => Error = error;

    public StoreError Error { get; }

    private static string OneLine(string message) => message.ReplaceLineEndings(" ").Trim();
}
