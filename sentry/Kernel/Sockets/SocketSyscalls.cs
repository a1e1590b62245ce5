namespace Sentry.Kernel.Sockets;

/// <summary>System calls: socket, socketpair, bind, listen, accept, accept4, connect, getsockname, getpeername, shutdown, setsockopt, getsockopt.</summary>
internal static class SocketSyscalls
{
    private const int MaxAddress = 128;

    /// <summary>No option is longer (IP_MSFILTER with its sources: optmem_max).</summary>
    private const int MaxOption = 1 << 17;

    private const int TypeFlags = (int)(OpenFlags.NonBlock | OpenFlags.CloseOnExec);

    internal static SyscallResult Socket(Task task, in SyscallArgs args)
    {
        Errno error = FindFamily(args.I0, args.I1, out SocketFamily? family);
        if (error != Errno.None)
            return error;
        Result<SocketFile> socket = family!.Create(task, args.I1 & SocketType.Mask, args.I2, (OpenFlags)args.I1 & OpenFlags.NonBlock);
        return socket.IsError ? socket.Error : task.AddFile(socket.Value, (args.I1 & (int)OpenFlags.CloseOnExec) != 0);
    }

    internal static SyscallResult Socketpair(Task task, in SyscallArgs args)
    {
        Errno error = FindFamily(args.I0, args.I1, out SocketFamily? family);
        if (error != Errno.None)
            return error;
        Result<(SocketFile First, SocketFile Second)> pair = family!.CreatePair(task, args.I1 & SocketType.Mask, args.I2, (OpenFlags)args.I1 & OpenFlags.NonBlock);
        if (pair.IsError)
            return pair.Error;
        return EventSyscalls.AddPair(task, args.A3, pair.Value.First, pair.Value.Second, (args.I1 & (int)OpenFlags.CloseOnExec) != 0);
    }

    private static Errno FindFamily(int domain, int type, out SocketFamily? family)
    {
        family = null;
        if ((type & ~(SocketType.Mask | TypeFlags)) != 0)
            return Errno.EINVAL;
        family = SocketFamily.Find(domain);
        return family is null ? Errno.EAFNOSUPPORT : Errno.None;
    }

    internal static SyscallResult Bind(Task task, in SyscallArgs args)
    {
        Span<byte> buffer = stackalloc byte[MaxAddress];
        Errno error = Find(task, args.I0, out SocketFile? socket);
        if (error == Errno.None)
            error = ReadAddress(task, args.A1, args.I2, ref buffer);
        if (error == Errno.None)
            error = socket!.Bind(task, buffer);
        return error == Errno.None ? SyscallResult.Ok : error;
    }

    internal static SyscallResult Listen(Task task, in SyscallArgs args)
    {
        Errno error = Find(task, args.I0, out SocketFile? socket);
        if (error == Errno.None)
            error = socket!.Listen(task, args.I1);
        return error == Errno.None ? SyscallResult.Ok : error;
    }

    internal static SyscallResult Accept(Task task, in SyscallArgs args) => Accept(task, args, 0);

    internal static SyscallResult Accept4(Task task, in SyscallArgs args) => Accept(task, args, args.I3);

    private static SyscallResult Accept(Task task, in SyscallArgs args, int flags)
    {
        if ((flags & ~TypeFlags) != 0)
            return Errno.EINVAL;
        Errno error = Find(task, args.I0, out SocketFile? socket);
        if (error != Errno.None)
            return error;
        Result<SocketFile> accepted = socket!.Accept(task, (OpenFlags)flags & OpenFlags.NonBlock);
        if (accepted.Error == Errno.EAGAIN)
            return Wait(task, socket, socket.Waiters, PollEvents.ReadMask, socket.ReceiveTimeout, dontWait: false);
        if (accepted.IsError)
            return accepted.Error;
        SocketFile connection = accepted.Value;
        connection.AddReference();
        try
        {
            if (args.A1 != 0)
            {
                Result<byte[]> peer = connection.GetAcceptedPeerName();
                if (peer.IsError)
                    return Errno.ECONNABORTED;
                error = WriteAddress(task, args.A1, args.A2, peer.Value);
                if (error != Errno.None)
                    return error;
            }

            return task.AddFile(connection, (flags & (int)OpenFlags.CloseOnExec) != 0);
        }
        finally
        {
            connection.Release();
        }
    }

    internal static SyscallResult Connect(Task task, in SyscallArgs args)
    {
        Span<byte> buffer = stackalloc byte[MaxAddress];
        Errno error = Find(task, args.I0, out SocketFile? socket);
        if (error == Errno.None)
            error = ReadAddress(task, args.A1, args.I2, ref buffer);
        return error == Errno.None ? socket!.Connect(task, buffer) : error;
    }

    internal static SyscallResult Getsockname(Task task, in SyscallArgs args)
    {
        Errno error = Find(task, args.I0, out SocketFile? socket);
        return error == Errno.None ? AnswerName(task, args, socket!.GetName()) : error;
    }

