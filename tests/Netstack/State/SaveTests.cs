using Tests.Netstack.Simulation;

namespace Tests.Netstack.State;

/// <summary>Saves and restores at random moments of a busy network: nothing may be lost by it that a link would not have lost.</summary>
public sealed class SaveTests
{
    private static SavableRegistry Registry
    {
        get
        {
            var registry = new SavableRegistry();
            global::Netstack.Wire.SavableTypes.Register(registry);
            global::Netstack.Stack.SavableTypes.Register(registry);
            return registry;
        }
    }

    private static (SimNetwork Net, SimHost A, SimHost B) Busy(int seed)
    {
        var net = new SimNetwork(seed, nameof(SaveTests));
        SimSegment wire = net.AddSegment(new LinkConditions { Loss = 0.05, Duplication = 0.05, Reordering = 0.1, Delay = 2 * SimNetwork.Millisecond });
        SimHost a = net.AddHost("a"), b = net.AddHost("b");
        a.Attach(wire, "10.0.0.1/24", "fd00::1/64");
        b.Attach(wire, "10.0.0.2/24", "fd00::2/64");
        foreach (SimHost host in (SimHost[])[a, b])
        {
            int link = host.Stack.FindInterface("eth0")!.Index;
            UdpEndpoint four = host.Udp("0.0.0.0", 4, options: o => (o.MulticastInterface, o.ReceiveErrors, o.ReceiveBuffer) = (link, true, 1 << 20));
            UdpEndpoint six = host.Udp("::", 6, isV6: true, options: o => (o.MulticastInterfaceV6, o.V6Only, o.ReceiveBuffer) = (link, true, 1 << 20));
            host.Do(_ => four.JoinGroup(InetAddress.Parse("239.1.1.1"), link));
            host.Do(_ => six.JoinGroup(InetAddress.Parse("ff05::1"), link));
            host.Do(s => s.Raw.CreatePacket(EtherType.Arp, true, new EndpointOptions()));
            host.Do(s => s.Raw.CreateRaw(false, IpProtocol.Icmp, new EndpointOptions()));
            host.Do(s => s.Routes.Add(new RouteEntry { Destination = InetAddress.Parse("8.0.0.0"), Prefix = 8, Gateway = InetAddress.Parse("10.0.0.77") }));
        }

        return (net, a, b);
    }

    private static void Step(SimNetwork net, SimHost from, SimHost to, int i)
    {
        (string four, string six) = to.Name == "a" ? ("10.0.0.1", "fd00::1") : ("10.0.0.2", "fd00::2");
        UdpEndpoint socket = from.UdpAt(4), socketV6 = from.UdpAt(6);
        switch (i % 7)
        {
            case 0:
                from.SendTo(socket, four, 4, BitConverter.GetBytes(i));
                break;
            case 1:
                from.SendTo(socketV6, six, 6, Frames.Join(BitConverter.GetBytes(i), new byte[3000]));
                break;
            case 2:
                from.SendTo(socket, four, 4, Frames.Join(BitConverter.GetBytes(i), new byte[5000]));
                break;
            case 3:
                from.SendTo(socket, "239.1.1.1", 4, BitConverter.GetBytes(i));
                break;
            case 4:
                from.SendTo(socketV6, "ff05::1", 6, BitConverter.GetBytes(i));
                break;
            case 5:
                from.SendTo(socket, "8.8.8.8", 4, BitConverter.GetBytes(i));
                break;
            case 6:
                from.SendTo(socket, four, 9, BitConverter.GetBytes(i));
                break;
        }

        net.RunFor(net.Random.NextInt64(20 * SimNetwork.Millisecond));
    }

