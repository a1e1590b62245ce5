using Sentry.Abi;
using Sentry.Control;
using Sentry.Host;

namespace Sentry.Main;

/// <summary>The way to the agent. When an agent goes without having ended this sandbox, the next one is waited for at a socket that the first one
/// made; only a process of the same user may come.</summary>
/// <param name="listener">-1 for none: the sandbox ends with its agent then.</param>
internal sealed class AgentLink(ControlChannel first, int listener) : IDisposable
{
    private readonly Lock _lock = new();
    private ControlChannel _channel = first;

    /// <summary>Waits for the next message of whatever agent there is; null when there will be none.</summary>
    /// <param name="lost">Called when an agent has gone and another is waited for.</param>
    public ControlMessage? Receive(out int[] descriptors, Action lost)
    {
        while (true)
        {
            try
            {
                if (_channel.ReceiveFrame(out descriptors) is { } message)
                    return message;
            }
            catch (IOException)
            {
                // An agent that is killed may leave half a message.
                descriptors = [];
            }

            if (listener < 0)
                return null;
            lost();
            if (Accept() is not { } next)
                return null;
            lock (_lock)
            {
                _channel.Dispose();
                _channel = next;
            }
        }
    }

    /// <summary>Sends to the agent; without one the message is lost.</summary>
    public void Send(ControlMessage message)
    {
        lock (_lock)
        {
            try
            {
                _channel.Send(message);
            }
            catch (IOException)
            {
                // The agent is gone; who comes next asks for what it has missed.
            }
        }
    }

    public void Dispose() => _channel.Dispose();

    private ControlChannel? Accept()
    {
        var socket = new UnixChannel(listener);
        while (true)
        {
            Result<UnixChannel> accepted = socket.Accept();
            if (accepted.IsError)
                return null;
            if (accepted.Value.GetPeer() is { IsOk: true } peer && peer.Value.UserId == HostProcess.EffectiveUserId)
                return new ControlChannel(accepted.Value);
            accepted.Value.Dispose();
        }
    }
}
