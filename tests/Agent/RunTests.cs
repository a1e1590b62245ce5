using System.Diagnostics;

namespace Tests.Agent;

/// <summary>run, exec and what ends them, through client and agent as users have them.</summary>
public sealed class RunTests(AgentFixture agent) : IClassFixture<AgentFixture>
{
    [Fact]
    public void Run_ProgramExits_GivesItsOutputAndCode()
    {
        (int code, string output, _) = agent.Client("run", "--rootfs", "/", "--env", "WORD=wört", "--", "sh", "-c", "echo $WORD; exit 7");
        Assert.Equal((7, "wört\n"), (code, output));
    }

    [Fact]
    public void Run_ProgramIsKilled_Gives128PlusSignal()
    {
        (int code, _, _) = agent.Client("run", "--rootfs", "/", "--", "sh", "-c", "kill -TERM $$");
        Assert.Equal(128 + 15, code);
    }

    [Fact]
    public void Run_StandardInput_IsTheProgramsOwn()
    {
        using Process client = agent.StartClient("run", "--rootfs", "/", "--", "cat");
        client.StandardInput.Write("over here");
        client.StandardInput.Close();
        Assert.Equal("over here", client.StandardOutput.ReadToEnd());
        client.WaitForExit();
        Assert.Equal(0, client.ExitCode);
    }

    [Fact]
    public void Run_NoSuchProgram_FailsInOneLine()
    {
        (int code, _, string error) = agent.Client("run", "--rootfs", "/", "--", "no-such-program");
        Assert.Equal(125, code);
        Assert.Equal("snapshot-rpc: cannot run no-such-program: No such file or directory\n", error);
    }

    [Theory]
    [InlineData("--foo:bar", "run", "--foo:bar", "--rootfs", "/", "--", "ls")]
    [InlineData("--foo", "run", "--rootfs", "/", "--foo", "--", "ls")]
    [InlineData("-z", "run", "--rootfs", "/", "-z", "ls")]
    [InlineData("--foo", "exec", "web", "--foo", "--", "ls")]
    public void Client_UnknownOption_IsNamed(string option, params string[] arguments)
    {
        (int code, _, string error) = agent.Client(arguments);
        Assert.Equal((125, $"snapshot-rpc: there is no option {option}; see snapshot-rpc {arguments[0]} --help (options of the program itself come after --)\n"), (code, error));
    }

    [Fact]
    public void Run_OptionsOfTheProgram_AreItsOwn()
    {
        Assert.Equal("--foo\n", agent.Client("run", "--rootfs", "/", "--", "echo", "--foo").Output);
        Assert.Equal("-n-\n", agent.Client("run", "--rootfs", "/", "printf", "%s\\n", "-n-").Output);
    }

    [Theory]
    [InlineData("run", "--", "true")]
    [InlineData("run", "--rootfs", "/no/such/folder", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--name", "no/name", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--user", "nobody-here", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--workdir", "relative", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--env", "=x", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--volume", "/no/such/folder:/data", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--volume", "/etc/passwd:/data", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--volume", "/etc", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--volume", "/etc:/data:rx", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--volume", "/etc:relative", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--volume", "/etc:/", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--volume", "/etc:/a/../b", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--volume", "/etc:/a", "--tmpfs", "/a/", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--tmpfs", "/a:size=much", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--memory", "lots", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--memory", "1k", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--pids", "0", "--", "true")]
    [InlineData("run", "--rootfs", "/", "--cpus", "0.5", "--", "true")]
    [InlineData("exec", "nowhere", "--", "true")]
    [InlineData("restore", "nothing")]
    [InlineData("restore", "nothing", "--store", "ftp://x/y")]
    [InlineData("checkpoint", "nowhere", "snap")]
    [InlineData("kill", "nowhere")]
    [InlineData("kill", "-s", "NONE", "nowhere")]
    [InlineData("logs", "nowhere")]
    [InlineData("inspect", "nothing")]
    [InlineData("frobnicate")]
    public void Client_WrongRequest_FailsInOneLine(params string[] arguments)
    {
        (int code, string output, string error) = agent.Client(arguments);
        Assert.Equal(125, code);
        Assert.Empty(output);
        Assert.StartsWith("snapshot-rpc: ", error);
        Assert.Single(error.TrimEnd('\n').Split('\n'));
    }

    [Fact]
    public void Run_SentryDies_SaysWhy()
    {
        (int code, _, string error) = agent.Client("run", "--rootfs", "/", "--", "fake", "crash");
        Assert.Equal((125, "snapshot-rpc: sentry ended with status 3: the fake was told to crash\n"), (code, error));
    }

    [Fact]
    public void Run_ClientIsTerminated_ProgramGetsTheSignal()
    {
        using Process client = agent.StartClient("run", "--rootfs", "/", "--", "sh", "-c", "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
        Assert.Equal("ready", client.StandardOutput.ReadLine());
        Process.Start("kill", ["-TERM", $"{client.Id}"]).WaitForExit();
        Assert.Equal("caught", client.StandardOutput.ReadLine());
        client.WaitForExit();
        Assert.Equal(3, client.ExitCode);
    }

    [Fact]
    public void Run_ClientIsKilled_SandboxGoes()
    {
        using Process client = agent.StartClient("run", "--rootfs", "/", "--name", "left-alone", "--", "sh", "-c", "echo ready; sleep 1000");
        Assert.Equal("ready", client.StandardOutput.ReadLine());
        client.Kill();
        client.StandardOutput.ReadToEnd(); // ends when the last holder of the pipe is gone
        Assert.DoesNotContain("left-alone", agent.Client("ps").Output);
    }

    [Fact]
    public void Detach_Exec_Logs_Kill_Remove()
    {
        Assert.Equal((0, "back\n", ""), agent.Client("run", "--rootfs", "/", "--name", "back", "--detach", "--", "sh", "-c", "echo started; sleep 1000"));
        Assert.Equal(125, agent.Client("run", "--rootfs", "/", "--name", "back", "--detach", "--", "true").ExitCode);
        Assert.Equal((4, "inside\n", ""), agent.Client("exec", "back", "--", "sh", "-c", "echo inside; exit 4"));
        Assert.Contains("back", agent.Client("ps").Output);
        Assert.Contains("uselib 2", agent.Client("inspect", "back").Output);
        Assert.Equal(125, agent.Client("rm", "back").ExitCode);
        Assert.Equal(0, agent.Client("kill", "back").ExitCode);
        Assert.Equal(128 + 15, agent.Client("wait", "back").ExitCode);
        Assert.Equal("started\n", agent.Client("logs", "back").Output);
        Assert.Contains("exited (143)", agent.Client("ps").Output);
        Assert.Equal(0, agent.Client("rm", "back").ExitCode);
        Assert.DoesNotContain("back", agent.Client("ps").Output);
    }

    [Fact]
    public void Logs_Follow_EndsWithTheSandbox()
    {
        agent.Client("run", "--rootfs", "/", "--name", "talker", "--detach", "--", "sh", "-c", "echo one; sleep 0.3; echo two");
        Assert.Equal("one\ntwo\n", agent.Client("logs", "-f", "talker").Output);
        agent.Client("rm", "talker");
    }
}