    [Fact]
    public void SaveOfRestored_AtRandomMoments_IsTheSameImage()
    {
        (SimNetwork net, SimHost a, SimHost b) = Busy(1);
        for (int i = 0; i < 140; i++)
        {
            Step(net, i % 2 == 0 ? a : b, i % 2 == 0 ? b : a, i);
            if (i % 7 != 0)
                continue;
            byte[] image = a.Save();
            Assert.Equal(image, StateWriter.Save(StateReader.Read(image, Registry).Root<NetworkStack>()));
            string before = Dump(image);
            a.Restore(image, announce: false);
            Assert.Equal(before, Dump(a.Save()));
        }

        Assert.True(a.Stack.Counters.ReassemblyOk > 0 && a.Stack.Counters.ReassemblyOkV6 > 0 && a.Stack.Counters.ReassemblyRequired > a.Stack.Counters.ReassemblyOk);
        net.Dispose();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Restore_AtRandomMoments_EverythingArrivesAsWithout(int seed)
    {
        // Without losses, so that whatever is missing was lost by a restore.
        List<int>[] with = Run(seed, restores: true), without = Run(seed, restores: false);
        Assert.Equal(without[0], with[0]);
        Assert.Equal(without[1], with[1]);
        Assert.True(without[0].Count > 70 && without[1].Count > 70);
    }

    private static List<int>[] Run(int seed, bool restores)
    {
        (SimNetwork net, SimHost a, SimHost b) = Busy(seed);
        a.Ports[0].Segment.Conditions = new LinkConditions { Delay = SimNetwork.Millisecond, Reordering = 0.2 };

        // What waits for a neighbour is not saved: both know each other first.
        a.SendTo(a.UdpAt(4), "10.0.0.2", 9, "x");
        a.SendTo(a.UdpAt(6), "fd00::2", 9, "x");
        net.RunFor(5 * SimNetwork.Second);
        var moments = new Random(seed);
        for (int i = 0; i < 200; i++)
        {
            Step(net, i % 2 == 0 ? a : b, i % 2 == 0 ? b : a, i);
            if (restores && moments.Next(3) == 0)
                (moments.Next(2) == 0 ? a : b).SaveAndRestore();
        }

        net.RunFor(SimNetwork.Second);
        List<int>[] received = [[], []];
        foreach (UdpEndpoint socket in (UdpEndpoint[])[a.UdpAt(4), a.UdpAt(6)])
        {
            while (socket.Receive(false) is { } datagram)
                received[0].Add(BitConverter.ToInt32(datagram.Data));
        }

        foreach (UdpEndpoint socket in (UdpEndpoint[])[b.UdpAt(4), b.UdpAt(6)])
        {
            while (socket.Receive(false) is { } datagram)
                received[1].Add(BitConverter.ToInt32(datagram.Data));
        }

        received[0].Sort();
        received[1].Sort();
        net.Dispose();
        return received;
    }

    [Fact]
    public void Load_FlippedBytes_RestoresOrIsInvalidImage()
    {
        (SimNetwork net, SimHost a, SimHost b) = Busy(4);
        for (int i = 0; i < 20; i++)
            Step(net, a, b, i);
        byte[] good = a.Save();
        var random = new Random(5);
        int refused = 0;
        for (int i = 0; i < 300; i++)
        {
            byte[] bad = (byte[])good.Clone();
            for (int flips = random.Next(1, 4); flips > 0; flips--)
                bad[random.Next(bad.Length)] ^= (byte)(1 << random.Next(8));
            try
            {
                StateReader.Load<NetworkStack>(bad, Registry, new Nothing(b));
            }
            catch (InvalidImageException)
            {
                refused++;
            }
        }

        Assert.True(refused > 0);
        net.Dispose();
    }

    [Fact]
    public void Register_HasNoNameAndNoTagTwice()
    {
        Assert.Contains(Registry.Types, t => t.Name == "netstack");
        Assert.All(Registry.Types, t => Assert.True(t.Fields.Select(f => f.Tag).Distinct().Count() == t.Fields.Count, t.Name));
    }

    private static string Dump(byte[] image)
    {
        var text = new StringWriter();
        StateDocument.Read(image).Dump(text);
        return text.ToString();
    }

    private sealed class Nothing(IStackHost host) : IRestoreContext
    {
        public T Get<T>()
            where T : class => (T)host;
    }
}
