using Storage;

namespace Snapshot.Images;

/// <summary>Failures of local files in words of a user.</summary>
internal static class LocalFiles
{
    private const int NoSpace = 28;
    private const int QuotaExceeded = 122;

    internal static StoreException Translate(Exception e, string folder) => e switch
    {
        { HResult: NoSpace or QuotaExceeded } => new StoreException(StoreError.NoSpace, $"the disk of {folder} is full; free space there", e),
        UnauthorizedAccessException => new StoreException(StoreError.AccessDenied, $"cannot use {folder}: permission denied; check who owns it", e),
        _ => new StoreException(StoreError.Other, $"cannot use {folder}: {e.Message}", e),
    };
}
