using System.Buffers.Binary;
using System.Text;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Netlink;

/// <summary>The attributes of a request or of a nest in it, by their numbers; of equal ones the last counts (netlink(7), nla_parse).</summary>
internal sealed class AttributeTable
{
    private readonly byte[] _bytes;
    private readonly (int Offset, int Length)[] _found;

    private AttributeTable(byte[] bytes, int max)
    {
        _bytes = bytes;
        _found = new (int, int)[max + 1];
    }

    /// <summary>Reads the attributes of a message from <paramref name="offset"/> on. A refusal is noted in the request.</summary>
    /// <param name="strict">Unknown attributes, wrong sizes and bytes left over are refused (NETLINK_GET_STRICT_CHK, newer requests).</param>
    internal static Errno Parse(NetlinkRequest request, int offset, int end, AttributePolicy policy, bool strict, out AttributeTable table)
    {
        byte[] bytes = request.Bytes;
        table = new AttributeTable(bytes, policy.Max);
        int at = offset;
        while (end - at >= NetlinkLayout.Attribute)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at));
            int type = BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at + 2)) & NetlinkLayout.TypeMask;
            if (length < NetlinkLayout.Attribute || length > end - at)
                break;
            if (type == 0 || type > policy.Max)
            {
                if (strict)
                    return request.Refuse(Errno.EINVAL, "Unknown attribute type", at);
            }
            else
            {
                Errno error = policy.Check(type, bytes.AsSpan(at + NetlinkLayout.Attribute, length - NetlinkLayout.Attribute), strict);
                if (error != Errno.None)
                    return request.Refuse(error, "Attribute failed policy validation", at);
                table._found[type] = (at, length);
            }

            at += NetlinkLayout.Align(length);
        }

        return strict && at < end ? request.Refuse(Errno.EINVAL, "bytes leftover after parsing attributes") : Errno.None;
    }

    /// <summary>Reads the attributes within one of these.</summary>
    internal Errno ParseNested(NetlinkRequest request, int type, AttributePolicy policy, bool strict, out AttributeTable table) =>
        Parse(request, _found[type].Offset + NetlinkLayout.Attribute, _found[type].Offset + _found[type].Length, policy, strict, out table);

    internal bool Has(int type) => _found[type].Length != 0;

    /// <summary>The value; empty when it is not there.</summary>
    internal ReadOnlySpan<byte> this[int type] => Has(type) ? _bytes.AsSpan(_found[type].Offset + NetlinkLayout.Attribute, _found[type].Length - NetlinkLayout.Attribute) : default;

    /// <summary>Where in the message the attribute begins, for the extended acknowledgement; -1 when it is not there.</summary>
    internal int OffsetOf(int type) => Has(type) ? _found[type].Offset : -1;

    internal byte Byte(int type, byte otherwise = 0) => Has(type) ? this[type][0] : otherwise;

    internal ushort UInt16(int type, ushort otherwise = 0) => Has(type) ? BinaryPrimitives.ReadUInt16LittleEndian(this[type]) : otherwise;

    internal uint UInt32(int type, uint otherwise = 0) => Has(type) ? BinaryPrimitives.ReadUInt32LittleEndian(this[type]) : otherwise;

    internal int Int32(int type, int otherwise = 0) => (int)UInt32(type, (uint)otherwise);

    /// <summary>Text up to its NUL; null when it is not there.</summary>
    internal string? Text(int type)
    {
        if (!Has(type))
            return null;
        ReadOnlySpan<byte> value = this[type];
        int end = value.IndexOf((byte)0);
        return Encoding.Latin1.GetString(end < 0 ? value : value[..end]);
    }

    /// <summary>An IP address of 4 or 16 bytes; null when it is not there or of another size.</summary>
    internal InetAddress? Address(int type) => this[type].Length is 4 or 16 ? InetAddress.FromBytes(this[type]) : null;
}

/// <summary>Walks over attributes one by one, for lists in which numbers repeat.</summary>
internal ref struct AttributeReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    /// <summary>nla_type without its flags.</summary>
    internal int Type { get; private set; }

    internal ReadOnlySpan<byte> Value { get; private set; }

    /// <summary>False at the end, or at something that is no attribute.</summary>
    internal bool MoveNext()
    {
        if (_rest.Length < NetlinkLayout.Attribute)
            return false;
        int length = BinaryPrimitives.ReadUInt16LittleEndian(_rest);
        if (length < NetlinkLayout.Attribute || length > _rest.Length)
            return false;
        Type = BinaryPrimitives.ReadUInt16LittleEndian(_rest[2..]) & NetlinkLayout.TypeMask;
        Value = _rest[NetlinkLayout.Attribute..length];
        _rest = _rest[Math.Min(_rest.Length, NetlinkLayout.Align(length))..];
        return true;
    }
}
