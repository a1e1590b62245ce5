using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;
using Sentry.Kernel.Sockets.Netlink;
using Sentry.Kernel.Sockets.Netlink.Routing;

namespace Tests.Kernel.Sockets.Netlink;

/// <summary>NETLINK_ROUTE; what Linux answers was seen in a fresh network namespace of 6.18.</summary>
public class RouteTests
{
    private readonly TestKernel _kernel = new();
    private readonly Task _task;
    private readonly NetlinkClient _client;

    public RouteTests()
    {
        _task = _kernel.NewProcess();
        _client = new NetlinkClient(_kernel, _task, 0);
        _client.SetOption(NetlinkOptions.ExtendedAck);
    }

    private NetworkStack Stack => _kernel.Kernel.Network.Stack;

    private static byte[] LinkHeader(int index, uint flags = 0, uint change = 0) => [0, 0, 0, 0, .. BitConverter.GetBytes(index), .. BitConverter.GetBytes(flags), .. BitConverter.GetBytes(change)];

    private static byte[] AddressHeader(byte family, byte prefix, int index, byte scope = 0) => [family, prefix, 0, scope, .. BitConverter.GetBytes(index)];

    private static byte[] RouteHeader(byte family, byte prefix, byte scope = 0, byte type = 1, byte table = 254) => [family, prefix, 0, 0, table, 3, scope, type, 0, 0, 0, 0];

    private static byte[] Ip(string text) => InetAddress.Parse(text).ToBytes();

    private static byte[] A(int type, string address) => NetlinkClient.Attribute(type, Ip(address));

    private static byte[] A(int type, int value) => NetlinkClient.Attribute(type, value);

    /// <summary>A veth pair a-b; a is number 3, up, and has an address.</summary>
    private void MakePair()
    {
        byte[] peer = NetlinkClient.Attribute(1, [.. LinkHeader(0), .. NetlinkClient.Attribute(3, "b")]);
        byte[] info = NetlinkClient.Attribute(18, [.. NetlinkClient.Attribute(1, "veth"), .. NetlinkClient.Attribute(2, peer)]);
        Assert.Equal(Errno.None, _client.Ask(16, 0x600, [.. LinkHeader(0), .. NetlinkClient.Attribute(3, "a"), .. info]).Error);
        Assert.Equal(Errno.None, _client.Ask(16, 0, LinkHeader(3, 1, 1)).Error);
        Assert.Equal(Errno.None, _client.Ask(16, 0, LinkHeader(2, 1, 1)).Error);
        Assert.Equal(Errno.None, _client.Ask(20, 0x600, [.. AddressHeader(2, 24, 3), .. A(2, "10.1.0.1"), .. A(1, "10.1.0.1")]).Error);
    }

    private static string? MessageOf(ReceivedMessage ack)
    {
        if ((ack.Flags & 0x200) == 0)
            return null;
        int skipped = (ack.Flags & 0x100) != 0 ? 20 : 4 + BinaryPrimitives.ReadInt32LittleEndian(ack.Body.AsSpan(4));
        return ReceivedMessage.ReadAttributes(ack.Body.AsSpan(skipped)).TryGetValue(1, out byte[]? text) ? System.Text.Encoding.Latin1.GetString(text).TrimEnd('\0') : null;
    }

    [Fact]
    public void Links_LoopbackIsThere()
    {
        ReceivedMessage link = _client.Dump(RouteMessage.GetLink, LinkHeader(0)).Single();
        Assert.Equal(RouteMessage.NewLink, link.Type);
        Assert.Equal(772, BinaryPrimitives.ReadUInt16LittleEndian(link.Body.AsSpan(2)));
        Assert.Equal(0x10049u, BinaryPrimitives.ReadUInt32LittleEndian(link.Body.AsSpan(8)));
        Dictionary<int, byte[]> attributes = link.Attributes(16);
        Assert.Equal("lo\0"u8.ToArray(), attributes[LinkAttribute.Name]);
        Assert.Equal(65536, BitConverter.ToInt32(attributes[LinkAttribute.Mtu]));
        Assert.Equal("noqueue\0"u8.ToArray(), attributes[LinkAttribute.Queueing]);
        Assert.Equal(200, attributes[LinkAttribute.Statistics64].Length);
    }

