using System.Buffers.Binary;
using Sentry.Abi;

namespace Sentry.Host;

/// <summary>Who is at the other end of a Unix socket (SO_PEERCRED).</summary>
public readonly record struct PeerCredentials(int ProcessId, int UserId, int GroupId);

/// <summary>
/// A Unix socket over a raw descriptor that carries bytes and descriptors (SCM_RIGHTS, see unix(7)). Blocking unless the descriptor
/// was made non-blocking; safe for one reader and one writer at a time. Descriptors received are close-on-exec.
/// </summary>
public sealed unsafe class UnixChannel : IDisposable
{
    /// <summary>Descriptors in one message at most (SCM_MAX_FD).</summary>
    public const int MaxDescriptors = 253;

    private const int AddressFamily = 1, Stream = 1, SequencedPacket = 5, SocketLevel = 1, Rights = 1;
    private const int NoSignal = 0x4000, CloseOnExecReceived = 0x40000000;
    private int _descriptor;

    /// <summary>Takes over a connected or listening socket.</summary>
    public UnixChannel(int descriptor) => _descriptor = descriptor;

    public int Descriptor => _descriptor;

    /// <summary>A connected pair of stream sockets (or of SOCK_SEQPACKET ones, which keep message boundaries).</summary>
    public static Result<(UnixChannel First, UnixChannel Second)> CreatePair(bool packets = false)
    {
        int* pair = stackalloc int[2];
        long result = HostSyscall.Call(Sysno.socketpair, AddressFamily, (packets ? SequencedPacket : Stream) | HostFile.OCloexec, 0, (long)pair);
        return result < 0 ? (Errno)(-result) : (new UnixChannel(pair[0]), new UnixChannel(pair[1]));
    }

    /// <summary>Connects to a stream socket at a path (a byte string; at most 107 bytes).</summary>
    public static Result<UnixChannel> Connect(string path)
    {
        byte* address = stackalloc byte[110];
        Errno error = MakeAddress(path, address, out int length);
        if (error != Errno.None)
            return error;
        long descriptor = HostSyscall.Call(Sysno.socket, AddressFamily, Stream | HostFile.OCloexec, 0);
        if (descriptor < 0)
            return (Errno)(-descriptor);
        long result;
        do
        {
            result = HostSyscall.Call(Sysno.connect, descriptor, (long)address, length);
        }
        while (result == -(int)Errno.EINTR);

        if (result >= 0)
            return new UnixChannel((int)descriptor);
        HostFile.Close((int)descriptor);
        return (Errno)(-result);
    }

    /// <summary>A listening stream socket at a path; the path must be free. Its file mode is set to <paramref name="mode"/>.</summary>
    public static Result<UnixChannel> Listen(string path, int mode, int backlog = 128)
    {
        byte* address = stackalloc byte[110];
        Errno error = MakeAddress(path, address, out int length);
        if (error != Errno.None)
            return error;
        long descriptor = HostSyscall.Call(Sysno.socket, AddressFamily, Stream | HostFile.OCloexec, 0);
        if (descriptor < 0)
            return (Errno)(-descriptor);

        // fchmod before bind: on Linux the file takes the socket's own mode (and the umask), so it is never open wider than asked
        HostFile.ChangeMode((int)descriptor, mode);
        error = HostSyscall.ErrorOf(HostSyscall.Call(Sysno.bind, descriptor, (long)address, length));
        if (error == Errno.None)
            error = HostFile.ChangeModeAt(HostFile.AtFdCwd, path, mode);
        if (error == Errno.None)
            error = HostSyscall.ErrorOf(HostSyscall.Call(Sysno.listen, descriptor, backlog));
        if (error == Errno.None)
            return new UnixChannel((int)descriptor);
        HostFile.Close((int)descriptor);
        return error;
    }

    public Result<UnixChannel> Accept()
    {
        long result;
        do
        {
            result = HostSyscall.Call(Sysno.accept4, _descriptor, 0, 0, HostFile.OCloexec);
        }
        while (result == -(int)Errno.EINTR);
        return result < 0 ? (Errno)(-result) : new UnixChannel((int)result);
    }

    public Result<PeerCredentials> GetPeer()
    {
        int* credentials = stackalloc int[3];
        int length = 12;
        long result = HostSyscall.Call(Sysno.getsockopt, _descriptor, SocketLevel, 17, (long)credentials, (long)(&length));
        return result < 0 ? (Errno)(-result) : new PeerCredentials(credentials[0], credentials[1], credentials[2]);
    }

