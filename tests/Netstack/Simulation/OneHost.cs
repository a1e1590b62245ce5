namespace Tests.Netstack.Simulation;

/// <summary>A host on a wire whose other end is the test: it injects frames and looks at those that come out.</summary>
public sealed class OneHost : IDisposable
{
    public const string V4 = "10.0.0.1", V6 = "fd00::1", PeerV4 = "10.0.0.9", PeerV6 = "fd00::9";

    public OneHost(int seed = 1, bool knowsPeer = true, [System.Runtime.CompilerServices.CallerMemberName] string name = "")
    {
        Network = new SimNetwork(seed, name);
        Wire = Network.AddSegment();
        Wire.Log = [];
        Host = Network.AddHost("host");
        Host.Attach(Wire, V4 + "/24", V6 + "/64");
        if (knowsPeer)
        {
            Host.Do(stack =>
            {
                Assert.Equal(Errno.None, stack.Ip.Neighbours.Set(Link, InetAddress.Parse(PeerV4), Frames.Stranger, NeighbourState.Permanent, RouteAddMode.Create));
                Assert.Equal(Errno.None, stack.Ip.Neighbours.Set(Link, InetAddress.Parse(PeerV6), Frames.Stranger, NeighbourState.Permanent, RouteAddMode.Create));
            });
        }

        Network.RunFor(15 * SimNetwork.Second);
        Wire.Log.Clear();
    }

    public SimNetwork Network { get; }

    public SimSegment Wire { get; }

    public SimHost Host { get; }

    public NetworkStack Stack => Host.Stack;

    public NetworkInterface Link => Stack.FindInterface("eth0")!;

    public MacAddress Mac => Link.Mac;

    public void InjectV4(byte[] packet, MacAddress? to = null) => Wire.Inject(Frames.Ethernet(to ?? Mac, Frames.Stranger, EtherType.Ipv4, packet));

    public void InjectV6(byte[] packet, MacAddress? to = null) => Wire.Inject(Frames.Ethernet(to ?? Mac, Frames.Stranger, EtherType.Ipv6, packet));

    public void InjectArp(byte[] arp, MacAddress? to = null, MacAddress? from = null) =>
        Wire.Inject(Frames.Ethernet(to ?? MacAddress.Broadcast, from ?? Frames.Stranger, EtherType.Arp, arp));

    public void Dispose() => Network.Dispose();
}
