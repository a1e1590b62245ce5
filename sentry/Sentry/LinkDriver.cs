using System.Buffers.Binary;
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
internal sealed class LinkDriver(int descriptor, EventLoop loop, NetworkNamespace network, NetworkInterface link, bool offloads) : ILinkDriver, IEventSource
{
    private const int HeaderSize = 10;
    private const int MaxFrame = 14 + 4 + 65536;
    private const int MaxBatch = 48, MaxQueued = 512;
    private const int KeepWhole = 24 * 1024, GatherFrom = 2048;
    private const uint Readable = 1, Writable = 4, Failed = 8, HungUp = 16;
    private const byte NeedsChecksum = 1, DataValid = 2;
    private const byte SegmentNone = 0, SegmentTcpV4 = 1, SegmentTcpV6 = 4, SegmentEcn = 0x80;

    private readonly Queue<byte[]> _queue = new();
    private byte[] _spare = [];
    private bool _registered;
    private bool _closed;

    public int Descriptor { get; } = descriptor;

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
        if (_queue.Count > 0)
            return Enqueue(frame);
        int start = frame.Start;
        WriteHeader(frame, frame.Prepend(HeaderSize));
        Result<int> sent;
        if (frame.MoreLength == 0)
            sent = HostFile.Write(Descriptor, frame.Head);
        else if (frame.Length < GatherFrom || frame.More.Count > HostFile.MaxGather)
            sent = HostFile.Write(Descriptor, frame.ToArray());
        else
            sent = HostFile.Write(Descriptor, frame.Head, frame.More);
        frame.Start = start;
        if (sent.IsOk)
            return true;
        return sent.Error is Errno.EAGAIN or Errno.ENOBUFS && Enqueue(frame);
    }

    /// <inheritdoc/>
    public void OnReady(uint events)
    {
        if ((events & Writable) != 0)
            Flush();
        if ((events & (Readable | Failed | HungUp)) != 0)
            ReadFrames();
    }

    private bool Enqueue(Packet frame)
    {
        if (_queue.Count >= MaxQueued)
            return false;
        int start = frame.Start;
        WriteHeader(frame, frame.Prepend(HeaderSize));
        _queue.Enqueue(frame.ToArray());
        frame.Start = start;
        if (_queue.Count == 1)
            loop.Watch(this, Readable | Writable, _registered, once: false);
        return true;
    }

    private void Flush()
    {
        while (_queue.TryPeek(out byte[]? frame))
        {
            if (HostFile.Write(Descriptor, frame).Error is Errno.EAGAIN or Errno.ENOBUFS)
                return;
            _queue.Dequeue();
        }

        if (!_closed)
            loop.Watch(this, Readable, _registered, once: false);
    }

    private void ReadFrames()
    {
        for (int i = 0; i < MaxBatch && !_closed; i++)
        {
            if (_spare.Length == 0)
                _spare = GC.AllocateUninitializedArray<byte>(HeaderSize + MaxFrame);
            Result<int> got = HostFile.Read(Descriptor, _spare);

            // ENETDOWN is told once when the host sets the device down, which it may set up again (packet(7)).
            if (got.Error is Errno.EAGAIN or Errno.EINTR or Errno.ENETDOWN)
                return;
            if (got.IsError || got.Value == 0)
            {
                Close();
                return;
            }

            if (got.Value <= HeaderSize + 14)
                continue;

            // A long frame keeps the buffer it was read into; a short one, which may wait in a receive queue, takes no more than it needs.
            byte[] bytes = _spare;
            if (got.Value >= KeepWhole)
                _spare = [];
            else
                bytes = _spare.AsSpan(0, got.Value).ToArray();
            Packet frame = Packet.Received(bytes, HeaderSize, got.Value - HeaderSize);
            ReadHeader(bytes, frame);
            network.Receive(link, frame);
        }
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

    private static void ReadHeader(ReadOnlySpan<byte> header, Packet frame)
    {
        frame.Checksum = (header[0] & NeedsChecksum) != 0 ? ChecksumState.Partial : (header[0] & DataValid) != 0 ? ChecksumState.Verified : ChecksumState.Unknown;
        if ((header[1] & ~SegmentEcn) is SegmentTcpV4 or SegmentTcpV6)
            frame.SegmentSize = BinaryPrimitives.ReadUInt16LittleEndian(header[4..]);
    }

    private static void WriteHeader(Packet frame, Span<byte> header)
    {
        header.Clear();
        int start = frame.Start + HeaderSize;
        int transport = frame.TransportOffset - start;
        bool isV4 = frame.NetworkOffset >= 0 && frame.Buffer[frame.NetworkOffset] >> 4 == 4;
        if (frame.Checksum == ChecksumState.Partial)
        {
            header[0] = NeedsChecksum;
            BinaryPrimitives.WriteUInt16LittleEndian(header[6..], (ushort)transport);
            BinaryPrimitives.WriteUInt16LittleEndian(header[8..], ChecksumOffset(TransportProtocol(frame, isV4)));
        }

        if (frame.SegmentSize <= 0 || frame.SegmentCount < 2)
            return;
        bool ecn = (frame.Buffer[frame.TransportOffset + 13] & 0x80) != 0;
        header[1] = (byte)((isV4 ? SegmentTcpV4 : SegmentTcpV6) | (ecn ? SegmentEcn : SegmentNone));
        int headers = transport + ((frame.Buffer[frame.TransportOffset + 12] >> 4) * 4);
        BinaryPrimitives.WriteUInt16LittleEndian(header[2..], (ushort)headers);
        BinaryPrimitives.WriteUInt16LittleEndian(header[4..], (ushort)frame.SegmentSize);
    }

    private static ushort ChecksumOffset(byte protocol) => protocol switch
    {
        IpProtocol.Tcp => 16,
        IpProtocol.Udp => 6,
        _ => 2,
    };

    private static byte TransportProtocol(Packet frame, bool isV4)
    {
        ReadOnlySpan<byte> header = frame.Buffer.AsSpan(frame.NetworkOffset, frame.TransportOffset - frame.NetworkOffset);
        if (isV4)
            return header[9];
        byte next = header[6];
        for (int at = 40; at + 2 <= header.Length;)
        {
            int length = next == IpProtocol.Fragment ? 8 : (header[at + 1] + 1) * 8;
            next = header[at];
            at += length;
        }

        return next;
    }
}
