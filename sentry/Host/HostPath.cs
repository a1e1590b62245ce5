using System.Text;
using Sentry.Abi;

namespace Sentry.Host;

/// <summary>
/// Paths and names as Linux has them: bytes. In this project such a string is a C# string of which each char is one byte
/// (Latin-1), so that a guest's odd names survive; text from people is turned into one by <see cref="FromText"/>.
/// </summary>
public static class HostPath
{
    /// <summary>The longest path the kernel takes, with its NUL (PATH_MAX).</summary>
    public const int MaxLength = 4096;

    /// <summary>The byte string of a text: its UTF-8 bytes, one char each.</summary>
    public static string FromText(string text) => Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(text));

    /// <summary>The text of a byte string that holds UTF-8.</summary>
    public static string ToText(string bytes) => Encoding.UTF8.GetString(Encoding.Latin1.GetBytes(bytes));

    /// <summary>Writes the bytes and a NUL; ENAMETOOLONG when it does not fit, EINVAL for a NUL inside or a char above 255.</summary>
    internal static Errno Encode(string path, Span<byte> destination)
    {
        if (path.Length + 1 > destination.Length)
            return Errno.ENAMETOOLONG;
        for (int i = 0; i < path.Length; i++)
        {
            char c = path[i];
            if (c is '\0' or > '\xFF')
                return Errno.EINVAL;
            destination[i] = (byte)c;
        }

        destination[path.Length] = 0;
        return Errno.None;
    }
}
