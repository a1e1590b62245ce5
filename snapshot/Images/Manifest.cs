using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Snapshot.State;

namespace Snapshot.Images;

/// <summary>A pack that a manifest refers to.</summary>
internal sealed record ManifestPack
{
    public required string Name { get; init; }

    public required long Length { get; init; }
}

/// <summary>The readable part of a manifest.</summary>
internal sealed record ManifestHeader
{
    public required SnapshotInfo Info { get; init; }

    public required long StateLength { get; init; }

    public required long MemoryLength { get; init; }

    public required ManifestPack[] Packs { get; init; }

    public required int Chunks { get; init; }
}

/// <summary>One row of the chunk table: a piece of a file and the frame that holds it.</summary>
internal readonly record struct ManifestChunk(
    Digest Plain, Digest Frame, ImageFile File, long Offset, int Length, int Pack, long FrameOffset, int FrameLength);

/// <summary>
/// What an image consists of: magic, version, a JSON header and a table of chunks in one object, whose SHA-256 is the identity of the
/// image. Bytes of the files that no chunk covers are zero.
/// </summary>
internal sealed class Manifest
{
    private const int Prologue = 16;
    private const int RowSize = 96;

    internal required ManifestHeader Header { get; init; }

    internal required ManifestChunk[] Chunks { get; init; }

    internal static ReadOnlySpan<byte> Magic => "SNAPIMG\n"u8;

    internal byte[] Encode()
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(Header, ManifestJson.Default.ManifestHeader);
        byte[] bytes = new byte[checked(Prologue + json.Length + ((long)RowSize * Chunks.Length))];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), ImageFormat.Version);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(12), json.Length);
        json.CopyTo(bytes, Prologue);
        Span<byte> row = bytes.AsSpan(Prologue + json.Length);
        foreach (ManifestChunk chunk in Chunks)
        {
            chunk.Plain.Write(row);
            chunk.Frame.Write(row[32..]);
            BinaryPrimitives.WriteUInt32LittleEndian(row[64..], (uint)chunk.File);
            BinaryPrimitives.WriteInt32LittleEndian(row[68..], chunk.Length);
            BinaryPrimitives.WriteInt64LittleEndian(row[72..], chunk.Offset);
            BinaryPrimitives.WriteInt64LittleEndian(row[80..], chunk.FrameOffset);
            BinaryPrimitives.WriteInt32LittleEndian(row[88..], chunk.FrameLength);
            BinaryPrimitives.WriteInt32LittleEndian(row[92..], chunk.Pack);
            row = row[RowSize..];
        }

        return bytes;
    }

    /// <summary>Reads a manifest whose hash was checked; still nothing in it is believed that could make a reader misbehave.</summary>
    internal static Manifest Decode(ReadOnlySpan<byte> bytes, string what)
    {
        if (bytes.Length < Prologue || !bytes[..8].SequenceEqual(Magic))
            throw Damaged(what, "it does not start as an image does");
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        if (version is 0 or > ImageFormat.Version)
            throw new InvalidImageException($"{what} has format version {version}, this program knows up to {ImageFormat.Version}; use the newer program that wrote it");
        int headerLength = BinaryPrimitives.ReadInt32LittleEndian(bytes[12..]);
        if (headerLength < 2 || headerLength > bytes.Length - Prologue)
            throw Damaged(what, "its header is cut off");
        ManifestHeader header;
        try
        {
            header = JsonSerializer.Deserialize(bytes.Slice(Prologue, headerLength), ManifestJson.Default.ManifestHeader) ?? throw Damaged(what, "its header is empty");
        }
        catch (JsonException)
        {
            throw Damaged(what, "its header is not readable");
        }

        ReadOnlySpan<byte> rows = bytes[(Prologue + headerLength)..];
        if (header.Chunks < 0 || rows.Length != (long)header.Chunks * RowSize)
            throw Damaged(what, "its chunk table has the wrong length");
        Check(header, what);
        ManifestChunk[] chunks = new ManifestChunk[header.Chunks];
        for (int i = 0; i < chunks.Length; i++)
            chunks[i] = DecodeRow(rows.Slice(i * RowSize, RowSize));
        Check(header, chunks, what);
        return new Manifest { Header = header, Chunks = chunks };
    }

    internal static string IdOf(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    internal static InvalidImageException Damaged(string what, string why) =>
        new($"{what} is damaged: {why}; restore from another snapshot or copy it again");

    private static ManifestChunk DecodeRow(ReadOnlySpan<byte> row) => new(
        Digest.Read(row),
        Digest.Read(row[32..]),
        (ImageFile)BinaryPrimitives.ReadUInt32LittleEndian(row[64..]),
        BinaryPrimitives.ReadInt64LittleEndian(row[72..]),
        BinaryPrimitives.ReadInt32LittleEndian(row[68..]),
        BinaryPrimitives.ReadInt32LittleEndian(row[92..]),
        BinaryPrimitives.ReadInt64LittleEndian(row[80..]),
        BinaryPrimitives.ReadInt32LittleEndian(row[88..]));

    private static void Check(ManifestHeader header, string what)
    {
        SnapshotInfo info = header.Info;
        if (info is not
            {
                Id.Length: 32, HostName: not null, Platform: not null, RootFolder: not null, BaseFiles: not null, Processes: not null,
                UnimplementedCalls: not null, Properties: not null
            }
            || !SnapshotNames.IsValid(info.Name) || !info.Id.All(char.IsAsciiHexDigitLower)
            || info.BaseFiles.Any(f => f is null || string.IsNullOrEmpty(f.Path) || f.Size < 0 || !Digest.IsHex(f.Sha256))
            || info.Processes.Any(p => p is not { Name: not null, State: not null, Arguments: not null }))
        {
            throw Damaged(what, "its description of the sandbox is impossible");
        }

        if (header.StateLength is < 0 or > ImageFormat.MaxFileLength || header.MemoryLength is < 0 or > ImageFormat.MaxFileLength)
            throw Damaged(what, "a file in it has an impossible length");
        if (header.Packs is null || header.Packs.Any(p => p is null || !ImageFormat.IsPackName(p.Name) || p.Length is < 1 or > ImageFormat.MaxPackSize))
            throw Damaged(what, "its list of packs is impossible");
    }

    private static void Check(ManifestHeader header, ManifestChunk[] chunks, string what)
    {
        ImageFile file = ImageFile.State;
        long end = 0;
        foreach (ManifestChunk chunk in chunks)
        {
            if (chunk.File == ImageFile.Memory && file == ImageFile.State)
                (file, end) = (ImageFile.Memory, 0);
            long length = file == ImageFile.State ? header.StateLength : header.MemoryLength;
            if (chunk.File != file || chunk.Length is < 1 or > ImageFormat.MaxChunkSize || chunk.Offset < end || chunk.Offset > length - chunk.Length)
                throw Damaged(what, "a chunk lies outside its file or over another");
            end = chunk.Offset + chunk.Length;
            if ((uint)chunk.Pack >= (uint)header.Packs.Length || chunk.FrameLength < 1 || chunk.FrameLength > Zstd.MaxFrameLength(ImageFormat.MaxChunkSize)
                || chunk.FrameOffset < 0 || chunk.FrameOffset > header.Packs[chunk.Pack].Length - chunk.FrameLength)
            {
                throw Damaged(what, "a chunk lies outside its pack");
            }
        }
    }
}

/// <summary>The codec of the readable part.</summary>
[JsonSerializable(typeof(ManifestHeader))]
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
internal sealed partial class ManifestJson : JsonSerializerContext;
