using System.Runtime.InteropServices;

namespace Sentry.Kernel.Sockets;

/// <summary>What a send or receive that waits has done: whole messages (sendmmsg, recvmmsg) and bytes of the one in hand.</summary>
[Savable("message-transfer")]
internal sealed partial class MessageTransfer : CallState
{
    [Saved(1)] public int Messages;
    [Saved(2)] public long Bytes;
    [Saved(3)] public bool IsVector;

    public MessageTransfer()
    {
    }

    public override long? ValueIfInterrupted => IsVector ? (Messages > 0 ? Messages : null) : Bytes > 0 ? Bytes : null;
}

/// <summary>What one call after another on sockets fills in: nothing is allocated for a call that does not wait.</summary>
internal sealed class MessageScratch
{
    private readonly SendRequest _send = new();
    private readonly ReceiveRequest _receive = new();
    private MessageTransfer _transfer = new();

    internal SendRequest Send(int flags)
    {
        _send.Reset(flags);
        return _send;
    }

    internal ReceiveRequest Receive(int flags)
    {
        _receive.Reset(flags);
        return _receive;
    }

    internal MessageTransfer Transfer(bool isVector)
    {
        _transfer.Messages = 0;
        _transfer.Bytes = 0;
        _transfer.IsVector = isVector;
        return _transfer;
    }

    /// <summary>A call that waits keeps what it has done.</summary>
    internal void GiveAway(MessageTransfer transfer)
    {
        if (ReferenceEquals(transfer, _transfer))
            _transfer = new MessageTransfer();
    }
}

/// <summary>System calls: sendto, recvfrom, sendmsg, recvmsg, sendmmsg, recvmmsg.</summary>
internal static class MessageSyscalls
{
    private const int MaxVectors = 1024;
    private const int HeaderSize = 56, VectorEntrySize = 64;
    private const long MaxTransfer = 0x7ffff000;

    /// <summary>struct msghdr.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct MessageHeader
    {
        public ulong Name;
        public uint NameLength;
        public uint Padding1;
        public ulong Vectors;
        public ulong VectorCount;
        public ulong Control;
        public ulong ControlLength;
        public int Flags;
        public uint Padding2;
    }

    // ---- sending -------------------------------------------------------------------------------------------------

    internal static SyscallResult Sendto(Task task, in SyscallArgs args)
    {
        Errno error = SocketSyscalls.Find(task, args.I0, out SocketFile? socket);
        if (error != Errno.None)
            return error;
        SendRequest request = task.Kernel.Messages.Send(args.I3);
        error = ReadName(task, args.A4, args.A4 == 0 ? 0 : (uint)args.A5, request);
        if (error != Errno.None)
            return error;
        return Send(task, socket!, new UserBuffer(task.Memory, args.A1, Math.Min(args.A2, MaxTransfer)), request, Transfer(task, isVector: false));
    }

    internal static SyscallResult Sendmsg(Task task, in SyscallArgs args)
    {
        Errno error = SocketSyscalls.Find(task, args.I0, out SocketFile? socket);
        return error != Errno.None ? error : SendOne(task, socket!, args.A1, args.I2, Transfer(task, isVector: false));
    }

    internal static SyscallResult Sendmmsg(Task task, in SyscallArgs args)
    {
        Errno error = SocketSyscalls.Find(task, args.I0, out SocketFile? socket);
        if (error != Errno.None)
            return error;
        MessageTransfer transfer = Transfer(task, isVector: true);
        uint count = Math.Min((uint)args.A2, MaxVectors);
        while (transfer.Messages < count)
        {
            ulong entry = args.A1 + (ulong)(transfer.Messages * VectorEntrySize);
            SyscallResult result = SendOne(task, socket!, entry, args.I3, transfer);
            if (result.IsBlocked)
                return result;
            if (result.IsError)
                return transfer.Messages > 0 ? transfer.Messages : result;
            transfer.Bytes = 0;
            if (!task.TryWrite(entry + HeaderSize, (uint)result.Value))
                return transfer.Messages > 0 ? transfer.Messages : Errno.EFAULT;
            transfer.Messages++;
        }

        return transfer.Messages;
    }

    private static SyscallResult SendOne(Task task, SocketFile socket, ulong address, int flags, MessageTransfer transfer)
    {
        if (!task.TryRead(address, out MessageHeader header))
            return Errno.EFAULT;
        SendRequest request = task.Kernel.Messages.Send(flags);
        Errno error = ReadName(task, header.Name, header.Name == 0 ? 0 : header.NameLength, request);
        UserBuffer source = default;
        if (error == Errno.None)
            error = ReadVectors(task, header, out source);
        if (error == Errno.None && header.ControlLength > 0 && transfer.Bytes == 0)
            error = ControlMessages.Parse(task, socket, header.Control, header.ControlLength, request);
        return error != Errno.None ? error : Send(task, socket, source, request, transfer);
    }

