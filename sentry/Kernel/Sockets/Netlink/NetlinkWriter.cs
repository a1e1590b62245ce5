using System.Buffers.Binary;
using System.Text;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Netlink;

/// <summary>Builds one message: header, a fixed part, attributes (netlink(7)).</summary>
internal sealed class NetlinkWriter
{
    private byte[] _bytes = new byte[512];
    private int _length = NetlinkLayout.Header;

    /// <param name="type">nlmsg_type.</param>
    /// <param name="flags">nlmsg_flags.</param>
    /// <param name="sequence">nlmsg_seq: the request's; 0 of a notification.</param>
    /// <param name="port">nlmsg_pid: the port id of who asked; 0 of a notification.</param>
    internal NetlinkWriter(ushort type, ushort flags, uint sequence, uint port)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(4), type);
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(6), flags);
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(8), sequence);
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(12), port);
    }

    /// <summary>Bytes so far.</summary>
    internal int Length => _length;

    /// <summary>Room for a fixed part, zeroed; the next thing begins on a multiple of four.</summary>
    internal Span<byte> Reserve(int size)
    {
        int aligned = NetlinkLayout.Align(size);
        if (_length + aligned > _bytes.Length)
            Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, _length + aligned));
        Span<byte> room = _bytes.AsSpan(_length, size);
        _length += aligned;
        return room;
    }

    /// <summary>Room for an attribute's value, zeroed.</summary>
    internal Span<byte> Put(int type, int size)
    {
        Span<byte> attribute = Reserve(NetlinkLayout.Attribute + size);
        BinaryPrimitives.WriteUInt16LittleEndian(attribute, (ushort)(NetlinkLayout.Attribute + size));
        BinaryPrimitives.WriteUInt16LittleEndian(attribute[2..], (ushort)type);
        return attribute[NetlinkLayout.Attribute..];
    }

    internal void Put(int type, ReadOnlySpan<byte> value) => value.CopyTo(Put(type, value.Length));

    internal void PutByte(int type, byte value) => Put(type, 1)[0] = value;

    internal void PutUInt16(int type, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Put(type, 2), value);

    internal void PutUInt32(int type, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Put(type, 4), value);

    internal void PutInt32(int type, int value) => PutUInt32(type, (uint)value);

    internal void PutUInt64(int type, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Put(type, 8), value);

    /// <summary>A string with its NUL.</summary>
    internal void PutString(int type, string text) => Encoding.Latin1.GetBytes(text, Put(type, text.Length + 1));

    /// <summary>An IP address, 4 or 16 bytes.</summary>
    internal void PutAddress(int type, InetAddress address) => address.WriteTo(Put(type, address.Size));

    internal void PutMac(int type, MacAddress address) => address.WriteTo(Put(type, 6));

    /// <summary>Begins an attribute that holds others; to be ended with <see cref="EndNested"/>.</summary>
    internal int BeginNested(int type)
    {
        int at = _length;
        Put(type, 0);
        return at;
    }

    /// <summary>Ends what began at <paramref name="at"/> with its length: an attribute, or a structure that has others behind it.</summary>
    internal void PatchLength(int at) => EndNested(at);

    internal void EndNested(int at) => BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(at), (ushort)(_length - at));

    /// <summary>Takes back what was written from <paramref name="at"/> on.</summary>
    internal void Cancel(int at)
    {
        _bytes.AsSpan(at, _length - at).Clear();
        _length = at;
    }

    /// <summary>The message, its length filled in.</summary>
    internal byte[] ToArray()
    {
        BinaryPrimitives.WriteInt32LittleEndian(_bytes, _length);
        return _bytes.AsSpan(0, _length).ToArray();
    }
}
