using System.Collections.Concurrent;

namespace Tests.Conformance;

/// <summary>Every program first on Linux, then in the sandbox, then in the sandbox with a checkpoint and restore at each of its
/// <c>maybe_save()</c> points: always the same output and exit code.</summary>
[Collection(AgentCollection.Name)]
public sealed class ConformanceTests(Programs programs)
{
    private const string SaveCall = "1000";

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private static readonly ConcurrentDictionary<string, Outcome> NativeOutcomes = new();

    public static TheoryData<string> All => [.. Programs.Names];

    [Theory]
    [MemberData(nameof(All))]
    public void Native(string program)
    {
        Outcome outcome = RunNative(program);
        Assert.True(outcome.ExitCode == 0 && outcome.Errors.Length == 0, outcome.ToString());
        Assert.Equal(outcome.Output, RunNative(program).Output);
    }

    [SandboxTheory]
    [MemberData(nameof(All))]
    public void Sandbox(string program) => Compare(program, "sandbox", eager: false, "run", "--rootfs", "/", "--", Programs.PathOf(program));

    [SandboxTheory]
    [MemberData(nameof(All))]
    public void SandboxWithSaves(string program) =>
        Compare(program, "save", eager: false, "run", "--rootfs", "/", "--save-at-call", SaveCall, "--", Programs.PathOf(program));

    /// <summary>With every system-call instruction rewritten as soon as it is met again.</summary>
    [SandboxTheory]
    [MemberData(nameof(All))]
    public void SandboxWithEagerCallSites(string program) =>
        Compare(program, "save", eager: true, "run", "--rootfs", "/", "--save-at-call", SaveCall, "--", Programs.PathOf(program));

    [Fact]
    public void Expectations_NamePrograms()
    {
        Assert.NotNull(programs);
        Assert.Empty(Programs.Expectations.Select(e => e.Program).Except(Programs.Names));
        Assert.Empty(Programs.Expectations.Select(e => e.Mode).Except(["sandbox", "save", "both"]));
    }

    /// <summary>In network and IPC namespaces of its own, as a sandbox has them: what else runs on the machine is not seen, nor hurt.</summary>
    private static Outcome RunNative(string program) =>
        Programs.Run(Limit, "unshare", "--net", "--ipc", "sh", "-c", "ip link set lo up; exec \"$0\"", Programs.PathOf(program));

    private static void Compare(string program, string mode, bool eager, params string[] arguments)
    {
        Outcome native = NativeOutcomes.GetOrAdd(program, RunNative);
        Outcome sandboxed = Programs.Run(Limit, eager, Programs.SnapshotRpc, arguments);
        bool same = sandboxed.ExitCode == native.ExitCode && sandboxed.Output == native.Output;
        (_, _, string? reason) = Programs.Expectations.FirstOrDefault(e => e.Program == program && (e.Mode == mode || e.Mode == "both"));
        if (reason is null)
            Assert.True(same, $"{sandboxed}\n--- natively\n{native}");
        else
            Assert.False(same, $"{program} passes although expectations.txt says \"{reason}\"");
    }
}

/// <summary>Skipped as long as the CLI has not been built.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class SandboxTheoryAttribute : TheoryAttribute
{
    public SandboxTheoryAttribute()
    {
        if (!File.Exists(Programs.SnapshotRpc))
            Skip = "artifacts/bin/snapshot-rpc has not been built (eng/build)";
    }
}
