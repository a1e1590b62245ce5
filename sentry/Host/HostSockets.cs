using System.Buffers.Binary;
using Sentry.Abi;

namespace Sentry.Host;

/// <summary>
/// Sockets of the host by descriptor. Addresses are struct sockaddr as bytes, with <see cref="InetSocketAddress"/> for those of IP. Families, types,
/// levels and options are the kernel's numbers. Descriptors made here are close-on-exec.
/// </summary>
public static unsafe class HostSockets
{
    public const int Inet = 2, Inet6 = 10, Netlink = 16, Packet = 17;
    public const int Stream = 1, Datagram = 2, Raw = 3, NonBlocking = 0x800;
    public const int SocketLevel = 1, ReuseAddress = 2, Error = 4, SendBuffer = 7, ReceiveBuffer = 8, Linger = 13, SendBufferForce = 32, ReceiveBufferForce = 33;
    public const int DontWait = 0x40, NoSignal = 0x4000;

    /// <summary>The longest struct sockaddr (sockaddr_storage).</summary>
    public const int MaxAddress = 128;

    public static Result<int> Create(int family, int type, int protocol = 0) => HostSyscall.ToInt(HostSyscall.Call(Sysno.socket, family, type | HostFile.OCloexec, protocol));

    public static Errno Bind(int descriptor, ReadOnlySpan<byte> address) => WithAddress(Sysno.bind, descriptor, address);

    /// <summary>connect(2); EINPROGRESS when it goes on by itself.</summary>
    public static Errno Connect(int descriptor, ReadOnlySpan<byte> address) => WithAddress(Sysno.connect, descriptor, address);

    public static Errno Listen(int descriptor, int backlog) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.listen, descriptor, backlog));

    /// <summary>accept4(2): the new descriptor; the peer's address in <paramref name="address"/>, which may be empty.</summary>
    /// <param name="flags"><see cref="NonBlocking"/> or nothing.</param>
    public static Result<int> Accept(int descriptor, int flags, Span<byte> address, out int length)
    {
        int size = address.Length;
        long result;
        fixed (byte* p = address)
            result = HostSyscall.Call(Sysno.accept4, descriptor, (long)p, size == 0 ? 0 : (long)(&size), flags | HostFile.OCloexec);
        length = result < 0 ? 0 : Math.Min(size, address.Length);
        return HostSyscall.ToInt(result);
    }

    /// <summary>shutdown(2): 0 reading, 1 writing, 2 both.</summary>
    public static Errno Shutdown(int descriptor, int how) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.shutdown, descriptor, how));

    public static Errno SetOption(int descriptor, int level, int name, ReadOnlySpan<byte> value)
    {
        fixed (byte* p = value)
            return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.setsockopt, descriptor, level, name, (long)p, value.Length));
    }

    public static Errno SetOption(int descriptor, int level, int name, int value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        return SetOption(descriptor, level, name, bytes);
    }

    /// <summary>getsockopt(2): how many bytes of the value there are.</summary>
    public static Result<int> GetOption(int descriptor, int level, int name, Span<byte> value)
    {
        int size = value.Length;
        long result;
        fixed (byte* p = value)
            result = HostSyscall.Call(Sysno.getsockopt, descriptor, level, name, (long)p, (long)(&size));
        return result < 0 ? (Errno)(-result) : size;
    }

    /// <summary>SO_ERROR, which is cleared by it.</summary>
    public static Errno TakeError(int descriptor)
    {
        Span<byte> value = stackalloc byte[4];
        Result<int> got = GetOption(descriptor, SocketLevel, Error, value);
        return got.IsError ? got.Error : (Errno)BinaryPrimitives.ReadInt32LittleEndian(value);
    }

    /// <summary>getsockname(2): bytes of the address.</summary>
    public static Result<int> GetName(int descriptor, Span<byte> address) => GetAddress(Sysno.getsockname, descriptor, address);

    public static Result<int> GetPeerName(int descriptor, Span<byte> address) => GetAddress(Sysno.getpeername, descriptor, address);

    /// <summary>sendto(2); the address may be empty.</summary>
    public static Result<int> Send(int descriptor, ReadOnlySpan<byte> data, int flags, ReadOnlySpan<byte> address = default)
    {
        fixed (byte* bytes = data)
        {
            fixed (byte* to = address)
                return HostSyscall.ToInt(HostSyscall.Call(Sysno.sendto, descriptor, (long)bytes, data.Length, flags, (long)to, address.Length));
        }
    }

    /// <summary>recvfrom(2); the sender's address in <paramref name="address"/>, which may be empty.</summary>
    public static Result<int> Receive(int descriptor, Span<byte> data, int flags, Span<byte> address, out int addressLength)
    {
        int size = address.Length;
        long result;
        fixed (byte* bytes = data)
        {
            fixed (byte* from = address)
                result = HostSyscall.Call(Sysno.recvfrom, descriptor, (long)bytes, data.Length, flags, (long)from, address.IsEmpty ? 0 : (long)(&size));
        }

        addressLength = result < 0 ? 0 : Math.Min(size, address.Length);
        return HostSyscall.ToInt(result);
    }

    /// <summary>sendmsg(2); address and control (struct cmsghdr and data, padded) may be empty.</summary>
    public static Result<int> SendMessage(int descriptor, ReadOnlySpan<byte> data, int flags, ReadOnlySpan<byte> address, ReadOnlySpan<byte> control)
    {
        fixed (byte* bytes = data)
        {
            fixed (byte* to = address)
            {
                fixed (byte* ancillary = control)
                {
                    IoVec vector = new((ulong)bytes, (ulong)data.Length);
                    MessageHeader message = new() { Name = to, NameLength = (ulong)address.Length, Vectors = &vector, VectorCount = 1, Control = ancillary, ControlLength = (nuint)control.Length };
                    return HostSyscall.ToInt(HostSyscall.Call(Sysno.sendmsg, descriptor, (long)(&message), flags));
                }
            }
        }
    }

    /// <summary>recvmsg(2): bytes, msg_flags, and how much of address and control were filled.</summary>
    public static Result<(int Count, int Flags, int AddressLength, int ControlLength)> ReceiveMessage(int descriptor, Span<byte> data, int flags, Span<byte> address, Span<byte> control)
    {
        fixed (byte* bytes = data)
        {
            fixed (byte* from = address)
            {
                fixed (byte* ancillary = control)
                {
                    IoVec vector = new((ulong)bytes, (ulong)data.Length);
                    MessageHeader message = new() { Name = from, NameLength = (ulong)address.Length, Vectors = &vector, VectorCount = 1, Control = ancillary, ControlLength = (nuint)control.Length };
                    long result = HostSyscall.Call(Sysno.recvmsg, descriptor, (long)(&message), flags);
                    return result < 0 ? (Errno)(-result) : ((int)result, message.Flags, Math.Min((int)message.NameLength, address.Length), (int)message.ControlLength);
                }
            }
        }
    }

    private static Errno WithAddress(int number, int descriptor, ReadOnlySpan<byte> address)
    {
        fixed (byte* p = address)
            return HostSyscall.ErrorOf(HostSyscall.Call(number, descriptor, (long)p, address.Length));
    }

    private static Result<int> GetAddress(int number, int descriptor, Span<byte> address)
    {
        int size = address.Length;
        long result;
        fixed (byte* p = address)
            result = HostSyscall.Call(number, descriptor, (long)p, (long)(&size));
        return result < 0 ? (Errno)(-result) : Math.Min(size, address.Length);
    }

    /// <summary>struct msghdr.</summary>
    private struct MessageHeader
    {
        public void* Name;
        public ulong NameLength;
        public IoVec* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }
}

