using System.Diagnostics;

namespace Tests.Programs;

/// <summary>Runs a program in a sandbox, saves and ends the sandbox in the middle, and goes on in a new one.</summary>
internal static class CheckpointedRun
{
    private static int _count;

    /// <summary>What both sandboxes printed together, and how the second ended; a program that was over sooner counts as it is.</summary>
    public static Outcome Run(ProgramCase program, TimeSpan moment, TimeSpan timeout)
    {
        string name = $"p{Interlocked.Increment(ref _count)}";
        Process first = Programs.StartSandboxed(program, "--name", name);
        Task<Outcome> beginning = Task.Run(() => Programs.Finish(first, timeout));
        beginning.Wait(moment);
        Outcome saved = Programs.RunClient(timeout, "checkpoint", name, name);
        Outcome before = beginning.Result;
        if (saved.ExitCode != 0)
            return IsOver(saved.Error) ? before : new Outcome(before.Output, $"checkpoint: {saved.Error}{before.Error}", saved.ExitCode);
        Outcome after = Programs.RunClient(timeout, "restore", name, "--name", name + "-restored");
        return new Outcome(before.Output + after.Output, before.Error + after.Error, after.ExitCode);
    }

    private static bool IsOver(string message) => message.Contains("exited", StringComparison.Ordinal) || message.Contains("ended", StringComparison.Ordinal) ||
        message.Contains("is not running", StringComparison.Ordinal) || message.Contains("no sandbox", StringComparison.Ordinal);
}
