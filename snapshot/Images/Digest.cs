using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Snapshot.Images;

/// <summary>A SHA-256 value (FIPS 180-4) that can be compared and looked up.</summary>
internal readonly record struct Digest(ulong A, ulong B, ulong C, ulong D)
{
    internal const int Size = 32;

    /// <inheritdoc/>
    public override int GetHashCode() => (int)A;

    /// <inheritdoc/>
    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[Size];
        Write(bytes);
        return Convert.ToHexStringLower(bytes);
    }

    internal static Digest Of(ReadOnlySpan<byte> content)
    {
        Span<byte> hash = stackalloc byte[Size];
        SHA256.HashData(content, hash);
        return Read(hash);
    }

    internal static Digest Read(ReadOnlySpan<byte> bytes) => new(
        BinaryPrimitives.ReadUInt64BigEndian(bytes),
        BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]),
        BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]),
        BinaryPrimitives.ReadUInt64BigEndian(bytes[24..]));

    internal void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64BigEndian(bytes, A);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], B);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[16..], C);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[24..], D);
    }

    internal static bool IsHex(string? text) => text is { Length: 2 * Size } && text.All(char.IsAsciiHexDigitLower);
}
