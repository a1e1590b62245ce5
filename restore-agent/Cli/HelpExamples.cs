using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace SnapshotRpc;

/// <summary>The usual help with examples below it.</summary>
public sealed class HelpExamples(HelpAction help) : SynchronousCommandLineAction
{
    private static readonly Dictionary<string, string[]> Examples = new()
    {
        [""] = ["run --rootfs / -- python3 -c 'print(1)'", "run --name web --detach --rootfs / -- redis-server --port 0", "checkpoint web warm", "restore warm --name web2", "run --help"],
        ["run"] = ["run --rootfs / -- ls -l /", "run -it --rootfs / -- bash", "run --name db --detach --rootfs / --memory 1g --volume ~/data:/data:ro -- redis-server"],
        ["exec"] = ["exec web -- redis-cli ping", "exec -it web -- bash"],
        ["attach"] = ["attach web", "attach --detach-keys ctrl-x,x web"],
        ["checkpoint"] = ["checkpoint web warm", "checkpoint web warm --leave-running --replace", "checkpoint web warm --store 's3://bucket/prefix?endpoint=http://host:port' --rate 10M"],
        ["restore"] = ["restore warm", "restore warm --name web2 --detach", "restore warm --store azblob://container/prefix --detach --json"],
        ["ps"] = ["ps", "ps --json"],
        ["logs"] = ["logs web", "logs --follow web"],
        ["kill"] = ["kill web", "kill --signal KILL web", "kill --signal HUP --pid 7 web"],
        ["rm"] = ["rm web", "rm --force web web2"],
        ["wait"] = ["wait web; echo $?"],
        ["snapshots"] = ["snapshots", "snapshots --store /mnt/snapshots --json", "snapshots copy --help"],
        ["snapshots copy"] = ["snapshots copy warm /mnt/snapshots", "snapshots copy warm azblob://container/prefix --rate 10M", "snapshots copy 's3://bucket/prefix/warm?endpoint=http://host:port' --name warmer"],
        ["snapshots verify"] = ["snapshots verify warm", "snapshots verify --store s3://bucket/prefix"],
        ["snapshots rm"] = ["snapshots rm warm", "snapshots rm s3://bucket/prefix/warm"],
        ["snapshots gc"] = ["snapshots gc", "snapshots gc --store s3://bucket/prefix"],
        ["inspect"] = ["inspect web", "inspect --snapshot warm", "inspect web --json"],
        ["doctor"] = ["doctor", "doctor --json"],
        ["agent"] = ["agent status", "agent stop"],
        ["agent start"] = ["agent start"],
        ["agent stop"] = ["agent stop"],
        ["agent restart"] = ["agent restart"],
        ["agent status"] = ["agent status", "agent status --json"],
        ["completion"] = ["completion bash > ~/.local/share/bash-completion/completions/snapshot-rpc", "completion fish > ~/.config/fish/completions/snapshot-rpc.fish"],
    };

    /// <summary>Who asks for help need not have given the rest.</summary>
    public override bool ClearsParseErrors => true;

    /// <summary>Gives a command tree help with examples.</summary>
    public static void AddTo(RootCommand root)
    {
        HelpOption option = root.Options.OfType<HelpOption>().Single();
        option.Description = "Show this";
        option.Action = new HelpExamples((HelpAction)option.Action!);
    }

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        ArgumentNullException.ThrowIfNull(parseResult);
        int code = help.Invoke(parseResult);
        List<string> path = [];
        for (Command? command = parseResult.CommandResult.Command; command is not (null or RootCommand); command = command.Parents.OfType<Command>().FirstOrDefault())
            path.Insert(0, command.Name);
        if (!Examples.TryGetValue(string.Join(' ', path), out string[]? examples))
            return code;
        TextWriter output = parseResult.InvocationConfiguration.Output;
        output.WriteLine("Examples:");
        foreach (string example in examples)
            output.WriteLine("  snapshot-rpc " + example);
        output.WriteLine();
        return code;
    }
}
