using System.Diagnostics;

namespace Tests.Conformance;

/// <summary>What a program did.</summary>
public sealed record Outcome(int ExitCode, string Output, string Errors)
{
    public override string ToString() => $"exit code {ExitCode}\n--- output\n{Output}--- errors\n{Errors}";
}

/// <summary>All tests that need an agent.</summary>
[CollectionDefinition(Name)]
public sealed class AgentCollection : ICollectionFixture<Programs>
{
    public const string Name = "agents";
}

/// <summary>Builds the programs once and runs them, with agents of their own.</summary>
public sealed class Programs : IDisposable
{
    /// <summary>The repository.</summary>
    internal static readonly string Root = FindRoot();

    private static readonly string Sources = Path.Combine(Root, "tests/Conformance/programs");
    private static readonly string Binaries = Path.Combine(Root, "artifacts/conformance");
    private static readonly string Folder = Directory.CreateTempSubdirectory("conformance-").FullName;

    public Programs()
    {
        Directory.CreateDirectory(Binaries);
        Parallel.ForEach(Names, new ParallelOptions { MaxDegreeOfParallelism = 2 }, Build);
    }

    public static string SnapshotRpc { get; } = Path.Combine(Root, "artifacts/bin/snapshot-rpc");

    public static IEnumerable<string> Names => Directory.EnumerateFiles(Sources, "*.c").Select(f => Path.GetFileNameWithoutExtension(f)!).Order(StringComparer.Ordinal);

    /// <summary>Lines of expectations.txt: program, mode, reason.</summary>
    public static IReadOnlyList<(string Program, string Mode, string Reason)> Expectations { get; } =
    [
        .. File.ReadLines(Path.Combine(Root, "tests/Conformance/expectations.txt"))
            .Where(line => line.Length > 0 && line[0] != '#')
            .Select(line => line.Split(' ', 3, StringSplitOptions.RemoveEmptyEntries))
            .Select(parts => (parts[0], parts[1], parts[2])),
    ];

    public static string PathOf(string name) => Path.Combine(Binaries, name);

    public void Dispose()
    {
        foreach (bool eager in (ReadOnlySpan<bool>)[false, true])
            Run(TimeSpan.FromSeconds(30), eager, SnapshotRpc, "agent", "stop");
        Directory.Delete(Folder, recursive: true);
    }

    public static Outcome Run(TimeSpan limit, string program, params IEnumerable<string> arguments) => Run(limit, false, program, arguments);

    /// <param name="eager">Uses the agent whose sentries rewrite every system-call instruction that they meet twice, and watch every mailbox.</param>
    public static Outcome Run(TimeSpan limit, bool eager, string program, params IEnumerable<string> arguments)
    {
        string folder = Path.Combine(Folder, eager ? "eager" : "usual");
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["SNAPSHOT_RUNTIME_DIR"] = Path.Combine(folder, "run"), ["SNAPSHOT_STATE_DIR"] = Path.Combine(folder, "state") },
        };
        if (eager)
            start.Environment["SENTRY_CALL_SITES"] = "eager";
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(limit) || !Task.WaitAll([output, errors], limit))
        {
            process.Kill(entireProcessTree: true);
            return new Outcome(-1, Soon(output), Soon(errors) + $"still running after {limit.TotalSeconds} s\n");
        }

        return new Outcome(process.ExitCode, output.Result, errors.Result);
    }

    private static string Soon(Task<string> text) => text.Wait(TimeSpan.FromSeconds(2)) ? text.Result : "";

    private static void Build(string name) => Build(Path.Combine(Sources, name + ".c"), PathOf(name), name == "hello" ? ["-static"] : []);

    /// <summary>Compiles a program that is older than its source or the common header.</summary>
    internal static void Build(string source, string binary, params string[] options)
    {
        DateTime newest = new[] { source, Path.Combine(Sources, "conformance.h") }.Max(File.GetLastWriteTimeUtc);
        if (File.Exists(binary) && File.GetLastWriteTimeUtc(binary) > newest)
            return;
        Directory.CreateDirectory(Binaries);
        Outcome built = Run(TimeSpan.FromMinutes(2), "gcc",
            ["-O1", "-Wall", "-Wextra", "-Werror", "-Wno-stringop-overflow", "-Wno-nonnull", "-Wno-array-bounds", "-pthread", .. options, "-o", binary + ".new", source, "-lm"]);
        if (built.ExitCode != 0)
            throw new InvalidOperationException($"{Path.GetFileName(source)} does not build:\n{built.Errors}");
        File.Move(binary + ".new", binary, overwrite: true);
    }

    private static string FindRoot()
    {
        string root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "Snapshot.sln")))
            root = Path.GetDirectoryName(root) ?? throw new InvalidOperationException("Snapshot.sln not found above the test");
        return root;
    }
}
