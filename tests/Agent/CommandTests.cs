using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using SnapshotRpc;

namespace Tests.Agent;

/// <summary>The command line as people, shells and scripts see it.</summary>
public sealed class CommandTests(AgentFixture agent) : IClassFixture<AgentFixture>
{
    private static readonly string Documentation = File.ReadAllText(FindUp("docs/json.md"));

    public static TheoryData<string> Commands()
    {
        TheoryData<string> commands = [];
        foreach (string path in Walk(CommandLine.Build(), ""))
            commands.Add(path);
        return commands;
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void Help_SaysWhatEverythingIsAndShowsExamples(string path)
    {
        RootCommand root = CommandLine.Build();
        StringWriter output = new();
        string[] words = path.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        ParseResult parsed = root.Parse([.. words, "--help"]);
        Assert.Empty(parsed.Errors);
        Assert.Equal(0, parsed.Invoke(new InvocationConfiguration { Output = output }));
        string help = output.ToString();
        string[] examples = [.. help[(help.IndexOf("Examples:", StringComparison.Ordinal) + 9)..].Split('\n').Select(l => l.Trim()).Where(l => l.Length > 0)];
        Assert.Contains("Examples:", help, StringComparison.Ordinal);
        Assert.All(examples, e => Assert.StartsWith(path.Length == 0 ? "snapshot-rpc" : "snapshot-rpc " + words[0], e, StringComparison.Ordinal));
        Command command = words.Aggregate((Command)root, (c, w) => c.Subcommands.Single(s => s.Name == w));
        Assert.All(command.Options, o => Assert.False(string.IsNullOrWhiteSpace(o.Description), o.Name));
        Assert.All(command.Arguments, a => Assert.False(string.IsNullOrWhiteSpace(a.Description), a.Name));
        Assert.EndsWith(".", command.Description, StringComparison.Ordinal);
    }

    [Fact]
    public void Json_IsOneDocumentWithDocumentedFields()
    {
        JsonElement started = Json("run", "--rootfs", agent.Root, "--name", "json", "--detach", "--json", "--", "fake", "hold", "x");
        Assert.Equal("json", started.GetProperty("name").GetString());
        Assert.Contains(Json("ps", "--json").EnumerateArray(), s => s.GetProperty("name").GetString() == "json" && s.GetProperty("state").GetString() == "running");
        Assert.Equal("json", Json("inspect", "json", "--json").GetProperty("summary").GetProperty("name").GetString());
        Assert.Equal("json-image", Json("checkpoint", "json", "json-image", "--json").GetProperty("snapshot").GetString());
        Assert.Equal(0, Json("wait", "json", "--json").GetProperty("exitCode").GetInt32());
        Assert.Contains(Json("snapshots", "--json").EnumerateArray(), s => s.GetProperty("name").GetString() == "json-image");
        Assert.Equal("json-image", Json("inspect", "json-image", "--json").GetProperty("name").GetString());
        Assert.Single(Json("snapshots", "verify", "json-image", "--json").EnumerateArray());
        Assert.Equal("json-copy", Json("snapshots", "copy", "json-image", "--name", "json-copy", "--json").GetProperty("snapshot").GetString());
        Assert.Equal(0, Json("snapshots", "gc", "--json").GetProperty("freedBytes").GetInt64());
        Assert.Equal("json-again", Json("restore", "json-image", "--name", "json-again", "--detach", "--json").GetProperty("name").GetString());
        Assert.NotEmpty(Json("doctor", "--json").EnumerateArray());
        Assert.True(Json("agent", "status", "--json").GetProperty("processId").GetInt32() > 0);
        Assert.Equal(125, agent.Client("run", "--rootfs", agent.Root, "--json", "--", "fake", "exit", "0").ExitCode);
        Assert.Equal(0, agent.Client("rm", "-f", "json", "json-again").ExitCode);
        Assert.Equal(0, agent.Client("snapshots", "rm", "json-image", "json-copy").ExitCode);
    }

    [Theory]
    [InlineData("check", "checkpoint")]
    [InlineData("snapshots v", "verify")]
    [InlineData("checkpoint --leave", "--leave-running")]
    [InlineData("completion f", "fish")]
    [InlineData("rm completed-s", "completed-sandbox")]
    [InlineData("exec --workdir / completed", "completed-sandbox")]
    [InlineData("inspect completed-i", "completed-image")]
    [InlineData("snapshots rm other completed-i", "completed-image")]
    [InlineData("run --rootfs ch", "")]
    [InlineData("exec completed-sandbox -- completed", "")]
    public void Completion_InBash_KnowsCommandsOptionsAndNames(string line, string expected)
    {
        if (!agent.Client("ps").Output.Contains("completed-sandbox", StringComparison.Ordinal))
        {
            Assert.Equal(0, agent.Client("run", "--rootfs", agent.Root, "--name", "completed-sandbox", "--detach", "--", "fake", "hold", "x").ExitCode);
            Assert.Equal(0, agent.Client("checkpoint", "completed-sandbox", "completed-image", "--leave-running").ExitCode);
        }

        string program = Path.Combine(AppContext.BaseDirectory, "snapshot-rpc.dll");
        string script = $$"""
            snapshot-rpc() { dotnet '{{program}}' "$@"; }
            eval "$(snapshot-rpc completion bash)"
            COMP_WORDS=(snapshot-rpc {{line}})
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _snapshot_rpc
            echo "${COMPREPLY[*]}"
            """;
        ProcessStartInfo start = new("bash", ["-c", script]) { RedirectStandardOutput = true };
        foreach ((string name, string value) in agent.Environment)
            start.Environment[name] = value;
        using Process bash = Process.Start(start)!;
        Assert.Equal(expected, bash.StandardOutput.ReadToEnd().Trim());
    }

    [Fact]
    public void Completion_Described_TellsMeanings()
    {
        (int code, string output, _) = agent.Client("__complete", "--describe", "--", "doct");
        Assert.Equal((0, "doctor\tSays what this host offers, what falls back and what is missing.\n"), (code, output));
    }

    private static IEnumerable<string> Walk(Command command, string path) =>
        [path, .. command.Subcommands.Where(c => !c.Hidden).SelectMany(c => Walk(c, $"{path} {c.Name}".Trim()))];

    private JsonElement Json(params string[] arguments)
    {
        (int code, string output, string error) = agent.Client(arguments);
        Assert.True(code == 0 || arguments[0] == "doctor", error);
        Assert.Single(output.TrimEnd('\n').Split('\n'));
        JsonElement document = JsonDocument.Parse(output).RootElement;
        Check(document);
        return document;
    }

    private static void Check(JsonElement element)
    {
        if (element.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement item in element.EnumerateArray())
                Check(item);
        }
        else if (element.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty property in element.EnumerateObject())
            {
                Assert.Contains($"`{property.Name}`", Documentation, StringComparison.Ordinal);
                if (!property.Name.EndsWith("Calls", StringComparison.Ordinal)) // its names are those of system calls
                    Check(property.Value);
            }
        }
    }

    private static string FindUp(string path)
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, path)))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException($"{path} is not above the test");
        return Path.Combine(folder, path);
    }
}
