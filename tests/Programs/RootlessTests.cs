using System.Diagnostics;
using System.Net.Sockets;

namespace Tests.Programs;

/// <summary>An ordinary user with programs and folders of its own; the repository may be closed to it.</summary>
public sealed class OrdinaryUser : IDisposable
{
    public const int Id = 65534;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);
    private readonly string _folder = Directory.CreateTempSubdirectory("snapshot-rootless-").FullName;

    public OrdinaryUser()
    {
        if (Programs.Client is null)
            return;
        File.SetUnixFileMode(_folder, (UnixFileMode)0x1ED);
        string project = Path.GetFullPath("../../..", Programs.Client), bin = Path.Combine(_folder, "bin");
        Directory.CreateDirectory(bin);
        foreach (string program in (string[])["sentry", "gofer", "broker", "snapshot-rpc"])
            File.Copy(Path.Combine(project, "artifacts/bin", program), Path.Combine(bin, program));
        foreach (string file in Directory.GetFiles(Path.Combine(project, "artifacts/publish/restore-agent")))
            File.Copy(file, Path.Combine(bin, Path.GetFileName(file)), overwrite: true);
        Volume = MakeFolder("volume");
        MakeFolder("run");
        MakeFolder("state");
    }

    /// <summary>A folder of the user's.</summary>
    public string Volume { get; } = "";

    /// <summary>The client as that user, to its end.</summary>
    public Outcome Client(params string[] arguments) => Programs.Finish(Start(arguments), Limit);

    /// <summary>What the client printed; the test fails when it did not end well.</summary>
    public string Expect(params string[] arguments)
    {
        Outcome outcome = Client(arguments);
        Assert.True(outcome.ExitCode == 0, $"{string.Join(' ', arguments)}: {outcome.ExitCode}: {outcome.Error}{outcome.Output}");
        return outcome.Output;
    }

    /// <summary>Asks again until an answer is as wanted.</summary>
    public string Await(Func<string, bool> wanted, params string[] arguments)
    {
        Stopwatch waited = Stopwatch.StartNew();
        for (; ; )
        {
            Outcome outcome = Client(arguments);
            if (outcome.ExitCode == 0 && wanted(outcome.Output))
                return outcome.Output;
            Assert.True(waited.Elapsed < Limit, $"{string.Join(' ', arguments)} never says what is waited for: {outcome.Output}{outcome.Error}");
            Thread.Sleep(50);
        }
    }

    public void Dispose()
    {
        if (Programs.Client is not null)
            Client("agent", "stop");
        Directory.Delete(_folder, recursive: true);
    }

    private string MakeFolder(string name)
    {
        string folder = Path.Combine(_folder, name);
        Directory.CreateDirectory(folder);
        Assert.Equal(0, Programs.Finish(Programs.Start(["chown", $"{Id}:{Id}", folder]), Limit).ExitCode);
        return folder;
    }

    private Process Start(string[] arguments) => Programs.Start(
    [
        "setpriv", "--reuid", $"{Id}", "--regid", $"{Id}", "--clear-groups", "env", $"SNAPSHOT_RUNTIME_DIR={_folder}/run", $"SNAPSHOT_STATE_DIR={_folder}/state",
        $"{_folder}/bin/snapshot-rpc", .. arguments,
    ]);
}

/// <summary>A fact for machines where tests can become another user.</summary>
public sealed class RootlessFactAttribute : FactAttribute
{
    public RootlessFactAttribute()
    {
        if (Programs.Client is null || Environment.UserName != "root")
            Skip = "only root can become another user, and the programs must be built";
    }
}

/// <summary>All of it as an ordinary user: no capability, no group, no right to the repository.</summary>
public sealed class RootlessTests(OrdinaryUser user) : IClassFixture<OrdinaryUser>
{
    private const string Counter = "i=0; while :; do i=$((i+1)); echo $i > /work/count; sleep 0.05; done";

