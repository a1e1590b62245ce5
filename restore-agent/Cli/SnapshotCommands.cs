using System.CommandLine;
using System.Globalization;
using RestoreAgent.Api;

namespace SnapshotRpc;

/// <summary>Commands that look at snapshots, and inspect, which looks at both kinds.</summary>
public static class SnapshotCommands
{
    public static Command List(Option<string?> store)
    {
        Command command = new("snapshots", "Lists, or deletes, the snapshots of a store.") { store };
        command.SetAction(result =>
        {
            using AgentClient agent = new();
            SnapshotSummary[] snapshots = agent.Get("v1/snapshots" + Query(result), ApiJson.Default.SnapshotSummaryArray);
            Table.Print([["NAME", "CREATED", "SIZE", "PROBLEM"], .. snapshots.Select(s => (string[])
            [
                s.Name,
                s.Created.ToLocalTime().ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture),
                Table.Bytes(s.Size),
                s.Problem ?? "",
            ])]);
            return 0;
        });

        Argument<string[]> names = new("snapshot") { Description = "The snapshots", Arity = ArgumentArity.OneOrMore };
        Command delete = new("rm", "Deletes snapshots.") { names, store };
        delete.SetAction(result =>
        {
            using AgentClient agent = new();
            foreach (string name in result.GetValue(names)!)
                agent.Delete($"v1/snapshots/{Uri.EscapeDataString(name)}{Query(result)}");
            return 0;
        });
        command.Add(delete);
        return command;
    }

    public static Command Inspect(Option<string?> store)
    {
        Argument<string> name = new("name") { Description = "A sandbox, or else a snapshot" };
        Option<bool> snapshot = new("--snapshot") { Description = "Look for a snapshot only" };
        Command command = new("inspect", "Shows a sandbox or a snapshot.") { name, snapshot, store };
        command.SetAction(result =>
        {
            using AgentClient agent = new();
            string wanted = result.GetValue(name)!;
            bool sandbox = !result.GetValue(snapshot) && result.GetResult(store) is null
                && agent.Get("v1/sandboxes", ApiJson.Default.SandboxSummaryArray).Any(s => s.Name == wanted || s.Id.StartsWith(wanted, StringComparison.Ordinal));
            if (sandbox)
                Print(agent.Get($"v1/sandboxes/{Uri.EscapeDataString(wanted)}/inspect", ApiJson.Default.SandboxDetails));
            else
                Print(agent.Get($"v1/snapshots/{Uri.EscapeDataString(wanted)}{Query(result)}", ApiJson.Default.SnapshotDetails));
            return 0;
        });
        return command;
    }

    private static string Query(ParseResult result) => CommandLine.StoreOf(result) is { } url ? "?store=" + Uri.EscapeDataString(url) : "";

    private static void Print(SandboxDetails details)
    {
        SandboxSummary s = details.Summary;
        Table.Print(
            ["sandbox", s.Name],
            ["id", s.Id],
            ["state", s.Exit is null ? s.State : $"exited ({s.Exit.ExitCode})"],
            ["program", Table.Visible(string.Join(' ', s.Arguments))],
            ["root", s.RootFolder],
            ["created", s.Created.ToString("o", CultureInfo.InvariantCulture)],
            ["restored from", s.RestoredFrom ?? "-"],
            ["platform", s.Platform],
            ["sentry", s.SentryPid == 0 ? "ended" : $"process {s.SentryPid}, {details.SentryThreads} threads"],
            ["system calls", details.SystemCalls.ToString(CultureInfo.InvariantCulture)],
            ["unimplemented", Calls(details.UnimplementedCalls)]);
        Print(details.Processes);
        if (details.Network is { } network)
            Print(network);
    }

    private static void Print(NetworkDetails network)
    {
        Console.Out.WriteLine();
        Table.Print(
            ["network", network.Mode],
            ["outbound", network.Outbound ? "yes" : "no"],
            ["published", network.Published.Length == 0 ? "none" : string.Join(", ", network.Published)],
            ["generation", $"{network.Generation}"]);
        if (network.Links.Length > 0)
        {
            Console.Out.WriteLine();
            Table.Print([["LINK", "KIND", "ON", "MAC", "ADDRESSES", "GATEWAYS", "DROPPED", "REFUSED"], .. network.Links.Select(l => (string[])
            [
                l.Name, l.Kind, l.Net is not null ? "net " + l.Net : l.Namespace is not null ? $"{l.Device} in {l.Namespace}" : "-", l.Mac, string.Join(',', l.Addresses), string.Join(',', l.Gateways),
                $"{l.Dropped}", $"{l.Refused}",
            ])]);
        }

        if (network.ConnectionCount == 0)
            return;
        Console.Out.WriteLine();
        Table.Print([["PROTOCOL", "STATE", "LOCAL", "REMOTE", "AT A CHECKPOINT"], .. network.Connections.Select(c => (string[])[c.Protocol, c.State, c.Local, c.Remote, c.Lost ?? "goes on"])]);
        if (network.ConnectionCount > network.Connections.Length)
            Console.Out.WriteLine($"and {network.ConnectionCount - network.Connections.Length} more");
    }

    private static void Print(SnapshotDetails details)
    {
        Table.Print(
            ["snapshot", details.Name],
            ["id", details.Id],
            ["manifest", details.ManifestId],
            ["store", details.Store],
            ["created", details.Created.ToString("o", CultureInfo.InvariantCulture)],
            ["host name", details.HostName],
            ["platform", details.Platform],
            ["root", details.RootFolder],
            ["state", Table.Bytes(details.StateBytes)],
            ["memory", $"{Table.Bytes(details.MemoryLength)} with holes"],
            ["unimplemented", Calls(details.UnimplementedCalls)]);
        Print(details.Processes);
        Console.Out.WriteLine();
        Table.Print([["BASE FILE", "SIZE", "SHA-256"], .. details.BaseFiles.Select(f => (string[])[Table.Visible(f.Path), Table.Bytes(f.Size), f.Sha256])]);
    }

    private static void Print(ProcessDetails[] processes)
    {
        Console.Out.WriteLine();
        Table.Print([["PID", "PARENT", "THREADS", "STATE", "NAME", "ARGUMENTS"], .. processes.Select(p => (string[])
        [
            $"{p.Pid}", $"{p.ParentPid}", $"{p.Threads}", p.State, Table.Visible(p.Name), Table.Visible(string.Join(' ', p.Arguments)),
        ])]);
    }

    private static string Calls(Dictionary<string, long> calls) =>
        calls.Count == 0 ? "none" : string.Join(", ", calls.OrderByDescending(c => c.Value).Select(c => $"{c.Key} {c.Value}"));
}
