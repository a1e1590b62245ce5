using Snapshot.State;
using Storage;

namespace Snapshot.Images;

/// <summary>What a snapshot may be called: 1 to 100 of A-Z a-z 0-9 . _ - with a letter or digit first and last, so that a name is a key in every store.</summary>
public static class SnapshotNames
{
    public static bool IsValid(string? name) =>
        name is { Length: >= 1 and <= 100 } && char.IsAsciiLetterOrDigit(name[0]) && char.IsAsciiLetterOrDigit(name[^1])
        && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');

    /// <summary>Throws <see cref="StoreException"/> for a name that is not valid.</summary>
    public static void Validate(string? name)
    {
        if (!IsValid(name))
            throw new StoreException(StoreError.Invalid, "a snapshot name has 1 to 100 letters, digits, '.', '_' or '-' and starts and ends with a letter or digit");
    }
}
