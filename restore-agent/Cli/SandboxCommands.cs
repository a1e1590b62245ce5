using System.CommandLine;
using System.Globalization;
using RestoreAgent.Api;

namespace SnapshotRpc;

/// <summary>Commands that look at or end sandboxes.</summary>
public static class SandboxCommands
{
    public static Command List()
    {
        Command command = new("ps", "Lists sandboxes.") { SharedOptions.Json };
        command.SetAction(result =>
        {
            using AgentClient agent = new();
            SandboxSummary[] sandboxes = agent.Get("v1/sandboxes", ApiJson.Default.SandboxSummaryArray);
            if (SharedOptions.JsonOf(result))
                return JsonOutput.Print(sandboxes, ApiJson.Default.SandboxSummaryArray);
            Table.Print([["NAME", "ID", "STATE", "CREATED", "SENTRY", "NETWORK", "PROGRAM"], .. sandboxes.Select(s => (string[])
            [
                s.Name,
                s.Id[..12],
                s.Exit is null ? s.State : $"exited ({s.Exit.ExitCode}{(s.Exit.Reason is null ? "" : ": " + Table.Visible(s.Exit.Reason))})",
                s.Created.ToLocalTime().ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture),
                s.SentryPid == 0 ? "-" : $"{s.SentryPid}",
                string.Join(',', s.Networks),
                Table.Visible(string.Join(' ', s.Arguments)),
            ])]);
            return 0;
        });
        return command;
    }

    public static Command Logs()
    {
        Argument<string> name = new("sandbox") { Description = "The sandbox" };
        Option<bool> follow = new("--follow", "-f") { Description = "Wait for more until the sandbox ends" };
        Command command = new("logs", "Prints what a detached sandbox has printed.") { name, follow };
        command.SetAction(result =>
        {
            using AgentClient agent = new();
            using Stream output = Console.OpenStandardOutput();
            agent.CopyTo($"v1/sandboxes/{Escaped(result, name)}/logs{(result.GetValue(follow) ? "?follow=true" : "")}", output);
            return 0;
        });
        return command;
    }

    public static Command Kill()
    {
        Argument<string> name = new("sandbox") { Description = "The sandbox" };
        Option<string> signal = new("--signal", "-s") { Description = "A name or number", DefaultValueFactory = _ => "TERM" };
        Option<int> pid = new("--pid") { Description = "The process in the sandbox; 0 for all", DefaultValueFactory = _ => 1 };
        Command command = new("kill", "Sends a signal to a sandbox's first program.") { name, signal, pid };
        command.SetAction(result =>
        {
            using AgentClient agent = new();
            agent.Post($"v1/sandboxes/{Escaped(result, name)}/signal",
                new SignalProgramRequest { Signal = SignalNames.Parse(result.GetValue(signal)!), Pid = result.GetValue(pid) }, ApiJson.Default.SignalProgramRequest);
            return 0;
        });
        return command;
    }

    public static Command Remove()
    {
        Argument<string[]> names = new("sandbox") { Description = "The sandboxes", Arity = ArgumentArity.OneOrMore };
        Option<bool> force = new("--force", "-f") { Description = "Kill it when it runs" };
        Command command = new("rm", "Removes sandboxes that have ended.") { names, force };
        command.SetAction(result =>
        {
            using AgentClient agent = new();
            foreach (string name in result.GetValue(names)!)
                agent.Delete($"v1/sandboxes/{Uri.EscapeDataString(name)}{(result.GetValue(force) ? "?force=true" : "")}");
            return 0;
        });
        return command;
    }

    public static Command Wait()
    {
        Argument<string> name = new("sandbox") { Description = "The sandbox" };
        Command command = new("wait", "Waits until a sandbox has ended and exits as its first program.") { name, SharedOptions.Json };
        command.SetAction(result =>
        {
            using AgentClient agent = new();
            ExitReport exit = agent.Get($"v1/sandboxes/{Escaped(result, name)}/wait", ApiJson.Default.ExitReport);
            if (SharedOptions.JsonOf(result))
                JsonOutput.Print(exit, ApiJson.Default.ExitReport);
            else if (exit.Reason is not null)
                Console.Error.WriteLine("snapshot-rpc: " + exit.Reason);
            return exit.ExitCode;
        });
        return command;
    }

    private static string Escaped(ParseResult result, Argument<string> name) => Uri.EscapeDataString(result.GetValue(name)!);
}
