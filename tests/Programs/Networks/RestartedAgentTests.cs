using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Tests.Programs.Networks;

/// <summary>Networks of sandboxes whose agent dies or is restarted: what does not end in the agent goes on, the rest is there anew.</summary>
[Collection(nameof(TestAgent))]
public sealed partial class RestartedAgentTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);
    private static int _count;

    private readonly string _name = $"a{Interlocked.Increment(ref _count)}-{Environment.ProcessId}";
    private readonly List<string> _sandboxes = [];
    private readonly List<Process> _peers = [];

    private const string Echo = """
        import socket, threading
        def serve(link):
            while data := link.recv(4096): link.sendall(data)
        with socket.create_server(("", 7000)) as server:
            print("listening", flush=True)
            while True: threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
        """;

    // Sends numbers to the echo server on one connection, and prints each that comes back, and when.
    private const string Count = """
        import socket, sys, time
        link = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60).makefile("rw")
        for number in range(1, 1 << 30):
            print(number, file=link, flush=True)
            print(int(link.readline()), time.time(), flush=True)
            time.sleep(0.01)
        """;

    [RootTheory]
    [InlineData("tap", true)]
    [InlineData("tap", false)]
    [InlineData("veth", true)]
    [InlineData("veth", false)]
    public void Namespace_ConnectionsGoOn_WithoutAnAgentToo(string link, bool kill)
    {
        Ip("netns", "add", _name);
        try
        {
            Start(_name, Echo, ["--netns", _name, "--ip", "10.8.0.7/24", "--link", link]);
            WaitForLog(_name, "listening");
            Process peer = Peer("ip", "netns", "exec", _name, "python3", "-c", Count, "10.8.0.7", "7000");
            AwaitMore(peer);
            if (kill)
                KillAgent();
            else
                Client("agent", "restart");
            AwaitMore(peer);
            Assert.Contains($"10.8.0.7@{_name}", Client("ps"), StringComparison.Ordinal);
            AwaitMore(peer);

            // The next sentry gets a device of its own from the agent that did not make the first.
            Client("checkpoint", _name, _name);
            Start(["restore", _name, "--name", _name + "r", "-d"]);
            AwaitMore(peer);
            KillAgent();
            AwaitMore(peer);
            Client("rm", "-f", _name + "r");
            AwaitGone(() => Ip("-n", _name, "-brief", "link"), "sn");
        }
        finally
        {
            Ip("netns", "delete", _name);
        }
    }

    [RootFact]
    public void NamespaceOfTheSandbox_IsFoundByTheNextAgent_AndGoesWithTheSandbox()
    {
        Start(_name, Echo, ["--netns", "new", "--publish", "0:7000"]);
        WaitForLog(_name, "listening");
        string space = NamespacePattern().Match(Client("ps")).Value;
        Process peer = Peer("ip", "netns", "exec", space, "python3", "-c", Count, "10.0.2.15", "7000");
        AwaitMore(peer);
        KillAgent();
        AwaitMore(Peer("python3", "-c", Count, "127.0.0.1", PublishedPort(_name)));
        AwaitMore(peer);
        Client("rm", "-f", _name);
        AwaitGone(() => Ip("netns", "list"), space);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Net_ConnectionsBetweenSandboxesGoOn_AndThePortIsPublishedAgain(bool kill)
    {
        Start(_name, Echo, ["--net", _name, "--publish", "0:7000"]);
        WaitForLog(_name, "listening");
        string client = _name + "c", port = PublishedPort(_name);
        Start(client, Count, ["--net", _name], _name, "7000");
        WaitForLog(client, "\n3 ");
        Process outside = Peer("python3", "-c", Count, "127.0.0.1", port);
        AwaitMore(outside);
        if (kill)
            KillAgent();
        else
            Client("agent", "restart");

        // A connection from outside ends in the agent, and with it.
        Assert.True(outside.WaitForExit(Limit));
        Assert.Equal(port, PublishedPort(_name));
        AwaitMore(Peer("python3", "-c", Count, "127.0.0.1", port));
        int then = Last(client);
        WaitForLog(client, $"\n{then + 20} ");
        Assert.Equal("x\n", Client("run", "--rootfs", "/", "--net", _name, "--", "python3", "-c",
            "import socket, sys; link = socket.create_connection((sys.argv[1], 7000), 30); link.sendall(b'x'); print(link.recv(1).decode())", _name));
    }

    public void Dispose()
    {
        foreach (Process peer in _peers)
        {
            peer.Kill(entireProcessTree: true);
            peer.Dispose();
        }

        foreach (string sandbox in _sandboxes)
            Programs.RunClient(Limit, "rm", "-f", sandbox);
    }

    private void Start(string name, string program, string[] options, params string[] arguments) =>
        Start(["run", "--detach", "--name", name, "--rootfs", "/", .. options, "--", "python3", "-c", program, .. arguments]);

    private void Start(string[] arguments)
    {
        _sandboxes.Add(arguments[Array.IndexOf(arguments, "--name") + 1]);
        Client(arguments);
    }

    private static string Client(params string[] arguments) => Succeed(Programs.RunClient(Limit, arguments), arguments);

    private static string Ip(params string[] arguments) => Succeed(Programs.Finish(Programs.Start(["ip", .. arguments]), Limit), arguments);

    private static string Succeed(Outcome outcome, string[] arguments)
    {
        Assert.True(outcome.ExitCode == 0, $"{string.Join(' ', arguments)}: {outcome.ExitCode}: {outcome.Output}{outcome.Error}");
        return outcome.Output;
    }

    private Process Peer(params string[] command)
    {
        Process peer = Programs.Start(command);
        _peers.Add(peer);
        return peer;
    }

    /// <summary>Waits for an answer that comes after now.</summary>
    private static void AwaitMore(Process peer)
    {
        double now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0;
        for (string last = ""; last.Length == 0 || double.Parse(last.Split(' ')[1], CultureInfo.InvariantCulture) <= now;)
        {
            Task<string?> line = peer.StandardOutput.ReadLineAsync();
            Assert.True(line.Wait(Limit), $"no answer after {last}");
            Assert.True(line.Result is not null, $"the connection ended after {last}");
            last = line.Result;
        }
    }

    private static int Last(string sandbox) => int.Parse(Client("logs", sandbox).Split('\n', StringSplitOptions.RemoveEmptyEntries)[^1].Split(' ')[0], CultureInfo.InvariantCulture);

    private static void WaitForLog(string name, string text) => Await(() => Client("logs", name), log => log.Contains(text, StringComparison.Ordinal), $"{name} prints {text}");

    private static void AwaitGone(Func<string> list, string what) => Await(list, l => !l.Contains(what, StringComparison.Ordinal), $"{what} goes");

    private static void Await(Func<string> look, Func<string, bool> condition, string what)
    {
        Stopwatch waited = Stopwatch.StartNew();
        for (string seen = look(); !condition(seen); seen = look())
        {
            Assert.True(waited.Elapsed < Limit, $"not seen: {what}; {seen}");
            Thread.Sleep(50);
        }
    }

    private static string PublishedPort(string name) => PortPattern().Match(Client("inspect", name)).Groups[1].Value;

    /// <summary>Ends the agent as a crash does; the next client starts another.</summary>
    private static void KillAgent()
    {
        string mark = $"SNAPSHOT_RUNTIME_DIR={TestAgent.Folder}";
        List<Process> agents = [.. Process.GetProcesses().Where(IsOurs)];
        Assert.NotEmpty(agents);
        foreach (Process agent in agents)
        {
            agent.Kill();
            Assert.True(agent.WaitForExit(Limit));
        }

        bool IsOurs(Process process)
        {
            try
            {
                return File.ReadAllText($"/proc/{process.Id}/comm") == "restore-agent\n" && File.ReadAllText($"/proc/{process.Id}/environ").Split('\0').Contains(mark);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return false; // it has ended, or is another user's
            }
        }
    }

    [GeneratedRegex(@"127\.0\.0\.1:(\d+)")]
    private static partial Regex PortPattern();

    [GeneratedRegex(@"(?<=@)snapshot-\w+")]
    private static partial Regex NamespacePattern();
}
