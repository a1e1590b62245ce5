using System.Diagnostics;

namespace Tests.Agent;

/// <summary>What becomes of sandboxes when their agent dies and another one starts.</summary>
public sealed class SurvivalTests(AgentFixture agent) : IClassFixture<AgentFixture>
{
    [Fact]
    public void AgentIsKilled_DetachedSandbox_GoesOn()
    {
        agent.Client("run", "--rootfs", "/", "--name", "lasting", "-d", "--", "sh", "-c", "echo started; sleep 1000");
        agent.KillAndStartAnew();
        Assert.Contains("running", Line("lasting"));
        Assert.Equal((4, "inside\n", ""), agent.Client("exec", "lasting", "--", "sh", "-c", "echo inside; exit 4"));
        agent.KillAndStartAnew();
        Assert.Equal(0, agent.Client("kill", "lasting").ExitCode);
        Assert.Equal(128 + 15, agent.Client("wait", "lasting").ExitCode);
        Assert.Equal("started\n", agent.Client("logs", "lasting").Output);
        agent.KillAndStartAnew();
        Assert.Contains("exited (143)", Line("lasting"));
        agent.Client("rm", "lasting");
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(agent.Folder, "state/sandboxes")));
    }

    [Fact]
    public void AgentIsKilled_ClientsThatWait_GetTheirProgramsEnds()
    {
        using Process client = agent.StartClient("run", "--rootfs", "/", "--name", "attended", "--", "sh", "-c", "echo ready; read line; echo got $line; exit 7");
        Assert.Equal("ready", client.StandardOutput.ReadLine());
        using Process inside = agent.StartClient("exec", "attended", "--", "sh", "-c", "echo ready; read line; exit 8");
        Assert.Equal("ready", inside.StandardOutput.ReadLine());
        agent.KillAndStartAnew();
        inside.StandardInput.WriteLine("go");
        inside.WaitForExit();
        Assert.Equal((8, ""), (inside.ExitCode, inside.StandardError.ReadToEnd()));
        client.StandardInput.WriteLine("on");
        Assert.Equal("got on", client.StandardOutput.ReadLine());
        client.WaitForExit();
        Assert.Equal(7, client.ExitCode);
    }

    [Fact]
    public async Task AgentIsKilled_ClientComesBack_StillPassesSignalsOn()
    {
        using Process client = agent.StartClient("run", "--rootfs", "/", "--", "sh", "-c", "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
        Assert.Equal("ready", client.StandardOutput.ReadLine());
        agent.KillAndStartAnew();

        // A signal that comes while there is no agent is lost, as a key pressed too early is: it is sent until the program has it.
        Task<string?> said = client.StandardOutput.ReadLineAsync();
        while (await Task.WhenAny(said, Task.Delay(200)) != said)
            Process.Start("kill", ["-TERM", $"{client.Id}"]).WaitForExit();
        Assert.True(await said == "caught", await client.StandardError.ReadToEndAsync());
        await client.WaitForExitAsync();
        Assert.Equal(3, client.ExitCode);
    }

    [Fact]
    public void SentryDies_WhileThereIsNoAgent_IsSaidByTheNext()
    {
        agent.Client("run", "--rootfs", "/", "--name", "unlucky", "-d", "--", "fake", "crash-alone");
        agent.KillAndStartAnew();
        Assert.Contains("exited (125", Line("unlucky"));
        Assert.Contains("the fake was told to crash", Line("unlucky"));
        agent.Client("rm", "unlucky");
    }

    [Theory]
    [InlineData("run", "--rootfs", "/", "--", "sh", "-c", "echo done; exit 3")]
    [InlineData("exec", "asked", "--", "sh", "-c", "echo done; exit 3")]
    public void AgentIsKilled_BeforeItReadARequest_TheClientMakesItAgain(params string[] arguments)
    {
        agent.Client("run", "--rootfs", "/", "--name", "asked", "-d", "--", "sleep", "1000");
        AwaitConnections(agent.AttachSocket, 0);
        agent.Stop();
        using Process client = agent.StartClient(arguments);
        AwaitConnections(agent.AttachSocket, 1);
        agent.KillAndStartAnew();
        Assert.Equal("done\n", client.StandardOutput.ReadToEnd());
        client.WaitForExit();
        Assert.Equal((3, ""), (client.ExitCode, client.StandardError.ReadToEnd()));
        agent.Client("rm", "-f", "asked");
    }

    [Fact]
    public void AgentIsKilled_BeforeItReadADetachedRun_ThereIsOneSandbox()
    {
        AwaitConnections(agent.AttachSocket, 0);
        agent.Stop();
        using Process client = agent.StartClient("run", "--rootfs", "/", "--name", "late", "-d", "--", "sleep", "1000");
        AwaitConnections(agent.AttachSocket, 1);
        agent.KillAndStartAnew();
        Assert.Equal("late\n", client.StandardOutput.ReadToEnd());
        client.WaitForExit();
        Assert.Equal(0, client.ExitCode);
        Assert.Contains("running", Line("late"));
        agent.Client("rm", "-f", "late");
    }

    [Fact]
    public void AgentIsKilled_WhileASentryStarts_NothingIsLeftOfTheSandbox()
    {
        string begun = Path.Combine(agent.Folder, "begun");
        using Process client = agent.StartClient("run", "--rootfs", "/", "--name", "slow", "-d", "--", "fake", "linger", begun);
        Await("the first try", () => File.Exists(begun));
        agent.KillAndStartAnew();

        // The first try came to nothing, and the client made it again.
        Assert.Equal("slow\n", client.StandardOutput.ReadToEnd());
        client.WaitForExit();
        Assert.Equal(0, client.ExitCode);
        Assert.Contains("running", Line("slow"));
        agent.Client("rm", "-f", "slow");
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(agent.Folder, "state/sandboxes")));
    }

    [Fact]
    public void AgentIsKilled_LookingOn_GoesOn()
    {
        agent.Client("run", "--rootfs", "/", "--name", "watched", "-d", "--", "sh", "-c", "trap 'echo two; exit 5' TERM; echo one; while :; do sleep 0.05; done");
        AwaitConnections(agent.HttpSocket, 0);
        using Process wait = agent.StartClient("wait", "watched"), logs = agent.StartClient("logs", "-f", "watched");
        Assert.Equal("one", logs.StandardOutput.ReadLine());
        AwaitConnections(agent.HttpSocket, 2);
        agent.KillAndStartAnew();
        agent.Client("kill", "watched");
        Assert.Equal(("two\n", ""), (logs.StandardOutput.ReadToEnd(), logs.StandardError.ReadToEnd()));
        wait.WaitForExit();
        Assert.Equal((5, ""), (wait.ExitCode, wait.StandardError.ReadToEnd()));
        agent.Client("rm", "watched");
    }

    [Fact]
    public void Record_CannotBeRead_ItsSandboxIsLeftAlone()
    {
        using AgentFixture other = new();
        other.Client("run", "--rootfs", "/", "--name", "kept", "-d", "--", "sleep", "1000");
        string record = Assert.Single(Directory.GetFiles(Path.Combine(other.Folder, "state/sandboxes"))), text = File.ReadAllText(record);
        other.KillAndStartAnew(between: () => File.WriteAllText(record, "{\"IdentityOfAnotherKind\":1}"));
        Assert.DoesNotContain("kept", other.Client("ps").Output, StringComparison.Ordinal);
        other.KillAndStartAnew(between: () => File.WriteAllText(record, text));
        Assert.Equal(0, other.Client("exec", "kept", "--", "true").ExitCode);
    }

    /// <summary>Wherever a move is when the agent dies, just one of the two sandboxes goes on.</summary>
    [Theory]
    [InlineData("hand-over", false)] // the saved sandbox has heard of it
    [InlineData("begin", false)] // the restored one is about to go on
    [InlineData("begun", true)] // it has gone on and not said so
    public void AgentIsKilled_DuringAMove_OneSandboxGoesOn(string point, bool moved)
    {
        string folder = Directory.CreateDirectory(Path.Combine(agent.Folder, "move-" + point)).FullName;
        string stop = Path.Combine(folder, "stop-at-" + point);
        for (int attempt = 1; ; attempt++)
        {
            // A restore that has not come to its wait when the checkpoint is done finds the image in the store, which is not what is tested.
            string old = $"old-{point}-{attempt}", successor = $"new-{point}-{attempt}", image = $"move-{point}-{attempt}";
            Assert.Equal(0, agent.Client("run", "--rootfs", "/", "--name", old, "-d", "--", "fake", "move", folder).ExitCode);
            File.WriteAllText(stop, "");
            using Process restore = agent.StartClient("restore", image, "--wait", "60", "--name", successor, "-d");
            Thread.Sleep(200 * attempt);
            using Process checkpoint = agent.StartClient("checkpoint", old, image);
            string there = Path.Combine(folder, "at-" + point);
            Await("the move or its miss", () => File.Exists(there) || restore.HasExited);
            if (!File.Exists(there))
            {
                Assert.True(attempt < 10, restore.StandardError.ReadToEnd());
                agent.Client("rm", "-f", old, successor);
                continue;
            }

            agent.KillAndStartAnew(between: () =>
            {
                if (point == "begin")
                    Await("the saved sandbox goes on", () => Directory.GetFiles(Path.Combine(agent.Folder, "state/logs")).Any(f => File.ReadAllText(f).Contains("goes on")));
                File.Delete(stop);
            });
            restore.Kill();
            string list = agent.Client("ps").Output;
            Assert.Contains(moved ? "exited (0" : "running", Line(old));
            Assert.Equal(moved, list.Contains("\n" + successor + " ", StringComparison.Ordinal));
            if (moved)
            {
                Assert.Contains("went on as " + successor, Line(old));
                Assert.Contains("running", Line(successor));
            }

            Assert.Equal(0, agent.Client("kill", moved ? successor : old).ExitCode);
            agent.Client("rm", "-f", old, successor);
            return;
        }
    }

    [Fact]
    public void AgentStops_LeavesNoFiles()
    {
        using AgentFixture other = new();
        other.Client("run", "--rootfs", "/", "-d", "--", "sleep", "1000");
        other.Client("agent", "stop");
        foreach (string folder in (string[])["run/sentries", "state/sandboxes", "state/work"])
            Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(other.Folder, folder)));
    }

    /// <summary>Waits until clients are connected to a socket, whether or not the agent has taken them in (proc_net_unix(5): the last field is the path).</summary>
    // The agent's ends of clients that have gone are there for a moment yet: each test waits for none before it counts its own.
    private static void AwaitConnections(string socket, int count) =>
        Await($"{count} connections to {socket}", () => File.ReadLines("/proc/net/unix").Count(l => l.EndsWith(" " + socket, StringComparison.Ordinal)) == 1 + count);

    private static void Await(string what, Func<bool> condition)
    {
        Stopwatch waited = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(waited.Elapsed < TimeSpan.FromMinutes(2), "not seen: " + what);
            Thread.Sleep(5);
        }
    }

    private string Line(string name) => agent.Client("ps").Output.Split('\n').Single(l => l.StartsWith(name + " ", StringComparison.Ordinal));
}
