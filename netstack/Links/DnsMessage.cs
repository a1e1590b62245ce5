using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Netstack.Links;

/// <summary>Codes of DNS (RFC 1035 sections 3.2 and 4.1.1).</summary>
public static class DnsCode
{
    public const ushort A = 1, Ptr = 12, Aaaa = 28, Any = 255, Internet = 1;
    public const byte NoError = 0, FormatError = 1, ServerFailure = 2, NameError = 3, NotImplemented = 4, Refused = 5;
}

/// <summary>The question of a query: what a server of names must know of it.</summary>
/// <param name="Id">The query's number.</param>
/// <param name="Name">Lower case, without the last dot.</param>
/// <param name="Type">A, AAAA, …</param>
/// <param name="End">Where the question ends in the query.</param>
public sealed record DnsQuestion(ushort Id, string Name, ushort Type, ushort Class, int End);

/// <summary>Reads queries of the Domain Name System (RFC 1035) and writes answers to them.</summary>
public static class DnsMessage
{
    private const int HeaderSize = 12, LongestName = 255, Pointer = 0xc000;
    private const ushort Response = 0x8000, OpcodeMask = 0x7800, Authoritative = 0x0400, RecursionDesired = 0x0100, RecursionAvailable = 0x0080;

    /// <summary>The one question of a query; null when the bytes are no query of one question.</summary>
    public static DnsQuestion? ReadQuestion(ReadOnlySpan<byte> message)
    {
        if (message.Length < HeaderSize)
            return null;
        ushort flags = BinaryPrimitives.ReadUInt16BigEndian(message[2..]);
        if ((flags & (Response | OpcodeMask)) != 0 || BinaryPrimitives.ReadUInt16BigEndian(message[4..]) != 1)
            return null;
        StringBuilder name = new();
        int at = HeaderSize;
        while (true)
        {
            if (at >= message.Length)
                return null;
            int length = message[at++];
            if (length == 0)
                break;
            if (length > 63 || at + length > message.Length || name.Length + length + 1 > LongestName)
                return null;
            if (name.Length > 0)
                name.Append('.');
            foreach (byte b in message.Slice(at, length))
                name.Append(char.ToLowerInvariant((char)b));
            at += length;
        }

        return at + 4 > message.Length ? null : new DnsQuestion(BinaryPrimitives.ReadUInt16BigEndian(message), name.ToString(),
            BinaryPrimitives.ReadUInt16BigEndian(message[at..]), BinaryPrimitives.ReadUInt16BigEndian(message[(at + 2)..]), at + 4);
    }

    /// <summary>An answer with addresses (those of the asked kind), or a name for a pointer query.</summary>
    /// <param name="query">The query that is answered.</param>
    public static byte[] Answer(ReadOnlySpan<byte> query, DnsQuestion question, byte code, IEnumerable<InetAddress> addresses, string? pointsTo = null, int timeToLive = 1)
    {
        List<byte[]> records = [];
        foreach (InetAddress address in addresses)
        {
            if (question.Type == DnsCode.Any || question.Type == (address.IsV4 ? DnsCode.A : DnsCode.Aaaa))
                records.Add(Record(address.IsV4 ? DnsCode.A : DnsCode.Aaaa, timeToLive, address.ToBytes()));
        }

        if (pointsTo is not null && question.Type is DnsCode.Ptr or DnsCode.Any)
            records.Add(Record(DnsCode.Ptr, timeToLive, EncodeName(pointsTo)));

        ushort asked = BinaryPrimitives.ReadUInt16BigEndian(query[2..]);
        byte[] message = new byte[question.End + records.Sum(r => r.Length)];
        query[..question.End].CopyTo(message);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(2), (ushort)(Response | Authoritative | (asked & RecursionDesired) | RecursionAvailable | code));
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(6), (ushort)records.Count);
        message.AsSpan(8, 4).Clear(); // no authority and no additional records: an EDNS option of the query is not echoed (RFC 6891 section 7)
        int at = question.End;
        foreach (byte[] record in records)
        {
            record.CopyTo(message, at);
            at += record.Length;
        }

        return message;
    }

    /// <summary>The address that an in-addr.arpa or ip6.arpa name stands for.</summary>
    public static InetAddress? AddressOfPointer(string name)
    {
        const string V4 = ".in-addr.arpa", V6 = ".ip6.arpa";
        if (name.EndsWith(V4, StringComparison.Ordinal))
        {
            string[] parts = name[..^V4.Length].Split('.');
            Array.Reverse(parts);
            return parts.Length == 4 && InetAddress.TryParse(string.Join('.', parts), out InetAddress address) ? address : null;
        }

        if (!name.EndsWith(V6, StringComparison.Ordinal))
            return null;
        string[] digits = name[..^V6.Length].Split('.');
        if (digits.Length != 32)
            return null;
        ulong high = 0, low = 0;
        for (int i = 31; i >= 0; i--)
        {
            if (digits[i].Length != 1 || !byte.TryParse(digits[i], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte digit))
                return null;
            (high, low) = (high << 4 | low >> 60, low << 4 | digit);
        }

        return new InetAddress(high, low);
    }

    private static byte[] Record(ushort type, int timeToLive, byte[] data)
    {
        byte[] record = new byte[12 + data.Length];
        BinaryPrimitives.WriteUInt16BigEndian(record, Pointer | HeaderSize); // the name of the question
        BinaryPrimitives.WriteUInt16BigEndian(record.AsSpan(2), type);
        BinaryPrimitives.WriteUInt16BigEndian(record.AsSpan(4), DnsCode.Internet);
        BinaryPrimitives.WriteInt32BigEndian(record.AsSpan(6), timeToLive);
        BinaryPrimitives.WriteUInt16BigEndian(record.AsSpan(10), (ushort)data.Length);
        data.CopyTo(record, 12);
        return record;
    }

    private static byte[] EncodeName(string name)
    {
        List<byte> bytes = [];
        foreach (string label in name.Split('.', StringSplitOptions.RemoveEmptyEntries))
        {
            byte[] text = Encoding.Latin1.GetBytes(label);
            bytes.Add((byte)Math.Min(63, text.Length));
            bytes.AddRange(text.AsSpan(0, Math.Min(63, text.Length)));
        }

        bytes.Add(0);
        return [.. bytes];
    }
}