    [Fact]
    public void Links_ArePickedByNumberOrName()
    {
        Assert.Equal(Errno.ENODEV, _client.Ask(RouteMessage.GetLink, 0, [.. LinkHeader(0), .. NetlinkClient.Attribute(3, "none")]).Error);
        Assert.Equal(Errno.EINVAL, _client.Ask(RouteMessage.GetLink, 0, LinkHeader(0)).Error);
        Assert.Equal(Errno.ENODEV, _client.Ask(RouteMessage.GetLink, 0, LinkHeader(9)).Error);
        Assert.Equal(Errno.None, _client.Ask(RouteMessage.GetLink, 0, [.. LinkHeader(0), .. NetlinkClient.Attribute(3, "lo")]).Error);
    }

    [Fact]
    public void Pair_IsMadeChangedAndDeleted()
    {
        MakePair();
        NetworkInterface a = Stack.FindInterface("a")!, b = Stack.FindInterface("b")!;
        Assert.Equal((3, 2), (a.Index, b.Index));
        Assert.Equal(6, LinkState.Operational(a));
        Assert.Equal(Errno.None, _client.Ask(16, 0, LinkHeader(2, 0, 1)).Error);
        Assert.Equal(3, LinkState.Operational(a));
        Assert.Equal(Errno.None, _client.Ask(16, 0, [.. LinkHeader(3), .. A(LinkAttribute.Mtu, 1400), .. A(LinkAttribute.QueueLength, 5), .. NetlinkClient.Attribute(20, "alias")]).Error);
        Assert.Equal((1400, 5, "alias"), (a.Mtu, a.TransmitQueueLength, a.Attributes.Alias));
        Assert.Equal("mtu less than device minimum", MessageOf(_client.Ask(16, 0, [.. LinkHeader(3), .. A(LinkAttribute.Mtu, 50)]).Ack));
        Assert.Equal(Errno.EEXIST, _client.Ask(16, 0, [.. LinkHeader(3), .. NetlinkClient.Attribute(3, "b")]).Error);
        Assert.Equal(Errno.EOPNOTSUPP, _client.Ask(17, 0, LinkHeader(1)).Error);
        Assert.Equal(Errno.None, _client.Ask(17, 0, LinkHeader(3)).Error);
        Assert.Single(Stack.Interfaces);
    }

    [Fact]
    public void UnknownKind_IsNotSupported()
    {
        (Errno error, ReceivedMessage ack) = _client.Ask(16, 0x600, [.. LinkHeader(0), .. NetlinkClient.Attribute(3, "x"), .. NetlinkClient.Attribute(18, NetlinkClient.Attribute(1, "bridge"))]);
        Assert.Equal(Errno.EOPNOTSUPP, error);
        Assert.Equal("Unknown device type", MessageOf(ack));
    }

    [Fact]
    public void Address_BringsItsRoutes()
    {
        MakePair();
        List<ReceivedMessage> addresses = _client.Dump(RouteMessage.GetAddress, AddressHeader(2, 0, 0));
        Assert.Equal(["127.0.0.1", "10.1.0.1"], addresses.Select(m => InetAddress.FromBytes(m.Attributes(8)[AddressAttribute.Local]).ToString()));
        List<string> routes = _client.Dump(RouteMessage.GetRoute, RouteHeader(2, 0)).Where(m => m.Body[4] == 254).Select(m => InetAddress.FromBytes(m.Attributes(12)[1]) + "/" + m.Body[1]).ToList();
        Assert.Equal(["10.1.0.0/24"], routes);
        Assert.Equal("ipv4: Address already assigned", MessageOf(_client.Ask(20, 0x600, [.. AddressHeader(2, 24, 3), .. A(2, "10.1.0.1")]).Ack));
        Assert.Equal(Errno.None, _client.Ask(21, 0, [.. AddressHeader(2, 24, 3), .. A(2, "10.1.0.1")]).Error);
        Assert.Equal(Errno.EADDRNOTAVAIL, _client.Ask(21, 0, [.. AddressHeader(2, 24, 3), .. A(2, "10.1.0.1")]).Error);
    }

