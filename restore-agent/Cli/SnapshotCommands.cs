using System.CommandLine;
using System.Globalization;
using RestoreAgent.Api;

namespace SnapshotRpc;

/// <summary>Commands that look at snapshots, and inspect, which looks at both kinds.</summary>
public static class SnapshotCommands
{
    public static Command List()
    {
        Command command = new("snapshots", "Lists the snapshots of a store; copies, checks or deletes them.") { SharedOptions.Store, SharedOptions.Json };
        command.SetAction(result =>
        {
            using AgentClient agent = new();
            SnapshotSummary[] snapshots = All(agent, SharedOptions.StoreOf(result));
            if (SharedOptions.JsonOf(result))
                return JsonOutput.Print(snapshots, ApiJson.Default.SnapshotSummaryArray);
            Table.Print([["NAME", "CREATED", "SIZE", "PROBLEM"], .. snapshots.Select(s => (string[])
            [
                s.Name,
                s.Created.ToLocalTime().ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture),
                Table.Bytes(s.Size),
                s.Problem ?? "",
            ])]);
            return 0;
        });
        foreach (Command inner in (Command[])[Copy(), Verify(), Delete(), Collect()])
            command.Add(inner);
        return command;
    }

    private static Command Delete()
    {
        Argument<string[]> names = new("snapshot") { Description = "The snapshots: NAME, or STORE/NAME", Arity = ArgumentArity.OneOrMore };
        Command delete = new("rm", "Deletes snapshots; what they share with others stays, the rest is freed in the hours after.") { names, SharedOptions.Store };
        delete.SetAction(result =>
        {
            using AgentClient agent = new();
            foreach (SnapshotPlace place in result.GetValue(names)!.Select(n => SnapshotPlace.Parse(n, SharedOptions.StoreOf(result))))
                agent.Delete($"v1/snapshots/{Uri.EscapeDataString(place.Name)}{SharedOptions.Query(("store", place.Store))}");
            return 0;
        });
        return delete;
    }

    private static Command Copy()
    {
        Argument<string> source = new("snapshot") { Description = "The snapshot: NAME, or STORE/NAME" };
        Argument<string?> store = new("store") { Description = "The store it goes to; default: a folder of yours", Arity = ArgumentArity.ZeroOrOne };
        Option<string?> name = new("--name") { Description = "Its name there; default: the same" };
        Option<bool> replace = new("--replace") { Description = "Replace a snapshot of the same name" };
        Command copy = new("copy", "Copies a snapshot to another store, and checks it on the way.") { source, store, name, replace, SharedOptions.Store, SharedOptions.Rate, SharedOptions.Json };
        copy.SetAction(result =>
        {
            using AgentClient agent = new();
            bool json = SharedOptions.JsonOf(result);
            SnapshotPlace place = SnapshotPlace.Parse(result.GetValue(source)!, SharedOptions.StoreOf(result));
            CopyReport report = agent.Follow($"v1/snapshots/{Uri.EscapeDataString(place.Name)}/copy",
                new CopySnapshotRequest
                {
                    Store = place.Store,
                    To = result.GetValue(store) is { } to ? SharedOptions.Absolute(to) : null,
                    Name = result.GetValue(name),
                    Replace = result.GetValue(replace),
                    Rate = SharedOptions.RateOf(result),
                },
                ApiJson.Default.CopySnapshotRequest, ApiJson.Default.ProgressLineCopyReport, new ProgressDisplay(json));
            if (json)
                return JsonOutput.Print(report, ApiJson.Default.CopyReport);
            Console.Out.WriteLine($"{report.Snapshot}: {Table.Bytes(report.Size)}, {Table.Bytes(report.StoredBytes)} of it new in {report.Store}");
            return 0;
        });
        return copy;
    }

    private static Command Verify()
    {
        Argument<string[]> names = new("snapshot") { Description = "The snapshots: NAME, or STORE/NAME; default: all", Arity = ArgumentArity.ZeroOrMore };
        Command verify = new("verify", "Reads snapshots and checks every byte; fails when one is damaged.") { names, SharedOptions.Store, SharedOptions.Rate, SharedOptions.Json };
        verify.SetAction(result =>
        {
            using AgentClient agent = new();
            bool json = SharedOptions.JsonOf(result);
            string? store = SharedOptions.StoreOf(result);
            string? rate = SharedOptions.RateOf(result)?.ToString(CultureInfo.InvariantCulture);
            SnapshotPlace[] places = [.. result.GetValue(names)!.Select(n => SnapshotPlace.Parse(n, store))];
            if (places.Length == 0)
                places = [.. All(agent, store).Select(s => new SnapshotPlace(store, s.Name))];
            List<VerifyReport> reports = [];
            foreach (SnapshotPlace place in places)
            {
                VerifyReport report = agent.Follow($"v1/snapshots/{Uri.EscapeDataString(place.Name)}/verify{SharedOptions.Query(("store", place.Store), ("rate", rate))}",
                    ApiJson.Default.ProgressLineVerifyReport, new ProgressDisplay(json));
                reports.Add(report);
                if (!json)
                    Console.Out.WriteLine(report.Problem is { } problem ? $"{report.Snapshot}: {problem}" : $"{report.Snapshot}: {Table.Bytes(report.Size)}, whole");
            }

            if (json)
                JsonOutput.Print([.. reports], ApiJson.Default.VerifyReportArray);
            return reports.Any(r => r.Problem is not null) ? 1 : 0;
        });
        return verify;
    }

    private static Command Collect()
    {
        Command collect = new("gc", "Deletes what no snapshot of a store needs and nobody has used for an hour, in two runs an hour apart.") { SharedOptions.Store, SharedOptions.Json };
        collect.SetAction(result =>
        {
            using AgentClient agent = new();
            CollectReport report = agent.Post("v1/stores/collect" + SharedOptions.Query(("store", SharedOptions.StoreOf(result))), ApiJson.Default.CollectReport);
            if (SharedOptions.JsonOf(result))
                return JsonOutput.Print(report, ApiJson.Default.CollectReport);
            Console.Out.WriteLine($"{Table.Bytes(report.FreedBytes)} freed in {report.Store}");
            return 0;
        });
        return collect;
    }

    private static SnapshotSummary[] All(AgentClient agent, string? store) => agent.Get("v1/snapshots" + SharedOptions.Query(("store", store)), ApiJson.Default.SnapshotSummaryArray);

    public static Command Inspect()
    {
        Argument<string> name = new("name") { Description = "A sandbox, or else a snapshot" };
        Option<bool> snapshot = new("--snapshot") { Description = "Look for a snapshot only" };
        Command command = new("inspect", "Shows a sandbox or a snapshot.") { name, snapshot, SharedOptions.Store, SharedOptions.Json };
        command.SetAction(result =>
        {
            using AgentClient agent = new();
            string wanted = result.GetValue(name)!;
            bool json = SharedOptions.JsonOf(result);
            bool sandbox = !result.GetValue(snapshot) && result.GetResult(SharedOptions.Store) is null
                && agent.Get("v1/sandboxes", ApiJson.Default.SandboxSummaryArray).Any(s => s.Name == wanted || s.Id.StartsWith(wanted, StringComparison.Ordinal));
            if (sandbox)
            {
                SandboxDetails details = agent.Get($"v1/sandboxes/{Uri.EscapeDataString(wanted)}/inspect", ApiJson.Default.SandboxDetails);
                if (json)
                    return JsonOutput.Print(details, ApiJson.Default.SandboxDetails);
                Print(details);
                return 0;
            }

            SnapshotPlace place = SnapshotPlace.Parse(wanted, SharedOptions.StoreOf(result));
            SnapshotDetails found = agent.Get($"v1/snapshots/{Uri.EscapeDataString(place.Name)}{SharedOptions.Query(("store", place.Store))}", ApiJson.Default.SnapshotDetails);
            if (json)
                return JsonOutput.Print(found, ApiJson.Default.SnapshotDetails);
            Print(found);
            return 0;
        });
        return command;
    }

    private static void Print(SandboxDetails details)
    {
        SandboxSummary s = details.Summary;
        Table.Print(
            ["sandbox", s.Name],
            ["id", s.Id],
            ["state", s.Exit is null ? s.State : $"exited ({s.Exit.ExitCode}{(s.Exit.Reason is null ? "" : ": " + Table.Visible(s.Exit.Reason))})"],
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
        if (details.CrashReport is { } report)
            Console.Out.Write($"\nThe sentry failed:\n{string.Join('\n', report.Split('\n').Select(Table.Visible))}");
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
