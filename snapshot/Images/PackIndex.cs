using System.Buffers.Binary;

namespace Snapshot.Images;

/// <summary>A chunk's place in a pack.</summary>
internal readonly record struct PackedChunk(Digest Plain, Digest Frame, int Length, int FrameLength, long FrameOffset);

/// <summary>
/// The object <c>indexes/PACK</c>: what a pack contains, so that later snapshots find equal chunks. Only an aid to writers: it checks itself
/// and a damaged one is passed over; readers go by manifests alone.
/// </summary>
internal static class PackIndex
{
    private const int RowSize = 80;
    private const int Prologue = 24;

    private static ReadOnlySpan<byte> Magic => "SNAPIDX\n"u8;

    internal static byte[] Encode(long packLength, IReadOnlyList<PackedChunk> chunks)
    {
        byte[] bytes = new byte[Prologue + (chunks.Count * RowSize) + Digest.Size];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), ImageFormat.Version);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(12), chunks.Count);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), packLength);
        Span<byte> row = bytes.AsSpan(Prologue);
        foreach (PackedChunk chunk in chunks)
        {
            chunk.Plain.Write(row);
            chunk.Frame.Write(row[32..]);
            BinaryPrimitives.WriteInt32LittleEndian(row[64..], chunk.Length);
            BinaryPrimitives.WriteInt32LittleEndian(row[68..], chunk.FrameLength);
            BinaryPrimitives.WriteInt64LittleEndian(row[72..], chunk.FrameOffset);
            row = row[RowSize..];
        }

        Digest.Of(bytes.AsSpan(0, bytes.Length - Digest.Size)).Write(bytes.AsSpan(bytes.Length - Digest.Size));
        return bytes;
    }

    /// <summary>The chunks of a pack, or null for an index that is damaged or of another version.</summary>
    internal static PackedChunk[]? TryDecode(ReadOnlySpan<byte> bytes, long packLength)
    {
        if (bytes.Length < Prologue + Digest.Size || !bytes[..8].SequenceEqual(Magic)
            || Digest.Of(bytes[..^Digest.Size]) != Digest.Read(bytes[^Digest.Size..])
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]) != ImageFormat.Version)
        {
            return null;
        }

        int count = BinaryPrimitives.ReadInt32LittleEndian(bytes[12..]);
        if (count < 0 || bytes.Length != Prologue + ((long)count * RowSize) + Digest.Size || BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]) != packLength)
            return null;
        PackedChunk[] chunks = new PackedChunk[count];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> row = bytes.Slice(Prologue + (i * RowSize), RowSize);
            PackedChunk chunk = new(
                Digest.Read(row),
                Digest.Read(row[32..]),
                BinaryPrimitives.ReadInt32LittleEndian(row[64..]),
                BinaryPrimitives.ReadInt32LittleEndian(row[68..]),
                BinaryPrimitives.ReadInt64LittleEndian(row[72..]));
            if (chunk.Length is < 1 or > ImageFormat.MaxChunkSize || chunk.FrameLength < 1 || chunk.FrameOffset < 0 || chunk.FrameOffset > packLength - chunk.FrameLength)
                return null;
            chunks[i] = chunk;
        }

        return chunks;
    }
}
