using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Sentry.Control;

namespace Tests.Agent;

/// <summary>An agent of its own over the stand-in sentry and gofer of the folder Fakes, with its client.</summary>
public sealed class AgentFixture : IDisposable
{
    private Process _agent;

    public AgentFixture()
    {
        Folder = Directory.CreateTempSubdirectory("agent-test-").FullName;
        Programs = Directory.CreateDirectory(Path.Combine(Folder, "programs")).FullName;
        foreach (string fake in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Fakes")))
        {
            string program = Path.Combine(Programs, Path.GetFileName(fake));
            File.Copy(fake, program);
            File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        SentryBuild = ControlProtocol.Build.Identity;
        Root = Path.Combine(Folder, "root");
        Directory.CreateDirectory(Path.Combine(Root, "etc"));
        File.WriteAllText(Path.Combine(Root, "etc/base"), "base\n");
        File.WriteAllText(Path.Combine(Root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\nuser:x:1000:1001::/:/bin/sh\n");
        Environment = new()
        {
            ["SNAPSHOT_RUNTIME_DIR"] = Path.Combine(Folder, "run"),
            ["SNAPSHOT_STATE_DIR"] = Path.Combine(Folder, "state"),
            ["SNAPSHOT_PROGRAMS"] = Programs,
            ["SNAPSHOT_SAVE_THROUGH_STORE"] = "1",
        };
        _agent = StartAgent();
    }

    public string Folder { get; }

    /// <summary>Where the stand-ins are.</summary>
    public string Programs { get; }

    /// <summary>What sentries say from now on of their build.</summary>
    public string SentryBuild
    {
        set => File.WriteAllText(Path.Combine(Programs, "build"), value);
    }

    /// <summary>A folder to use as root file system.</summary>
    public string Root { get; }

    public Dictionary<string, string> Environment { get; }

    public string HttpSocket => Path.Combine(Folder, "run/agent.sock");

    public string AttachSocket => Path.Combine(Folder, "run/attach.sock");

    /// <summary>A client of the agent's HTTP API.</summary>
    public HttpClient Connect() => new(new SocketsHttpHandler
    {
        ConnectCallback = async (_, cancellation) =>
        {
            Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(HttpSocket), cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        },
    })
    { BaseAddress = new Uri("http://agent/") };

    /// <summary>Starts the client; the caller reads its streams.</summary>
    public Process StartClient(params string[] arguments) => Start("snapshot-rpc.dll", arguments);

    /// <summary>Runs the client to its end.</summary>
    public (int ExitCode, string Output, string Error) Client(params string[] arguments)
    {
        using Process process = StartClient(arguments);
        process.StandardInput.Close();
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }

    /// <summary>The agent stands still: clients are let in by the host, but nobody reads what they say. It ends with <see cref="KillAndStartAnew"/>.</summary>
    public void Stop()
    {
        using Process kill = Process.Start("kill", ["-STOP", $"{_agent.Id}"]);
        kill.WaitForExit();
    }

    /// <summary>Ends the agent as a crash does, and starts the next one.</summary>
    /// <param name="between">Done while there is none.</param>
    public void KillAndStartAnew(Action? between = null)
    {
        _agent.Kill();
        _agent.WaitForExit();
        _agent.Dispose();
        between?.Invoke();
        _agent = StartAgent();
    }

    public void Dispose()
    {
        // With the agent stopped by a request no sandbox is left behind.
        Client("agent", "stop");
        _agent.Kill();
        _agent.WaitForExit();
        _agent.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    private Process StartAgent()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(AttachSocket)!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.Delete(AttachSocket);
        Process agent = Start("restore-agent.dll", []);
        Stopwatch waited = Stopwatch.StartNew();
        while (!File.Exists(AttachSocket))
        {
            if (agent.HasExited || waited.Elapsed > TimeSpan.FromMinutes(2))
                throw new InvalidOperationException("the agent does not start: " + agent.StandardError.ReadToEnd());
            Thread.Sleep(20);
        }

        return agent;
    }

    private Process Start(string assembly, string[] arguments)
    {
        ProcessStartInfo start = new("dotnet", [Path.Combine(AppContext.BaseDirectory, assembly), .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
        };
        foreach ((string name, string value) in Environment)
            start.Environment[name] = value;
        return Process.Start(start)!;
    }
}
