using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;

namespace Benchmarks.Netstack;

/// <summary>A stack alone, driven as a kernel drives it: Enter, a call, Leave.</summary>
internal static class TcpBenchmarks
{
    /// <summary>Prints them; false when a bar is missed.</summary>
    /// <param name="part">ping, bulk or idle; empty for all.</param>
    public static bool Report(string part)
    {
        bool right = true;
        if (part is "" or "ping")
        {
            foreach (string address in (string[])["127.0.0.1", "::1"])
            {
                PingPong(address, 50_000);
                right &= Show($"TCP ping-pong of 1 byte, {address}", Enumerable.Range(0, 5).Min(_ => PingPong(address, 200_000)), "µs a round trip", 4, below: true);
            }
        }

        if (part is "" or "bulk")
        {
            right &= Show("TCP over loopback, writes of 128 KiB", Bulk(4L << 30, 128 << 10), "Gbit/s", 12, below: false);
            right &= Show("TCP over loopback, writes of 1 KiB", Bulk(512L << 20, 1024), "Gbit/s", 4, below: false);
        }

        if (part is "" or "idle")
        {
            (double bytes, double save, double load, double image) = Idle(10_000);
            right &= Show("idle connection, one end", bytes, "bytes", 1024, below: true);
            right &= Show("10,000 connections, both ends: save", save, "ms", 400, below: true);
            right &= Show("10,000 connections, both ends: load", load, "ms", 600, below: true);
            right &= Show("10,000 connections, both ends: image", image, "MB", 100, below: true);
        }

        return right;
    }

    private static bool Show(string name, double value, string unit, double bar, bool below)
    {
        bool right = below ? value <= bar : value >= bar;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-46} {value,8:f2} {unit} (bar {bar}){(right ? "" : "  MISSED")}"));
        return right;
    }

    /// <summary>Two ends answer each other; each write and read is a call of its own. µs for a round trip.</summary>
    private static double PingPong(string address, int rounds)
    {
        var host = new Host();
        (TcpEndpoint client, TcpEndpoint server) = host.Connect(address);
        long start = 0;
        for (int i = -rounds / 10; i < rounds; i++)
        {
            if (i == 0)
                start = Stopwatch.GetTimestamp();
            host.Write(client, 1);
            host.Read(server);
            host.Write(server, 1);
            host.Read(client);
        }

        return Stopwatch.GetElapsedTime(start).TotalMicroseconds / rounds;
    }

    /// <summary>One end writes and the other reads what has come. Gbit/s.</summary>
    private static double Bulk(long length, int write)
    {
        var host = new Host();
        (TcpEndpoint client, TcpEndpoint server) = host.Connect("127.0.0.1");
        long start = Stopwatch.GetTimestamp(), received = 0;
        while (received < length)
        {
            host.Write(client, write);
            received += host.Read(server);
        }

        return received * 8 / Stopwatch.GetElapsedTime(start).TotalNanoseconds;
    }

    /// <summary>Bytes of the heap for one end of a connection that has exchanged a few bytes, ms to save and to load, MB of the image.</summary>
    private static (double Bytes, double Save, double Load, double Image) Idle(int connections)
    {
        var host = new Host();
        host.Stack.Settings.MaxBacklog = connections;
        TcpEndpoint listener = host.Listen("127.0.0.1", connections);
        var ends = new List<TcpEndpoint>(2 * connections);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        for (int i = 0; i < connections; i++)
        {
            TcpEndpoint client = host.Connect(listener, "127.0.0.1");
            TcpEndpoint server = host.Call(() => listener.Accept())!;
            host.Write(client, 10);
            host.Read(server);
            host.Write(server, 10);
            host.Read(client);
            ends.Add(client);
            ends.Add(server);
        }

        host.RunFor(TimeSpan.FromSeconds(5));
        double bytes = (GC.GetTotalMemory(forceFullCollection: true) - before) / (2.0 * connections);
        byte[] image = StateWriter.Save(host.Stack);
        long start = Stopwatch.GetTimestamp();
        image = StateWriter.Save(host.Stack);
        double save = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        var registry = new SavableRegistry();
        global::Netstack.Wire.SavableTypes.Register(registry);
        global::Netstack.Stack.SavableTypes.Register(registry);
        start = Stopwatch.GetTimestamp();
        NetworkStack restored = StateReader.Load<NetworkStack>(image, registry, new Context(host));
        double load = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        GC.KeepAlive(restored);
        GC.KeepAlive(ends);
        return (bytes, save, load, image.Length / 1e6);
    }

    private sealed class Context(Host host) : IRestoreContext
    {
        public T Get<T>()
            where T : class => (T)(object)host;
    }

    private sealed class Host : IStackHost
    {
        private const ushort Port = 80;

        private readonly byte[] _data = new byte[1 << 17], _sink = new byte[1 << 17];
        private readonly long _start = Stopwatch.GetTimestamp();
        private long _skipped = 1_000_000_000;

        public Host() => Stack = new NetworkStack(this);

        public NetworkStack Stack { get; }

        public long Realtime => 0;

        private long Now => Stopwatch.GetElapsedTime(_start).Ticks * 100 + _skipped;

        public void FillRandom(Span<byte> destination) => RandomNumberGenerator.Fill(destination);

        public T Call<T>(Func<T> call)
        {
            Stack.Enter(Now);
            T result = call();
            Stack.Leave();
            return result;
        }

        public void RunFor(TimeSpan time)
        {
            _skipped += time.Ticks * 100;
            Stack.RunTimers(Now);
        }

        public TcpEndpoint Listen(string address, int backlog) => Call(() =>
        {
            TcpEndpoint listener = Stack.Tcp.CreateEndpoint(address.Contains(':', StringComparison.Ordinal), new EndpointOptions());
            if (listener.Bind(InetAddress.Parse(address), Port) != Errno.None || listener.Listen(backlog) != Errno.None)
                throw new InvalidOperationException("listen");
            return listener;
        });

        public TcpEndpoint Connect(TcpEndpoint listener, string address) => Call(() =>
        {
            TcpEndpoint client = Stack.Tcp.CreateEndpoint(listener.IsV6, new EndpointOptions());
            if (client.Connect(InetAddress.Parse(address), Port) != Errno.EINPROGRESS)
                throw new InvalidOperationException("connect");
            return client;
        });

        public (TcpEndpoint Client, TcpEndpoint Server) Connect(string address)
        {
            TcpEndpoint listener = Listen(address, 16);
            TcpEndpoint client = Connect(listener, address);
            return (client, Call(() => listener.Accept()!));
        }

        public void Write(TcpEndpoint endpoint, int length)
        {
            Stack.Enter(Now);
            int done = 0;
            while (done < length)
            {
                int room = Math.Min(endpoint.SendRoom, length - done);
                if (room == 0)
                    break;
                Span<byte> space = endpoint.PrepareSend(room);
                int count = Math.Min(room, space.Length);
                _data.AsSpan(0, count).CopyTo(space);
                done += count;
                endpoint.CommitSend(count, done == length ? TcpSendFlags.None : TcpSendFlags.Continues);
            }

            Stack.Leave();
        }

        public int Read(TcpEndpoint endpoint)
        {
            Stack.Enter(Now);
            int done = 0;
            while (endpoint.Available > 0)
            {
                ReadOnlySpan<byte> piece = endpoint.Peek(0).Span;
                int count = Math.Min(piece.Length, _sink.Length);
                piece[..count].CopyTo(_sink);
                endpoint.Consume(count);
                done += count;
            }

            Stack.Leave();
            return done;
        }
    }
}
