using System.Buffers.Binary;
using Sentry.Abi;
using Sentry.Host;

namespace Gofer.Protocol;

/// <summary>Frames over a Unix stream socket: normally one receive and one send each.</summary>
public sealed class GoferChannel(UnixChannel channel) : IDisposable
{
    private readonly byte[] _input = new byte[GoferLimits.MaxFrame + 4];
    private int _have;
    private int _consumed;

    /// <summary>Where the next frame to be sent is laid out.</summary>
    public byte[] Output { get; } = new byte[GoferLimits.MaxFrame + 4];

    public Errno Send(ReadOnlySpan<byte> frame, int descriptor = -1)
    {
        if (descriptor < 0)
            return channel.Send(frame);
        ReadOnlySpan<int> one = [descriptor];
        return channel.Send(frame, one);
    }

    /// <summary>The next frame without its length, good until the next receive; EPIPE at the end of the stream, EPROTO for a frame beyond the bounds or more than
    /// one descriptor. <paramref name="descriptor"/> is -1 when none came.</summary>
    public Errno Receive(out ReadOnlySpan<byte> frame, out int descriptor)
    {
        frame = default;
        descriptor = -1;
        _input.AsSpan(_consumed, _have - _consumed).CopyTo(_input);
        _have -= _consumed;
        _consumed = 0;
        Span<int> descriptors = stackalloc int[1];
        for (; ; )
        {
            if (_have >= 4)
            {
                uint length = BinaryPrimitives.ReadUInt32LittleEndian(_input);
                if (length is 0 or > GoferLimits.MaxFrame)
                    return Fail(ref descriptor);
                if (_have >= 4 + (int)length)
                {
                    _consumed = 4 + (int)length;
                    frame = _input.AsSpan(4, (int)length);
                    return Errno.None;
                }
            }

            if (!channel.Receive(_input.AsSpan(_have), descriptors, out int count).TryGet(out int got, out Errno error))
            {
                Fail(ref descriptor);
                return error == Errno.EMSGSIZE ? Errno.EPROTO : error;
            }

            if (count > 0)
            {
                if (descriptor >= 0)
                {
                    HostFile.Close(descriptors[0]);
                    return Fail(ref descriptor);
                }

                descriptor = descriptors[0];
            }

            if (got == 0)
            {
                Fail(ref descriptor);
                return Errno.EPIPE;
            }

            _have += got;
        }
    }

    public void Dispose() => channel.Dispose();

    private static Errno Fail(ref int descriptor)
    {
        if (descriptor >= 0)
            HostFile.Close(descriptor);
        descriptor = -1;
        return Errno.EPROTO;
    }
}
