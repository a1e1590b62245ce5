using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Netstack.Links;
using Netstack.Wire;
using RestoreAgent.Agent.Network;
using Sentry.Abi;

namespace Tests.Network.Switches;

/// <summary>The agent's switch and gateway with stacks in the place of sandboxes: no privileges are needed.</summary>
public sealed class SwitchNetworkTests : IDisposable
{
    private static readonly InetAddress Beyond = InetAddress.Parse("192.0.2.1");

    private readonly SwitchNetwork _network = new("blue", GatewayAddresses.Of(Subnet.OfName("blue", 0), Subnet.OfNameV6("blue", 0), InetAddress.AnyV4), NullLogger.Instance, _ => { });
    private readonly List<Guest> _guests = [];
    private readonly List<PublishedPort> _ports = [];

    [Fact]
    public void Publish_Tcp_CarriesAllBytesAndBothEnds()
    {
        Guest guest = Plug("web");
        guest.Echo(80);
        byte[] request = Pattern(3_000_000);
        for (int i = 0; i < 3; i++)
            Assert.Equal(request, ExchangeWithHost(Publish("0:80", guest), request));
    }

    [Fact]
    public void Publish_TcpWithNobodyListening_ResetsTheClient()
    {
        Guest guest = Plug("web");
        using TcpClient client = new();
        client.Connect(IPAddress.Loopback, Publish("0:81", guest));
        SocketException? reset = Assert.IsType<IOException>(Record.Exception(() => client.GetStream().ReadByte())).InnerException as SocketException;
        Assert.Equal(SocketError.ConnectionReset, reset!.SocketErrorCode);
    }

    [Fact]
    public void Publish_ManyConnections_AllAreServed()
    {
        Guest guest = Plug("web");
        guest.Echo(80);
        int port = Publish("0:80", guest);
        byte[] request = Pattern(20_000);
        for (int round = 0; round < 10; round++)
        {
            TcpClient[] clients = [.. Enumerable.Range(0, 50).Select(_ => new TcpClient())];
            foreach (TcpClient client in clients)
            {
                client.Connect(IPAddress.Loopback, port);
                client.GetStream().Write(request);
                client.Client.Shutdown(SocketShutdown.Send);
            }

            foreach (TcpClient client in clients)
            {
                using (client)
                    Assert.Equal(request, ReadAll(client));
            }
        }
    }

    [Fact]
    public void Publish_Udp_GoesThereAndBack()
    {
        Guest guest = Plug("web");
        guest.Echo(53);
        using UdpClient client = new();
        client.Connect(IPAddress.Loopback, Publish("0:53/udp", guest));
        client.Client.ReceiveTimeout = 10_000;
        foreach (int length in (int[])[1, 1400, 9000])
        {
            client.Send(Pattern(length));
            IPEndPoint from = new(IPAddress.Any, 0);
            Assert.Equal(Pattern(length), client.Receive(ref from));
        }
    }

    [Fact]
    public void Publish_PortInUse_IsRefusedInOneLine()
    {
        using TcpListener other = new(IPAddress.Loopback, 0);
        other.Start();
        Guest guest = Plug("web");
        string message = Assert.Throws<RestoreAgent.Agent.AgentException>(() => Publish($"{((IPEndPoint)other.LocalEndpoint).Port}:80", guest)).Message;
        Assert.Contains("in use", message);
    }

    [Fact]
    public void TwoSandboxes_ReachEachOther_WithFramesLeftWhole()
    {
        Guest first = Plug("first"), second = Plug("second");
        second.Echo(7);
        byte[] request = Pattern(5_000_000);
        Assert.Equal(request, first.Exchange(second.Address, 7, request).Answer);
        Assert.True(second.LongestFrame > 9000, $"the longest frame has {second.LongestFrame} bytes");
        Assert.Equal(Errno.ECONNREFUSED, first.Exchange(second.Address, 8, request).Error);
    }

    [Theory]
    [InlineData("first")]
    [InlineData("FIRST.blue")]
    [InlineData("host-of-first")]
    public void Names_OfSandboxes_AreServed(string name)
    {
        Guest first = Plug("first"), second = Plug("second");
        byte[] answer = second.Ask(_network.Addresses.Names, 53, Query(name, DnsCode.A))!;
        Assert.Equal(0, answer[3] & 15);
        Assert.Equal(first.Address.ToBytes(), answer[^4..]);
    }

    [Fact]
    public void Names_Unknown_AreDeniedWhereNothingIsBeyond()
    {
        Guest guest = Plug("first");
        Assert.Equal(DnsCode.NameError, guest.Ask(_network.Addresses.Names, 53, Query("example.org", DnsCode.A))![3] & 15);
    }

