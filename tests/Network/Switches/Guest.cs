using Microsoft.Extensions.Logging.Abstractions;
using Netstack.Links;
using Netstack.Stack;
using Netstack.Wire;
using RestoreAgent.Agent.Network;
using Sentry.Abi;
using Sentry.Host;

namespace Tests.Network.Switches;

/// <summary>Stands in for a sentry at the other end of a switch's socket: a stack of its own, on a thread of its own.</summary>
internal sealed class Guest : IFrameSink, IEndpointObserver, IDisposable
{
    private readonly LearningSwitch _cable = new();
    private readonly SwitchPort _outside;
    private readonly int _socket;
    private readonly List<TcpEndpoint> _listeners = [];
    private readonly List<StreamRelay> _relays = [];

    /// <param name="echo">A port to answer at from the first frame on; 0 for none.</param>
    public Guest(SwitchMember member, SwitchNetwork network, ushort echo = 0)
    {
        Loop = new NetworkLoop("guest", NullLogger.Instance);
        Address = member.Lease.Identity.Address;
        _outside = _cable.Add("outside", this);
        GatewayAddresses own = network.Addresses with { Mac = member.Lease.Identity.Mac, Gateway = Address, Names = Address, GatewayV6 = member.Lease.Identity.AddressV6 };
        Station = Loop.Invoke(() =>
        {
            Gateway station = new(Loop, _cable, own);
            using StackTurn turn = station.Enter();
            station.Stack.Routes.Add(new RouteEntry
            {
                Destination = InetAddress.AnyV4,
                Gateway = network.Addresses.Gateway,
                InterfaceIndex = station.Stack.FindInterface("eth0")!.Index,
                Type = RouteType.Unicast,
                Table = RouteTable.Main,
                Protocol = RouteProtocol.Boot,
            });
            return station;
        });
        if (echo != 0)
            Echo(echo);
        _socket = network.Loop.Invoke(member.Connect);
        Loop.Invoke(() => Loop.Watch(_socket, NetworkLoop.Readable, _ => Receive()));
    }

    public NetworkLoop Loop { get; }

    public Gateway Station { get; }

    public InetAddress Address { get; }

    /// <summary>The longest frame that came in.</summary>
    public int LongestFrame { get; private set; }

    /// <summary>Answers every connection and datagram at a port with what it sends.</summary>
    public void Echo(ushort port) => Loop.Invoke(() =>
    {
        using StackTurn turn = Station.Enter();
        TcpEndpoint listener = Station.Stack.Tcp.CreateEndpoint(false, new EndpointOptions());
        Assert.Equal(Errno.None, listener.Bind(Address, port));
        Assert.Equal(Errno.None, listener.Listen(512));
        listener.Observer = this;
        _listeners.Add(listener);
        UdpEndpoint datagrams = Station.Stack.Udp.CreateEndpoint(false, new EndpointOptions());
        Assert.Equal(Errno.None, datagrams.Bind(Address, port));
        datagrams.Observer = new DatagramEcho(Station, datagrams);
    });

    /// <summary>Connects, sends all, closes its half and reads to the end.</summary>
    public (byte[] Answer, Errno Error) Exchange(InetAddress address, int port, byte[] request)
    {
        TaskCompletionSource<(byte[], Errno)> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Loop.Post(() => Station.Dial(address, port, (stream, error) =>
        {
            if (stream is null)
                done.TrySetResult(([], error));
            else
                new StreamRelay(stream, new Request(request, Station, answer => done.TrySetResult((answer, Errno.None))), null).Start();
        }));
        return done.Task.Wait(TimeSpan.FromSeconds(30)) ? done.Task.Result : ([], Errno.ETIMEDOUT);
    }

    /// <summary>Sends a datagram and waits for one back.</summary>
    public byte[]? Ask(InetAddress address, int port, byte[] datagram)
    {
        TaskCompletionSource<byte[]> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Loop.Post(() =>
        {
            IDatagramEnd end = Station.Open(address, port)!;
            end.OnReceived = answer => done.TrySetResult(answer.ToArray());
            end.Send(datagram);
        });
        return done.Task.Wait(TimeSpan.FromSeconds(10)) ? done.Task.Result : null;
    }

