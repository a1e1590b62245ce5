namespace Tests.Programs;

/// <summary>Real programs give the same output and exit code in the sandbox as on the host.</summary>
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
