using System.Text.Json;

namespace Tests.Programs;

/// <summary>Parts of the product die, and disks fill, at random moments: nothing is left behind and nothing is lost (eng/storm, with fewer rounds).</summary>
[Collection(nameof(TestAgent))]
public sealed class SurvivalTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10), ClientLimit = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData("kill", 8)]
    [InlineData("full", 4)]
    public void Storm_LeavesNothingAndLosesNothing(string what, int rounds)
    {
        Outcome outcome = Programs.Finish(Programs.Start([Path.Combine(Samples.Project, "eng/storm"), what, $"{rounds}"]), Limit);
        Assert.True(outcome.ExitCode == 0, outcome.Output + outcome.Error);
        Assert.StartsWith($"{rounds} rounds: ", outcome.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Sentry_HasNoRightsOfItsOwn()
    {
        Outcome run = Programs.RunClient(ClientLimit, "run", "-d", "--name", "held", "--rootfs", "/", "--", "sleep", "1000");
        Assert.True(run.ExitCode == 0, run.Error);
        using JsonDocument shown = JsonDocument.Parse(Programs.RunClient(ClientLimit, "inspect", "--json", "held").Output);
        int sentry = shown.RootElement.GetProperty("summary").GetProperty("sentryPid").GetInt32();
        Dictionary<string, string> status = File.ReadLines($"/proc/{sentry}/status").Select(l => l.Split(":\t")).ToDictionary(l => l[0], l => l[1]);
        string[] rights = ["CapInh", "CapPrm", "CapEff", "CapAmb"];
        Assert.All(rights, r => Assert.Equal(new string('0', 16), status[r]));
        Assert.Equal(("1", "2"), (status["NoNewPrivs"], status["Seccomp"]));
        Programs.RunClient(ClientLimit, "rm", "-f", "held");
    }

    [Fact]
    public void SentryFails_ItsReportSaysWhichCallItServed()
    {
        const int Uname = 63;
        Outcome run = Programs.RunClient(ClientLimit, "run", "-d", "--name", "failing", "--crash-at-call", $"{Uname}", "--rootfs", "/", "--", "sh", "-c", "sleep 0.1; exec uname");
        Assert.True(run.ExitCode == 0, run.Error);
        Assert.Equal(125, Programs.RunClient(ClientLimit, "wait", "failing").ExitCode);
        string shown = Programs.RunClient(ClientLimit, "inspect", "failing").Output;
        Assert.Matches(@"exited \(125: sentry ended with status 3: crashed serving uname\(.*\) of task 1 in process 1 \(uname\): InvalidOperationException: the test aid", shown);
        Assert.Contains("at Sentry.Kernel.Dispatcher.Serve", shown, StringComparison.Ordinal);
        Programs.RunClient(ClientLimit, "rm", "failing");
    }
}