    public void Deliver(ReadOnlySpan<byte> frame) => HostSockets.Send(_socket, frame, HostSockets.DontWait | HostSockets.NoSignal);

    public void OnReady(EndpointEvents events) => Station.Soon(Accept);

    public void Dispose()
    {
        Loop.Invoke(() => Loop.Forget(_socket));
        Loop.Dispose();
        HostFile.Close(_socket);
    }

    private void Accept()
    {
        foreach (TcpEndpoint listener in _listeners)
        {
            while (true)
            {
                TcpEndpoint? client;
                using (Station.Enter())
                    client = listener.Accept();
                if (client is null)
                    break;
                StreamRelay relay = new(new GuestStream(Station, client), new Mirror(Station), null);
                _relays.Add(relay);
                relay.Start();
            }
        }
    }

    private void Receive()
    {
        byte[] frame = new byte[70_000];
        while (HostSockets.Receive(_socket, frame, HostSockets.DontWait, default, out _) is { IsOk: true, Value: > 0 } got)
        {
            LongestFrame = Math.Max(LongestFrame, got.Value);
            _cable.Forward(_outside, frame.AsSpan(0, got.Value), NetworkLoop.Now);
        }
    }

    /// <summary>Gives back what is written to it.</summary>
    private sealed class Mirror(Gateway station) : IStreamEnd
    {
        private const int Room = 256 << 10;

        private readonly Queue<byte[]> _pieces = new();
        private int _length;
        private bool _ended;

        public Action? OnReady { get; set; }

        public Result<int> Read(Span<byte> destination)
        {
            if (_pieces.Count == 0)
                return _ended ? 0 : Errno.EAGAIN;
            byte[] piece = _pieces.Dequeue();
            piece.CopyTo(destination);
            _length -= piece.Length;
            return piece.Length;
        }

        public Result<int> Write(ReadOnlySpan<byte> source)
        {
            if (_length >= Room)
                return Errno.EAGAIN;
            _pieces.Enqueue(source.ToArray());
            _length += source.Length;
            return source.Length;
        }

        public void ShutdownWrite() => _ended = true;

        public void Want(bool read, bool write)
        {
            if ((read && (_pieces.Count > 0 || _ended)) || (write && _length < Room))
                station.Soon(() => OnReady?.Invoke());
        }

        public void Close(bool abort)
        {
        }
    }

    /// <summary>Gives a request and takes the answer to the end.</summary>
    private sealed class Request(byte[] request, Gateway station, Action<byte[]> done) : IStreamEnd
    {
        private readonly MemoryStream _answer = new();
        private int _sent;

        public Action? OnReady { get; set; }

        public Result<int> Read(Span<byte> destination)
        {
            int count = Math.Min(destination.Length, request.Length - _sent);
            request.AsSpan(_sent, count).CopyTo(destination);
            _sent += count;
            return count;
        }

        public Result<int> Write(ReadOnlySpan<byte> source)
        {
            _answer.Write(source);
            return source.Length;
        }

        public void ShutdownWrite() => done(_answer.ToArray());

        public void Want(bool read, bool write)
        {
            if (read || write)
                station.Soon(() => OnReady?.Invoke());
        }

        public void Close(bool abort)
        {
            if (abort)
                done(_answer.ToArray());
        }
    }

    private sealed class DatagramEcho(Gateway station, UdpEndpoint endpoint) : IEndpointObserver
    {
        public void OnReady(EndpointEvents events) => station.Soon(() =>
        {
            using StackTurn turn = station.Enter();
            while (endpoint.Receive(peek: false) is { } datagram)
                endpoint.Send(datagram.Data, datagram.Source, datagram.SourcePort, 0, new DatagramControl());
        });
    }
}
