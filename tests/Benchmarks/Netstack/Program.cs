using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;

// How fast the stack is by itself, on one thread: packets per second over loopback and between two stacks, and what it allocates.
// `dotnet run -c Release --project tests/Benchmarks/Netstack`, or `dotnet publish` it for figures of the ahead-of-time compiler. `tcp [ping|bulk|idle]` runs TCP's part alone; a bar of it that is missed makes the
// exit code 1.
Console.WriteLine($".NET {Environment.Version} {(RuntimeFeature.IsDynamicCodeSupported ? "JIT" : "AOT")}");
if (args is ["tcp", ..])
    return Benchmarks.Netstack.TcpBenchmarks.Report(args.Length > 1 ? args[1] : "") ? 0 : 1;
foreach ((string name, int size, bool isV6, bool connected) in new[]
         {
             ("UDP loopback, 64 bytes, connected", 64, false, true),
             ("UDP loopback, 64 bytes, sendto", 64, false, false),
             ("UDP loopback, IPv6, 64 bytes", 64, true, true),
             ("UDP loopback, 1400 bytes", 1400, false, true),
             ("UDP loopback, 60000 bytes", 60000, false, true),
         })
{
    var host = new Host();
    UdpEndpoint server = host.Bound(isV6, 7), client = host.Bound(isV6, 8);
    InetAddress to = isV6 ? InetAddress.LoopbackV6 : InetAddress.LoopbackV4;
    if (connected)
        host.Call(() => client.Connect(to, 7, 0));
    byte[] data = new byte[size];
    Measure(name, () =>
    {
        host.Stack.Enter(host.Now += 100);
        Errno error = connected ? client.Send(data, default, 0, 0, default) : client.Send(data, to, 7, 0, default);
        host.Stack.Leave();
        if (error != Errno.None || server.Receive(peek: false) is null)
            throw new InvalidOperationException($"lost ({error})");
    });
}

foreach ((string name, int size, bool offloads) in new[] { ("UDP between stacks, 64 bytes", 64, true), ("UDP between stacks, 1400 bytes, checksummed", 1400, false) })
{
    Host a = new(), b = new();
    Host.Join(a, b, offloads);
    UdpEndpoint server = b.Bound(false, 7), client = a.Bound(false, 8);
    a.Call(() => client.Connect(InetAddress.Parse("10.0.0.2"), 7, 0));
    byte[] data = new byte[size];
    Measure(name, () =>
    {
        a.Stack.Enter(a.Now += 100);
        client.Send(data, default, 0, 0, default);
        a.Stack.Leave();
        if (server.Receive(peek: false) is null)
            throw new InvalidOperationException("lost");
    });
}

{
    var host = new Host();
    byte[] frame = new byte[1514];
    Measure("checksum of 1500 bytes", () => InternetChecksum.Add(0, frame.AsSpan(14)));
    Measure("route lookup, not cached", () =>
    {
        host.Stack.Routes.Lookup(InetAddress.LoopbackV4);
    });
}

return Benchmarks.Netstack.TcpBenchmarks.Report("") ? 0 : 1;

static void Measure(string name, Action action)
{
    const int rounds = 7;
    for (int i = 0; i < 20_000; i++)
        action();
    int count = 1000;
    Stopwatch watch = Stopwatch.StartNew();
    for (int i = 0; i < count; i++)
        action();
    count = Math.Max(1000, (int)(count * 0.25 / Math.Max(watch.Elapsed.TotalSeconds, 1e-6)));
    List<double> times = [];
    long allocated = GC.GetAllocatedBytesForCurrentThread();
    for (int round = 0; round < rounds; round++)
    {
        watch.Restart();
        for (int i = 0; i < count; i++)
            action();
        times.Add(watch.Elapsed.TotalNanoseconds / count);
    }

    allocated = (GC.GetAllocatedBytesForCurrentThread() - allocated) / ((long)count * rounds);
    times.Sort();
    double median = times[rounds / 2];
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-46} {median,8:f0} ns  {1e3 / median,7:f2} M/s  {allocated,6} bytes allocated"));
}

internal sealed class Host : IStackHost, ILinkDriver
{
    private Host? _peer;
    private NetworkInterface? _link;

    public Host() => Stack = new NetworkStack(this);

    public NetworkStack Stack { get; }

    public long Now { get; set; }

    public long Realtime => 1;

    public static void Join(Host a, Host b, bool offloads)
    {
        a._peer = b;
        b._peer = a;
        a.AddLink(1, offloads);
        b.AddLink(2, offloads);
    }

    public void FillRandom(Span<byte> destination) => RandomNumberGenerator.Fill(destination);

    public void Call(Func<Errno> call)
    {
        Stack.Enter(Now);
        Errno error = call();
        Stack.Leave();
        if (error != Errno.None)
            throw new InvalidOperationException(error.ToString());
    }

    public UdpEndpoint Bound(bool isV6, ushort port)
    {
        UdpEndpoint endpoint = Stack.Udp.CreateEndpoint(isV6, new EndpointOptions());
        Call(() => endpoint.Bind(isV6 ? InetAddress.AnyV6 : InetAddress.AnyV4, port));
        return endpoint;
    }

    public bool Transmit(Packet frame)
    {
        byte[] bytes = new byte[32 + frame.Length];
        frame.CopyTo(0, bytes.AsSpan(32));
        Packet packet = Packet.Received(bytes, 32, frame.Length);
        packet.Checksum = frame.Checksum;
        _peer!.Stack.Receive(_peer._link!, packet, Now);
        return true;
    }

    private void AddLink(int number, bool offloads)
    {
        Stack.Enter(Now);
        _link = Stack.AddInterface("eth0", InterfaceKind.Ethernet, new MacAddress(0x02_00_00_00_00_00UL | (uint)number), 1500);
        _link.Attach(this, offloads ? 65535 : 0, offloads);
        _link.DisableIpv6 = true;
        _link.IsUp = true;
        _link.AddAddress(new InterfaceAddress { Address = InetAddress.FromV4(0x0a000000 | (uint)number), Prefix = 24 });
        Stack.Leave();
    }
}
