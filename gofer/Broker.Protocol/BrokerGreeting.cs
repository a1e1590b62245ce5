using System.Text;
using Sentry.Host;

namespace Broker.Protocol;

/// <summary>A broker's first packet is the identity of its build, so that a sentry of another one does not misunderstand it.</summary>
public static class BrokerGreeting
{
    private const int Longest = 128, PatienceMilliseconds = 10_000;

    public static ProtocolBuild Build { get; } = new("broker protocol", ProtocolFingerprint.Value);

    public static bool Send(UnixChannel channel) => channel.Send(Encoding.ASCII.GetBytes(Build.Identity)) == Sentry.Abi.Errno.None;

    /// <summary>The sentry's side: waits for it. Null when both are of one build, else the line for the user.</summary>
    public static string? Check(UnixChannel channel)
    {
        Span<byte> packet = stackalloc byte[Longest];
        Span<PollDescriptor> poll = [new PollDescriptor { Descriptor = channel.Descriptor, Events = PollDescriptor.In }];
        if (HostEvents.Poll(poll, PatienceMilliseconds) is { IsOk: true, Value: 0 })
            return Refuse(null); // one that does not know that it is to say something waits to be asked
        return channel.Receive(packet, default, out _).TryGet(out int length, out Sentry.Abi.Errno error)
            ? length == 0 ? "the broker has gone before it was needed; see broker.log in the agent's logs"
            : Refuse(Encoding.ASCII.GetString(packet[..length]))
            : $"the broker does not answer: {error}";
    }

    private static string? Refuse(string? identity) => Build.Refuse(identity, "the broker", "this sentry", "build both with eng/build, then snapshot-rpc agent restart");
}
