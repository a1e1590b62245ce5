using System.Buffers.Binary;
using System.Text.Json;
using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Control;

/// <summary>The peer broke the framing or sent what is no message; the channel is of no further use.</summary>
public sealed class ControlProtocolException : IOException
{
    public ControlProtocolException(string message)
        : base(message)
    {
    }

    public ControlProtocolException(string message, Exception inner)
        : base(message, inner)
    {
    }
}

/// <summary>
/// The control socket between agent and sentry: frames of a 4-byte little-endian length and that many bytes of JSON, descriptors attached
/// to the frame's first byte. Blocking: one thread receives, any thread sends.
/// </summary>
public sealed class ControlChannel(UnixChannel socket) : IDisposable
{
    /// <summary>The largest frame, bytes; a longer one is refused unread.</summary>
    public const int MaxFrame = 16 << 20;

    private readonly Lock _sendLock = new();

    /// <summary>Takes over a connected stream socket.</summary>
    public ControlChannel(int descriptor)
        : this(new UnixChannel(descriptor))
    {
    }

    /// <summary>Waits for the next message; null when the peer has closed. The descriptors (close-on-exec) belong to the caller.</summary>
    /// <exception cref="ControlProtocolException">The bytes are no message, or not with the descriptors it names.</exception>
    /// <exception cref="IOException">The socket failed.</exception>
    public ControlMessage? ReceiveFrame(out int[] descriptors)
    {
        Span<int> received = stackalloc int[UnixChannel.MaxDescriptors];
        int count = 0;
        ControlMessage? message;
        try
        {
            message = ReceiveFrame(received, ref count);
        }
        catch
        {
            foreach (int descriptor in received[..count])
                HostFile.Close(descriptor);
            throw;
        }

        descriptors = received[..count].ToArray();
        return message;
    }

    /// <summary>Sends one message; its <see cref="ControlMessage.Descriptors"/> is set here. The descriptors stay open.</summary>
    /// <exception cref="IOException">The peer is gone, or the message is larger than <see cref="MaxFrame"/>.</exception>
    public void Send(ControlMessage message, params ReadOnlySpan<int> descriptors)
    {
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(message with { Descriptors = descriptors.Length }, ControlJson.Default.ControlMessage);
        if (body.Length > MaxFrame)
            throw new IOException($"a control message of {body.Length} bytes is larger than {MaxFrame}");
        byte[] frame = new byte[4 + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, body.Length);
        body.CopyTo(frame, 4);
        Errno error;
        lock (_sendLock)
            error = socket.Send(frame, descriptors);
        if (error != Errno.None)
            throw new IOException($"the control channel failed: {error}");
    }

    /// <summary>Makes a receiver that waits see the end, and the peer too; the descriptor stays open until <see cref="Dispose"/>.</summary>
    public void Shutdown() => socket.Shutdown();

    public void Dispose() => socket.Dispose();

    private ControlMessage? ReceiveFrame(Span<int> descriptors, ref int count)
    {
        Span<byte> header = stackalloc byte[4];
        int got = ReceiveAll(header, descriptors, ref count);
        if (got == 0)
            return null;
        if (got < header.Length)
            throw new ControlProtocolException("the control channel ended inside a frame");
        int length = BinaryPrimitives.ReadInt32LittleEndian(header);
        if (length is <= 0 or > MaxFrame)
            throw new ControlProtocolException($"a control frame of {length} bytes is refused");

        byte[] body = new byte[length];
        if (ReceiveAll(body, descriptors, ref count) < length)
            throw new ControlProtocolException("the control channel ended inside a frame");
        ControlMessage message;
        try
        {
            message = JsonSerializer.Deserialize(body, ControlJson.Default.ControlMessage)
                ?? throw new ControlProtocolException("a control frame is null");
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw new ControlProtocolException("a control frame is no message: " + e.Message, e);
        }

        return message.Descriptors == count
            ? message
            : throw new ControlProtocolException($"a control frame names {message.Descriptors} descriptors and came with {count}");
    }

    /// <summary>As many bytes as fit, fewer at the end of the stream. A peer that resets the connection ends it as well.</summary>
    private int ReceiveAll(Span<byte> buffer, Span<int> descriptors, ref int count)
    {
        int done = 0;
        while (done < buffer.Length)
        {
            Result<int> got = socket.Receive(buffer[done..], descriptors[count..], out int some);
            if (got.IsError && got.Error != Errno.ECONNRESET)
                throw new IOException($"the control channel failed: {got.Error}");
            if (got.IsError || got.Value == 0)
                break;
            count += some;
            done += got.Value;
        }

        return done;
    }
}
