using System.Diagnostics;

namespace Tests.Programs.Terminals;

/// <summary>A terminal emulator that a test types into and looks at: a tmux server of the test's own on the host.</summary>
internal sealed class Tmux : IDisposable
{
    public const int Rows = 24, Columns = 80;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30), Look = TimeSpan.FromMilliseconds(40);
    private static int _count;

    private readonly string _server = $"terminal-{Environment.ProcessId}-{Interlocked.Increment(ref _count)}";

    /// <summary>Starts a command line of the shell in a window of 80 by 24; the window stays when it ends, and shows the exit code.</summary>
    public Tmux(string command)
    {
        Do("-f", "/dev/null", "new-session", "-d", "-x", $"{Columns}", "-y", $"{Rows}", "sh", "-c", command + "\nprintf '\\nended with %d\\n' $?; sleep 1000");
        Do("set", "-g", "escape-time", "0");
    }

    public static bool IsInstalled => File.Exists("/usr/bin/tmux");

    /// <summary>What is on the screen.</summary>
    public string Screen => Do("capture-pane", "-p");

    /// <summary>Presses keys by their tmux names (Enter, C-c, …); others are typed as they are.</summary>
    public void Press(params string[] keys) => Do(["send-keys", .. keys]);

    public void Resize(int columns, int rows) => Do("resize-window", "-x", $"{columns}", "-y", $"{rows}");

    /// <summary>Waits until a text is on the screen; the screen then.</summary>
    public string WaitFor(string text) => WaitUntil(screen => screen.Contains(text, StringComparison.Ordinal), text);

    /// <summary>Waits until the screen is as it is to be.</summary>
    public string WaitUntil(Func<string, bool> wanted, string what)
    {
        Stopwatch waited = Stopwatch.StartNew();
        while (true)
        {
            string screen = Screen;
            if (wanted(screen))
                return screen;
            if (waited.Elapsed > Patience)
                Assert.Fail($"the screen does not show \"{what}\" but:\n{screen}");
            Thread.Sleep(Look);
        }
    }

    public void Dispose() => Do("kill-server");

    private string Do(params string[] arguments)
    {
        Outcome outcome = Programs.Finish(Programs.Start(["/usr/bin/tmux", "-L", _server, .. arguments]), Patience);
        Assert.True(outcome.ExitCode == 0 || arguments[0] == "kill-server", $"tmux {string.Join(' ', arguments)}: {outcome.Error}");
        return System.Text.Encoding.UTF8.GetString(System.Text.Encoding.Latin1.GetBytes(outcome.Output));
    }
}

/// <summary>Skipped, saying so, where tmux or the programs are missing.</summary>
public sealed class TerminalFactAttribute : FactAttribute
{
    public TerminalFactAttribute() => Skip = TerminalSkip.Reason;
}

/// <summary>As <see cref="TerminalFactAttribute"/>, for theories.</summary>
public sealed class TerminalTheoryAttribute : TheoryAttribute
{
    public TerminalTheoryAttribute() => Skip = TerminalSkip.Reason;
}

internal static class TerminalSkip
{
    public static string? Reason => Programs.Client is null ? "artifacts/bin/snapshot-rpc has not been built" : Tmux.IsInstalled ? null : "tmux is not installed";
}
