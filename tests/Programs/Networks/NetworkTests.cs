using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;

namespace Tests.Programs.Networks;

/// <summary>The ways to connect a sandbox, as a user takes them; only those that need no privileges.</summary>
[Collection(nameof(TestAgent))]
public sealed partial class NetworkTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);
    private static int _count;

    private readonly string _name = $"n{Interlocked.Increment(ref _count)}-{Environment.ProcessId}";

    // A server that answers each connection with what it gets, and one line on its output for each that ends badly.
    private const string Echo = """
        import socket, threading
        def serve(link):
            try:
                while data := link.recv(4096): link.sendall(data)
            except OSError as error: print(error.strerror, flush=True)
        with socket.create_server(("", 7000)) as server:
            print("listening", flush=True)
            while True: threading.Thread(target=serve, args=(server.accept()[0],)).start()
        """;

    // Asks the echo server for each number in turn, on one connection, and says how it ends.
    private const string Ask = """
        import socket, sys, time
        for attempt in range(200):
            try: link = socket.create_connection((sys.argv[1], 7000), timeout=30); break
            except OSError: time.sleep(0.05)
        else: raise SystemExit("no connection")
        number = 0
        try:
            while True:
                number += 1; link.sendall(b"%d\n" % number); got = b""
                while not got.endswith(b"\n"): got += link.recv(100)
                if int(got) != number: raise SystemExit("wrong answer")
                if number == 3: print("answered", flush=True)
                time.sleep(0.01)
        except OSError as error: print(error.strerror, flush=True)
        """;

    private static string Client(params string[] arguments)
    {
        Outcome outcome = Programs.RunClient(Limit, arguments);
        Assert.True(outcome.ExitCode == 0, $"snapshot-rpc {string.Join(' ', arguments)}: {outcome.ExitCode}: {outcome.Output}{outcome.Error}");
        return outcome.Output;
    }

    private static void Start(string name, string program, string[] options, params string[] arguments) =>
        Client(["run", "--detach", "--name", name, "--rootfs", "/", .. options, "--", "python3", "-c", program, .. arguments]);

    private static void WaitForLog(string name, string text)
    {
        Stopwatch waited = Stopwatch.StartNew();
        for (string log = ""; !log.Contains(text, StringComparison.Ordinal); Thread.Sleep(50))
        {
            log = Client("logs", name);
            Assert.True(waited.Elapsed < Limit, $"{name} has not printed {text}, but: {log}");
        }
    }

    private static int PublishedPort(string name) => int.Parse(PortPattern().Match(Client("inspect", name)).Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture);

    private static string Exchange(int port, string text)
    {
        using TcpClient client = new();
        client.Connect(IPAddress.Loopback, port);
        using NetworkStream stream = client.GetStream();
        stream.Write(Encoding.ASCII.GetBytes(text));
        client.Client.Shutdown(SocketShutdown.Send);
        return new StreamReader(stream).ReadToEnd();
    }

    [GeneratedRegex(@"127\.0\.0\.1:(\d+)")]
    private static partial Regex PortPattern();

    /// <summary>Without a network there is loopback, and the sandbox's own name leads there.</summary>
    [Fact]
    public void NoNetwork_OwnName_IsOfTheLoopback() => Assert.Equal($"127.0.1.1 {_name}\n",
        Regex.Replace(Client("run", "--name", _name, "--rootfs", "/", "--", "sh", "-c", "getent hosts $(hostname)"), " +", " "));

    [Fact]
    public void Publish_PortOfTheHost_LeadsIntoTheSandbox_AfterARestoreToo()
    {
        Start(_name, Echo, ["--publish", "0:7000"]);
        WaitForLog(_name, "listening");
        int port = PublishedPort(_name);
        Assert.Equal("hello", Exchange(port, "hello"));

        Client("checkpoint", _name, _name);
        Client("restore", _name, "--name", _name + "r", "--detach");
        Assert.Equal("again", Exchange(PublishedPort(_name + "r"), "again"));
        Client("rm", "-f", _name + "r");
    }

    [Fact]
    public void Net_SandboxesFindEachOtherByName_AndAMovedOneKeepsItsConnections()
    {
        string client = _name + "c";
        Start(_name, Echo, ["--net", _name]);
        Start(client, Ask, ["--net", _name], _name);
        WaitForLog(client, "answered");
        Client("checkpoint", _name, _name);
        Client("restore", _name, "--name", _name + "r", "--detach");
        Outcome other = Programs.RunClient(Limit, "run", "--rootfs", "/", "--net", _name, "--", "python3", "-c",
            "import socket, sys; link = socket.create_connection((sys.argv[1], 7000), 30); link.sendall(b'x'); print(link.recv(1).decode())", _name);
        Assert.Equal(("x\n", 0), (other.Output, other.ExitCode));
        Assert.Equal("answered\n", Client("logs", client));
        Client("rm", "-f", client);
        Client("rm", "-f", _name + "r");
    }

    [Fact]
    public void Restore_SecondCopyOnANet_IsRefused_UnlessItGetsANewIdentity()
    {
        string client = _name + "c", copy = _name + "copy";
        Start(_name, Echo, ["--net", _name]);
        Start(client, Ask, ["--net", _name], _name);
        WaitForLog(client, "answered");
        Client("checkpoint", client, _name, "--leave-running");

        Outcome refused = Programs.RunClient(Limit, "restore", _name, "--name", copy, "--detach");
        Assert.Equal(125, refused.ExitCode);
        Assert.Contains($"belongs to {client}, another copy of this sandbox", refused.Error, StringComparison.Ordinal);
        Assert.Equal(1, refused.Error.Count(c => c == '\n'));

        Client("restore", _name, "--name", copy, "--detach", "--new-identity");
        WaitForLog(copy, "Connection reset by peer");

        // The first has not noticed: its connection goes on, and the server has lost none.
        Assert.Equal("answered\n", Client("logs", client));
        Assert.Equal("listening\n", Client("logs", _name));
        Client("rm", "-f", client);
        Client("rm", "-f", _name);
        Client("rm", "-f", copy);
    }

    [Fact]
    public void Host_CheckpointSaysWhatIsLost_AndTheListenerListensAgain()
    {
        using TcpListener free = new(IPAddress.Loopback, 0);
        free.Start();
        int port = ((IPEndPoint)free.LocalEndpoint).Port;
        free.Stop();
        string program = Echo.Replace("\"\", 7000", $"\"127.0.0.1\", {port}", StringComparison.Ordinal);
        Start(_name, program, ["--network", "host"]);
        WaitForLog(_name, "listening");
        using TcpClient client = new();
        client.Connect(IPAddress.Loopback, port);
        client.Client.Send("x"u8);
        Assert.Equal(1, client.Client.Receive(new byte[10]));

        Outcome saved = Programs.RunClient(Limit, "checkpoint", _name, _name);
        Assert.Equal(0, saved.ExitCode);
        Assert.Contains($"tcp ESTAB 127.0.0.1:{port} 127.0.0.1:{((IPEndPoint)client.Client.LocalEndPoint!).Port}: reset after a restore", saved.Error, StringComparison.Ordinal);
        Client("rm", "-f", _name);
        Client("restore", _name, "--name", _name + "r", "--detach");
        WaitForLog(_name + "r", "Connection reset by peer");
        Assert.Equal("hello", Exchange(port, "hello"));
        Client("rm", "-f", _name + "r");
    }

    [Fact]
    public void Pcap_HoldsTheFramesOfTheLink()
    {
        string file = Path.Combine(TestAgent.Folder, _name + ".pcapng");
        Start(_name, Echo, ["--publish", "0:7000", "--pcap", file]);
        WaitForLog(_name, "listening");
        Assert.Equal("a word to be found", Exchange(PublishedPort(_name), "a word to be found"));
        Client("rm", "-f", _name);
        byte[] capture = File.ReadAllBytes(file);
        Assert.Equal(0x0a0d0d0aU, BitConverter.ToUInt32(capture)); // a section header of pcapng
        Assert.True(capture.AsSpan().IndexOf("a word to be found"u8) > 0);
    }

    [Theory]
    [InlineData("'10.1.2.3.4' is no IPv4 address", "--net", "a", "--ip", "10.1.2.3.4")]
    [InlineData("there is no network namespace nowhere", "--netns", "nowhere", "--ip", "10.9.9.9/24")]
    [InlineData("'internet' is no network: none, sandbox or host", "--network", "internet")]
    [InlineData("80", "--publish", "80")]
    public void Run_WhatCannotBe_IsRefusedInOneLine(string message, params string[] options)
    {
        Outcome outcome = Programs.RunClient(Limit, ["run", "--rootfs", "/", .. options, "--", "true"]);
        Assert.Equal((125, 1), (outcome.ExitCode, outcome.Error.Count(c => c == '\n')));
        Assert.Contains(message, outcome.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Run_PortOrNameTaken_IsRefusedInOneLine()
    {
        Start(_name, Echo, ["--publish", "0:7000"]);
        int port = PublishedPort(_name);
        foreach (string[] options in (string[][])[["--publish", $"{port}:7000"], ["--name", _name]])
        {
            Outcome outcome = Programs.RunClient(Limit, ["run", "--rootfs", "/", .. options, "--", "true"]);
            Assert.Equal((125, 1), (outcome.ExitCode, outcome.Error.Count(c => c == '\n')));
        }

        Client("rm", "-f", _name);
    }
}

/// <summary>Moves between network namespaces under the eyes of the host's own TCP, by the programs of eng/ that measure them.</summary>
[Collection(nameof(TestAgent))]
public sealed class MoveTests
{
    private static Outcome Run(params string[] arguments) => Programs.Finish(Programs.Start([Path.Combine(Samples.Project, arguments[0]), .. arguments[1..]]), TimeSpan.FromMinutes(5));

    [RootFact]
    public void Transfer_CheckpointedAtRandomMoments_ArrivesWhole()
    {
        Outcome outcome = Run("eng/soak-transfer", "--checkpoints", "6", "--bytes", "20000000", "--seed", "5");
        Assert.True(outcome.ExitCode == 0, outcome.Output + outcome.Error);
        Assert.Contains("every byte right, resets seen by the peer: none", outcome.Output, StringComparison.Ordinal);
    }

    /// <summary>A namespace just made, whose loopback is down, and one where every address can be bound to: neither has the sandbox's address.</summary>
    [RootFact]
    public void Run_InANewNamespace_FindsItsAddressFree()
    {
        string name = $"new-{Environment.ProcessId}";
        Assert.Equal(0, Host("netns", "add", name).ExitCode);
        try
        {
            string[] run = ["run", "--rootfs", "/", "--network", "sandbox", "--netns", name, "--ip", "10.99.0.2/24", "--gateway", "10.99.0.1", "--", "true"];
            Outcome first = Programs.RunClient(TimeSpan.FromSeconds(60), run);
            Assert.Equal((0, ""), (first.ExitCode, first.Error));
            Assert.Equal(0, Host("-n", name, "link", "set", "lo", "up").ExitCode);
            Assert.Equal(0, Programs.RunClient(TimeSpan.FromSeconds(60), run).ExitCode);
            Assert.Equal(0, Host("-n", name, "address", "add", "10.99.0.2/24", "dev", "lo").ExitCode);
            Outcome taken = Programs.RunClient(TimeSpan.FromSeconds(60), run);
            Assert.Equal(125, taken.ExitCode);
            Assert.Contains("10.99.0.2 is in use", taken.Error, StringComparison.Ordinal);
        }
        finally
        {
            Host("netns", "del", name);
        }

        static Outcome Host(params string[] arguments) => Programs.Finish(Programs.Start(["ip", .. arguments]), TimeSpan.FromSeconds(20));
    }

    [RootFact]
    public void Redis_MovedUnderAClient_AnswersAll()
    {
        Outcome outcome = Run("eng/bench-move", "--moves", "2", "--bar", "30000");
        Assert.True(outcome.ExitCode == 0, outcome.Output + outcome.Error);
        Assert.Contains(" 0 errors", outcome.Output, StringComparison.Ordinal);
    }
}

/// <summary>A fact that makes network namespaces.</summary>
public sealed class RootFactAttribute : FactAttribute
{
    public RootFactAttribute()
    {
        if (!Environment.IsPrivilegedProcess)
            Skip = "making network namespaces takes root";
        else if (!File.Exists("/usr/bin/redis-server"))
            Skip = "redis-server is not installed";
    }
}

/// <summary>A theory that makes network namespaces.</summary>
public sealed class RootTheoryAttribute : TheoryAttribute
{
    public RootTheoryAttribute() => Skip = new RootFactAttribute().Skip;
}
