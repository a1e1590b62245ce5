using Tests.Netstack.Simulation;

namespace Tests.Netstack.Ip;

public sealed class PathMtuTests
{
    /// <summary>An ICMP "fragmentation needed" about the first UDP packet in the log.</summary>
    private static void TellTooBig(OneHost one, int mtu, ushort? port = null)
    {
        byte[] frame = one.Wire.Log!.First(f => Frames.AsV4(f, IpProtocol.Udp) is not null);
        byte[] quoted = frame[14..Math.Min(frame.Length, 14 + 28)];
        if (port is { } other)
            System.Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(quoted.AsSpan(20), other);
        one.InjectV4(Frames.V4("10.0.0.254", OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.Unreachable, IcmpType.FragmentationNeeded, (uint)mtu, quoted)));
    }

    private static int Mtu(OneHost one, string to = OneHost.PeerV4) => one.Host.Do(s => s.Ip.FindRoute(InetAddress.Parse(to), default)).Value.Mtu;

    private static (OneHost One, UdpEndpoint Socket) Sent(PathMtuMode mode = PathMtuMode.Want, bool errors = false)
    {
        var one = new OneHost(name: nameof(PathMtuTests));
        UdpEndpoint socket = one.Host.Udp(options: o =>
        {
            o.PathMtu = mode;
            o.ReceiveErrors = errors;
        });
        one.Host.Connect(socket, OneHost.PeerV4, 9);
        one.Host.Do(_ => socket.Send(new byte[1400], default, 0, 0, default));
        return (one, socket);
    }

    [Fact]
    public void TooBig_LowersThePath_AndDatagramsAreCut()
    {
        (OneHost one, UdpEndpoint socket) = Sent();
        Assert.True(Assert.Single(one.Wire.V4Of(IpProtocol.Udp)).Header.DontFragment);

        TellTooBig(one, 1000);

        Assert.Equal(1000, Mtu(one));
        Assert.Equal(Errno.EMSGSIZE, socket.TakeError());
        one.Wire.Log!.Clear();
        Assert.Equal(Errno.None, one.Host.Do(_ => socket.Send(new byte[1400], default, 0, 0, default)));
        Assert.Equal([996, 452], one.Wire.V4Of(IpProtocol.Udp).Select(p => p.Header.TotalLength));
        one.Dispose();
    }

    [Fact]
    public void TooBig_AboutSomeoneElsesPacket_IsNotBelieved()
    {
        (OneHost one, UdpEndpoint socket) = Sent();
        TellTooBig(one, 1000, port: 1);
        Assert.Equal(1500, Mtu(one));
        Assert.Equal(Errno.None, socket.PendingError);
        one.Dispose();
    }

    [Fact]
    public void TooBig_BelowTheMinimum_IsRaised()
    {
        (OneHost one, _) = Sent();
        TellTooBig(one, 100);
        Assert.Equal(552, Mtu(one));
        one.Dispose();
    }

    [Fact]
    public void TooBig_WithoutMtu_TakesThePlateau()
    {
        (OneHost one, _) = Sent();
        TellTooBig(one, 0);
        Assert.Equal(576, Mtu(one));
        one.Dispose();
    }

    [Fact]
    public void TooBig_NeverRaises()
    {
        (OneHost one, _) = Sent();
        TellTooBig(one, 1000);
        TellTooBig(one, 1400);
        Assert.Equal(1000, Mtu(one));
        one.Dispose();
    }

    [Fact]
    public void TooBig_SocketThatDoesNotDiscover_IsNotBelieved()
    {
        (OneHost one, _) = Sent(PathMtuMode.Dont);
        Assert.False(Assert.Single(one.Wire.V4Of(IpProtocol.Udp)).Header.DontFragment);
        TellTooBig(one, 1000);
        Assert.Equal(1500, Mtu(one));
        one.Dispose();
    }

    [Fact]
    public void Expiry_AfterTenMinutes_AlsoAcrossRestore()
    {
        (OneHost one, _) = Sent();
        TellTooBig(one, 1000);
        one.Network.RunFor(300 * SimNetwork.Second);
        one.Host.SaveAndRestore();
        Assert.Equal(1000, Mtu(one));
        one.Network.RunFor(301 * SimNetwork.Second);
        Assert.Equal(1500, Mtu(one));
        Assert.Empty(one.Stack.Ip.PathMtus.Entries);
        one.Dispose();
    }

    [Fact]
    public void Do_LongerThanThePath_IsRefusedAndQueuedAsError()
    {
        (OneHost one, UdpEndpoint socket) = Sent(PathMtuMode.Do, errors: true);
        Assert.Equal(Errno.EMSGSIZE, one.Host.Do(_ => socket.Send(new byte[1473], default, 0, 0, default)));
        Datagram error = socket.ReceiveError(false)!;
        Assert.Equal((TransportError.OriginLocal, 1500), (error.ExtendedError![4], BitConverter.ToInt32(error.ExtendedError, 8)));
        Assert.Equal(Errno.None, one.Host.Do(_ => socket.Send(new byte[1472], default, 0, 0, default)));
        one.Dispose();
    }

    [Fact]
    public void Probe_IgnoresWhatIsKnown()
    {
        (OneHost one, UdpEndpoint socket) = Sent(PathMtuMode.Probe);
        TellTooBig(one, 1000);
        socket.TakeError();
        one.Wire.Log!.Clear();
        Assert.Equal(Errno.None, one.Host.Do(_ => socket.Send(new byte[1472], default, 0, 0, default)));
        Assert.True(Assert.Single(one.Wire.V4Of(IpProtocol.Udp)).Header.DontFragment);
        Assert.Equal(Errno.EMSGSIZE, one.Host.Do(_ => socket.Send(new byte[1473], default, 0, 0, default)));
        one.Dispose();
    }

    [Fact]
    public void TooBigV6_LowersThePath_NotBelow1280()
    {
        using var one = new OneHost();
        UdpEndpoint socket = one.Host.Udp(isV6: true);
        one.Host.Do(_ => socket.Connect(InetAddress.Parse(OneHost.PeerV6), 9, 0));
        one.Host.Do(_ => socket.Send(new byte[1400], default, 0, 0, default));
        byte[] quoted = one.Wire.Log!.First(f => Frames.AsV6(f, IpProtocol.Udp) is not null)[14..80];
        one.InjectV6(Frames.V6("fd00::fe", OneHost.V6, IpProtocol.Icmpv6, Frames.Icmp(Icmpv6Type.PacketTooBig, 0, 600, quoted, "fd00::fe", OneHost.V6)));
        Assert.Equal(1280, Mtu(one, OneHost.PeerV6));
        one.Wire.Log!.Clear();
        Assert.Equal(Errno.EMSGSIZE, socket.TakeError());
        Assert.Equal(Errno.None, one.Host.Do(_ => socket.Send(new byte[1400], default, 0, 0, default)));
        Assert.Equal(2, one.Wire.V6Of(IpProtocol.Fragment).Count);
    }

    [Fact]
    public void Cache_IsBounded()
    {
        using var one = new OneHost();
        for (uint i = 0; i < 1100; i++)
            one.Host.Do(s => s.Ip.UpdatePathMtu(InetAddress.FromV4(0x0b000000 + i), 1000));
        Assert.Equal(1024, one.Stack.Ip.PathMtus.Entries.Count);
    }
}
