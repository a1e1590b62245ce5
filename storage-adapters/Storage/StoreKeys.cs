using System.Text;

namespace Storage;

/// <summary>The rules that every adapter's keys obey.</summary>
public static class StoreKeys
{
    /// <summary>UTF-8 bytes; leaves room for a prefix below the 1024 of S3.</summary>
    public const int MaxBytes = 512;

    private const int MaxSegmentBytes = 255;

    /// <summary>Throws <see cref="StoreException"/> unless the key is one that all stores accept.</summary>
    public static void Validate(string key)
    {
        ArgumentNullException.ThrowIfNull(key);
        if (key.Length == 0 || Encoding.UTF8.GetByteCount(key) > MaxBytes)
            throw Invalid(key, $"it must have 1 to {MaxBytes} bytes");
        foreach (char c in key)
        {
            if (char.IsControl(c) || char.IsSurrogate(c) || c == '\\')
                throw Invalid(key, "it contains a control character, a backslash or a surrogate");
        }

        foreach (string segment in key.Split('/'))
        {
            if (segment.Length == 0 || segment.StartsWith('.') || segment.EndsWith('.') || Encoding.UTF8.GetByteCount(segment) > MaxSegmentBytes)
                throw Invalid(key, $"each part between slashes must have 1 to {MaxSegmentBytes} bytes and neither start nor end with a dot");
        }
    }

    private static StoreException Invalid(string key, string why) =>
        new(StoreError.Invalid, $"'{(key.Length > 80 ? key[..80] + "…" : key)}' is no valid object key: {why}");
}
