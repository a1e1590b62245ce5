using Netstack.Links;
using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>A sandbox's place at a switch: a socket pair whose other end its sentry has. It outlives the sentry, so that frames that come
/// while a sandbox is saved and restored wait for it. On the loop's thread.</summary>
public sealed class SandboxPort : IFrameSink
{
    private const int LongestFrame = 14 + 4 + 65536 + VirtioNetHeader.Size, Batch = 64;
    private const int MostQueued = 1024, MostQueuedBytes = 8 << 20, SocketBuffer = 4 << 20;

    private readonly NetworkLoop _loop;
    private readonly LearningSwitch _switch;
    private readonly Queue<byte[]> _queue = new();
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(LongestFrame);
    private SwitchPort? _port;
    private int _queuedBytes;
    private int _socket = -1;
    private uint _events;

    public SandboxPort(NetworkLoop loop, LearningSwitch @switch, string name)
    {
        (_loop, _switch) = (loop, @switch);
        _port = @switch.Add(name, this);
    }

    /// <summary>Null when a later copy of the sandbox has taken its place, or it was removed.</summary>
    public SwitchPort? Port => _port;

    /// <summary>Frames that found no room.</summary>
    public long Dropped { get; private set; }

    /// <summary>Where frames are written down; null for nowhere.</summary>
    public (FrameCapture Capture, int Link)? Capture { get; set; }

    /// <summary>While it holds, frames for the sandbox wait here.</summary>
    public bool IsHolding { get; private set; }

    /// <summary>A new pair: the other end is for a sentry. The pair before it, if any, is closed.</summary>
    public int Connect()
    {
        if (_port is null)
            throw AgentException.Conflict("a later copy of the sandbox has taken its place on the network");
        Disconnect();
        Result<(UnixChannel First, UnixChannel Second)> pair = UnixChannel.CreatePair(packets: true);
        if (pair.IsError)
            throw AgentException.Failed($"cannot make a socket pair: {pair.Error}");
        _socket = pair.Value.First.Detach();
        int other = pair.Value.Second.Detach();
        foreach (int end in (int[])[_socket, other])
        {
            HostFile.SetNonBlocking(end, true);
            if (HostSockets.SetOption(end, HostSockets.SocketLevel, HostSockets.SendBufferForce, SocketBuffer) != Errno.None)
                HostSockets.SetOption(end, HostSockets.SocketLevel, HostSockets.SendBuffer, SocketBuffer);
        }

        _loop.Watch(_socket, _events = NetworkLoop.Readable, OnEvents);
        IsHolding = false;
        Flush();
        return other;
    }

    /// <summary>The sandbox stands still: what comes for it waits.</summary>
    public void Hold() => IsHolding = true;

    /// <summary>It goes on.</summary>
    public void GoOn()
    {
        IsHolding = false;
        Flush();
    }

    /// <summary>The sandbox has ended; what comes for it waits still, for a later copy.</summary>
    public void Leave() => Disconnect();

    /// <summary>Another port takes its place, with the frames that wait.</summary>
    public void YieldTo(SandboxPort successor)
    {
        foreach (byte[] frame in _queue)
            successor.Enqueue(frame);
        Close();
    }

    public void Close()
    {
        Disconnect();
        if (_port is not null)
            _switch.Remove(_port);
        _port = null;
        _queue.Clear();
    }

    public void Deliver(ReadOnlySpan<byte> frame)
    {
        Capture?.Capture.Write(Capture.Value.Link, frame[VirtioNetHeader.Size..], outbound: false);
        if (_socket < 0 || IsHolding || _queue.Count > 0)
        {
            Enqueue(frame);
            return;
        }

        Result<int> sent = HostSockets.Send(_socket, frame, HostSockets.DontWait | HostSockets.NoSignal);
        if (sent.Error is Errno.EAGAIN or Errno.ENOBUFS)
            Enqueue(frame);
        else if (sent.IsError)
            Dropped++;
    }

    private void Enqueue(ReadOnlySpan<byte> frame)
    {
        if (_queue.Count >= MostQueued || _queuedBytes + frame.Length > MostQueuedBytes)
        {
            Dropped++;
            return;
        }

        _queue.Enqueue(frame.ToArray());
        _queuedBytes += frame.Length;
        WatchFor(NetworkLoop.Readable | (IsHolding ? 0 : NetworkLoop.Writable));
    }

    private void Flush()
    {
        while (_socket >= 0 && !IsHolding && _queue.TryPeek(out byte[]? frame))
        {
            Result<int> sent = HostSockets.Send(_socket, frame, HostSockets.DontWait | HostSockets.NoSignal);
            if (sent.Error is Errno.EAGAIN or Errno.ENOBUFS)
            {
                WatchFor(NetworkLoop.Readable | NetworkLoop.Writable);
                return;
            }

            _queue.Dequeue();
            _queuedBytes -= frame.Length;
        }

        WatchFor(NetworkLoop.Readable);
    }

    private void WatchFor(uint events)
    {
        if (_socket >= 0 && events != _events)
            _loop.Change(_socket, _events = events);
    }

    private void OnEvents(uint events)
    {
        if ((events & NetworkLoop.Writable) != 0)
            Flush();
        for (int i = 0; i < Batch && _socket >= 0; i++)
        {
            Result<int> got = HostSockets.Receive(_socket, _buffer, HostSockets.DontWait, default, out _);
            if (got.Error is Errno.EAGAIN or Errno.EINTR)
                return;
            if (got.IsError || got.Value == 0)
            {
                // The sentry has ended; frames wait for the next one, or until the sandbox is removed.
                Disconnect();
                return;
            }

            ReadOnlySpan<byte> frame = _buffer.AsSpan(0, got.Value);
            if (_port is null || frame.Length < VirtioNetHeader.Size + FrameView.HeaderSize)
                continue;
            Capture?.Capture.Write(Capture.Value.Link, frame[VirtioNetHeader.Size..], outbound: true);
            _switch.Forward(_port, frame, NetworkLoop.Now);
        }
    }

    private void Disconnect()
    {
        if (_socket < 0)
            return;
        _loop.Forget(_socket);
        HostFile.Close(_socket);
        _socket = -1;
    }
}
