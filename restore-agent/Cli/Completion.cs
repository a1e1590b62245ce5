using System.CommandLine;
using RestoreAgent.Api;

namespace SnapshotRpc;

/// <summary>Completion for shells: a script of a few lines that asks this program, which looks into its own commands and asks the agent for names.</summary>
public static class Completion
{
    private const string Ask = "__complete";

    private static readonly Dictionary<string, string> Scripts = new()
    {
        ["bash"] = $$"""
            # snapshot-rpc completion bash > ~/.local/share/bash-completion/completions/snapshot-rpc
            _snapshot_rpc() {
                local IFS=$'\n'
                COMPREPLY=($(snapshot-rpc {{Ask}} -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
            }
            complete -o default -F _snapshot_rpc snapshot-rpc
            """,
        ["zsh"] = $$"""
            #compdef snapshot-rpc
            # snapshot-rpc completion zsh > a folder of $fpath, as _snapshot-rpc
            _snapshot_rpc() {
                local -a candidates
                candidates=(${(f)"$(snapshot-rpc {{Ask}} -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
                if (( ${#candidates} )); then compadd -a candidates; else _files; fi
            }
            compdef _snapshot_rpc snapshot-rpc
            """,
        ["fish"] = $"""
            # snapshot-rpc completion fish > ~/.config/fish/completions/snapshot-rpc.fish
            complete -c snapshot-rpc -a '(snapshot-rpc {Ask} --describe -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
            """,
    };

    /// <summary>The command that prints a script.</summary>
    public static Command Script()
    {
        Argument<string> shell = new("shell") { Description = "bash, zsh or fish" };
        shell.AcceptOnlyFromAmong([.. Scripts.Keys]);
        Command command = new("completion", "Prints what makes a shell complete commands, options and names.") { shell };
        command.SetAction(result => Console.Out.WriteLine(Scripts[result.GetValue(shell)!]));
        return command;
    }

    /// <summary>The command that the scripts call: a candidate a line, with --describe its meaning after a tab.</summary>
    public static Command Answer(RootCommand root)
    {
        Argument<string[]> words = new("words") { Description = "The words so far, the one to complete last", Arity = ArgumentArity.ZeroOrMore };
        Option<bool> describe = new("--describe") { Description = "With descriptions" };
        Command command = new(Ask, "Prints candidates for a shell.") { words, describe };
        command.Hidden = true;
        command.SetAction(result =>
        {
            foreach ((string name, string? meaning) in Candidates(root, result.GetValue(words) ?? []))
                Console.Out.WriteLine(result.GetValue(describe) && meaning is not null ? $"{name}\t{meaning}" : name);
        });
        return command;
    }

    private static IEnumerable<(string Name, string? Meaning)> Candidates(RootCommand root, string[] words)
    {
        Command command = root;
        Option? awaited = null;
        int position = 0;
        string? store = null;
        foreach (string word in words.SkipLast(1))
        {
            if (awaited is not null)
            {
                store = awaited == SharedOptions.Store ? word : store;
                awaited = null;
            }
            else if (word == "--")
            {
                return []; // the words of another program
            }
            else if (word.StartsWith('-'))
            {
                awaited = word.Contains('=', StringComparison.Ordinal) ? null : OptionsOf(command, root).FirstOrDefault(o => NamesOf(o).Contains(word) && o.Arity.MinimumNumberOfValues > 0);
            }
            else if (position == 0 && command.Subcommands.FirstOrDefault(c => c.Name == word) is { } inner)
            {
                command = inner;
            }
            else
            {
                position++;
            }
        }

        string current = words.LastOrDefault() ?? "";
        IEnumerable<(string, string?)> all = awaited is not null ? []
            : current.StartsWith('-') ? OptionsOf(command, root).Where(o => !o.Hidden).SelectMany(o => NamesOf(o).Where(n => n.StartsWith("--", StringComparison.Ordinal)).Select(n => (n, o.Description)))
            : [.. position > 0 ? [] : command.Subcommands.Where(c => !c.Hidden).Select(c => (c.Name, c.Description)), .. Values(command, position, store)];
        return all.Where(c => c.Item1.StartsWith(current, StringComparison.Ordinal)).Distinct();
    }

    private static IEnumerable<Option> OptionsOf(Command command, RootCommand root) => command.Options.Concat(root.Options.Where(o => o.Recursive));

    private static IEnumerable<string> NamesOf(Option option) => option.Aliases.Prepend(option.Name);

    private static IEnumerable<(string, string?)> Values(Command command, int position, string? store)
    {
        if (command.Arguments.Count == 0)
            return [];
        Argument argument = command.Arguments[Math.Min(position, command.Arguments.Count - 1)];
        if (position >= command.Arguments.Count && argument.Arity.MaximumNumberOfValues <= 1)
            return [];
        return argument.Name switch
        {
            "sandbox" => Sandboxes(),
            "snapshot" => Snapshots(store),
            "name" => [.. Sandboxes(), .. Snapshots(store)],
            "shell" => Scripts.Keys.Select(s => (s, (string?)null)),
            _ => [],
        };
    }

    private static (string, string?)[] Sandboxes() => FromAgent(agent =>
        agent.Get("v1/sandboxes", ApiJson.Default.SandboxSummaryArray).Select(s => (s.Name, (string?)Table.Visible(string.Join(' ', s.Arguments)))));

    /// <summary>Only of folders: nobody waits at a prompt for a server far away.</summary>
    private static (string, string?)[] Snapshots(string? store) => store?.Contains("://", StringComparison.Ordinal) == true && !store.StartsWith("file:", StringComparison.Ordinal) ? []
        : FromAgent(agent => agent.Get("v1/snapshots" + SharedOptions.Query(("store", store is null ? null : SharedOptions.Absolute(store))), ApiJson.Default.SnapshotSummaryArray)
            .Select(s => (s.Name, (string?)Table.Bytes(s.Size))));

    /// <summary>Nothing where no agent runs: a prompt starts none.</summary>
    private static (string, string?)[] FromAgent(Func<AgentClient, IEnumerable<(string, string?)>> ask)
    {
        try
        {
            using AgentClient agent = new(start: false);
            return [.. ask(agent)];
        }
        catch (CliException)
        {
            return [];
        }
    }
}
