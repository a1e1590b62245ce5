using System.Buffers.Binary;

namespace Netstack.Wire;

/// <summary>Types of IGMP (RFC 2236, RFC 3376).</summary>
public static class IgmpType
{
    public const byte Query = 0x11, ReportV1 = 0x12, ReportV2 = 0x16, Leave = 0x17, ReportV3 = 0x22;
}

/// <summary>Kinds of group records in IGMPv3 and MLDv2 reports (RFC 3376 section 4.2.12).</summary>
public enum GroupRecordType : byte
{
    IsInclude = 1,
    IsExclude = 2,
    ToInclude = 3,
    ToExclude = 4,
    AllowNew = 5,
    BlockOld = 6,
}

/// <summary>What a host says of one group.</summary>
/// <param name="Type">Kind of record.</param>
/// <param name="Group">The group.</param>
/// <param name="Sources">Sources that are wanted or not wanted; null for none.</param>
public readonly record struct GroupRecord(GroupRecordType Type, InetAddress Group, IReadOnlyList<InetAddress>? Sources = null);

/// <summary>A query for group members, of IGMP or MLD.</summary>
/// <param name="Version">1 to 3 of IGMP, 1 or 2 of MLD.</param>
/// <param name="Group">Unspecified in a general query.</param>
/// <param name="MaxResponse">Milliseconds within which to answer.</param>
public readonly record struct GroupQuery(int Version, InetAddress Group, int MaxResponse)
{
    /// <summary>Whether it asks for certain sources of a group (RFC 3376 section 4.1.9).</summary>
    public bool HasSources { get; init; }

    /// <param name="message">An IGMP message, its checksum verified.</param>
    public static bool TryParseIgmp(ReadOnlySpan<byte> message, out GroupQuery query)
    {
        query = default;
        if (message.Length < 8 || message[0] != IgmpType.Query)
            return false;
        var group = InetAddress.FromBytes(message.Slice(4, 4));
        if (!group.IsAny && !group.IsMulticast)
            return false;
        if (message.Length >= 12)
        {
            query = new GroupQuery(3, group, Float8(message[1]) * 100) { HasSources = (message[10] | message[11]) != 0 };
            return true;
        }

        // RFC 2236 section 2: a maximum response time of 0 is a router of version 1, which means ten seconds.
        query = message[1] == 0 ? new GroupQuery(1, group, 10_000) : new GroupQuery(2, group, message[1] * 100);
        return true;
    }

    /// <param name="message">An ICMPv6 message, its checksum verified.</param>
    public static bool TryParseMld(ReadOnlySpan<byte> message, out GroupQuery query)
    {
        query = default;
        if (message.Length < 24 || message[0] != Icmpv6Type.ListenerQuery || message[1] != 0)
            return false;
        int code = BinaryPrimitives.ReadUInt16BigEndian(message[4..]);
        var group = InetAddress.FromBytes(message.Slice(8, 16));
        if (group.IsV4 || (!group.IsAny && !group.IsMulticast))
            return false;
        if (message.Length < 28)
        {
            query = new GroupQuery(1, group, code);
            return true;
        }

        // RFC 3810 section 5.1.3: codes from 32768 on are mantissa and exponent.
        int delay = code < 32768 ? code : (code & 0xfff | 0x1000) << ((code >> 12 & 7) + 3);
        query = new GroupQuery(2, group, delay) { HasSources = (message[26] | message[27]) != 0 };
        return true;
    }

    // RFC 3376 section 4.1.1: from 128 on, mantissa and exponent.
    private static int Float8(byte code) => code < 128 ? code : (code & 0xf | 0x10) << ((code >> 4 & 7) + 3);
}

/// <summary>Writes reports of group members.</summary>
public static class GroupReports
{
    /// <summary>Bytes of an IGMPv1 or IGMPv2 message.</summary>
    public const int IgmpSize = 8;

    /// <summary>Bytes of an MLDv1 message.</summary>
    public const int MldSize = 24;

    /// <summary>An IGMPv1 or IGMPv2 report, or a leave message, with its checksum.</summary>
    public static void WriteIgmp(Span<byte> destination, byte type, InetAddress group)
    {
        destination[..8].Clear();
        destination[0] = type;
        group.WriteTo(destination[4..]);
        InternetChecksum.Write(destination[2..], InternetChecksum.Finish(InternetChecksum.Add(0, destination[..8])));
    }

    /// <summary>An MLDv1 report or done message; the checksum is left 0.</summary>
    public static void WriteMld(Span<byte> destination, byte type, InetAddress group)
    {
        destination[..MldSize].Clear();
        destination[0] = type;
        group.WriteV6(destination[8..]);
    }

    /// <summary>Bytes of an IGMPv3 or MLDv2 report.</summary>
    public static int SizeOf(IReadOnlyList<GroupRecord> records)
    {
        int size = 8;
        foreach (GroupRecord record in records)
            size += 4 + ((1 + (record.Sources?.Count ?? 0)) * record.Group.Size);
        return size;
    }

    /// <summary>An IGMPv3 report (with its checksum) or, for IPv6 groups, an MLDv2 report (the checksum is left 0).</summary>
    public static void Write(Span<byte> destination, IReadOnlyList<GroupRecord> records)
    {
        bool isV4 = records.Count == 0 || records[0].Group.IsV4;
        destination[..8].Clear();
        destination[0] = isV4 ? IgmpType.ReportV3 : Icmpv6Type.ListenerReportV2;
        BinaryPrimitives.WriteUInt16BigEndian(destination[6..], (ushort)records.Count);
        int offset = 8;
        foreach (GroupRecord record in records)
        {
            destination[offset] = (byte)record.Type;
            destination[offset + 1] = 0;
            BinaryPrimitives.WriteUInt16BigEndian(destination[(offset + 2)..], (ushort)(record.Sources?.Count ?? 0));
            record.Group.WriteTo(destination[(offset + 4)..]);
            offset += 4 + record.Group.Size;
            foreach (InetAddress source in record.Sources ?? [])
            {
                source.WriteTo(destination[offset..]);
                offset += source.Size;
            }
        }

        if (isV4)
            InternetChecksum.Write(destination[2..], InternetChecksum.Finish(InternetChecksum.Add(0, destination[..offset])));
    }
}
