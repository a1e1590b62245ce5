using Netstack.Stack;

namespace Sentry.Kernel.Sockets;

/// <summary>Bytes between guest memory and the queues of a TCP endpoint, one copy each way.</summary>
internal static class TcpTransfer
{
    /// <summary>Takes what there is room for; EAGAIN when there is none.</summary>
    internal static Result<long> Send(TcpEndpoint endpoint, in UserBuffer source, int flags)
    {
        long length = source.Length, done = 0;
        while (done < length)
        {
            int room = endpoint.SendRoom;
            if (room <= 0)
                break;
            Span<byte> space = endpoint.PrepareSend((int)Math.Min(room, length - done));
            int copied = source.CopyIn(space, done);
            if (copied == 0)
                return done > 0 ? done : Errno.EFAULT;
            done += copied;
            endpoint.CommitSend(copied, SendFlags(flags, isLast: done == length || copied < space.Length));
            if (copied < space.Length)
                break;
        }

        return done > 0 || length == 0 ? done : Errno.EAGAIN;
    }

    /// <summary>A piece that is not the last of its call is followed by more at once; what is urgent or ends a record is the last byte of all.</summary>
    internal static TcpSendFlags SendFlags(int flags, bool isLast)
    {
        if (!isLast)
            return TcpSendFlags.Continues;
        TcpSendFlags result = TcpSendFlags.None;
        if ((flags & MessageFlags.More) != 0)
            result |= TcpSendFlags.More;
        if ((flags & MessageFlags.OutOfBand) != 0)
            result |= TcpSendFlags.Urgent;
        if ((flags & MessageFlags.EndOfRecord) != 0)
            result |= TcpSendFlags.EndOfRecord;
        return result;
    }

    /// <summary>Gives up to <paramref name="available"/> bytes that are <paramref name="skip"/> bytes into the queue; MSG_TRUNC throws them away instead (tcp(7)).</summary>
    internal static Result<long> Receive(TcpEndpoint endpoint, in UserBuffer destination, int flags, int skip, int available)
    {
        int wanted = (int)Math.Min(available, destination.Length), done = 0;
        bool discard = (flags & MessageFlags.Truncated) != 0;
        if (discard)
            done = wanted;
        while (done < wanted)
        {
            ReadOnlySpan<byte> piece = endpoint.Peek(skip + done).Span;
            if (piece.Length > wanted - done)
                piece = piece[..(wanted - done)];
            int copied = destination.CopyOut(piece, done);
            done += copied;
            if (copied < piece.Length)
                break;
        }

        if ((flags & MessageFlags.Peek) == 0 && done > 0)
            endpoint.Consume(done);
        return done > 0 || wanted == 0 ? done : Errno.EFAULT;
    }

    /// <summary>recv with MSG_OOB (tcp(7)).</summary>
    internal static Result<long> ReceiveUrgent(TcpEndpoint endpoint, in UserBuffer destination, ReceiveRequest request)
    {
        Errno error = endpoint.ReceiveUrgent((request.Flags & MessageFlags.Peek) != 0, out byte value);
        if (error == Errno.EAGAIN && (endpoint.Poll() & EndpointEvents.RdHup) != 0)
            return 0L;
        if (error != Errno.None)
            return error;
        request.ResultFlags |= MessageFlags.OutOfBand;
        if (destination.Length == 0)
        {
            request.ResultFlags |= MessageFlags.Truncated;
            return 0L;
        }

        return destination.CopyOut([value]) == 1 ? 1L : Errno.EFAULT;
    }
}
