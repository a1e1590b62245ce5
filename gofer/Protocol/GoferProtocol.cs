using Sentry.Host;

namespace Gofer.Protocol;

/// <summary>This protocol as this program has it. A gofer sends the identity before all else, as a reply (to nothing) with one text.</summary>
public static class GoferProtocol
{
    /// <summary>Bytes of an identity at most.</summary>
    public const int MaxIdentity = 128;

    public static ProtocolBuild Build { get; } = new("gofer protocol", ProtocolFingerprint.Value);

    /// <summary>What the identity in a gofer's first frame says against it; null for nothing.</summary>
    public static string? Refuse(ReadOnlySpan<byte> frame)
    {
        var greeting = new FrameReader(frame);
        uint error = greeting.U32();
        string identity = greeting.Text(MaxIdentity);
        return Build.Refuse(error == 0 && greeting.IsComplete ? identity : null, "the gofer", "this sentry", "build both with eng/build, then snapshot-rpc agent restart");
    }
}
