using System.Buffers.Binary;

namespace Tests.Kernel.Sockets.Netlink;

/// <summary>A message as a program finds it.</summary>
internal sealed record ReceivedMessage(int Type, int Flags, uint Sequence, uint Port, byte[] Body)
{
    /// <summary>Of NLMSG_ERROR and NLMSG_DONE: the errno, positive.</summary>
    public int Error => -BinaryPrimitives.ReadInt32LittleEndian(Body);

    /// <summary>Attributes behind a fixed part of that size.</summary>
    public Dictionary<int, byte[]> Attributes(int offset) => ReadAttributes(Body.AsSpan(offset));

    public static Dictionary<int, byte[]> ReadAttributes(ReadOnlySpan<byte> bytes)
    {
        Dictionary<int, byte[]> found = [];
        while (bytes.Length >= 4)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(bytes), type = BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]);
            Assert.InRange(length, 4, bytes.Length);
            found[type & 0x7fff] = bytes[4..length].ToArray();
            bytes = bytes[Math.Min(bytes.Length, (length + 3) & ~3)..];
        }

        return found;
    }
}

/// <summary>A program's side of a netlink socket.</summary>
internal sealed class NetlinkClient
{
    private const int Domain = 16, Raw = 3;
    private const int MaxDatagram = 32768;
    private readonly TestKernel _kernel;
    private readonly ulong _buffer;
    private uint _sequence;

    public NetlinkClient(TestKernel kernel, Task task, int protocol)
    {
        _kernel = kernel;
        Task = task;
        _buffer = kernel.Allocate(MaxDatagram);
        Descriptor = kernel.Do(task, Sysno.socket, Domain, Raw, (ulong)protocol);
        Assert.True(Descriptor >= 0, $"socket: {(Errno)(-Descriptor)}");
    }

    public Task Task { get; }

    public long Descriptor { get; }

    public FileObject File => Task.Files.Get((int)Descriptor)!;

    /// <summary>NETLINK_*, 0 or 1.</summary>
    public long SetOption(int name, int value = 1) => _kernel.Do(Task, Sysno.setsockopt, (ulong)Descriptor, 270, (ulong)name, _kernel.PutInts(Task, value), 4);

    public long Bind(uint port, uint groups) => _kernel.Do(Task, Sysno.bind, (ulong)Descriptor, _kernel.Put(Task, Address(port, groups)), 12);

    /// <summary>Port id and groups.</summary>
    public (uint Port, uint Groups) Name()
    {
        ulong address = _kernel.Allocate(12), length = _kernel.PutInts(Task, 12);
        Assert.Equal(0, _kernel.Do(Task, Sysno.getsockname, (ulong)Descriptor, address, length));
        Assert.Equal(12, TestKernel.GetInt(Task, length));
        return ((uint)TestKernel.GetInt(Task, address + 4), (uint)TestKernel.GetInt(Task, address + 8));
    }

    public static byte[] Address(uint port, uint groups) => [16, 0, 0, 0, .. BitConverter.GetBytes(port), .. BitConverter.GetBytes(groups)];

    public static byte[] Message(int type, int flags, uint sequence, params byte[] body)
    {
        byte[] message = new byte[16 + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(message, message.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(4), (ushort)type);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(6), (ushort)flags);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(8), sequence);
        body.CopyTo(message, 16);
        return message;
    }

    public static byte[] Attribute(int type, params byte[] value)
    {
        byte[] attribute = new byte[4 + ((value.Length + 3) & ~3)];
        BinaryPrimitives.WriteUInt16LittleEndian(attribute, (ushort)(4 + value.Length));
        BinaryPrimitives.WriteUInt16LittleEndian(attribute.AsSpan(2), (ushort)type);
        value.CopyTo(attribute, 4);
        return attribute;
    }

    public static byte[] Attribute(int type, int value) => Attribute(type, BitConverter.GetBytes(value));

    public static byte[] Attribute(int type, string value) => Attribute(type, [.. value.Select(c => (byte)c), 0]);

    public long Send(byte[] bytes) => _kernel.Do(Task, Sysno.sendto, (ulong)Descriptor, _kernel.Put(Task, bytes), (ulong)bytes.Length, 0);

    public long SendTo(byte[] bytes, uint port, uint groups) =>
        _kernel.Do(Task, Sysno.sendto, (ulong)Descriptor, _kernel.Put(Task, bytes), (ulong)bytes.Length, 0, _kernel.Put(Task, Address(port, groups)), 12);

    /// <summary>One datagram, or null when there is none.</summary>
    public byte[]? TryReceive(int room = MaxDatagram)
    {
        long got = _kernel.Do(Task, Sysno.recvfrom, (ulong)Descriptor, _buffer, (ulong)room, 0x40);
        if (got == -(long)Errno.EAGAIN)
            return null;
        Assert.True(got >= 0, $"recv: {(Errno)(-got)}");
        return TestKernel.Get(Task, _buffer, (int)got);
    }

    public static List<ReceivedMessage> Split(byte[] datagram)
    {
        List<ReceivedMessage> messages = [];
        for (int at = 0; at < datagram.Length;)
        {
            ReadOnlySpan<byte> rest = datagram.AsSpan(at);
            int length = BinaryPrimitives.ReadInt32LittleEndian(rest);
            Assert.InRange(length, 16, rest.Length);
            messages.Add(new ReceivedMessage(BinaryPrimitives.ReadUInt16LittleEndian(rest[4..]), BinaryPrimitives.ReadUInt16LittleEndian(rest[6..]),
                BinaryPrimitives.ReadUInt32LittleEndian(rest[8..]), BinaryPrimitives.ReadUInt32LittleEndian(rest[12..]), rest[16..length].ToArray()));
            at += (length + 3) & ~3;
        }

        return messages;
    }

    /// <summary>All messages that are there now.</summary>
    public List<ReceivedMessage> Drain()
    {
        List<ReceivedMessage> messages = [];
        while (TryReceive() is { } datagram)
            messages.AddRange(Split(datagram));
        return messages;
    }

    /// <summary>A request that is acknowledged: the errno, positive, and the whole acknowledgement.</summary>
    public (Errno Error, ReceivedMessage Ack) Ask(int type, int flags, params byte[] body)
    {
        Send(Message(type, flags | 5, ++_sequence, body));
        ReceivedMessage ack = Drain().Single(m => m.Type == 2 && m.Sequence == _sequence);
        return ((Errno)ack.Error, ack);
    }

    /// <summary>A list, without the message that ends it.</summary>
    public List<ReceivedMessage> Dump(int type, params byte[] body)
    {
        Send(Message(type, 0x301, ++_sequence, body));
        List<ReceivedMessage> messages = Drain();
        Assert.All(messages, m => Assert.Equal(_sequence, m.Sequence));
        Assert.Equal(3, messages[^1].Type);
        Assert.Equal(0, messages[^1].Error);
        messages.RemoveAt(messages.Count - 1);
        Assert.All(messages, m => Assert.Equal(2, m.Flags & 2));
        return messages;
    }
}
