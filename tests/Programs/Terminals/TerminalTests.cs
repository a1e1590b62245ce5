namespace Tests.Programs.Terminals;

/// <summary>Programs on terminals of the sandbox, seen through a real terminal emulator.</summary>
[Collection(nameof(TestAgent))]
public sealed class TerminalTests
{
    private const string Shell = "env -i PS1='%' TERM=$TERM PATH=$PATH bash --norc --noprofile";

    private static int _count;

    private static string NewName() => $"terminal{Interlocked.Increment(ref _count)}";

    private static string InSandbox(string command, string name) => $"{Programs.Client} run -it --rootfs / --name {name} -- sh -c '{command.Replace("'", "'\\''", StringComparison.Ordinal)}'";

    [TerminalFact]
    public void Shell_HasSizeJobControlAndSignals()
    {
        using Tmux tmux = new(InSandbox(Shell, NewName()));
        tmux.WaitFor("%");
        tmux.Press("tty; stty size; ps -o tty= -p $$", "Enter");
        tmux.WaitUntil(s => s.Contains("/dev/pts/0\n24 80\npts/0\n", StringComparison.Ordinal), "/dev/pts/0, 24 80, pts/0");

        // What is typed before bash has given the terminal to the program goes to bash, here as on Linux: only the program itself says when it is there.
        tmux.Press("sh -c 'trap \"echo on\" CONT; echo up; while :; do read x; done'", "Enter");
        tmux.WaitFor("\nup\n");
        tmux.Press("C-z");
        tmux.WaitFor("Stopped");
        tmux.Press("clear; jobs; fg", "Enter");
        tmux.WaitUntil(s => s.Contains("[1]+  Stopped", StringComparison.Ordinal) && s.Contains("\non\n", StringComparison.Ordinal), "the shell in the foreground");
        tmux.Press("C-c");
        tmux.WaitFor("^C");
        tmux.Press("echo code $?; trap \"stty size\" WINCH", "Enter");
        tmux.WaitFor("code 130");
        tmux.Resize(100, 30);
        tmux.WaitFor("30 100");
        tmux.Press("exit 5", "Enter");
        tmux.WaitFor("ended with 5");
    }

    [TerminalTheory]
    [InlineData("vim", "vim -n -u NONE /etc/services", "services", "ihello", "Escape", "Gonew", "Escape", "ggdd", ":split", "Enter")]
    [InlineData("less", "less /etc/services", "services", "Space", "G", "/domain", "Enter", "n")]
    [InlineData("python3", "env -i TERM=$TERM PATH=$PATH HOME=/nonexistent /usr/bin/python3 -q", ">>>", "1+1", "Enter", "import sys; sys.stdin.isatty()", "Enter", "Up", "Up", "Enter", "input()", "Enter", "C-c")]
    [InlineData("mc", "mkdir -p /tmp/mc-test && cd /tmp/mc-test && touch -d 2020-01-01 a bb ccc . && env -i TERM=$TERM HOME=/nonexistent LC_ALL=C.UTF-8 mc -u . .", "10Quit", "Tab", "Down", "Insert", "C-s", "c")]
    [InlineData("screen", "env -i TERM=$TERM PATH=$PATH HOME=/tmp SCREENDIR=$(mktemp -d) screen -c /dev/null env PS1=% bash --norc --noprofile", "%", "echo one", "Enter", "C-a", "c", "echo two", "Enter", "C-a", "n")]
    [InlineData("tmux", "printf 'set -g status off\\nset -g default-command \"env PS1=%% bash --norc --noprofile\"\\n' >/tmp/inner.conf; env -i TERM=$TERM PATH=$PATH HOME=/tmp tmux -L inner$$ -f /tmp/inner.conf", "%", "C-b", "\"", "stty size", "Enter", "C-b", "o", "stty size", "Enter")]
    [InlineData("script", "script -q -c 'env PS1=% bash --norc --noprofile' /tmp/typescript$$", "%", "stty size", "Enter", "sleep 100", "Enter", "C-c", "echo $?", "Enter")]
    [InlineData("dialog", "env -i TERM=$TERM whiptail --yesno question 10 40", "question", "Tab", "Enter")]
    public void FullScreen_LooksAsNatively(string program, string command, string ready, params string[] keys)
    {
        if (!new[] { "/usr/bin", "/bin" }.Any(f => File.Exists($"{f}/{(program == "dialog" ? "whiptail" : program)}")))
            return;
        string native = Show(command, ready, keys), sandboxed = Show(InSandbox(command, NewName()), ready, keys);
        Assert.Equal(native, sandboxed);
    }