    /// <summary>Sends all bytes; the descriptors go with the first of them (at least one byte is needed then).</summary>
    public Errno Send(ReadOnlySpan<byte> data, ReadOnlySpan<int> descriptors = default)
    {
        if (descriptors.Length > MaxDescriptors || (descriptors.Length > 0 && data.Length == 0))
            return Errno.EINVAL;
        byte* control = stackalloc byte[ControlSpace(descriptors.Length)];
        fixed (byte* bytes = data)
        {
            long sent = 0;
            do
            {
                IoVec vector = new((ulong)(bytes + sent), (ulong)(data.Length - sent));
                MessageHeader message = new() { Vectors = &vector, VectorCount = 1 };
                if (sent == 0 && descriptors.Length > 0)
                {
                    message.Control = control;
                    message.ControlLength = (nuint)ControlSpace(descriptors.Length);
                    *(long*)control = 16 + 4 * descriptors.Length;
                    *(int*)(control + 8) = SocketLevel;
                    *(int*)(control + 12) = Rights;
                    descriptors.CopyTo(new Span<int>(control + 16, descriptors.Length));
                }

                long result = HostSyscall.Call(Sysno.sendmsg, _descriptor, (long)(&message), NoSignal);
                if (result == -(int)Errno.EINTR)
                    continue;
                if (result < 0)
                    return (Errno)(-result);
                sent += result;
            }
            while (sent < data.Length);
        }

        return Errno.None;
    }

    /// <summary>Receives what there is, up to the length of <paramref name="destination"/>: bytes, 0 at the end. Descriptors that came along are
    /// put in <paramref name="descriptors"/>; EMSGSIZE when there were more than fit (all are closed then).</summary>
    public Result<int> Receive(Span<byte> destination, Span<int> descriptors, out int descriptorCount)
    {
        descriptorCount = 0;
        int space = ControlSpace(MaxDescriptors);
        byte* control = stackalloc byte[space];
        fixed (byte* bytes = destination)
        {
            IoVec vector = new((ulong)bytes, (ulong)destination.Length);
            MessageHeader message;
            long result;
            do
            {
                message = new() { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = (nuint)space };
                result = HostSyscall.Call(Sysno.recvmsg, _descriptor, (long)(&message), CloseOnExecReceived);
            }
            while (result == -(int)Errno.EINTR);

            if (result < 0)
                return (Errno)(-result);
            bool tooMany = (message.Flags & 8) != 0; // MSG_CTRUNC
            for (nuint at = 0; at + 16 <= message.ControlLength;)
            {
                long length = *(long*)(control + at);
                if (length < 16 || (nuint)length > message.ControlLength - at)
                    break;
                if (*(int*)(control + at + 8) == SocketLevel && *(int*)(control + at + 12) == Rights)
                {
                    foreach (int descriptor in new ReadOnlySpan<int>(control + at + 16, (int)(length - 16) / 4))
                    {
                        if (descriptorCount < descriptors.Length)
                        {
                            descriptors[descriptorCount++] = descriptor;
                        }
                        else
                        {
                            tooMany = true;
                            HostFile.Close(descriptor);
                        }
                    }
                }

                at += (nuint)((length + 7) & ~7);
            }

            if (!tooMany)
                return (int)result;
            foreach (int descriptor in descriptors[..descriptorCount])
                HostFile.Close(descriptor);
            descriptorCount = 0;
            return Errno.EMSGSIZE;
        }
    }

    /// <summary>Receives exactly <paramref name="destination"/>.Length bytes; EPIPE when the stream ends before.</summary>
    public Errno ReceiveExactly(Span<byte> destination, Span<int> descriptors, out int descriptorCount)
    {
        descriptorCount = 0;
        while (destination.Length > 0)
        {
            Result<int> count = Receive(destination, descriptors[descriptorCount..], out int some);
            if (count.IsError)
                return count.Error;
            if (count.Value == 0)
                return Errno.EPIPE;
            descriptorCount += some;
            destination = destination[count.Value..];
        }

        return Errno.None;
    }

    /// <summary>shutdown(2) both ways: wakes a blocked reader; the descriptor stays.</summary>
    public void Shutdown() => HostSyscall.Call(Sysno.shutdown, _descriptor, 2);

    /// <summary>Gives the descriptor away; the channel is then closed for this object.</summary>
    public int Detach() => Interlocked.Exchange(ref _descriptor, -1);

    public void Dispose()
    {
        int descriptor = Detach();
        if (descriptor >= 0)
            HostFile.Close(descriptor);
    }

    private static int ControlSpace(int descriptors) => 16 + ((4 * descriptors + 7) & ~7);

    private static Errno MakeAddress(string path, byte* address, out int length)
    {
        BinaryPrimitives.WriteInt16LittleEndian(new Span<byte>(address, 2), AddressFamily);
        length = 2 + path.Length + 1;
        return path.Length == 0 ? Errno.EINVAL : HostPath.Encode(path, new Span<byte>(address + 2, 108));
    }

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
