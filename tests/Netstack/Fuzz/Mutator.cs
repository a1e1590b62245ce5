using System.Buffers.Binary;
using System.Globalization;

namespace Tests.Netstack.Fuzz;

/// <summary>Makes hostile bytes out of good ones. The same seed makes the same.</summary>
internal sealed class Mutator(int seed)
{
    private static readonly byte[] Interesting = [0, 1, 2, 4, 5, 7, 8, 15, 16, 20, 40, 44, 58, 59, 60, 63, 64, 0x7f, 0x80, 0xc0, 0xe0, 0xfe, 0xff];
    private static readonly ushort[] Interesting16 = [0, 1, 7, 8, 19, 20, 39, 40, 0x0800, 0x0806, 0x1fff, 0x2000, 0x3fff, 0x4000, 0x7fff, 0x8000, 0x86dd, 0xfff8, 0xffff];

    public Random Random { get; } = new(seed);

    /// <summary>How long a fuzz test runs: SNAPSHOT_FUZZ_SECONDS, or a number of rounds that takes a moment.</summary>
    public static bool GoesOn(ref int rounds, int moment, System.Diagnostics.Stopwatch watch)
    {
        rounds++;
        string? seconds = Environment.GetEnvironmentVariable("SNAPSHOT_FUZZ_SECONDS");
        return seconds is null ? rounds <= moment : watch.Elapsed.TotalSeconds < double.Parse(seconds, CultureInfo.InvariantCulture);
    }

    /// <summary>Another seed for each long run, so that runs differ; it is said when something is found.</summary>
    public static int Seed => Environment.GetEnvironmentVariable("SNAPSHOT_FUZZ_SEED") is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture)
        : Environment.GetEnvironmentVariable("SNAPSHOT_FUZZ_SECONDS") is null ? 1 : Environment.TickCount;

    /// <summary>The lines of a corpus: hexadecimal, comments after #.</summary>
    public static List<byte[]> Corpus(string name) =>
        [.. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Corpora", name)).Select(l => l.Split('#')[0].Trim()).Where(l => l.Length > 0).Select(Convert.FromHexString)];

    public byte[] Mutate(byte[] good, IReadOnlyList<byte[]> others, int start = 0)
    {
        byte[] bytes = (byte[])good.Clone();
        for (int changes = Random.Next(1, 6); changes > 0; changes--)
        {
            if (bytes.Length <= start)
                return bytes;
            int at = Random.Next(start, bytes.Length);
            switch (Random.Next(9))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << Random.Next(8));
                    break;
                case 1:
                    bytes[at] = Interesting[Random.Next(Interesting.Length)];
                    break;
                case 2 when at + 2 <= bytes.Length:
                    BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(at), Interesting16[Random.Next(Interesting16.Length)]);
                    break;
                case 3:
                    bytes[at] = (byte)(bytes[at] + Random.Next(-4, 5));
                    break;
                case 4:
                    bytes = bytes[..at];
                    break;
                case 5:
                    byte[] more = new byte[Random.Next(1, 64)];
                    Random.NextBytes(more);
                    bytes = [.. bytes[..at], .. more, .. bytes[at..]];
                    break;
                case 6:
                    int end = Math.Min(bytes.Length, at + Random.Next(1, 40));
                    bytes = [.. bytes[..at], .. bytes[end..]];
                    break;
                case 7 when others.Count > 0:
                    byte[] other = others[Random.Next(others.Count)];
                    int from = Random.Next(other.Length);
                    bytes = [.. bytes[..at], .. other[from..Math.Min(other.Length, from + Random.Next(1, 80))], .. bytes[Math.Min(bytes.Length, at + Random.Next(40))..]];
                    break;
                case 8:
                    bytes[at] = (byte)Random.Next(256);
                    break;
            }
        }

        return bytes;
    }

    /// <summary>Makes lengths and checksums of a frame right, so that it gets past the first checks.</summary>
    public static void Repair(byte[] frame, bool lengths)
    {
        if (frame.Length < 14)
            return;
        Span<byte> packet = frame.AsSpan(14);
        ushort type = BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(12));
        if (type == EtherType.Ipv4 && packet.Length >= 20)
        {
            if (lengths)
                BinaryPrimitives.WriteUInt16BigEndian(packet[2..], (ushort)Math.Min(packet.Length, 65535));
            int header = (packet[0] & 0xf) * 4;
            if (header < 20 || header > packet.Length)
                return;
            Ipv4Header.WriteChecksum(packet[..header]);
            int total = Math.Min(packet.Length, BinaryPrimitives.ReadUInt16BigEndian(packet[2..]));
            if (total > header)
                RepairTransport(packet[header..total], packet[9], InetAddress.FromBytes(packet.Slice(12, 4)), InetAddress.FromBytes(packet.Slice(16, 4)), lengths);
        }
        else if (type == EtherType.Ipv6 && packet.Length >= 40)
        {
            if (lengths)
                BinaryPrimitives.WriteUInt16BigEndian(packet[4..], (ushort)Math.Min(packet.Length - 40, 65535));
            if (Ipv6Extensions.TryFindUpperLayer(packet, packet[6], out byte protocol, out int offset) && offset < packet.Length)
                RepairTransport(packet[offset..], protocol, InetAddress.FromBytes(packet.Slice(8, 16)), InetAddress.FromBytes(packet.Slice(24, 16)), lengths);
        }
    }

    private static void RepairTransport(Span<byte> bytes, byte protocol, InetAddress source, InetAddress destination, bool lengths)
    {
        int field = protocol switch
        {
            IpProtocol.Icmp or IpProtocol.Icmpv6 or IpProtocol.Igmp => 2,
            IpProtocol.Udp => 6,
            IpProtocol.Tcp => 16,
            _ => -1,
        };
        if (field < 0 || bytes.Length < field + 2)
            return;
        if (lengths && protocol == IpProtocol.Udp)
            BinaryPrimitives.WriteUInt16BigEndian(bytes[4..], (ushort)bytes.Length);
        bytes.Slice(field, 2).Clear();
        bool pseudo = protocol is not (IpProtocol.Icmp or IpProtocol.Igmp) && source.IsV4 == destination.IsV4;
        ulong sum = pseudo ? InternetChecksum.PseudoHeader(source, destination, protocol, bytes.Length) : 0;
        InternetChecksum.Write(bytes[field..], InternetChecksum.Finish(InternetChecksum.Add(sum, bytes)));
    }
}
