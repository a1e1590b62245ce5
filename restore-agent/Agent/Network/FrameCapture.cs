using Netstack.Links;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>The capture file of one sandbox, for all its links: pcapng, which tshark and Wireshark read while it grows.</summary>
public sealed class FrameCapture : IDisposable
{
    private const int Realtime = 0;

    private readonly Lock _lock = new();
    private readonly FileStream _file;
    private readonly PcapngWriter _writer;
    private bool _closed;

    public FrameCapture(string path)
    {
        try
        {
            _file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw AgentException.Invalid($"cannot write the capture {path}: {e.Message}");
        }

        _writer = new PcapngWriter(_file);
    }

    /// <summary>Declares a link of the sandbox.</summary>
    public int AddLink(string name)
    {
        lock (_lock)
            return _writer.AddInterface(name);
    }

    /// <summary>Writes a frame, Ethernet header first.</summary>
    public void Write(int link, ReadOnlySpan<byte> frame, bool outbound)
    {
        long now = HostEvents.GetTime(Realtime);
        lock (_lock)
        {
            if (_closed)
                return;
            try
            {
                _writer.Write(link, now, frame, outbound);
            }
            catch (IOException)
            {
                // A full disk ends the capture, not the network.
                _closed = true;
            }
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _closed = true;
            _file.Dispose();
        }
    }
}

/// <summary>Captures what passes an interface of the host (packet(7)): the only way to see frames that never come by the agent.</summary>
public sealed class DeviceCapture
{
    private const int PacketBuffer = 32 << 20, LongestFrame = 70_000, Batch = 64;

    private readonly NetworkLoop _loop;
    private readonly FrameCapture _capture;
    private readonly int _link;
    private readonly int _socket;
    private readonly byte[] _buffer = new byte[LongestFrame];

    /// <summary>On the loop's thread, as is <see cref="Close"/>.</summary>
    public DeviceCapture(NetworkLoop loop, NetworkNamespace place, string device, FrameCapture capture, string link)
    {
        (_loop, _capture, _link) = (loop, capture, capture.AddLink(link));
        using RouteNetlink netlink = new(place);
        int index = netlink.Find(device) ?? throw AgentException.Failed($"the interface {device} has gone");
        Result<int> made = place.Run(() => HostSockets.Create(HostSockets.Packet, HostSockets.Raw | HostSockets.NonBlocking));
        if (made.IsError)
            throw NetworkNamespace.Refused(made.Error, "capture");
        _socket = made.Value;
        HostSockets.SetOption(_socket, HostSockets.SocketLevel, HostSockets.ReceiveBufferForce, PacketBuffer);
        Errno error = PacketSockets.Bind(_socket, index);
        if (error != Errno.None)
        {
            HostFile.Close(_socket);
            throw AgentException.Failed($"cannot capture at {device}: {error}");
        }

        loop.Watch(_socket, NetworkLoop.Readable, _ => Receive());
    }

    public void Close()
    {
        Receive();
        _loop.Forget(_socket);
        HostFile.Close(_socket);
    }

    private void Receive()
    {
        Span<byte> from = stackalloc byte[HostSockets.MaxAddress];
        for (int i = 0; i < Batch; i++)
        {
            Result<int> got = HostSockets.Receive(_socket, _buffer, HostSockets.DontWait, from, out int length);
            if (got.IsError)
            {
                if (got.Error == Errno.ENETDOWN)
                    continue; // told once when the device goes down
                return;
            }

            // What the host sends by its side of the device, the sandbox receives.
            bool outbound = length == 0 || !PacketSockets.IsOutgoing(from);
            _capture.Write(_link, _buffer.AsSpan(0, got.Value), outbound);
        }
    }
}
