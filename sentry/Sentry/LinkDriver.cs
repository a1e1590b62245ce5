using Netstack.Stack;
using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;
using Sentry.Kernel.Sockets;

namespace Sentry.Main;

/// <summary>
/// The way of an interface's frames to a TAP device, a packet socket or the agent: a non-blocking descriptor that carries one frame a read or
/// write, each behind a struct virtio_net_hdr (virtio 1.1 section 5.1.6; the kernel's tuntap.rst). Checksums and segmentation are left to the
/// other side both ways. Used under the kernel lock.
/// </summary>
internal sealed class LinkDriver(int descriptor, EventLoop loop, NetworkNamespace network, NetworkInterface link, bool offloads) : ILinkDriver, IEventSource, IFrameReceiver
{
    private const int HeaderSize = VirtioNetHeader.Size;
    private const int MaxFrame = EthernetHeader.Size + EthernetHeader.TagSize + 65536;
    private const int MaxBatch = 48, MaxQueued = 512, MaxDrained = 8;
    private const int KeepWhole = 24 * 1024, GatherFrom = 2048;
    private const uint Readable = 1, Writable = 4, Failed = 8, HungUp = 16;

    private readonly Queue<Packet> _queue = new();
    private byte[] _spare = [];
    private bool _registered;
    private bool _closed;

    public int Descriptor { get; } = descriptor;

    /// <inheritdoc/>
    public string Name => link.Name;

    /// <summary>Begins to serve the interface.</summary>
    public void Start()
    {
        Require.Ok(HostFile.SetNonBlocking(Descriptor, true), $"use the descriptor of {link.Name}");
        link.Attach(this, offloads ? 65535 : 0, offloads);
        _registered = loop.Watch(this, Readable, registered: false, once: false);
        if (!_registered)
            throw new SentryException($"the descriptor of {link.Name} is none that frames can be read from");
    }

    /// <inheritdoc/>
    public bool Transmit(Packet frame)
    {
        if (_closed)
            return false;
        HeaderOf(frame).WriteTo(frame.Prepend(HeaderSize));
        if (_queue.Count == 0)
        {
            Errno error = Write(frame);
            if (!IsFull(error))
                return error == Errno.None;
        }

        if (_queue.Count >= MaxQueued)
            return false;
        _queue.Enqueue(frame);
        if (_queue.Count == 1)
            loop.Watch(this, Readable | Writable, _registered, once: false);
        return true;
    }

    /// <inheritdoc/>
    public void OnReady(uint events)
    {
        if ((events & Writable) != 0)
            Flush();
        if ((events & (Readable | Failed | HungUp)) != 0)
            ReadFrames();
    }

    private void Flush()
    {
        while (_queue.TryPeek(out Packet? frame))
        {
            if (IsFull(Write(frame)))
                return;
            _queue.Dequeue();
        }

        if (!_closed)
            loop.Watch(this, Readable, _registered, once: false);
    }

    private Errno Write(Packet frame)
    {
        if (frame.PieceCount == 0)
            return HostFile.Write(Descriptor, frame.Head).Error;
        return frame.Length < GatherFrom || frame.PieceCount > HostFile.MaxGather
            ? HostFile.Write(Descriptor, frame.ToArray()).Error
            : HostFile.Write(Descriptor, frame.Head, frame.More).Error;
    }

    private static bool IsFull(Errno error) => error is Errno.EAGAIN or Errno.ENOBUFS;

    /// <summary>Takes what has come already, without waiting for the event loop.</summary>
    public void Drain()
    {
        for (int i = 0; i < MaxDrained && ReadFrames() == MaxBatch; i++)
        {
        }
    }

