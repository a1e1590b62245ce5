using System.Diagnostics;
using Tests.Netstack.Simulation;

namespace Tests.Netstack.Fuzz;

/// <summary>Hostile frames for a whole stack with everything on it that listens: it never throws, keeps within its limits, can be saved and restored, and
/// answers as before afterwards.</summary>
public sealed class StackFuzzTests
{
    private static OneHost Everything(int seed)
    {
        var one = new OneHost(seed, name: nameof(StackFuzzTests));
        Open(one);
        return one;
    }

    private static void Open(OneHost one)
    {
        one.Stack.Settings.Forwarding = one.Stack.Settings.ForwardingV6 = true;
        one.Stack.Settings.FragmentMemory = 100_000;
        UdpEndpoint four = one.Host.Udp("0.0.0.0", 7, options: o => o.ReceiveErrors = true), six = one.Host.Udp("::", 7, isV6: true, options: o => (o.V6Only, o.ReceiveErrorsV6) = (true, true));
        one.Host.Do(_ => four.JoinGroup(InetAddress.Parse("239.1.2.3"), one.Link.Index));
        one.Host.Do(_ => six.JoinGroup(InetAddress.Parse("ff12::99"), one.Link.Index));
        one.Host.Do(s => s.Raw.CreateRaw(false, IpProtocol.Icmp, new EndpointOptions()));
        one.Host.Do(s => s.Raw.CreateRaw(true, IpProtocol.Icmpv6, new EndpointOptions()));
        one.Host.Do(s => s.Raw.CreateRaw(false, IpProtocol.Udp, new EndpointOptions { ReceiveErrors = true }));
        one.Host.Do(s => s.Raw.CreatePacket(EtherType.All, false, new EndpointOptions()));
        one.Host.Do(s => s.Raw.CreatePacket(EtherType.Ipv4, true, new EndpointOptions()));
        one.Host.Do(s => s.Raw.CreatePing(false, new EndpointOptions()).Bind(InetAddress.AnyV4, 0x1234));
        one.Host.Do(s =>
        {
            TcpEndpoint listener = s.Tcp.CreateEndpoint(true, new EndpointOptions());
            Assert.Equal(Errno.None, listener.Bind(InetAddress.AnyV6, 7));
            return listener.Listen(16);
        });
    }

    private static void Drain(OneHost one)
    {
        foreach (DatagramEndpoint endpoint in one.Stack.Udp.Endpoints.Cast<DatagramEndpoint>().Concat(one.Stack.Raw.RawEndpoints).Concat(one.Stack.Raw.PacketEndpoints).Concat(one.Stack.Raw.PingEndpoints))
        {
            while (endpoint.Receive(false) is not null)
            {
            }

            while (endpoint.ReceiveError(false) is not null)
            {
            }

            endpoint.TakeError();
        }

        one.Wire.Log!.Clear();
    }

    private static void CheckLimits(OneHost one)
    {
        Assert.InRange(one.Stack.Ip.Reassembler.Memory, 0, 100_000 + 70_000);
        Assert.InRange(one.Stack.Ip.Neighbours.Entries.Count, 0, 1024);
        Assert.InRange(one.Stack.Ip.PathMtus.Entries.Count, 0, 1024);
        Assert.InRange(one.Link.Addresses.Count, 1, 30);
        Assert.InRange(one.Stack.Routes.Entries.Count, 1, 200);
    }

