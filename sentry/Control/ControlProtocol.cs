using Sentry.Host;

namespace Sentry.Control;

/// <summary>This protocol as this program has it.</summary>
public static class ControlProtocol
{
    public static ProtocolBuild Build { get; } = new("control protocol", ProtocolFingerprint.Value);
}
