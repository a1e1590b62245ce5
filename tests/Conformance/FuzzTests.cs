namespace Tests.Conformance;

/// <summary>Random system calls of the kept seeds; eng/fuzz-calls makes them for hours. The sentry is to outlive whatever a guest asks for.</summary>
[Collection(AgentCollection.Name)]
public sealed class FuzzTests(FuzzProgram program) : IClassFixture<FuzzProgram>
{
    private const string Workers = "10", Calls = "2000";

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    public static TheoryData<string> Seeds =>
        [.. File.ReadLines(Path.Combine(Programs.Root, "tests/Conformance/fuzz/seeds.txt")).Where(line => line.Length > 0 && line[0] != '#').Select(line => line.Split(' ')[0])];

    [SandboxTheory]
    [MemberData(nameof(Seeds))]
    public void Sandbox(string seed) => Run(seed, eager: false);

    [SandboxTheory]
    [MemberData(nameof(Seeds))]
    public void SandboxWithEagerCallSites(string seed) => Run(seed, eager: true);

    private void Run(string seed, bool eager)
    {
        Assert.NotNull(program);
        Outcome outcome = Programs.Run(Limit, eager, Programs.SnapshotRpc, "run", "--rootfs", "/", "--", FuzzProgram.Binary, seed, Workers, Calls);
        Assert.True(outcome.ExitCode == 0 && outcome.Output.Contains(Workers + " workers ended", StringComparison.Ordinal), outcome.ToString());
    }
}

/// <summary>Builds the fuzzer once.</summary>
public sealed class FuzzProgram
{
    public FuzzProgram() => Programs.Build(Path.Combine(Programs.Root, "tests/Conformance/fuzz/fuzz_calls.c"), Binary, "-Wno-unused-result");

    public static string Binary { get; } = Programs.PathOf("fuzz_calls");
}