    private static SyscallResult Send(Task task, SocketFile socket, in UserBuffer source, SendRequest request, MessageTransfer transfer)
    {
        SyscallResult result = SendBytes(task, socket, source, request, transfer);
        if ((request.Flags & MessageFlags.ZeroCopy) != 0 && result is { IsValue: true, IsError: false } && transfer.Bytes > 0)
            socket.OnZeroCopySent();
        return result;
    }

    private static SyscallResult SendBytes(Task task, SocketFile socket, in UserBuffer source, SendRequest request, MessageTransfer transfer)
    {
        bool dontWait = (request.Flags & MessageFlags.DontWait) != 0;

        // What was taken may be gone by now, with a wake-up for nobody: only a try that finds no room at all is followed by a wait.
        for (; ; )
        {
            Result<long> sent = socket.Send(task, transfer.Bytes == 0 ? source : source.Skip(transfer.Bytes), request);
            if (sent.IsOk)
            {
                transfer.Bytes += sent.Value;
                if (transfer.Bytes >= source.Length || sent.Value == 0 || !socket.WritesInFull)
                    return transfer.Bytes;

                // What goes along goes with the first bytes.
                request.Files = null;
                request.Control = null;
                continue;
            }

            if (sent.Error == Errno.EAGAIN)
                break;
            if (sent.Error == Errno.EPIPE && socket.Type == SocketType.Stream && transfer.Bytes == 0 && (request.Flags & MessageFlags.NoSignal) == 0)
                SignalDelivery.RaisePipe(task);
            return transfer.Bytes > 0 ? transfer.Bytes : sent.Error;
        }

        return Wait(task, socket, request.WaitFor ?? socket.Waiters, PollEvents.WriteMask, socket.SendTimeout, dontWait, transfer);
    }

    // ---- receiving -----------------------------------------------------------------------------------------------

    internal static SyscallResult Recvfrom(Task task, in SyscallArgs args)
    {
        Errno error = SocketSyscalls.Find(task, args.I0, out SocketFile? socket);
        if (error != Errno.None)
            return error;
        ReceiveRequest request = task.Kernel.Messages.Receive(args.I3);
        SyscallResult result = Receive(task, socket!, new UserBuffer(task.Memory, args.A1, Math.Min(args.A2, MaxTransfer)), request, Transfer(task, isVector: false));
        foreach (FileObject file in request.Files ?? [])
            file.Release();
        if (!result.IsValue || result.IsError || args.A4 == 0)
            return result;
        error = SocketSyscalls.WriteAddress(task, args.A4, args.A5, request.Address ?? []);
        return error == Errno.None ? result : error;
    }

    internal static SyscallResult Recvmsg(Task task, in SyscallArgs args)
    {
        Errno error = SocketSyscalls.Find(task, args.I0, out SocketFile? socket);
        return error != Errno.None ? error : ReceiveOne(task, socket!, args.A1, args.I2, Transfer(task, isVector: false));
    }

    internal static SyscallResult Recvmmsg(Task task, in SyscallArgs args)
    {
        Errno error = SocketSyscalls.Find(task, args.I0, out SocketFile? socket);
        long timeout = -1;
        if (error == Errno.None)
            error = PollSyscalls.ReadTimeout(task, args.A4, out timeout);
        if (error != Errno.None)
            return error;
        MessageTransfer transfer = Transfer(task, isVector: true);
        uint count = Math.Min((uint)args.A2, MaxVectors);
        int flags = args.I3;
        long now = task.Kernel.Clock.Monotonic;

        // The timeout is looked at between messages (recvmmsg(2), BUGS); here it ends a wait as well.
        task.Call.SetTimeoutOnce(now, timeout);
        while (transfer.Messages < count)
        {
            bool enough = transfer.Messages > 0 && (flags & MessageFlags.WaitForOne) != 0;
            ulong entry = args.A1 + (ulong)(transfer.Messages * VectorEntrySize);
            SyscallResult result = ReceiveOne(task, socket!, entry, (flags & ~MessageFlags.WaitForOne) | (enough ? MessageFlags.DontWait : 0), transfer);
            if (result.IsBlocked)
                return result;
            if (result.IsError)
                return transfer.Messages > 0 ? transfer.Messages : result;
            transfer.Bytes = 0;
            if (!task.TryWrite(entry + HeaderSize, (uint)result.Value))
                return transfer.Messages > 0 ? transfer.Messages : Errno.EFAULT;
            transfer.Messages++;
            if (task.Call.Deadline >= 0 && timeout >= 0 && now >= task.Call.Deadline)
                break;
        }

        return transfer.Messages;
    }