    [Fact]
    public void Names_OverTcp_AreServed()
    {
        Guest first = Plug("first"), second = Plug("second");
        byte[] query = Query("first", DnsCode.A);
        (byte[] answer, _) = second.Exchange(_network.Addresses.Names, 53, [0, (byte)query.Length, .. query]);
        Assert.Equal(first.Address.ToBytes(), answer[^4..]);
    }

    [Fact]
    public void Names_OfTheWorld_AreAskedOfTheGivenServer()
    {
        using UdpClient server = new(new IPEndPoint(IPAddress.Parse("127.0.0.9"), 53));
        Task.Run(() =>
        {
            IPEndPoint from = new(IPAddress.Any, 0);
            byte[] query = server.Receive(ref from);
            server.Send(DnsMessage.Answer(query, DnsMessage.ReadQuestion(query)!, DnsCode.NoError, [Beyond]), from);
        });
        Guest guest = Plug("first", new OutboundRights(Outside: true, HostLoopback: false), [InetAddress.Parse("127.0.0.9")]);
        Assert.Equal(Beyond.ToBytes(), guest.Ask(_network.Addresses.Names, 53, Query("example.org", DnsCode.A))![^4..]);
    }

    [Fact]
    public void Outbound_NotAllowed_IsRefusedAtOnce()
    {
        Guest guest = Plug("first");
        Assert.Equal(Errno.ENETUNREACH, guest.Exchange(Beyond, 80, [1]).Error);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Outbound_LoopbackOfTheHost_OnlyWhereAllowed(bool outside, bool loopback)
    {
        using TcpListener server = new(IPAddress.Loopback, 0);
        server.Start();
        Task.Run(() =>
        {
            while (true)
            {
                using TcpClient client = server.AcceptTcpClient();
                client.GetStream().CopyTo(client.GetStream());
            }
        });
        int port = ((IPEndPoint)server.LocalEndpoint).Port;
        Guest guest = Plug("first", new OutboundRights(outside, loopback));
        byte[] request = Pattern(1_000_000);
        (byte[] answer, Errno error) = guest.Exchange(_network.Addresses.Gateway, port, request);
        Assert.Equal(loopback ? Errno.None : Errno.ECONNREFUSED, error);
        Assert.Equal(loopback ? request : [], answer);
        if (loopback)
            Assert.Equal(Errno.ECONNREFUSED, guest.Exchange(_network.Addresses.Gateway, 1, request).Error);
        foreach (string other in (string[])["127.0.0.1", "0.0.0.0", "169.254.169.254"])
            Assert.NotEqual(Errno.None, guest.Exchange(InetAddress.Parse(other), port, request).Error);
    }

    [Fact]
    public void Outbound_Datagrams_ComeBack()
    {
        using UdpClient server = new(new IPEndPoint(IPAddress.Loopback, 0));
        Task.Run(() =>
        {
            IPEndPoint from = new(IPAddress.Any, 0);
            server.Send(server.Receive(ref from), from);
        });
        Guest guest = Plug("first", new OutboundRights(Outside: false, HostLoopback: true));
        Assert.Equal(Pattern(5000), guest.Ask(_network.Addresses.Gateway, ((IPEndPoint)server.Client.LocalEndPoint!).Port, Pattern(5000)));
    }

    [Fact]
    public void Add_SecondCopy_IsRefusedUnlessTheFirstYieldsToALaterOne()
    {
        SwitchMember first = Member("a", 1);
        Assert.Throws<LeaseRefusedException>(() => Member("a", 2));
        _network.Loop.Invoke(first.Hold);
        Assert.Throws<LeaseRefusedException>(() => Member("a", 1));
        SwitchMember second = Member("a", 2);

        // The first is fenced: it has no place any more, and cannot take one again.
        Assert.Null(first.Port.Port);
        Assert.Throws<RestoreAgent.Agent.AgentException>(() => _network.Loop.Invoke(first.Connect));
        _network.Loop.Invoke(() => _network.Remove(first));
        Assert.NotNull(second.Port.Port);
        Assert.Throws<LeaseRefusedException>(() => Member("a", 3));
    }

    [Fact]
    public async Task Hold_FramesWaitForTheNextCopy()
    {
        Guest other = Plug("other");
        SwitchMember first = Member("a", 1);
        using (Guest before = new(first, _network))
        {
            before.Echo(7);
            Assert.Equal([1, 2, 3], other.Ask(before.Address, 7, [1, 2, 3]));
            _network.Loop.Invoke(first.Hold);
        }

        Task<byte[]?> asked = Task.Run(() => other.Ask(first.Lease.Identity.Address, 7, [4, 5, 6]));
        await Task.Delay(200);
        Assert.False(asked.IsCompleted);
        SwitchMember second = Member("a", 2);
        using Guest after = new(second, _network, echo: 7);
        Assert.Equal([4, 5, 6], await asked);
    }

    [Fact]
    public async Task Remove_OfOneThatStoodStill_KeepsFramesForTheNextCopy()
    {
        Guest other = Plug("other");
        SwitchMember first = Member("a", 1);
        using (Guest before = new(first, _network))
        {
            before.Echo(7);
            Assert.Equal([1, 2, 3], other.Ask(before.Address, 7, [1, 2, 3]));
            _network.Loop.Invoke(first.Hold);
        }

        _network.Loop.Invoke(() => _network.Remove(first));
        long sent = first.Port.Port!.Sent;
        Task<byte[]?> asked = Task.Run(() => other.Ask(first.Lease.Identity.Address, 7, [4, 5, 6]));
        Assert.True(SpinWait.SpinUntil(() => first.Port.Port!.Sent > sent, TimeSpan.FromSeconds(2)), "nothing came for the sandbox that has ended");
        using Guest after = new(Member("a", 2), _network, echo: 7);
        Assert.Equal([4, 5, 6], await asked);
    }

    [Fact]
    public void Remove_OfOneThatStoodStill_LeavesItsAddressesToAnyone()
    {
        SwitchMember first = Member("a", 1);
        _network.Loop.Invoke(first.Hold);
        _network.Loop.Invoke(() => _network.Remove(first));
        SwitchMember other = Member("b", 0);
        Assert.Null(first.Port.Port);
        Assert.NotNull(other.Port.Port);
        Assert.Throws<LeaseRefusedException>(() => Member("a", 2));
    }

    [Fact]
    public void Remove_OfOneThatStoodStill_EndsAfterAWhile()
    {
        SwitchMember first = Member("a", 1);
        _network.Loop.Invoke(first.Hold);
        _network.Loop.Invoke(() => _network.Remove(first));
        Assert.NotNull(first.Port.Port);
        Assert.True(SpinWait.SpinUntil(() => first.Port.Port is null, TimeSpan.FromSeconds(60)), "it never ends");
        Member("a", 1);
    }

    public void Dispose()
    {
        foreach (Guest guest in _guests)
            guest.Dispose();
        _network.Loop.Invoke(() => _ports.ForEach(p => p.Close()));
        _network.Release();
    }

    private static byte[] Pattern(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }

    private static byte[] Query(string name, ushort type)
    {
        List<byte> query = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        foreach (string label in name.Split('.'))
            query.AddRange([(byte)label.Length, .. Encoding.ASCII.GetBytes(label)]);
        return [.. query, 0, 0, (byte)type, 0, 1];
    }

    private static byte[] ExchangeWithHost(int port, byte[] request)
    {
        using TcpClient client = new();
        client.Connect(IPAddress.Loopback, port);
        NetworkStream stream = client.GetStream();
        Task sending = Task.Run(() =>
        {
            stream.Write(request);
            client.Client.Shutdown(SocketShutdown.Send);
        });
        byte[] answer = ReadAll(client);
        sending.Wait();
        return answer;
    }

    private static byte[] ReadAll(TcpClient client)
    {
        MemoryStream answer = new();
        byte[] buffer = new byte[65536];
        while (client.Client.Receive(buffer) is > 0 and int count)
            answer.Write(buffer, 0, count);
        return answer.ToArray();
    }

    private Guest Plug(string name, OutboundRights rights = default, IReadOnlyList<InetAddress>? servers = null)
    {
        SwitchMember member = _network.Loop.Invoke(() =>
        {
            (InetAddress address, InetAddress addressV6) = _network.Choose(InetAddress.AnyV4, InetAddress.AnyV6);
            return _network.Add(new LinkIdentity(name, 0, NetworkService.RandomMac(), address, addressV6), [name, "host-of-" + name], rights, servers ?? []);
        });
        Guest guest = new(member, _network);
        _guests.Add(guest);
        return guest;
    }

    private SwitchMember Member(string lineage, int generation) => _network.Loop.Invoke(() =>
        _network.Add(new LinkIdentity(lineage, generation, new MacAddress(0x02_00_00_00_00_77), _network.Addresses.Subnet.Host(99), _network.Addresses.SubnetV6.Host(99)), [lineage], default, []));

    private int Publish(string spec, Guest guest) => _network.Loop.Invoke(() =>
    {
        PublishedPort port = PublishedPort.Open(_network.Loop, PublishSpec.Parse(spec), guest.Address, _network.Gateway);
        _ports.Add(port);
        return port.Spec.HostPort;
    });
}
