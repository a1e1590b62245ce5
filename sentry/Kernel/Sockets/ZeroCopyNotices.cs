using System.Buffers.Binary;

namespace Sentry.Kernel.Sockets;

/// <summary>What MSG_ZEROCOPY promises (Documentation/networking/msg_zerocopy.rst): each call that sent something gets a number, and the error queue says from when on its
/// memory may be changed. Here that is at once, since the bytes were copied (SO_EE_CODE_ZEROCOPY_COPIED). Numbers that follow each other are told together.</summary>
[Savable("zero-copy-notices")]
internal partial struct ZeroCopyNotices
{
    [Saved(1)] private uint _next;
    [Saved(2)] private uint _waiting;

    public readonly bool IsEmpty => _waiting == 0;

    public void Add()
    {
        _next++;
        _waiting++;
    }

    /// <summary>Takes what is waiting as struct sock_extended_err, with nobody as its offender (ip(7)).</summary>
    public bool TryTake(bool isV6, ReceiveRequest request)
    {
        const byte originZeroCopy = 5, copied = 1;
        const int size = 16;
        if (_waiting == 0)
            return false;
        byte[] error = new byte[size + (isV6 ? InetEndpointAddress.SizeV6 : InetEndpointAddress.SizeV4)];
        error[4] = originZeroCopy;
        error[6] = copied;
        BinaryPrimitives.WriteUInt32LittleEndian(error.AsSpan(8), _next - _waiting);
        BinaryPrimitives.WriteUInt32LittleEndian(error.AsSpan(12), _next - 1);
        _waiting = 0;
        request.ResultFlags |= MessageFlags.ErrorQueue;
        if (request.WantsControl)
            request.Control.Add(new ControlMessage(isV6 ? SOL.IPV6 : SOL.IP, isV6 ? IPV6.RECVERR : IP.RECVERR, error));
        return true;
    }
}
