namespace Tests.Programs;

/// <summary>Real programs give the same output and exit code in the sandbox as on the host.</summary>
[Collection(nameof(TestAgent))]
public sealed class ProgramTests
{
    private static readonly System.Collections.Concurrent.ConcurrentDictionary<string, Outcome> NativeOutcomes = new();

    /// <summary>A case must be worth comparing: deterministic, and fit to run on this host at all.</summary>
    [Theory]
    [MemberData(nameof(ProgramCase.Rows), MemberType = typeof(ProgramCase))]
    public void Natively_RunTwice_SameOutput(ProgramCase program)
    {
        Outcome first = Native(program), second = Programs.RunNatively(program);
        Assert.NotEqual(Outcome.TimedOut, first.ExitCode);
        Assert.NotEqual(99, first.ExitCode);
        Assert.Equal(first.Output, second.Output);
        Assert.Equal(first.ExitCode, second.ExitCode);
    }

    [SandboxTheory]
    [MemberData(nameof(ProgramCase.Rows), MemberType = typeof(ProgramCase))]
    public void Sandboxed_OutputAsNatively(ProgramCase program) => AssertSame(Native(program), Programs.RunSandboxed(program));

    [SandboxTheory]
    [MemberData(nameof(ProgramCase.Rows), MemberType = typeof(ProgramCase))]
    public void CheckpointedAndRestored_OutputAsNatively(ProgramCase program)
    {
        Outcome native = Native(program);
        var watch = System.Diagnostics.Stopwatch.StartNew();
        Programs.RunSandboxed(program);

        // The moment depends on the case's name alone, so that a failure can be seen again.
        double moment = new Random(program.ToString().Sum(c => c * 31)).NextDouble();
        AssertSame(native, CheckpointedRun.Run(program, watch.Elapsed * moment, TimeSpan.FromSeconds(60) + program.Timeout));
    }

    internal static Outcome Native(ProgramCase program) => NativeOutcomes.GetOrAdd(program.ToString(), _ => Programs.RunNatively(program));

    internal static void AssertSame(Outcome native, Outcome sandboxed)
    {
        if (native.Output == sandboxed.Output && native.ExitCode == sandboxed.ExitCode)
            return;
        Assert.Fail($"exit code {sandboxed.ExitCode} for {native.ExitCode}\n--- on the host\n{native.Output}\n--- in the sandbox\n{sandboxed.Output}\n" +
            $"--- its standard error\n{sandboxed.Error}");
    }
}

/// <summary>Skipped, saying so, where the programs have not been built.</summary>
public sealed class SandboxTheoryAttribute : TheoryAttribute
{
    public SandboxTheoryAttribute()
    {
        if (Programs.Client is null)
            Skip = "artifacts/bin/snapshot-rpc has not been built";
    }
}
