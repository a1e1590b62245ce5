using System.Buffers.Binary;
using Broker.Protocol;
using Sentry.Abi;
using Sentry.Host;
using Sentry.Kernel;
using Sentry.Kernel.Events;
using Sentry.Kernel.Sockets;
using Sentry.Kernel.Sockets.Host;

namespace Sentry.Main;

/// <summary>Sockets of the host's network, which a broker makes since this process has no network itself. A socket belongs to the network it was made in, so
/// everything else is done with it here.</summary>
internal sealed class BrokeredSockets(BrokerClient broker, EventLoop loop) : IHostSockets
{
    public Result<IHostSocket> Create(int domain, int type, int protocol)
    {
        Result<int> made = broker.Socket(domain, type, protocol);
        return made.IsError ? made.Error : new BrokeredSocket(made.Value, broker, loop);
    }
}

/// <summary>A non-blocking socket of the host. Used under the kernel lock.</summary>
internal sealed class BrokeredSocket(int descriptor, BrokerClient broker, EventLoop loop) : IHostSocket, IEventSource
{
    // Edges of the host are the guest's: each wakes its waiters once, whatever they look at.
    private const uint EdgeTriggered = 1u << 31, Readable = 1, Urgent = 2, Writable = 4, PeerClosed = 0x2000;
    private const int ControlSpace = 1024, ControlHeader = 16;

    private IHostStreamWatcher? _watcher;
    private bool _closed;

    public int Descriptor => descriptor;

    public void Watch(IHostStreamWatcher watcher)
    {
        _watcher = watcher;
        loop.Watch(this, Readable | Urgent | Writable | PeerClosed | EdgeTriggered, registered: false, once: false);
    }

    /// <inheritdoc/>
    public void OnReady(uint events) => _watcher?.OnReady((PollEvents)(events & 0xffff));

    public Errno Bind(ReadOnlySpan<byte> address)
    {
        Errno error = HostSockets.Bind(descriptor, address);

        // A port below 1024: the kernel has seen that the guest may, the broker has the host's privilege where there is one.
        return error == Errno.EACCES ? broker.Bind(descriptor, address) : error;
    }

    public Errno Connect(ReadOnlySpan<byte> address) => HostSockets.Connect(descriptor, address);

    public Errno Listen(int backlog) => HostSockets.Listen(descriptor, backlog);

    public Result<IHostSocket> Accept()
    {
        Result<int> accepted = HostSockets.Accept(descriptor, HostSockets.NonBlocking, default, out _);
        return accepted.IsError ? accepted.Error : new BrokeredSocket(accepted.Value, broker, loop);
    }

    public Errno Shutdown(int how) => HostSockets.Shutdown(descriptor, how);

    public Result<byte[]> GetName() => GetName(HostSockets.GetName);

    public Result<byte[]> GetPeerName() => GetName(HostSockets.GetPeerName);

    public Errno SetOption(int level, int name, ReadOnlySpan<byte> value) => HostSockets.SetOption(descriptor, level, name, value);

    public Result<byte[]> GetOption(int level, int name, int length)
    {
        byte[] value = new byte[length];
        Result<int> got = HostSockets.GetOption(descriptor, level, name, value);
        return got.IsError ? got.Error : value[..Math.Min(got.Value, length)];
    }

    public Result<int> Send(ReadOnlySpan<byte> data, int flags, ReadOnlySpan<byte> address, List<ControlMessage>? control)
    {
        flags |= HostSockets.DontWait | HostSockets.NoSignal;
        return control is null or { Count: 0 } ? HostSockets.Send(descriptor, data, flags, address) : HostSockets.SendMessage(descriptor, data, flags, address, Encode(control));
    }

    public Result<HostMessage> Receive(Span<byte> data, int flags, bool wantsControl)
    {
        Span<byte> address = stackalloc byte[HostSockets.MaxAddress], control = stackalloc byte[wantsControl ? ControlSpace : 0];
        Result<(int Count, int Flags, int AddressLength, int ControlLength)> got = HostSockets.ReceiveMessage(descriptor, data, flags | HostSockets.DontWait, address, control);
        if (got.IsError)
            return got.Error;
        (int count, int told, int addressLength, int controlLength) = got.Value;
        return new HostMessage(count, told, address[..addressLength].ToArray(), wantsControl ? Decode(control[..controlLength]) : null);
    }

    public Result<int> Count(uint request)
    {
        Span<byte> value = stackalloc byte[sizeof(int)];
        Result<int> done = HostFile.Ioctl(descriptor, request, value);
        return done.IsError ? done.Error : BinaryPrimitives.ReadInt32LittleEndian(value);
    }

    public PollEvents Poll()
    {
        Span<PollDescriptor> one = [new PollDescriptor { Descriptor = descriptor, Events = PollDescriptor.In | PollDescriptor.Priority | PollDescriptor.Out | PollDescriptor.ReadHangUp }];
        return HostEvents.Poll(one, 0) is { IsOk: true, Value: > 0 } ? (PollEvents)(ushort)one[0].Ready : 0;
    }

    public void Close()
    {
        if (_closed)
            return;
        _closed = true;
        loop.Forget(this);
        HostFile.Close(descriptor);
    }

    private delegate Result<int> NameGetter(int descriptor, Span<byte> address);

    private Result<byte[]> GetName(NameGetter getter)
    {
        byte[] address = new byte[HostSockets.MaxAddress];
        Result<int> length = getter(descriptor, address);
        return length.IsError ? length.Error : address[..length.Value];
    }

    /// <summary>struct cmsghdr: length with header, level, type, data, padded to eight bytes.</summary>
    private static byte[] Encode(List<ControlMessage> control)
    {
        byte[] bytes = new byte[control.Sum(c => Padded(ControlHeader + c.Data.Length))];
        int at = 0;
        foreach (ControlMessage message in control)
        {
            Span<byte> place = bytes.AsSpan(at);
            BinaryPrimitives.WriteInt64LittleEndian(place, ControlHeader + message.Data.Length);
            BinaryPrimitives.WriteInt32LittleEndian(place[8..], message.Level);
            BinaryPrimitives.WriteInt32LittleEndian(place[12..], message.Type);
            message.Data.CopyTo(place[ControlHeader..]);
            at += Padded(ControlHeader + message.Data.Length);
        }

        return bytes;
    }

    private static List<ControlMessage>? Decode(ReadOnlySpan<byte> bytes)
    {
        List<ControlMessage>? control = null;
        while (bytes.Length >= ControlHeader)
        {
            long length = BinaryPrimitives.ReadInt64LittleEndian(bytes);
            if (length < ControlHeader || length > bytes.Length)
                break;
            (control ??= []).Add(new ControlMessage(BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]), BinaryPrimitives.ReadInt32LittleEndian(bytes[12..]), bytes[ControlHeader..(int)length].ToArray()));
            bytes = bytes[Math.Min(bytes.Length, Padded((int)length))..];
        }

        return control;
    }

    private static int Padded(int length) => (length + 7) & ~7;
}
