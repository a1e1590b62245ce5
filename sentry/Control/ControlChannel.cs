using System.Text.Json;
using Sentry.Host;

namespace Sentry.Control;

/// <summary>
/// The control socket between agent and sentry: <see cref="FrameChannel"/> frames of one JSON message each. Blocking: one thread receives,
/// any thread sends.
/// </summary>
public sealed class ControlChannel(UnixChannel socket) : IDisposable
{
    private readonly FrameChannel _frames = new(socket);

    /// <summary>Takes over a connected stream socket.</summary>
    public ControlChannel(int descriptor)
        : this(new UnixChannel(descriptor))
    {
    }

    /// <summary>The socket's descriptor, owned by this object.</summary>
    public int Descriptor => socket.Descriptor;

    /// <summary>Waits for the next message; null when the peer has closed. The descriptors (close-on-exec) belong to the caller.</summary>
    /// <exception cref="FrameException">The bytes are no message, or not with the descriptors it names.</exception>
    /// <exception cref="IOException">The socket failed.</exception>
    public ControlMessage? ReceiveFrame(out int[] descriptors)
    {
        byte[]? body = _frames.Receive(out descriptors);
        if (body is null)
            return null;
        try
        {
            ControlMessage? message = JsonSerializer.Deserialize(body, ControlJson.Default.ControlMessage);
            if (message?.Descriptors == descriptors.Length)
                return message;
            throw new FrameException(message is null ? "a control frame is null"
                : $"a control frame names {message.Descriptors} descriptors and came with {descriptors.Length}");
        }
        catch (Exception e)
        {
            foreach (int descriptor in descriptors)
                HostFile.Close(descriptor);
            throw e is FrameException ? e : new FrameException("a control frame is no message: " + e.Message, e);
        }
    }

    /// <summary>Sends one message; its <see cref="ControlMessage.Descriptors"/> is set here. The descriptors stay open.</summary>
    /// <exception cref="IOException">The peer is gone, or the message is too large.</exception>
    public void Send(ControlMessage message, params ReadOnlySpan<int> descriptors) =>
        _frames.Send(JsonSerializer.SerializeToUtf8Bytes(message with { Descriptors = descriptors.Length }, ControlJson.Default.ControlMessage), descriptors);

    /// <summary>Makes a receiver that waits see the end, and the peer too; the descriptor stays open until <see cref="Dispose"/>.</summary>
    public void Shutdown() => _frames.Shutdown();

    public void Dispose() => _frames.Dispose();
}
