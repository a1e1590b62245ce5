using System.Diagnostics;
using System.Text;

namespace Tests.Programs;

/// <summary>What a run left behind.</summary>
/// <param name="Output">Standard output, bytes as Latin-1.</param>
/// <param name="Error">Standard error; shown when a test fails, not compared (messages name process ids and the like).</param>
public sealed record Outcome(string Output, string Error, int ExitCode)
{
    public const int TimedOut = -1000;
}

/// <summary>Runs programs on the host and in the sandbox, both with the same small environment.</summary>
internal static class Programs
{
    public const string Path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

    private static readonly string[] Environment = ["PATH=" + Path, "HOME=/tmp", "LC_ALL=C.UTF-8", "TZ=UTC", "TMPDIR=/tmp", "PYTHONDONTWRITEBYTECODE=1"];

    /// <summary>Where the build puts the programs; null when they have not been built.</summary>
    public static string? Client { get; } = FindClient();

    /// <summary>Directly on the host. .NET ignores SIGPIPE and its children inherit that; programs are to find it as a shell leaves it.</summary>
    public static Outcome RunNatively(ProgramCase program) => Finish(Start([.. Network(program), "/usr/bin/env", "--default-signal=PIPE", .. program.Arguments]), program.Timeout);

    /// <summary>Programs of networks get a namespace of their own, as a sandbox has one, so that no port is taken and the host's settings stay as they are.</summary>
    private static string[] Network(ProgramCase program) =>
        program.Group == "network" ? ["unshare", "--net", "sh", "-c", "ip link set lo up; exec \"$@\"", "sh"] : [];

    /// <summary>In a sandbox of its own, over the host's own root file system.</summary>
    public static Outcome RunSandboxed(ProgramCase program) => Finish(StartSandboxed(program), program.Timeout * 2);

    /// <summary>A sandbox whose program has just been started.</summary>
    public static Process StartSandboxed(ProgramCase program, params string[] options)
    {
        IEnumerable<string> environment = Environment.SelectMany(each => (string[])["-e", each]);
        return Start([Client!, "run", "--rootfs", "/", .. options, .. environment, "--", .. program.Arguments]);
    }

    /// <summary>The client with these arguments, to its end.</summary>
    public static Outcome RunClient(TimeSpan timeout, params string[] arguments) => Finish(Start([Client!, .. arguments]), timeout);

    /// <summary>Starts a command without input whose output the caller reads.</summary>
    public static Process Start(string[] command)
    {
        var start = new ProcessStartInfo(command[0])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.Latin1,
            StandardErrorEncoding = Encoding.Latin1,
            WorkingDirectory = "/tmp",
        };
        foreach (string argument in command[1..])
            start.ArgumentList.Add(argument);
        start.Environment.Clear();
        foreach (string entry in Environment)
            start.Environment[entry.Split('=', 2)[0]] = entry.Split('=', 2)[1];
        start.Environment["SNAPSHOT_RUNTIME_DIR"] = TestAgent.Folder;
        start.Environment["SNAPSHOT_STATE_DIR"] = TestAgent.Folder;
        Process process = Process.Start(start)!;
        process.StandardInput.Close();
        return process;
    }

    /// <summary>Reads a process's output to the end; one that takes too long is killed.</summary>
    public static Outcome Finish(Process process, TimeSpan timeout)
    {
        using Process ending = process;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        bool ended = process.WaitForExit(timeout) && Task.WaitAll([output, error], TimeSpan.FromSeconds(5));
        if (!ended)
            process.Kill(entireProcessTree: true);
        Task.WaitAll([output, error], TimeSpan.FromSeconds(5));
        string Text(Task<string> task) => task.IsCompletedSuccessfully ? task.Result : "";
        return new Outcome(Text(output), Text(error), ended ? process.ExitCode : Outcome.TimedOut);
    }

    private static string? FindClient()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string client = System.IO.Path.Combine(folder.FullName, "artifacts/bin/snapshot-rpc");
            if (File.Exists(client))
                return client;
        }

        return null;
    }
}

/// <summary>An agent of the tests' own, with its snapshots, gone when they are done.</summary>
public sealed class TestAgent : IDisposable
{
    public static string Folder { get; } = $"/tmp/snapshot-tests-{System.Environment.ProcessId}";

    public void Dispose()
    {
        if (Programs.Client is not null)
            Programs.RunClient(TimeSpan.FromSeconds(20), "agent", "stop");
        if (Directory.Exists(Folder))
            Directory.Delete(Folder, recursive: true);
    }
}

[CollectionDefinition(nameof(TestAgent))]
public sealed class AgentCollection : ICollectionFixture<TestAgent>;
