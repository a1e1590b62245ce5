using System.Buffers.Binary;
using Sentry.Abi;

namespace Sentry.Host;

/// <summary>The peer broke the framing or sent what is no message; the channel is of no further use.</summary>
public sealed class FrameException : IOException
{
    public FrameException(string message)
        : base(message)
    {
    }

    public FrameException(string message, Exception inner)
        : base(message, inner)
    {
    }
}

/// <summary>
/// Frames over a Unix stream socket: a 4-byte little-endian length, then that many bytes; descriptors are attached to the frame's first
/// byte. Blocking: one thread receives, any thread sends.
/// </summary>
public sealed class FrameChannel(UnixChannel socket) : IDisposable
{
    /// <summary>The largest frame, bytes; a longer one is refused unread.</summary>
    public const int MaxFrame = 16 << 20;

    private readonly Lock _sendLock = new();

    public UnixChannel Socket => socket;

    /// <summary>Waits for the next frame; null when the peer has closed. The descriptors (close-on-exec) belong to the caller.</summary>
    /// <exception cref="FrameException">The stream ended inside a frame or the length is none.</exception>
    /// <exception cref="IOException">The socket failed.</exception>
    public byte[]? Receive(out int[] descriptors)
    {
        Span<int> received = stackalloc int[UnixChannel.MaxDescriptors];
        int count = 0;
        byte[]? body;
        try
        {
            body = Receive(received, ref count);
        }
        catch
        {
            foreach (int descriptor in received[..count])
                HostFile.Close(descriptor);
            throw;
        }

        descriptors = received[..count].ToArray();
        return body;
    }

    /// <summary>Sends one frame. The descriptors stay open.</summary>
    /// <exception cref="IOException">The peer is gone, or the frame is larger than <see cref="MaxFrame"/>.</exception>
    public void Send(ReadOnlySpan<byte> body, ReadOnlySpan<int> descriptors = default)
    {
        if (body.Length > MaxFrame)
            throw new IOException($"a message of {body.Length} bytes is larger than {MaxFrame}");
        byte[] frame = new byte[4 + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, body.Length);
        body.CopyTo(frame.AsSpan(4));
        Errno error;
        lock (_sendLock)
            error = socket.Send(frame, descriptors);
        if (error != Errno.None)
            throw new IOException($"the socket failed: {error}");
    }

    /// <summary>Makes a receiver that waits see the end, and the peer too; the descriptor stays open until <see cref="Dispose"/>.</summary>
    public void Shutdown() => socket.Shutdown();

    public void Dispose() => socket.Dispose();

    private byte[]? Receive(Span<int> descriptors, ref int count)
    {
        Span<byte> header = stackalloc byte[4];
        int got = ReceiveAll(header, descriptors, ref count);
        if (got == 0)
            return null;
        if (got < header.Length)
            throw new FrameException("the stream ended inside a frame");
        int length = BinaryPrimitives.ReadInt32LittleEndian(header);
        if (length is <= 0 or > MaxFrame)
            throw new FrameException($"a frame of {length} bytes is refused");
        byte[] body = new byte[length];
        return ReceiveAll(body, descriptors, ref count) == length ? body : throw new FrameException("the stream ended inside a frame");
    }

    /// <summary>As many bytes as fit, fewer at the end of the stream. A peer that resets the connection ends it as well.</summary>
    private int ReceiveAll(Span<byte> buffer, Span<int> descriptors, ref int count)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            Result<int> got = socket.Receive(buffer[done..], descriptors[count..], out int some);
            if (got.IsError && got.Error != Errno.ECONNRESET)
                throw new IOException($"the socket failed: {got.Error}");
            if (got.IsError || got.Value == 0)
                break;
            count += some;
            done += got.Value;
        }

        return done;
    }
}