    internal static SyscallResult Getpeername(Task task, in SyscallArgs args)
    {
        Errno error = Find(task, args.I0, out SocketFile? socket);
        return error == Errno.None ? AnswerName(task, args, socket!.GetPeerName()) : error;
    }

    private static SyscallResult AnswerName(Task task, in SyscallArgs args, Result<byte[]> name)
    {
        if (name.IsError)
            return name.Error;
        Errno error = WriteAddress(task, args.A1, args.A2, name.Value);
        return error == Errno.None ? SyscallResult.Ok : error;
    }

    internal static SyscallResult Shutdown(Task task, in SyscallArgs args)
    {
        Errno error = Find(task, args.I0, out SocketFile? socket);
        if (error == Errno.None)
            error = socket!.Shutdown(args.I1);
        return error == Errno.None ? SyscallResult.Ok : error;
    }

    internal static SyscallResult Setsockopt(Task task, in SyscallArgs args)
    {
        Errno error = Find(task, args.I0, out SocketFile? socket);
        if (error != Errno.None)
            return error;
        if (args.I4 < 0)
            return Errno.EINVAL;
        Span<byte> value = args.I4 <= 256 ? stackalloc byte[args.I4] : new byte[Math.Min(args.I4, MaxOption)];
        if (!task.Memory.TryReadAll(args.A3, value))
            return Errno.EFAULT;
        error = args.I1 == SOL.SOCKET ? socket!.SetSocketOption(task, args.I2, value) : socket!.SetOption(task, args.I1, args.I2, value);
        return error == Errno.None ? SyscallResult.Ok : error;
    }

    internal static SyscallResult Getsockopt(Task task, in SyscallArgs args)
    {
        Errno error = Find(task, args.I0, out SocketFile? socket);
        if (error != Errno.None)
            return error;
        if (!task.TryRead(args.A4, out int length))
            return Errno.EFAULT;
        if (length < 0)
            return Errno.EINVAL;
        Span<byte> given = [];
        if (OptionAsks(args.I1, args.I2))
        {
            given = new byte[Math.Min(length, MaxOption)];
            if (!task.Memory.TryReadAll(args.A3, given))
                return Errno.EFAULT;
        }

        Result<byte[]> value = args.I1 == SOL.SOCKET ? socket!.GetSocketOption(task, args.I2) : socket!.GetOption(task, args.I1, args.I2, given);
        if (value.IsError)
            return value.Error;
        int count = Math.Min(length, value.Value.Length);
        return task.Memory.TryWriteAll(args.A3, value.Value.AsSpan(0, count)) && task.TryWrite(args.A4, count) ? SyscallResult.Ok : Errno.EFAULT;
    }

    /// <summary>The options whose value's place holds a question: of which group, of which version.</summary>
    private static bool OptionAsks(int level, int name) =>
        (level is SOL.IP or SOL.IPV6 && name is IP.MSFILTER or IP.MCAST_MSFILTER) || (level == SOL.PACKET && name == PACKET.HDRLEN);

    // ---- shared with the message calls -----------------------------------------------------------------------------

    internal static Errno Find(Task task, int descriptor, out SocketFile? socket)
    {
        socket = null;
        if (!task.TryGetFile(descriptor, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        socket = file as SocketFile;
        return socket is null ? Errno.ENOTSOCK : Errno.None;
    }

    /// <summary>The end of a try that met EAGAIN: that itself, or a wait with the socket's own timeout (SO_RCVTIMEO, SO_SNDTIMEO), after which
    /// it is EAGAIN again (socket(7)).</summary>
    internal static SyscallResult Wait(Task task, SocketFile socket, WaitQueue queue, PollEvents events, long timeout, bool dontWait)
    {
        if (dontWait || socket.IsNonBlocking || task.Call.TimedOut)
            return Errno.EAGAIN;
        task.WaitOn(queue, events);
        task.Call.SetTimeoutOnce(task.Kernel.Clock.Monotonic, timeout);
        return task.Block(timeout >= 0 ? InterruptMode.Interrupt : InterruptMode.Restart);
    }

    /// <summary>Cuts <paramref name="buffer"/> (MaxAddress bytes) to the address read.</summary>
    internal static Errno ReadAddress(Task task, ulong address, int length, ref Span<byte> buffer)
    {
        if (length is < 0 or > MaxAddress)
            return Errno.EINVAL;
        buffer = buffer[..length];
        return task.Memory.TryReadAll(address, buffer) ? Errno.None : Errno.EFAULT;
    }

    /// <summary>Writes as much of a sockaddr as there is room for, and its full length.</summary>
    internal static Errno WriteAddress(Task task, ulong address, ulong lengthAddress, byte[] name)
    {
        if (!task.TryRead(lengthAddress, out int room))
            return Errno.EFAULT;
        if (room < 0)
            return Errno.EINVAL;
        bool written = task.Memory.TryWriteAll(address, name.AsSpan(0, Math.Min(room, name.Length))) && task.TryWrite(lengthAddress, name.Length);
        return written ? Errno.None : Errno.EFAULT;
    }
}