    [TerminalTheory]
    [InlineData("top", "load average", "q")]
    [InlineData("htop", "Load average", "q")]
    public void Monitors_ShowTheSandbox(string program, string shown, string quit)
    {
        if (!File.Exists("/usr/bin/" + program))
            return;
        using Tmux tmux = new(InSandbox("sleep 1234 & exec " + program, NewName()));
        tmux.WaitUntil(s => s.Contains(shown, StringComparison.Ordinal) && s.Contains("sleep", StringComparison.Ordinal), shown);
        tmux.Press(quit);
        tmux.WaitFor("ended with 0");
    }

    [TerminalFact]
    public void Detach_ThenAttach_FindsTheProgramAsItWas()
    {
        string name = NewName();
        using (Tmux tmux = new(InSandbox(Shell, name)))
        {
            tmux.WaitFor("%");
            tmux.Press("echo $((6*7)); cat", "Enter");
            tmux.WaitFor("42");
            tmux.Press("C-p", "C-q");
            tmux.WaitFor($"snapshot-rpc attach {name}");
            tmux.WaitFor("ended with 0");
        }

        using Tmux second = new($"{Programs.Client} attach {name}");
        second.WaitFor("42");
        second.Press("still here", "Enter");
        second.WaitFor("still here\nstill here");
        second.Press("C-d", "exit 6", "Enter");
        second.WaitFor("ended with 6");
        Assert.Contains("exited (6)", Programs.RunClient(TimeSpan.FromSeconds(20), "ps").Output, StringComparison.Ordinal);
        Programs.RunClient(TimeSpan.FromSeconds(20), "rm", name);
    }

    [TerminalFact]
    public void Exec_HasATerminalOfItsOwn()
    {
        string name = NewName();
        Assert.Equal(0, Programs.RunClient(TimeSpan.FromSeconds(30), "run", "-d", "-t", "--name", name, "--rootfs", "/", "--", "sh", "-c", "tty; cat").ExitCode);
        using (Tmux tmux = new($"{Programs.Client} exec -it {name} -- sh -c 'tty; stty size; read line; echo got $line; exit 9'"))
        {
            tmux.WaitFor("/dev/pts/1\n24 80");
            tmux.Press("words", "Enter");
            tmux.WaitFor("got words");
            tmux.WaitFor("ended with 9");
        }

        Assert.Equal("/dev/pts/0\r\n", Programs.RunClient(TimeSpan.FromSeconds(20), "logs", name).Output);
        Programs.RunClient(TimeSpan.FromSeconds(20), "rm", "-f", name);
    }

    [TerminalFact]
    public void Restore_GoesOnInAnotherWindow()
    {
        string name = NewName(), snapshot = name + "-saved";
        using (Tmux tmux = new(InSandbox("vim -n -u NONE", name)))
        {
            tmux.WaitFor("Vi IMproved");
            tmux.Press("ibefore");
            tmux.WaitFor("before");
            Outcome saved = Programs.RunClient(TimeSpan.FromSeconds(60), "checkpoint", name, snapshot);
            Assert.True(saved.ExitCode == 0, saved.Error);
            tmux.WaitFor("ended with 0");
        }

        // In two windows of other sizes, one after the other: the snapshot stays what it was.
        foreach (int columns in (int[])[100, 60])
        {
            using Tmux tmux = new($"sleep 1; {Programs.Client} restore {snapshot} --name {name}-{columns}");
            tmux.Resize(columns, 20);
            tmux.WaitUntil(s => s.Contains("before", StringComparison.Ordinal) && s.Contains("~", StringComparison.Ordinal), "what was typed before");
            tmux.Press(" after", "Escape", ":set columns? lines?", "Enter");
            tmux.WaitFor($"columns={columns}");
            tmux.Press("Enter", ":w! /tmp/written", "Enter");
            tmux.WaitFor("written");
            tmux.Press(":!cat /tmp/written; tty", "Enter");
            tmux.WaitFor("before after\n/dev/pts/0");
            tmux.Press("Enter", ":qa!", "Enter");
            tmux.WaitFor("ended with 0");
        }
    }