    [Fact]
    public void Routes_AreAddedReplacedDeletedLookedUp()
    {
        MakePair();
        byte[] route = [.. RouteHeader(2, 16), .. A(1, "10.9.0.0"), .. A(5, "10.1.0.7")];
        Assert.Equal(Errno.None, _client.Ask(24, 0x600, route).Error);
        Assert.Equal(Errno.EEXIST, _client.Ask(24, 0x600, route).Error);
        Assert.Equal(Errno.None, _client.Ask(24, 0x500, [.. RouteHeader(2, 16), .. A(1, "10.9.0.0"), .. A(5, "10.1.0.8")]).Error);
        _client.Send(NetlinkClient.Message(26, 1, 9, [.. RouteHeader(2, 32), .. A(1, "10.9.3.3")]));
        Dictionary<int, byte[]> found = _client.Drain().Single().Attributes(12);
        Assert.Equal("10.1.0.8", InetAddress.FromBytes(found[RouteAttribute.Gateway]).ToString());
        Assert.Equal("10.1.0.1", InetAddress.FromBytes(found[RouteAttribute.PreferredSource]).ToString());
        Assert.Equal(Errno.ENETUNREACH, _client.Ask(26, 0, [.. RouteHeader(2, 32), .. A(1, "8.8.8.8")]).Error);
        (Errno error, ReceivedMessage ack) = _client.Ask(24, 0x600, [.. RouteHeader(2, 16), .. A(1, "10.8.0.0"), .. A(5, "99.1.0.7")]);
        Assert.Equal((Errno.ENETUNREACH, "Nexthop has invalid gateway"), (error, MessageOf(ack)));
        Assert.Equal("Invalid prefix for given prefix length", MessageOf(_client.Ask(24, 0x600, [.. RouteHeader(2, 16), .. A(1, "10.8.0.1"), .. A(4, 3)]).Ack));
        Assert.Equal(Errno.None, _client.Ask(25, 0, [.. RouteHeader(2, 16, 255, 0), .. A(1, "10.9.0.0")]).Error);
        Assert.Equal(Errno.ESRCH, _client.Ask(25, 0, [.. RouteHeader(2, 16, 255, 0), .. A(1, "10.9.0.0")]).Error);
    }

