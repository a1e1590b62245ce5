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

    private static readonly (string Name, string Value)[] Environment =
        [("PATH", Path), ("HOME", "/tmp"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), ("TMPDIR", "/tmp"), ("PYTHONDONTWRITEBYTECODE", "1")];

    /// <summary>Where the build puts the programs; null when they have not been built.</summary>
    public static string? Client { get; } = FindClient();

    /// <summary>Directly on the host.</summary>
    public static Outcome RunNatively(ProgramCase program) => Run(program.Arguments, program.Timeout);

    /// <summary>In a sandbox of its own, over the host's own root file system.</summary>
    public static Outcome RunSandboxed(ProgramCase program, params string[] options) =>
        Run([Client!, "run", .. options, "--rootfs", "/", "--", .. program.Arguments], program.Timeout * 2);

    /// <summary>The client with these arguments.</summary>
    public static Outcome RunClient(TimeSpan timeout, params string[] arguments) => Run([Client!, .. arguments], timeout);

    /// <summary>Starts a program whose streams the caller reads.</summary>
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
        string? runtime = System.Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        start.Environment.Clear();
        foreach ((string name, string value) in Environment)
            start.Environment[name] = value;
        if (runtime is not null)
            start.Environment["XDG_RUNTIME_DIR"] = runtime;
        Process process = Process.Start(start)!;
        process.StandardInput.Close();
        return process;
    }

    public static Outcome Run(string[] command, TimeSpan timeout)
    {
        using Process process = Start(command);
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
