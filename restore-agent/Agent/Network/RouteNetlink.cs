using System.Buffers.Binary;
using System.Text;
using Netstack.Links;
using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>Interfaces of a network namespace of the host, by rtnetlink(7): the few requests that links of sandboxes need.</summary>
public sealed class RouteNetlink : IDisposable
{
    private const int Route = 0, HeaderSize = 16, LinkMessageSize = 16, AddressMessageSize = 8, AttributeSize = 4, MaxAnswer = 65536;
    private const ushort Error = 2, Done = 3, NewLink = 16, DeleteLink = 17, GetLink = 18, NewAddress = 20;
    private const ushort Request = 1, Acknowledge = 4, Exclusive = 0x200, Create = 0x400;
    private const ushort LinkAddress = 1, LinkName = 3, LinkMtu = 4, LinkMaster = 10, LinkInfo = 18, LinkNamespace = 28, InfoKind = 1, InfoData = 2, VethPeer = 1;
    private const ushort Local = 2, AddressOf = 1, AddressFlags = 8;
    private const uint Up = 1, NoDuplicateDetection = 2;

    private readonly int _socket;
    private readonly string _where;
    private uint _sequence;

    /// <param name="place">Null for the agent's own namespace.</param>
    public RouteNetlink(NetworkNamespace? place)
    {
        _where = place is null ? "" : $" in {place.Name}";
        Result<int> made = place is null ? Make() : place.Run(Make);
        _socket = made.IsOk ? made.Value : throw AgentException.Failed($"cannot make a netlink socket{_where}: {made.Error}");
    }

    /// <summary>A pair of veth(4) interfaces: one here, the peer in another namespace.</summary>
    public void CreateVeth(string name, MacAddress mac, string peer, NetworkNamespace peerPlace)
    {
        byte[] message = Link(0, 0, 0,
            Text(LinkName, name),
            Attribute(LinkAddress, Bytes(mac)),
            Attribute(LinkInfo, Joined(
                Text(InfoKind, "veth"),
                Attribute(InfoData, Attribute(VethPeer, Link(0, 0, 0, Text(LinkName, peer), Number(LinkNamespace, peerPlace.Descriptor)))))));
        Ask(NewLink, Create | Exclusive, message, $"make the veth pair {name} and {peer}");
    }

    /// <summary>The index of an interface; null when there is none of that name.</summary>
    public int? Find(string name)
    {
        (Errno error, byte[] answer) = Exchange(GetLink, 0, Link(0, 0, 0, Text(LinkName, name)));
        return error switch
        {
            Errno.None => BinaryPrimitives.ReadInt32LittleEndian(answer.AsSpan(HeaderSize + 4)),
            Errno.ENODEV => null,
            _ => throw NetworkNamespace.Refused(error, $"look for the interface {name}{_where}"),
        };
    }

    public void SetUp(int index) => Ask(NewLink, 0, Link(index, Up, Up), "set a link up");

    public void SetMtu(int index, int mtu) => Ask(NewLink, 0, Link(index, 0, 0, Number(LinkMtu, mtu)), $"set an MTU of {mtu}");

    /// <summary>Plugs an interface into a bridge.</summary>
    public void SetMaster(int index, int bridge) => Ask(NewLink, 0, Link(index, 0, 0, Number(LinkMaster, bridge)), "plug the link into the bridge");

    public void Delete(int index) => Ask(DeleteLink, 0, Link(index, 0, 0), "remove a link");

    public void AddAddress(int index, InterfaceCidr address)
    {
        byte[] bytes = address.Address.ToBytes();
        byte[] head = new byte[AddressMessageSize];
        head[0] = (byte)(address.Address.IsV4 ? HostSockets.Inet : HostSockets.Inet6);
        head[1] = (byte)address.Prefix;
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(4), index);
        byte[] message = Joined(head, Attribute(Local, bytes), Attribute(AddressOf, bytes), Number(AddressFlags, (int)NoDuplicateDetection));
        Ask(NewAddress, Create | Exclusive, message, $"give a link the address {address}");
    }

    public void Dispose() => HostFile.Close(_socket);

    private static Result<int> Make() => HostSockets.Create(HostSockets.Netlink, HostSockets.Raw, Route);

    private void Ask(ushort kind, ushort flags, byte[] body, string what)
    {
        (Errno error, _) = Exchange(kind, (ushort)(flags | Acknowledge), body);
        if (error != Errno.None)
            throw NetworkNamespace.Refused(error, what + _where);
    }

    /// <summary>Sends one request and waits for what answers it.</summary>
    private (Errno Error, byte[] Answer) Exchange(ushort kind, ushort flags, byte[] body)
    {
        byte[] message = new byte[HeaderSize + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(message, message.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(4), kind);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(6), (ushort)(flags | Request));
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(8), ++_sequence);
        body.CopyTo(message, HeaderSize);
        Result<int> sent = HostSockets.Send(_socket, message, 0);
        if (sent.IsError)
            return (sent.Error, []);
        byte[] answer = new byte[MaxAnswer];
        while (true)
        {
            Result<int> got = HostSockets.Receive(_socket, answer, 0, default, out _);
            if (got.Error == Errno.EINTR)
                continue;
            if (got.IsError)
                return (got.Error, []);
            if (got.Value < HeaderSize + 4 || BinaryPrimitives.ReadUInt32LittleEndian(answer.AsSpan(8)) != _sequence)
                continue;
            ushort told = BinaryPrimitives.ReadUInt16LittleEndian(answer.AsSpan(4));
            return told switch
            {
                Error => ((Errno)(-BinaryPrimitives.ReadInt32LittleEndian(answer.AsSpan(HeaderSize))), []),
                Done => (Errno.None, []),
                _ => (Errno.None, answer[..got.Value]),
            };
        }
    }

    /// <summary>struct ifinfomsg and attributes.</summary>
    private static byte[] Link(int index, uint flags, uint change, params byte[][] attributes)
    {
        byte[] head = new byte[LinkMessageSize];
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(4), index);
        BinaryPrimitives.WriteUInt32LittleEndian(head.AsSpan(8), flags);
        BinaryPrimitives.WriteUInt32LittleEndian(head.AsSpan(12), change);
        return Joined([head, .. attributes]);
    }

    private static byte[] Text(ushort kind, string text) => Attribute(kind, Encoding.Latin1.GetBytes(text + "\0"));

    private static byte[] Number(ushort kind, int value)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        return Attribute(kind, bytes);
    }

    private static byte[] Attribute(ushort kind, byte[] value)
    {
        byte[] attribute = new byte[(AttributeSize + value.Length + 3) & ~3];
        BinaryPrimitives.WriteUInt16LittleEndian(attribute, (ushort)(AttributeSize + value.Length));
        BinaryPrimitives.WriteUInt16LittleEndian(attribute.AsSpan(2), kind);
        value.CopyTo(attribute, AttributeSize);
        return attribute;
    }

    private static byte[] Bytes(MacAddress mac)
    {
        byte[] bytes = new byte[6];
        mac.WriteTo(bytes);
        return bytes;
    }

    private static byte[] Joined(params byte[][] parts)
    {
        byte[] joined = new byte[parts.Sum(p => p.Length)];
        int at = 0;
        foreach (byte[] part in parts)
        {
            part.CopyTo(joined, at);
            at += part.Length;
        }

        return joined;
    }
}