    [Fact]
    public void Neighbours_AreAddedAndDeleted()
    {
        MakePair();
        byte[] header = [2, 0, 0, 0, 3, 0, 0, 0, 0x80, 0, 0, 0];
        byte[] neighbour = [.. header, .. A(1, "10.1.0.7"), .. NetlinkClient.Attribute(2, 2, 3, 4, 5, 6, 7)];
        Assert.Equal(Errno.None, _client.Ask(28, 0x600, neighbour).Error);
        Assert.Equal(Errno.EEXIST, _client.Ask(28, 0x600, neighbour).Error);
        ReceivedMessage shown = _client.Dump(RouteMessage.GetNeighbour, [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).Single();
        Assert.Equal(0x80, shown.Body[8]);
        Assert.Equal([2, 3, 4, 5, 6, 7], shown.Attributes(12)[2]);
        Assert.Equal(Errno.None, _client.Ask(29, 0, [.. header, .. A(1, "10.1.0.7")]).Error);
        Assert.Equal(Errno.ENOENT, _client.Ask(29, 0, [.. header, .. A(1, "10.1.0.7")]).Error);
    }

    [Fact]
    public void Unprivileged_MayReadOnly()
    {
        Task user = _kernel.NewProcess();
        user.Credentials = new Credentials { Uid = 1000, EffectiveUid = 1000 };
        var client = new NetlinkClient(_kernel, user, 0);
        Assert.Equal(Errno.EPERM, client.Ask(16, 0, LinkHeader(1, 0, 1)).Error);
        Assert.Equal(Errno.EPERM, client.Ask(24, 0x600, [.. RouteHeader(2, 0), .. A(4, 1)]).Error);
        Assert.Single(client.Dump(RouteMessage.GetLink, LinkHeader(0)));
    }

    [Fact]
    public void Opener_WithoutPrivilege_MayNotConfigureLater()
    {
        Task user = _kernel.NewProcess();
        Credentials root = user.Credentials;
        user.Credentials = new Credentials { Uid = 1000, EffectiveUid = 1000 };
        var client = new NetlinkClient(_kernel, user, 0);
        user.Credentials = root;
        Assert.Equal(Errno.EPERM, client.Ask(16, 0, LinkHeader(1, 0, 1)).Error);
    }

    [Fact]
    public void StrictCheck_RefusesWhatItDoesNotKnow()
    {
        Assert.Equal(Errno.None, _client.Ask(RouteMessage.GetLink, 0, [.. LinkHeader(1), .. A(LinkAttribute.Mtu, 1)]).Error);
        _client.SetOption(NetlinkOptions.StrictCheck);
        _client.Send(NetlinkClient.Message(RouteMessage.GetAddress, 0x301, 1, AddressHeader(2, 8, 0)));
        ReceivedMessage refusal = _client.Drain().Single();
        Assert.Equal(Errno.EINVAL, (Errno)refusal.Error);
        Assert.Equal("ipv4: Invalid values in header for address dump request", MessageOf(refusal));
    }

    [Fact]
    public void Monitor_HearsOfChanges()
    {
        var monitor = new NetlinkClient(_kernel, _task, 0);
        monitor.Bind(0, 1 | 1u << 2 | 1u << 4 | 1u << 6 | 1u << 8 | 1u << 10);
        MakePair();
        List<int> types = monitor.Drain().Select(m => m.Type).ToList();
        Assert.Equal(RouteMessage.NewLink, types[0]);
        Assert.Contains((int)RouteMessage.NewAddress, types);
        Assert.Contains((int)RouteMessage.NewRoute, types);
        _client.Ask(21, 0, [.. AddressHeader(2, 24, 3), .. A(2, "10.1.0.1")]);
        types = monitor.Drain().Select(m => m.Type).ToList();
        Assert.Contains((int)RouteMessage.DeleteAddress, types);
        Assert.Contains((int)RouteMessage.DeleteRoute, types);
        _client.Ask(17, 0, LinkHeader(3));
        Assert.Equal(2, monitor.Drain().Count(m => m.Type == RouteMessage.DeleteLink));
    }

    [Fact]
    public void Echo_AnswersWhoAsked()
    {
        MakePair();
        _client.Send(NetlinkClient.Message(24, 1 | 8 | 0x600, 77, [.. RouteHeader(2, 16), .. A(1, "10.9.0.0"), .. A(5, "10.1.0.7")]));
        ReceivedMessage echo = _client.Drain().Single();
        Assert.Equal((RouteMessage.NewRoute, 77u), ((ushort)echo.Type, echo.Sequence));
    }

    [Fact]
    public void UnknownRequests_AreNotSupported()
    {
        foreach (int type in (int[])[27, 31, 55, 120, 500])
            Assert.Equal(Errno.EOPNOTSUPP, _client.Ask(type, 0, RouteHeader(0, 0)).Error);
        Assert.Empty(_client.Dump(42, new byte[20]));
    }

    [Fact]
    public void Dump_LongerThanTheBuffer_GoesOnAfterARestore()
    {
        for (int i = 0; i < 60; i++)
            Assert.Equal(Errno.None, _client.Ask(16, 0x600, [.. LinkHeader(0), .. NetlinkClient.Attribute(3, $"dummy{i}"), .. NetlinkClient.Attribute(18, NetlinkClient.Attribute(1, "dummy"))]).Error);
        _task.Files.Close(_task.Group, (int)_client.Descriptor);
        var reader = new NetlinkClient(_kernel, _task, 0);
        reader.Send(NetlinkClient.Message(RouteMessage.GetLink, 0x301, 5, LinkHeader(0)));
        int seen = NetlinkClient.Split(reader.TryReceive(4096)!).Count;
        Assert.InRange(seen, 1, 10);
        reader.Send(NetlinkClient.Message(RouteMessage.GetLink, 0x301, 6, LinkHeader(0)));

        GuestKernel restored = KernelState.Copy(_kernel.Kernel);
        NetlinkSocket socket = restored.Network.Netlink.Sockets.Single();
        List<ReceivedMessage> rest = [];
        byte[] buffer = new byte[4096];
        while (socket.Receive(null!, new UserBuffer(buffer), new Sentry.Kernel.Sockets.ReceiveRequest()) is { IsOk: true } got)
            rest.AddRange(NetlinkClient.Split(buffer[..(int)got.Value]));

        // The second request was refused, as the first list had not been read.
        Assert.Equal(Errno.EBUSY, (Errno)rest.Single(m => m.Type == 2).Error);
        Assert.Equal(3, rest[^1].Type);
        Assert.Equal(61, seen + rest.Count(m => m.Type == RouteMessage.NewLink));
        Assert.Equal(61, restored.Network.Stack.Interfaces.Count);
    }
}
