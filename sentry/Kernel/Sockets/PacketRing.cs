using System.Buffers.Binary;
using Netstack.Stack;

namespace Sentry.Kernel.Sockets;

/// <summary>A ring of frames in memory that a packet socket shares with its user (PACKET_RX_RING with TPACKET_V2; packet_mmap.rst of the kernel's
/// documentation). A frame belongs to the kernel while its status is 0; the user gives it back by writing that.</summary>
[Savable("packet-ring")]
internal sealed partial class PacketRing
{
    internal const int Version1 = 0, Version2 = 1;

    /// <summary>struct tpacket_req.</summary>
    internal const int RequestSize = 16;

    /// <summary>struct tpacket2_hdr.</summary>
    internal const int HeaderSize = 32;

    /// <summary>Ethernet.</summary>
    internal const int LinkHeaderSize = 14;

    private const int Alignment = 16, MinFrame = HeaderSize + LinkAddress.Size, LinkRoom = 16, PageSize = 4096;
    private const long MaxLength = 1L << 30;
    private const uint StatusUser = 1, StatusLosing = 4, StatusChecksumNotReady = 8, StatusChecksumValid = 128;

    [Saved(1)] private RegularFile _file;
    [Saved(2)] private int _frameSize;
    [Saved(3)] private int _frameCount;
    [Saved(4)] private int _framesPerBlock;
    [Saved(5)] private int _blockSize;
    [Saved(6)] private int _reserve;
    [Saved(7)] private int _head;
    [Saved(8)] private uint _lost;
    [Saved(9)] private bool _isLosing;

    private PacketRing(RegularFile file, int blockSize, int frameSize, int frameCount, int reserve)
    {
        _file = file;
        _blockSize = blockSize;
        _frameSize = frameSize;
        _frameCount = frameCount;
        _framesPerBlock = blockSize / frameSize;
        _reserve = reserve;
    }

    /// <summary>The memory.</summary>
    internal RegularFile File => _file;

    internal long Length => _file.Data.Size;

    /// <summary>Whether the user has a frame to look at.</summary>
    internal bool HasFrames => ReadStatus((_head + _frameCount - 1) % _frameCount) != 0;

    /// <summary>Reads struct tpacket_req; a request for no blocks makes no ring. False is EINVAL.</summary>
    internal static bool TryMake(GuestKernel kernel, ReadOnlySpan<byte> request, int reserve, out PacketRing? ring)
    {
        ring = null;
        int blockSize = BinaryPrimitives.ReadInt32LittleEndian(request), blocks = BinaryPrimitives.ReadInt32LittleEndian(request[4..]);
        int frameSize = BinaryPrimitives.ReadInt32LittleEndian(request[8..]), frames = BinaryPrimitives.ReadInt32LittleEndian(request[12..]);
        if (blocks == 0)
            return frames == 0;
        if (blockSize <= 0 || blockSize % PageSize != 0 || blocks < 0 || frameSize < MinFrame + reserve || frameSize % Alignment != 0 || frameSize > blockSize)
            return false;
        if ((long)blockSize * blocks > MaxLength || (long)(blockSize / frameSize) * blocks != frames)
            return false;
        RegularFile file = AnonymousFileSystem.CreateFile(kernel, "packet-ring");
        file.AddReference();
        if (file.Truncate((long)blockSize * blocks) != Errno.None)
            return false;
        ring = new PacketRing(file, blockSize, frameSize, frames, reserve);
        return true;
    }

    internal void Release() => _file.Release();

    internal uint TakeLost()
    {
        uint lost = _lost;
        _lost = 0;
        return lost;
    }

    /// <summary>TP_STATUS_* of a frame: whether its transport checksum is known to be right, or still to be made (a frame of this host's own).</summary>
    internal static uint StatusOf(Datagram frame) => StatusUser | (frame.PacketType == PacketType.Outgoing ? StatusChecksumNotReady : StatusChecksumValid);

    /// <summary>Puts a frame into the ring, cut to what fits; counts it as lost when the user has not given the next place back.</summary>
    internal void Put(Datagram frame, LinkAddress from, bool cooked)
    {
        if (ReadStatus(_head) != 0)
        {
            _lost++;
            _isLosing = true;
            return;
        }

        int network, start;
        if (cooked)
        {
            start = network = Align(HeaderSize + LinkAddress.Size) + LinkRoom + _reserve;
        }
        else
        {
            network = Align(HeaderSize + LinkAddress.Size + LinkRoom) + _reserve;
            start = network - LinkHeaderSize;
        }

        int kept = Math.Min(frame.Data.Length, _frameSize - start);
        Span<byte> header = stackalloc byte[HeaderSize];
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], frame.Data.Length);
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], kept);
        BinaryPrimitives.WriteUInt16LittleEndian(header[12..], (ushort)start);
        BinaryPrimitives.WriteUInt16LittleEndian(header[14..], (ushort)network);
        BinaryPrimitives.WriteUInt32LittleEndian(header[16..], (uint)(frame.Realtime / 1_000_000_000));
        BinaryPrimitives.WriteUInt32LittleEndian(header[20..], (uint)(frame.Realtime % 1_000_000_000));
        long at = OffsetOf(_head);
        _file.Data.Write(frame.Data.AsSpan(0, kept), at + start);
        _file.Data.Write(from.Format(), at + HeaderSize);
        _file.Data.Write(header[sizeof(uint)..], at + sizeof(uint));

        // The status last: from then on the frame is the user's.
        BinaryPrimitives.WriteUInt32LittleEndian(header, StatusOf(frame) | (_isLosing ? StatusLosing : 0));
        _file.Data.Write(header[..sizeof(uint)], at);
        _isLosing = false;
        _head = (_head + 1) % _frameCount;
    }

    private uint ReadStatus(int index)
    {
        Span<byte> status = stackalloc byte[sizeof(uint)];
        _file.Data.Read(status, OffsetOf(index));
        return BinaryPrimitives.ReadUInt32LittleEndian(status);
    }

    private long OffsetOf(int index) => ((long)(index / _framesPerBlock) * _blockSize) + ((long)(index % _framesPerBlock) * _frameSize);

    private static int Align(int length) => (length + Alignment - 1) & ~(Alignment - 1);
}
