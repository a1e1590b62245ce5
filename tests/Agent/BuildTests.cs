using System.Net;
using System.Net.Http.Json;
using System.Text.RegularExpressions;
using RestoreAgent.Agent.Http;
using RestoreAgent.Api;
using Sentry.Control;
using Sentry.Host;

namespace Tests.Agent;

/// <summary>Programs of different builds say so, before one misunderstands the other.</summary>
public sealed class BuildTests(AgentFixture agent) : IClassFixture<AgentFixture>
{
    private const string Other = "0.0.9+0123abcd/0123456789ab", ApiFingerprint = RestoreAgent.Api.ProtocolFingerprint.Value;

    [Fact]
    public void Refuse_SameFingerprintOfAnotherCommit_IsNull() =>
        Assert.Null(ControlProtocol.Build.Refuse("0.0.9+0123abcd/" + Sentry.Control.ProtocolFingerprint.Value, "a", "b", "c"));

    [Theory]
    [InlineData(Other, Other)]
    [InlineData(null, "unknown")]
    [InlineData("", "")]
    [InlineData("a\nb", "unknown")]
    public void Refuse_AnotherFingerprint_NamesBoth(string? theirs, string shown) => Assert.Equal(
        $"the gofer is of another build, {shown}, than this sentry, {ControlProtocol.Build.Identity} (version/control protocol): do this",
        ControlProtocol.Build.Refuse(theirs, "the gofer", "this sentry", "do this"));

    [Fact]
    public async Task Http_ClientOfAnotherBuild_IsRefused_ButMayReplaceTheAgent()
    {
        using HttpClient http = agent.Connect();
        http.DefaultRequestHeaders.Add(ApiHeaders.Build, Other);
        using HttpResponseMessage refused = await http.GetAsync(new Uri("v1/sandboxes", UriKind.Relative));
        Assert.Equal(HttpStatusCode.Conflict, refused.StatusCode);
        Problem? problem = await refused.Content.ReadFromJsonAsync(ApiJson.Default.Problem);
        Assert.Matches($@"^snapshot-rpc is of another build, {Regex.Escape(Other)}, than this agent, \S+/{ApiFingerprint} \(version/API\): snapshot-rpc agent restart replaces the agent, and sandboxes go on$", problem!.Error);
        using HttpResponseMessage allowed = await http.GetAsync(new Uri("v1/version", UriKind.Relative));
        Assert.EndsWith("/" + ApiFingerprint, Assert.Single(allowed.Headers.GetValues(ApiHeaders.Build)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"build\":\"" + Other + "\",\"follow\":\"x\"}", "snapshot-rpc is of another build, " + Other)]
    [InlineData("null", "the attach request is no request")]
    [InlineData("{\"exec\":null}", "an attach request names one of")]
    [InlineData("{\"sandbox\":\"x\",\"exec\":{}}", "the attach request is no request")]
    [InlineData("{\"sandbox\":\"x\",\"exec\":{\"program\":{\"arguments\":[null]}}}", "arguments has an element that is null")]
    [InlineData("{\"run\":{\"rootFolder\":\"/\",\"program\":{\"arguments\":[\"a\"],\"environment\":null}}}", "the attach request is no request")]
    public void Attach_RequestOfAnotherBuildOrWithNulls_IsRefusedInOneLine(string request, string error)
    {
        using FrameChannel channel = new(UnixChannel.Connect(HostPath.FromText(agent.AttachSocket)).Value);
        channel.Send(System.Text.Encoding.UTF8.GetBytes(request));
        AttachReply? reply = System.Text.Json.JsonSerializer.Deserialize(channel.Receive(out _)!, ApiJson.Default.AttachReply);
        Assert.Contains(error, reply!.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("\n", reply.Error!, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("null", "it is null")]
    [InlineData("{\"signal\":null}", "signal")]
    public void Attach_InputThatIsNone_IsRefusedInOneLine_AndTheProgramEnds(string input, string error)
    {
        using FrameChannel channel = new(UnixChannel.Connect(HostPath.FromText(agent.AttachSocket)).Value);
        using Microsoft.Win32.SafeHandles.SafeFileHandle file = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite);
        int nothing = (int)file.DangerousGetHandle();
        channel.Send(System.Text.Encoding.UTF8.GetBytes("{\"run\":{\"rootFolder\":\"/\",\"program\":{\"arguments\":[\"sleep\",\"1000\"]}}}"), [nothing, nothing, nothing]);
        Assert.NotNull(Receive().Started);
        channel.Send(System.Text.Encoding.UTF8.GetBytes(input));
        Assert.Contains(error, Receive().Error, StringComparison.Ordinal);
        Assert.Equal(137, Receive().Exit?.ExitCode);

        AttachReply Receive() => System.Text.Json.JsonSerializer.Deserialize(channel.Receive(out _)!, ApiJson.Default.AttachReply)!;
    }

    [Fact]
    public void Run_SentryOfAnotherBuild_IsRefused()
    {
        using AgentFixture other = new() { SentryBuild = Other };
        other.KillAndStartAnew();
        (int code, _, string error) = other.Client("run", "--rootfs", "/", "--", "true");
        Assert.Equal(125, code);
        Assert.Matches($@"^snapshot-rpc: the sentry \d+ is of another build, {Regex.Escape(Other)}, than this agent, \S+ \(version/control protocol\): build both with eng/build, then snapshot-rpc agent restart\n$", error);
    }

    [Fact]
    public void Adopt_SentryOfAnotherBuild_LivesOnOutOfReachUntilItIsRemoved()
    {
        using AgentFixture other = new();
        other.Client("run", "--rootfs", "/", "--name", "old", "-d", "--", "sleep", "1000");
        other.SentryBuild = Other;
        other.KillAndStartAnew();
        Assert.Contains("unreachable", other.Client("ps").Output, StringComparison.Ordinal);
        Assert.Contains("its sandbox goes on, but only an agent of its build can reach it; snapshot-rpc rm -f ends it", other.Client("exec", "old", "--", "true").Error, StringComparison.Ordinal);

        // An agent of its build finds it as it was.
        other.SentryBuild = ControlProtocol.Build.Identity;
        other.KillAndStartAnew();
        Assert.Equal(0, other.Client("exec", "old", "--", "true").ExitCode);
        other.SentryBuild = Other;
        other.KillAndStartAnew();
        Assert.Equal(0, other.Client("rm", "-f", "old").ExitCode);
        other.Client("agent", "stop");
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(other.Folder, "run/sentries")));
    }
}