/// <summary>struct sockaddr_in and sockaddr_in6 (ip(7), ipv6(7)).</summary>
public readonly record struct InetSocketAddress
{
    private const int SizeV4 = 16, SizeV6 = 28;

    /// <param name="address">4 or 16 bytes in network order.</param>
    public InetSocketAddress(ReadOnlySpan<byte> address, int port, uint scope = 0)
    {
        byte[] bytes = new byte[address.Length == 4 ? SizeV4 : SizeV6];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)(address.Length == 4 ? HostSockets.Inet : HostSockets.Inet6));
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2), (ushort)port);
        address.CopyTo(bytes.AsSpan(address.Length == 4 ? 4 : 8));
        if (address.Length != 4)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(24), scope);
        Bytes = bytes;
    }

    /// <summary>As calls take it.</summary>
    public byte[] Bytes { get; }

    public int Family => BinaryPrimitives.ReadUInt16LittleEndian(Bytes);

    public int Port => BinaryPrimitives.ReadUInt16BigEndian(Bytes.AsSpan(2));

    /// <summary>4 or 16 bytes in network order.</summary>
    public ReadOnlySpan<byte> Address => Family == HostSockets.Inet ? Bytes.AsSpan(4, 4) : Bytes.AsSpan(8, 16);

    /// <summary>Reads what a call returned; false when it is no address of IP.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out InetSocketAddress address)
    {
        address = default;
        if (bytes.Length < 4)
            return false;
        int family = BinaryPrimitives.ReadUInt16LittleEndian(bytes), port = BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]);
        if (family == HostSockets.Inet && bytes.Length >= SizeV4)
            address = new InetSocketAddress(bytes.Slice(4, 4), port);
        else if (family == HostSockets.Inet6 && bytes.Length >= SizeV6)
            address = new InetSocketAddress(bytes.Slice(8, 16), port, BinaryPrimitives.ReadUInt32LittleEndian(bytes[24..]));
        else
            return false;
        return true;
    }
}