    /// <summary>How many there were, at most <see cref="MaxBatch"/>.</summary>
    private int ReadFrames()
    {
        for (int i = 0; i < MaxBatch; i++)
        {
            if (_closed)
                return i;
            if (_spare.Length == 0)
                _spare = GC.AllocateUninitializedArray<byte>(HeaderSize + MaxFrame);
            Result<int> got = HostFile.Read(Descriptor, _spare);

            // ENETDOWN is told once when the host sets the device down, which it may set up again (packet(7)).
            if (got.Error is Errno.EAGAIN or Errno.EINTR or Errno.ENETDOWN)
                return i;
            if (got.IsError || got.Value == 0)
            {
                Close();
                return i;
            }

            if (network.IsHeld)
                network.Kept.Add(this, _spare.AsSpan(0, got.Value));

            // A long frame keeps the buffer it was read into; a short one, which may wait in a receive queue, takes no more than it needs.
            byte[] bytes = _spare;
            if (got.Value >= KeepWhole)
                _spare = [];
            else
                bytes = _spare.AsSpan(0, got.Value).ToArray();
            Receive(bytes, got.Value);
        }

        return MaxBatch;
    }

    /// <inheritdoc/>
    public void Deliver(byte[] frame)
    {
        if (!_closed)
            Receive(frame, frame.Length);
    }

    private void Receive(byte[] bytes, int length)
    {
        if (length < HeaderSize + EthernetHeader.Size || !VirtioNetHeader.TryParse(bytes, out VirtioNetHeader header))
            return;
        Packet frame = Packet.Received(bytes, HeaderSize, length - HeaderSize);
        if (header.SegmentType is not VirtioNetHeader.SegmentNone && (header.SegmentType & ~VirtioNetHeader.SegmentEcn) is VirtioNetHeader.SegmentTcpV4 or VirtioNetHeader.SegmentTcpV6 or VirtioNetHeader.SegmentUdpL4)
            frame.SegmentSize = header.SegmentSize;
        frame.Checksum = (header.Flags & VirtioNetHeader.NeedsChecksum) != 0 ? ChecksumState.Partial : (header.Flags & VirtioNetHeader.DataValid) != 0 ? ChecksumState.Verified : ChecksumState.Unknown;
        network.Receive(link, frame);
    }

    /// <summary>The other side is gone: the interface loses its carrier.</summary>
    private void Close()
    {
        _closed = true;
        loop.Forget(this);
        link.Detach();
        HostFile.Close(Descriptor);
        _queue.Clear();
    }

    /// <summary>What the other side is to do with a frame before it is on a wire.</summary>
    private static VirtioNetHeader HeaderOf(Packet frame)
    {
        if (frame.Checksum != ChecksumState.Partial && frame.SegmentSize == 0)
            return default;
        int transport = frame.TransportOffset - frame.Start;
        bool isUdp = frame.TransportProtocol == IpProtocol.Udp;
        bool isV4 = frame.Buffer[frame.NetworkOffset] >> 4 == 4;
        byte flags = 0, type = VirtioNetHeader.SegmentNone;
        ushort checksumStart = 0, checksumOffset = 0, headers = 0, segment = 0;
        if (frame.Checksum == ChecksumState.Partial)
        {
            flags = VirtioNetHeader.NeedsChecksum;
            checksumStart = (ushort)transport;
            checksumOffset = frame.TransportProtocol switch
            {
                IpProtocol.Tcp => 16,
                IpProtocol.Udp => 6,
                _ => 2,
            };
        }

        if (frame.SegmentSize > 0 && frame.SegmentCount > 1)
        {
            const int tcpFlags = 13, congestionWindowReduced = 0x80;
            type = isUdp ? VirtioNetHeader.SegmentUdpL4 : isV4 ? VirtioNetHeader.SegmentTcpV4 : VirtioNetHeader.SegmentTcpV6;
            if (!isUdp && (frame.Buffer[frame.TransportOffset + tcpFlags] & congestionWindowReduced) != 0)
                type |= VirtioNetHeader.SegmentEcn;
            headers = (ushort)(transport + (isUdp ? UdpHeader.Size : (frame.Buffer[frame.TransportOffset + 12] >> 4) * 4));
            segment = (ushort)frame.SegmentSize;
        }

        return new VirtioNetHeader(flags, type, headers, segment, checksumStart, checksumOffset);
    }
}
