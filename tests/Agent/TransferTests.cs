using System.Diagnostics;
using System.Text.Json;

namespace Tests.Agent;

/// <summary>Transfers that take long: progress, rates, and clients that do not wait for the end.</summary>
public sealed class TransferTests(AgentFixture agent) : IClassFixture<AgentFixture>
{
    /// <summary>About three seconds for what a stand-in sandbox with <see cref="Incompressible"/> in its memory comes to.</summary>
    private const string Slowly = "1k";

    [Fact]
    public void CheckpointAndRestore_WithRateAndJson_TellHowFarTheyAre()
    {
        Hold("paced");
        (int code, string output, string error) = agent.Client("checkpoint", "paced", "paced-image", "--rate", Slowly, "--json");
        Assert.True(code == 0, error);
        using JsonDocument report = JsonDocument.Parse(output);
        Assert.Equal("paced-image", report.RootElement.GetProperty("snapshot").GetString());
        AssertProgress(error, "writing");

        ForgetCache();
        (code, output, error) = agent.Client("restore", "paced-image", "--name", "again", "--detach", "--rate", Slowly, "--json");
        Assert.True(code == 0, error);
        using JsonDocument started = JsonDocument.Parse(output);
        Assert.Equal("again", started.RootElement.GetProperty("name").GetString());
        AssertProgress(error, "reading");
        Assert.Equal(0, agent.Client("rm", "-f", "paced", "again").ExitCode);
    }

    [Fact]
    public void Checkpoint_Redirected_PrintsNoBar()
    {
        Hold("plain");
        (int code, string output, string error) = agent.Client("checkpoint", "plain", "plain-image", "--rate", Slowly);
        Assert.Equal((0, ""), (code, error));
        Assert.StartsWith("plain-image: ", output);
        Assert.Equal(0, agent.Client("rm", "-f", "plain").ExitCode);
    }

    [Fact]
    public void Checkpoint_ClientInterrupted_SandboxGoesOn()
    {
        Hold("interrupted");
        using (Process client = agent.StartClient("checkpoint", "interrupted", "never", "--rate", "50", "--json"))
        {
            WaitForProgress(client, "writing");
            client.Kill();
            client.WaitForExit();
        }

        // The checkpoint gives the sandbox back when it has noticed, and only then the next one begins.
        (int code, _, string error) = agent.Client("checkpoint", "interrupted", "after", "--leave-running");
        Assert.True(code == 0, error);
        string snapshots = agent.Client("snapshots").Output;
        Assert.DoesNotContain("never", snapshots, StringComparison.Ordinal);
        Assert.Contains("after", snapshots, StringComparison.Ordinal);
        Assert.Equal(0, agent.Client("rm", "-f", "interrupted").ExitCode);
    }

    [Fact]
    public void Restore_ClientKilled_IsGivenUp()
    {
        Hold("source");
        Assert.Equal(0, agent.Client("checkpoint", "source", "long").ExitCode);
        ForgetCache();
        using (Process client = agent.StartClient("restore", "long", "--name", "unwanted", "--detach", "--rate", "50", "--json"))
        {
            WaitForProgress(client, "reading");
            client.Kill();
            client.WaitForExit();
        }

        // At that rate it would take a minute.
        Stopwatch waited = Stopwatch.StartNew();
        while (agent.Client("ps").Output.Contains("unwanted", StringComparison.Ordinal))
            Assert.True(waited.Elapsed < TimeSpan.FromSeconds(40), "the restore goes on for nobody");
        Assert.Equal(0, agent.Client("restore", "long", "--name", "wanted", "--detach").ExitCode);
        Assert.Equal(0, agent.Client("rm", "-f", "source", "wanted").ExitCode);
    }

    [Theory]
    [InlineData("fast")]
    [InlineData("0")]
    [InlineData("-1")]
    public void Rate_ThatIsNone_IsRefused(string rate)
    {
        (int code, _, string error) = agent.Client("checkpoint", "anything", "image", "--rate=" + rate);
        Assert.Equal(125, code);
        Assert.Contains($"'{rate}' is no rate", error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd('\n').Split('\n'));
    }

    private static void AssertProgress(string error, string phase)
    {
        long last = 0, total = 0, lines = 0;
        foreach (string line in error.TrimEnd('\n').Split('\n'))
        {
            using JsonDocument progress = JsonDocument.Parse(line);
            if (progress.RootElement.GetProperty("phase").GetString() != phase)
                continue;
            long done = progress.RootElement.GetProperty("done").GetInt64();
            total = progress.RootElement.GetProperty("total").GetInt64();
            Assert.InRange(done, last, Math.Max(total, last));
            last = done;
            lines++;
        }

        Assert.True(lines >= 3 && last > 0 && total >= last, error);
    }

    private static void WaitForProgress(Process client, string phase)
    {
        while (client.StandardError.ReadLine() is { } line)
        {
            if (line.Contains($"\"phase\":\"{phase}\"", StringComparison.Ordinal) && !line.Contains("\"moved\":0", StringComparison.Ordinal))
                return;
        }

        Assert.Fail("no progress was told");
    }

    private void Hold(string name)
    {
        (int code, _, string error) = agent.Client("run", "--rootfs", agent.Root, "--name", name, "--detach", "--", "fake", "hold", Incompressible(name));
        Assert.True(code == 0, error);
    }

    /// <summary>Text that stays about as long when it is compressed.</summary>
    private static string Incompressible(string seed)
    {
        byte[] bytes = new byte[2400];
        new Random(seed.Length).NextBytes(bytes);
        return Convert.ToBase64String(bytes);
    }

    private void ForgetCache()
    {
        foreach (DirectoryInfo entry in new DirectoryInfo(Path.Combine(agent.Folder, "state/cache")).EnumerateDirectories())
            entry.Delete(recursive: true);
    }
}
