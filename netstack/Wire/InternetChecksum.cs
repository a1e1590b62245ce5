using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Netstack.Wire;

/// <summary>The Internet checksum (RFC 1071): sums are kept unfolded, in the byte order of the machine, until <see cref="Finish"/>.</summary>
public static class InternetChecksum
{
    /// <summary>Adds bytes to a sum. All pieces but the last have an even length.</summary>
    public static ulong Add(ulong sum, ReadOnlySpan<byte> bytes)
    {
        // One's complement addition is independent of byte order and of word size: 32-bit words in 64-bit lanes fold to the same 16 bits.
        if (bytes.Length >= 64 && Vector.IsHardwareAccelerated)
        {
            ReadOnlySpan<Vector<uint>> vectors = MemoryMarshal.Cast<byte, Vector<uint>>(bytes);
            Vector<ulong> low = default, high = default;
            foreach (Vector<uint> vector in vectors)
            {
                Vector.Widen(vector, out Vector<ulong> first, out Vector<ulong> second);
                low += first;
                high += second;
            }

            sum = AddCarry(sum, Fold64(low));
            sum = AddCarry(sum, Fold64(high));
            bytes = bytes[(vectors.Length * Vector<byte>.Count)..];
        }

        while (bytes.Length >= 4)
        {
            sum = AddCarry(sum, BinaryPrimitives.ReadUInt32LittleEndian(bytes));
            bytes = bytes[4..];
        }

        if (bytes.Length >= 2)
        {
            sum = AddCarry(sum, BinaryPrimitives.ReadUInt16LittleEndian(bytes));
            bytes = bytes[2..];
        }

        return bytes.Length == 1 ? AddCarry(sum, bytes[0]) : sum;
    }

    /// <summary>The sum over the pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1).</summary>
    public static ulong PseudoHeader(InetAddress source, InetAddress destination, byte protocol, int length)
    {
        Span<byte> bytes = stackalloc byte[40];
        int size = source.Size;
        source.WriteTo(bytes);
        destination.WriteTo(bytes[size..]);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[(2 * size)..], (uint)length);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[((2 * size) + 4)..], protocol);
        return Add(0, bytes[..((2 * size) + 8)]);
    }

    /// <summary>The complement of the folded sum, to be written with <see cref="Write"/>. 0 over bytes that hold their right checksum.</summary>
    public static ushort Finish(ulong sum) => (ushort)~Fold(sum);

    /// <summary>The folded sum itself, as it stands in the checksum field of a packet whose checksum another completes (CHECKSUM_PARTIAL).</summary>
    public static ushort Fold(ulong sum)
    {
        sum = (sum & 0xffffffff) + (sum >> 32);
        sum = (sum & 0xffffffff) + (sum >> 32);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)sum;
    }

    /// <summary>Writes a checksum as <see cref="Finish"/> and <see cref="Fold"/> give it.</summary>
    public static void Write(Span<byte> destination, ushort checksum) => BinaryPrimitives.WriteUInt16LittleEndian(destination, checksum);

    /// <summary>The sum of two parts that both begin at an even place.</summary>
    public static ulong Combine(ulong first, ulong second) => AddCarry(first, second);

    private static ulong AddCarry(ulong sum, ulong value)
    {
        sum += value;
        return sum < value ? sum + 1 : sum;
    }

    private static ulong Fold64(Vector<ulong> vector)
    {
        ulong sum = 0;
        for (int i = 0; i < Vector<ulong>.Count; i++)
            sum = AddCarry(sum, vector[i]);
        return sum;
    }
}