    [RootlessFact]
    public void Run_IsRootInsideAlone()
    {
        string output = user.Expect("run", "--rootfs", "/", "--volume", user.Volume + ":/work", "--", "sh", "-c", "id -u; touch /made /work/made; stat -c %u /made /work/made; cat /etc/shadow 2>/dev/null || echo closed");
        Assert.Equal("0\n0\n0\nclosed\n", output);
        Assert.Equal($"{OrdinaryUser.Id}\n", Programs.Finish(Programs.Start(["stat", "-c", "%u", Path.Combine(user.Volume, "made")]), TimeSpan.FromSeconds(20)).Output);
    }

    [RootlessFact]
    public void Volume_OfAnother_IsNotWritten()
    {
        Outcome outcome = user.Client("run", "--rootfs", "/", "--volume", "/etc:/theirs", "--", "sh", "-c", "echo x > /theirs/snapshot-test");
        Assert.NotEqual(0, outcome.ExitCode);
        Assert.Contains("Permission denied", outcome.Error);
        Assert.False(File.Exists("/etc/snapshot-test"));
    }

    [RootlessFact]
    public void Checkpoint_AndRestore_GoOn()
    {
        user.Expect("run", "--rootfs", "/", "-d", "--name", "counts", "--volume", user.Volume + ":/work", "--", "sh", "-c", Counter);
        int Count(string name) => int.Parse("0" + user.Client("exec", name, "--", "cat", "/work/count").Output.Trim());
        user.Await(text => text.Trim().Length > 0 && int.Parse(text) > 3, "exec", "counts", "--", "cat", "/work/count");
        user.Expect("checkpoint", "counts", "counted");
        int saved = int.Parse(File.ReadAllText(Path.Combine(user.Volume, "count")));
        user.Expect("restore", "counted", "-d", "--name", "goes-on");
        user.Await(text => text.Trim().Length > 0 && int.Parse(text) > saved, "exec", "goes-on", "--", "cat", "/work/count");
        Assert.True(Count("goes-on") > saved);
        user.Expect("rm", "-f", "goes-on");
    }

    [RootlessFact]
    public void PublishedPort_AndNamesOfANet_Answer()
    {
        const string server = "import http.server,os; os.chdir('/usr/share'); http.server.test(http.server.SimpleHTTPRequestHandler, port=8000, bind='0.0.0.0')";
        int port;
        using (TcpListener free = new(System.Net.IPAddress.Loopback, 0))
        {
            free.Start();
            port = ((System.Net.IPEndPoint)free.LocalEndpoint).Port;
        }

        user.Expect("run", "--rootfs", "/", "-d", "--name", "alone", "--network", "sandbox", "--publish", $"{port}:8000", "--", "python3", "-c", server);
        string page = "";
        using HttpClient client = new();
        for (Stopwatch waited = Stopwatch.StartNew(); page.Length == 0;)
        {
            try
            {
                page = client.GetStringAsync($"http://127.0.0.1:{port}/").Result;
            }
            catch (AggregateException e) when (e.InnerException is HttpRequestException && waited.Elapsed < TimeSpan.FromMinutes(1))
            {
                Thread.Sleep(50);
            }
        }

        Assert.Contains("doc/", page);
        user.Expect("rm", "-f", "alone");

        user.Expect("run", "--rootfs", "/", "-d", "--name", "serves", "--net", "lan", "--", "python3", "-c", server);
        const string ask = """
            import time, urllib.request
            end = time.time() + 60
            while True:
                try:
                    print('doc/' in urllib.request.urlopen('http://serves:8000/').read().decode())
                    break
                except OSError:
                    if time.time() > end: raise
                    time.sleep(0.05)
            """;
        Assert.Equal("True\n", user.Expect("run", "--rootfs", "/", "--net", "lan", "--", "python3", "-c", ask));
        user.Expect("rm", "-f", "serves");
    }
}
