using System.Text;
using Broker.Protocol;
using Gofer.Protocol;
using Sentry.Abi;
using Sentry.Host;

namespace Tests.Gofer;

/// <summary>A sentry learns first whether its gofer and its broker are of its own build.</summary>
public sealed class GreetingTests
{
    private const string Other = "0.0.9+0123abcd/0123456789ab";

    [Theory]
    [InlineData(Other, "the gofer is of another build, " + Other + ", than this sentry, ")]
    [InlineData("", "the gofer is of another build, , than this sentry, ")]
    [InlineData(null, "the gofer is of another build, unknown, than this sentry, ")]
    public void Lookup_GoferOfAnotherBuild_FailsAndSaysWhy(string? identity, string refusal)
    {
        (UnixChannel mine, UnixChannel theirs) = UnixChannel.CreatePair().Value;
        using GoferClient client = new(mine.Detach());
        using GoferChannel gofer = new(theirs);
        var frame = new FrameWriter(gofer.Output);
        frame.U32(0);
        if (identity is not null)
            frame.Text(identity);
        else
            frame.U64(1); // as one answers that knows no greeting
        Assert.Equal(Errno.None, gofer.Send(frame.Finish()));
        Assert.Equal(Errno.EIO, client.Lookup(GoferLimits.RootHandle, "file").Error);
        Assert.StartsWith(refusal, client.Refusal, StringComparison.Ordinal);
        Assert.EndsWith(" (version/gofer protocol): build both with eng/build, then snapshot-rpc agent restart", client.Refusal, StringComparison.Ordinal);
        Assert.Equal(Errno.EIO, client.Lookup(GoferLimits.RootHandle, "file").Error);
    }

    [Fact]
    public void Broker_OfThisBuild_IsLetIn()
    {
        (UnixChannel mine, UnixChannel theirs) = UnixChannel.CreatePair(packets: true).Value;
        using (mine)
        using (theirs)
        {
            Assert.True(BrokerGreeting.Send(theirs));
            Assert.Null(BrokerGreeting.Check(mine));
        }
    }

    [Fact]
    public void Broker_OfAnotherBuildOrGone_IsRefused()
    {
        (UnixChannel mine, UnixChannel theirs) = UnixChannel.CreatePair(packets: true).Value;
        using (mine)
        {
            theirs.Send(Encoding.ASCII.GetBytes(Other));
            Assert.StartsWith($"the broker is of another build, {Other}, than this sentry, ", BrokerGreeting.Check(mine), StringComparison.Ordinal);
            theirs.Dispose();
            Assert.StartsWith("the broker has gone", BrokerGreeting.Check(mine), StringComparison.Ordinal);
        }
    }
}
