using System.CommandLine;
using RestoreAgent.Api;

namespace SnapshotRpc;

/// <summary>Commands about the host and the agent.</summary>
public static class HostCommands
{
    private const int StopTimeoutMilliseconds = 10_000, PollMilliseconds = 10;

    public static Command Doctor()
    {
        Command command = new("doctor", "Says what this host offers, what falls back and what is missing.") { SharedOptions.Json };
        command.SetAction(result =>
        {
            using AgentClient agent = new();
            DoctorLine[] lines = agent.Get("v1/doctor", ApiJson.Default.DoctorLineArray);
            if (SharedOptions.JsonOf(result))
                JsonOutput.Print(lines, ApiJson.Default.DoctorLineArray);
            else
                Table.Print([.. lines.Select(l => (string[])[l.Name, l.State == "ok" ? "ok" : l.State == "missing" ? "MISSING" : "falls back", l.Detail])]);
            return lines.Any(l => l.State == "missing") ? 1 : 0;
        });
        return command;
    }

    public static Command Agent()
    {
        Command start = new("start", "Starts the agent where none runs.") { SharedOptions.Json };
        start.SetAction(result =>
        {
            using AgentClient agent = new();
            return Print(agent.Get("v1/version", ApiJson.Default.VersionReport), SharedOptions.JsonOf(result));
        });

        Command stop = new("stop", "Ends the agent and with it all sandboxes.");
        stop.SetAction(_ =>
        {
            Stop(keepSandboxes: false);
            return 0;
        });

        Command restart = new("restart", "Starts the agent anew; sandboxes go on.") { SharedOptions.Json };
        restart.SetAction(result =>
        {
            Stop(keepSandboxes: true);
            using AgentClient agent = new();
            return Print(agent.Get("v1/version", ApiJson.Default.VersionReport), SharedOptions.JsonOf(result));
        });

        Command status = new("status", "Says whether an agent runs, and how it is.") { SharedOptions.Json };
        status.SetAction(result =>
        {
            using AgentClient agent = new(start: false);
            return Print(agent.Get("v1/version", ApiJson.Default.VersionReport), SharedOptions.JsonOf(result));
        });
        return new Command("agent", "Starts, stops or describes your agent.") { start, stop, restart, status };
    }

    private static void Stop(bool keepSandboxes)
    {
        try
        {
            using AgentClient agent = new(start: false);
            agent.Post(keepSandboxes ? "v1/stop?keep=true" : "v1/stop");
        }
        catch (CliException e) when (e.Message.StartsWith("no agent runs", StringComparison.Ordinal))
        {
            return;
        }

        long end = Environment.TickCount64 + StopTimeoutMilliseconds;
        while (AgentLauncher.Runs())
        {
            if (Environment.TickCount64 > end)
                throw new CliException("the agent does not end; snapshot-rpc agent status shows its process");
            Thread.Sleep(PollMilliseconds);
        }
    }

    private static int Print(VersionReport report, bool json)
    {
        if (json)
            return JsonOutput.Print(report, ApiJson.Default.VersionReport);
        Table.Print(
            ["version", report.Version],
            ["process", $"{report.ProcessId}"],
            ["socket", UserFolders.HttpSocket(AgentLauncher.RuntimeFolder)],
            ["sandboxes", $"{report.Sandboxes}"],
            ["ready sentries", $"{report.PooledSentries}"],
            ["snapshots", report.DefaultStore]);
        return 0;
    }
}