    private static SyscallResult ReceiveOne(Task task, SocketFile socket, ulong address, int flags, MessageTransfer transfer)
    {
        if (!task.TryRead(address, out MessageHeader header))
            return Errno.EFAULT;
        if (header.Name != 0 && (int)header.NameLength < 0)
            return Errno.EINVAL;
        Errno error = ReadVectors(task, header, out UserBuffer destination);
        if (error != Errno.None)
            return error;
        ReceiveRequest request = task.Kernel.Messages.Receive(flags);
        request.WantsControl = header.Control != 0 && header.ControlLength > 0;
        SyscallResult result = Receive(task, socket, destination, request, transfer);
        if (!result.IsValue || result.IsError)
            return result;

        header.Flags = request.ResultFlags & ~MessageFlags.ControlTruncated;
        if (header.Name != 0)
        {
            byte[] name = request.Address ?? [];
            if (!task.Memory.TryWriteAll(header.Name, name.AsSpan(0, (int)Math.Min(header.NameLength, name.Length))))
                return Errno.EFAULT;
            header.NameLength = (uint)name.Length;
        }

        header.ControlLength = ControlMessages.Deliver(task, header.Control, header.Control == 0 ? 0 : header.ControlLength, request);
        header.Flags = request.ResultFlags | (flags & MessageFlags.CloseOnExec);
        bool written = task.TryWrite(address + 8, header.NameLength) && task.TryWrite(address + 40, header.ControlLength) && task.TryWrite(address + 48, header.Flags);
        return written ? result : Errno.EFAULT;
    }

    private static SyscallResult Receive(Task task, SocketFile socket, in UserBuffer destination, ReceiveRequest request, MessageTransfer transfer)
    {
        bool dontWait = (request.Flags & (MessageFlags.DontWait | MessageFlags.ErrorQueue)) != 0;
        bool waitsForAll = (request.Flags & (MessageFlags.WaitAll | MessageFlags.Peek | MessageFlags.OutOfBand)) == MessageFlags.WaitAll && socket.Type == SocketType.Stream;
        for (; ; )
        {
            Result<long> received = socket.Receive(task, transfer.Bytes == 0 ? destination : destination.Skip(transfer.Bytes), request);
            if (received.IsOk)
            {
                transfer.Bytes += received.Value;
                if (!waitsForAll || received.Value == 0 || transfer.Bytes >= destination.Length || request.Files is not null)
                    return transfer.Bytes;
                continue;
            }

            if (received.Error == Errno.EAGAIN)
                break;
            return transfer.Bytes > 0 ? transfer.Bytes : received.Error;
        }

        return Wait(task, socket, socket.Waiters, PollEvents.ReadMask | PollEvents.RdHup, socket.ReceiveTimeout, dontWait, transfer);
    }

    // ---- shared --------------------------------------------------------------------------------------------------

    /// <summary>EAGAIN has been met: what was moved so far if waiting is not wanted, else a wait that keeps count.</summary>
    private static SyscallResult Wait(Task task, SocketFile socket, WaitQueue queue, PollEvents events, long timeout, bool dontWait, MessageTransfer transfer)
    {
        SyscallResult result = SocketSyscalls.Wait(task, socket, queue, events, timeout, dontWait);
        if (!result.IsBlocked)
            return transfer.Bytes > 0 ? transfer.Bytes : result;
        task.Call.State = transfer;
        task.Kernel.Messages.GiveAway(transfer);
        return result;
    }

    private static MessageTransfer Transfer(Task task, bool isVector) => task.Call.State as MessageTransfer ?? task.Kernel.Messages.Transfer(isVector);

    private static Errno ReadName(Task task, ulong address, uint length, SendRequest request)
    {
        if (length == 0)
            return Errno.None;
        Span<byte> buffer = stackalloc byte[128];
        Errno error = SocketSyscalls.ReadAddress(task, address, (int)length, ref buffer);
        if (error == Errno.None)
            request.Address = buffer.ToArray();
        return error;
    }

    private static Errno ReadVectors(Task task, in MessageHeader header, out UserBuffer buffer)
    {
        buffer = default;
        if (header.VectorCount > MaxVectors)
            return Errno.EMSGSIZE;
        var vectors = new IoVector[header.VectorCount];
        if (!task.Memory.TryReadAll(header.Vectors, MemoryMarshal.AsBytes(vectors.AsSpan())))
            return Errno.EFAULT;
        ulong total = 0;
        for (int i = 0; i < vectors.Length; i++)
        {
            if ((long)vectors[i].Length < 0)
                return Errno.EINVAL;
            ulong kept = Math.Min(vectors[i].Length, MaxTransfer - total);
            vectors[i] = new IoVector(vectors[i].Address, kept);
            total += kept;
        }

        buffer = vectors.Length == 1 ? new UserBuffer(task.Memory, vectors[0].Address, vectors[0].Length) : new UserBuffer(task.Memory, vectors);
        return Errno.None;
    }
}