    [TerminalFact]
    public void Checkpoint_LeavingItRunning_DoesNotDisturbTheTerminal()
    {
        string name = NewName();
        using Tmux tmux = new(InSandbox(Shell, name));
        tmux.WaitFor("%");
        tmux.Press("echo half a li");
        tmux.WaitFor("half a li");
        Assert.Equal(0, Programs.RunClient(TimeSpan.FromSeconds(60), "checkpoint", name, name, "--leave-running").ExitCode);
        tmux.Press("ne; exit", "Enter");
        tmux.WaitFor("\nhalf a line");
        tmux.WaitFor("ended with 0");

        using Tmux restored = new($"{Programs.Client} restore {name} --name {name}-again");
        restored.WaitFor("echo half a li");
        restored.Press("st; tty; exit", "Enter");
        restored.WaitFor("half a list\n/dev/pts/0");
        restored.WaitFor("ended with 0");
    }

    /// <summary>The user's terminal is as it was however the client ends.</summary>
    [TerminalTheory]
    [InlineData("true")]
    [InlineData("no-such-program")]
    [InlineData("sh -c 'stty raw; kill -9 $$'")]
    [InlineData("sh -c 'kill -SEGV $$'")]
    public void UsersTerminal_IsPutBack(string program)
    {
        using Tmux tmux = new($"stty -a >/tmp/before$$; {Programs.Client} run -it --rootfs / -- {program}; stty -a >/tmp/after$$; cmp /tmp/before$$ /tmp/after$$ && echo the same; rm /tmp/before$$ /tmp/after$$");
        tmux.WaitFor("the same");
    }

    [TerminalFact]
    public void UsersTerminal_IsPutBackWhenTheSandboxIsKilled()
    {
        string name = NewName();
        using Tmux tmux = new($"stty -a >/tmp/before$$; {InSandbox("vim -n -u NONE", name)}; stty -a >/tmp/after$$; cmp /tmp/before$$ /tmp/after$$ && echo the same; rm /tmp/before$$ /tmp/after$$");
        tmux.WaitFor("Vi IMproved");
        Assert.Equal(0, Programs.RunClient(TimeSpan.FromSeconds(20), "kill", "-s", "KILL", name).ExitCode);
        tmux.WaitUntil(s => s.Contains("the same", StringComparison.Ordinal) && !s.Contains("Vi IMproved", StringComparison.Ordinal), "the first screen");
    }

    [TerminalFact]
    public void WithoutATerminalHere_InputIsTyped()
    {
        using System.Diagnostics.Process client = Programs.Start(["/bin/sh", "-c", $"printf 'tty\\nexit 4\\n' | {Programs.Client} run -it --rootfs / -- sh"]);
        Outcome outcome = Programs.Finish(client, TimeSpan.FromSeconds(30));
        Assert.Equal(4, outcome.ExitCode);
        Assert.Contains("/dev/pts/0\r\n", outcome.Output, StringComparison.Ordinal);
    }

    private static string Show(string command, string ready, string[] keys)
    {
        using Tmux tmux = new(command);
        string last = tmux.WaitFor(ready);
        foreach (string key in keys)
        {
            tmux.Press(key);
            last = Settle(tmux);
        }

        return last;
    }

    /// <summary>The screen once it no longer changes.</summary>
    private static string Settle(Tmux tmux)
    {
        string last = "";
        for (int same = 0; same < 8;)
        {
            Thread.Sleep(60);
            string now = tmux.Screen;
            same = now == last ? same + 1 : 0;
            last = now;
        }

        return last;
    }
}