    private static bool AnswersPing(OneHost one)
    {
        one.Wire.Log!.Clear();
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.Echo, 0, 77, [1, 2, 3])));
        one.Network.RunFor(5 * SimNetwork.Second);
        return one.Wire.V4Of(IpProtocol.Icmp).Exists(p => p.Payload[0] == IcmpType.EchoReply);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Frames_Hostile_NeverHurt(bool held)
    {
        int seed = Mutator.Seed;
        var mutator = new Mutator(seed);
        List<byte[]> seeds = Mutator.Corpus("frames.txt");
        using OneHost one = Everything(seed);
        byte[] before = [];
        if (held)
        {
            one.Stack.IsHeld = true;
            before = one.Host.Save();
        }

        byte[] frame = [];
        Stopwatch watch = Stopwatch.StartNew();
        int rounds = 0;
        try
        {
            while (Mutator.GoesOn(ref rounds, 30_000, watch))
            {
                frame = mutator.Mutate(seeds[mutator.Random.Next(seeds.Count)], seeds, mutator.Random.Next(4) == 0 ? 0 : 14);
                if (mutator.Random.Next(4) > 0)
                    Mutator.Repair(frame, lengths: mutator.Random.Next(3) > 0);
                one.Wire.Inject(frame);
                if (rounds % 8 == 0 && !held)
                    one.Network.RunFor(mutator.Random.NextInt64(2 * SimNetwork.Second));
                if (rounds % 500 != 0)
                    continue;
                CheckLimits(one);
                Drain(one);
                if (!held)
                    one.Host.SaveAndRestore();
            }

            if (held)
            {
                Drain(one);
                Assert.Equal(before, one.Host.Save());
                one.Stack.IsHeld = false;
            }

            // What a hostile link may do: take the neighbour's place. Not more.
            one.Host.Do(s => s.Ip.Neighbours.Set(one.Link, InetAddress.Parse(OneHost.PeerV4), Frames.Stranger, NeighbourState.Permanent, RouteAddMode.Create));
            Assert.True(AnswersPing(one));
        }
        catch (Exception e)
        {
            Assert.Fail($"seed {seed}, round {rounds}: {Convert.ToHexStringLower(frame)}\n{e}");
        }
    }

    /// <summary>What once went wrong.</summary>
    [Fact]
    public void Frames_OfRegressions_NeverHurt()
    {
        using OneHost one = Everything(1);
        foreach (byte[] frame in Mutator.Corpus("regressions.txt"))
        {
            one.Wire.Inject(frame);
            one.Network.RunFor(SimNetwork.Second);
        }

        CheckLimits(one);
        Assert.True(AnswersPing(one));
    }

    /// <summary>Two hosts that talk, and a third station that repeats their frames changed, with right checksums.</summary>
    [Fact]
    public void Traffic_WithChangedCopies_NeverHurts()
    {
        int seed = Mutator.Seed;
        var mutator = new Mutator(seed);
        using var net = new SimNetwork(seed);
        SimSegment wire = net.AddSegment(new LinkConditions { Loss = 0.02, Reordering = 0.05 });
        SimHost a = net.AddHost("a"), b = net.AddHost("b");
        a.Attach(wire, "10.0.0.1/24", "fd00::1/64");
        b.Attach(wire, offloads: true, "10.0.0.2/24", "fd00::2/64");
        List<byte[]> seen = [];
        wire.Filter = frame =>
        {
            if (seen.Count < 200)
                seen.Add(frame);
            else
                seen[mutator.Random.Next(200)] = frame;
            if (mutator.Random.Next(4) > 0)
                return true;
            byte[] changed = mutator.Mutate(frame, seen, 14);
            Mutator.Repair(changed, lengths: mutator.Random.Next(3) > 0);
            net.At(net.Now + mutator.Random.NextInt64(SimNetwork.Millisecond), () => wire.Inject(changed));
            return mutator.Random.Next(3) > 0;
        };

        TcpEndpoint Listen(SimHost host) => host.Do(s =>
        {
            TcpEndpoint listener = s.Tcp.CreateEndpoint(true, new EndpointOptions());
            Assert.Equal(Errno.None, listener.Bind(InetAddress.AnyV6, 80));
            listener.Listen(8);
            return listener;
        });
        TcpEndpoint listener = Listen(b);
        List<TcpEndpoint> open = [];
        Stopwatch watch = Stopwatch.StartNew();
        int rounds = 0;
        try
        {
            while (Mutator.GoesOn(ref rounds, 400, watch))
            {
                a.SendTo(a.Udp(), "10.0.0.2", 7, new byte[mutator.Random.Next(3000)]);
                TcpEndpoint client = a.Do(s => s.Tcp.CreateEndpoint(mutator.Random.Next(2) == 0, new EndpointOptions()));
                a.Do(_ => client.Connect(InetAddress.Parse(client.IsV6 ? "fd00::2" : "10.0.0.2"), 80));
                open.Add(client);
                foreach (TcpEndpoint socket in open.Where(c => c.State == TcpState.Established))
                {
                    a.Do(_ =>
                    {
                        Span<byte> room = socket.PrepareSend(Math.Min(socket.SendRoom, mutator.Random.Next(1, 5000)));
                        mutator.Random.NextBytes(room);
                        socket.CommitSend(room.Length, TcpSendFlags.None);
                    });
                }

                b.Do(_ =>
                {
                    while (listener.Accept() is { } accepted)
                        open.Add(accepted);
                    foreach (TcpEndpoint socket in open.Where(c => ReferenceEquals(c.Stack, b.Stack)))
                        socket.Consume(Math.Min(socket.Available, mutator.Random.Next(10_000)));
                });
                net.RunFor(mutator.Random.NextInt64(200 * SimNetwork.Millisecond));
                while (open.Count > 10)
                {
                    TcpEndpoint old = open[0];
                    open.RemoveAt(0);
                    (ReferenceEquals(old.Stack, a.Stack) ? a : b).Do(_ => old.Close());
                }
            }
        }
        catch (Exception e)
        {
            Assert.Fail($"seed {seed}, round {rounds}\n{e}");
        }

        Assert.True(b.Stack.Counters.TcpPassiveOpens > 0);
    }
}
