using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Snapshot.State;

namespace Snapshot.Images;

/// <summary>
/// The small object <c>snapshots/NAME</c> that makes an image a snapshot: published last, it says which manifest the name means and carries
/// its own check sum. Lines of text, so that an administrator can read it.
/// </summary>
internal sealed record SnapshotRef(string Name, string ManifestId, long ManifestLength, DateTimeOffset Created, long Size)
{
    private const string Heading = "snapshot 1";

    internal string Key => KeyOf(Name);

    internal static string KeyOf(string name) => ImageFormat.SnapshotPrefix + name;

    internal byte[] Encode()
    {
        string text = string.Create(
            CultureInfo.InvariantCulture,
            $"{Heading}\nname {Name}\nmanifest {ManifestId}\nlength {ManifestLength}\ncreated {Created.ToUniversalTime():O}\nsize {Size}\n");
        return Encoding.ASCII.GetBytes($"{text}sha256 {CheckSum(text)}\n");
    }

    internal static SnapshotRef Decode(string name, ReadOnlySpan<byte> bytes)
    {
        string what = $"snapshot {name}";
        string text = Encoding.Latin1.GetString(bytes);
        string[] lines = text.Split('\n');
        if (lines.Length != 8 || lines[7].Length != 0)
            throw Manifest.Damaged(what, "its reference is cut short or altered");
        string covered = text[..(text.Length - lines[6].Length - 1)];
        if (lines[6] != $"sha256 {CheckSum(covered)}")
            throw Manifest.Damaged(what, "its reference fails its check sum");
        if (lines[0] != Heading)
            throw new InvalidImageException($"{what} has a reference of an unknown version ('{Clip(lines[0])}'); use the newer program that wrote it");
        string? manifest = Value(lines[2], "manifest");
        if (Value(lines[1], "name") != name)
            throw Manifest.Damaged(what, "its reference belongs to another name");
        if (!Digest.IsHex(manifest)
            || !long.TryParse(Value(lines[3], "length"), NumberStyles.None, CultureInfo.InvariantCulture, out long length) || length is < 1 or > ImageFormat.MaxManifestSize
            || !DateTimeOffset.TryParseExact(Value(lines[4], "created"), "O", CultureInfo.InvariantCulture, DateTimeStyles.None, out DateTimeOffset created)
            || !long.TryParse(Value(lines[5], "size"), NumberStyles.None, CultureInfo.InvariantCulture, out long size))
        {
            throw Manifest.Damaged(what, "its reference is not readable");
        }

        return new SnapshotRef(name, manifest!, length, created, size);
    }

    private static string? Value(string line, string field) =>
        line.StartsWith(field + " ", StringComparison.Ordinal) ? line[(field.Length + 1)..] : null;

    private static string Clip(string text) => new([.. text.Take(40).Select(c => c is >= ' ' and <= '~' ? c : '?')]);

    private static string CheckSum(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.Latin1.GetBytes(text)));
}
