using System.CommandLine;
using System.CommandLine.Parsing;
using RestoreAgent.Api;
using Sentry.Abi;
using Sentry.Host;
using SnapshotRpc.Terminals;

namespace SnapshotRpc;

/// <summary>The commands, their options and what they send to the agent.</summary>
public static class CommandLine
{
    public static RootCommand Build()
    {
        RootCommand root = new("Runs programs in sandboxes that can be saved and restored.")
        {
            Run(), Exec(), Attach(), Checkpoint(), Restore(),
            SandboxCommands.List(), SandboxCommands.Logs(), SandboxCommands.Kill(), SandboxCommands.Remove(), SandboxCommands.Wait(),
            SnapshotCommands.List(), SnapshotCommands.Inspect(),
            HostCommands.Doctor(), HostCommands.Agent(), Completion.Script(),
        };
        root.Add(Completion.Answer(root));
        HelpExamples.AddTo(root);
        return root;
    }

    private static bool JsonOfDetached(ParseResult result, bool detached) => !SharedOptions.JsonOf(result) ? false
        : detached ? true
        : throw new CliException("--json needs --detach: without it standard output is the program's");

    /// <summary>The command of a line, to ask for its help.</summary>
    public static string NameOf(ParseResult result) =>
        result.CommandResult.Command is RootCommand ? "snapshot-rpc" : "snapshot-rpc " + string.Join(' ', PathOf(result.CommandResult.Command));

    private static IEnumerable<string> PathOf(Command command) =>
        [.. command.Parents.OfType<Command>().Where(p => p is not RootCommand).SelectMany(PathOf), command.Name];

    private static Command Run()
    {
        Option<string> rootfs = new("--rootfs") { Description = "The folder that is the program's root file system", Required = true, HelpName = "DIR" };
        Option<string?> hostName = new("--hostname") { Description = "The host name the program sees" };
        NewSandboxOptions sandbox = new(restores: false);
        ProgramArguments program = new();
        Command command = new("run", "Runs a program in a new sandbox.") { rootfs, hostName, SharedOptions.Json };
        sandbox.AddTo(command);
        program.AddTo(command);
        command.SetAction(result =>
        {
            (bool strace, int descriptor) = sandbox.OpenStrace(result);
            RunRequest request = new()
            {
                RootFolder = Path.GetFullPath(result.GetValue(rootfs)!),
                Program = program.Read(result),
                HostName = result.GetValue(hostName),
                Name = result.GetValue(sandbox.Name),
                Detach = result.GetValue(sandbox.Detach),
                Platform = result.GetValue(sandbox.Platform),
                SaveAtCall = result.GetValue(sandbox.SaveAtCall),
                CrashAtCall = result.GetValue(sandbox.CrashAtCall),
                Strace = strace,
                Network = sandbox.Network.Read(result),
                Volumes = sandbox.Volumes.ReadVolumes(result),
                Limits = sandbox.Limits.Read(result),
                Tmpfs = sandbox.Volumes.ReadTmpfs(result),
            };
            TerminalSession? terminal = request.Program.Terminal && !request.Detach ? sandbox.Terminal.Open(result) : null;
            bool json = JsonOfDetached(result, request.Detach);
            return AttachedProgram.Run(new AttachRequest { Run = request }, request.Detach, descriptor, terminal, started =>
            {
                if (json)
                    JsonOutput.Print(started, ApiJson.Default.Started);
                else if (request.Detach)
                    Console.Out.WriteLine(started.Name);
            });
        });
        return command;
    }

    private static Command Exec()
    {
        Argument<string> name = new("sandbox") { Description = "The sandbox" };
        Option<bool> detach = new("--detach", "-d") { Description = "Do not wait; output goes to the sandbox's log" };
        ProgramArguments program = new();
        TerminalOptions terminal = new();
        Command command = new("exec", "Runs a further program in a sandbox.") { name, detach, SharedOptions.Json };
        program.AddTo(command);
        terminal.AddTo(command);
        command.SetAction(result =>
        {
            ExecProgramRequest request = new() { Program = program.Read(result), Detach = result.GetValue(detach) };
            bool json = JsonOfDetached(result, request.Detach);
            return AttachedProgram.Run(new AttachRequest { Exec = request, Sandbox = result.GetValue(name) }, request.Detach, -1,
                request.Program.Terminal && !request.Detach ? terminal.Open(result) : null, started =>
                {
                    if (json)
                        JsonOutput.Print(started, ApiJson.Default.Started);
                });
        });
        return command;
    }

    private static Command Attach()
    {
        Argument<string> name = new("sandbox") { Description = "The sandbox" };
        Option<int> pid = new("--pid") { Description = "The process whose terminal to join; one that exec -t started", DefaultValueFactory = _ => 1 };
        TerminalOptions terminal = new();
        Command command = new("attach", "Joins the terminal of a sandbox's program.") { name, pid };
        terminal.AddTo(command);
        command.SetAction(result => AttachedProgram.Run(new AttachRequest { Join = result.GetValue(pid), Sandbox = result.GetValue(name) }, false, -1, terminal.Open(result)));
        return command;
    }

    private static Command Checkpoint()
    {
        Argument<string> name = new("sandbox") { Description = "The sandbox" };
        Argument<string> snapshot = new("snapshot") { Description = "The snapshot's name" };
        Option<bool> leaveRunning = new("--leave-running") { Description = "The sandbox goes on" };
        Option<bool> replace = new("--replace") { Description = "Replace a snapshot of the same name" };
        Command command = new("checkpoint", "Saves a sandbox as a snapshot and ends it.") { name, snapshot, leaveRunning, replace, SharedOptions.Store, SharedOptions.Rate, SharedOptions.Json };
        command.SetAction(result =>
        {
            using AgentClient agent = new();
            bool json = SharedOptions.JsonOf(result);
            CheckpointReport report = agent.Follow($"v1/sandboxes/{Uri.EscapeDataString(result.GetValue(name)!)}/checkpoint",
                new CheckpointSandboxRequest
                {
                    Snapshot = result.GetValue(snapshot)!,
                    LeaveRunning = result.GetValue(leaveRunning),
                    Replace = result.GetValue(replace),
                    Store = SharedOptions.StoreOf(result),
                    Rate = SharedOptions.RateOf(result),
                },
                ApiJson.Default.CheckpointSandboxRequest, ApiJson.Default.ProgressLineCheckpointReport, new ProgressDisplay(json));
            if (json)
                return JsonOutput.Print(report, ApiJson.Default.CheckpointReport);
            Console.Out.WriteLine($"{report.Snapshot}: {Table.Bytes(report.MemoryBytes)} of memory, {Table.Bytes(report.StateBytes)} of state, " +
                $"{Table.Bytes(report.StoredBytes)} stored, the program stood still for {Table.Milliseconds(report.PauseNanoseconds)}");
            foreach (string lost in report.Lost)
                Console.Error.WriteLine("snapshot-rpc: not in the snapshot: " + Table.Visible(lost));
            return 0;
        });
        return command;
    }

    private static Command Restore()
    {
        Argument<string> snapshot = new("snapshot") { Description = "The snapshot" };
        Option<string?> rootfs = new("--rootfs") { Description = "Where the root file system is now; default: where it was", HelpName = "DIR" };
        Option<int> wait = new("--wait") { Description = "Wait so long for the snapshot to be written, with all else made ready", HelpName = "SECONDS" };
        NewSandboxOptions sandbox = new(restores: true);
        Command command = new("restore", "Restores a snapshot into a new sandbox.") { snapshot, rootfs, wait, SharedOptions.Store, SharedOptions.Rate, SharedOptions.Json };
        sandbox.AddTo(command);
        command.SetAction(result =>
        {
            (bool strace, int descriptor) = sandbox.OpenStrace(result);
            RestoreSnapshotRequest request = new()
            {
                Store = SharedOptions.StoreOf(result),
                WaitSeconds = result.GetValue(wait),
                Rate = SharedOptions.RateOf(result),
                RootFolder = result.GetValue(rootfs) is { } folder ? Path.GetFullPath(folder) : null,
                Name = result.GetValue(sandbox.Name),
                Detach = result.GetValue(sandbox.Detach),
                Platform = result.GetValue(sandbox.Platform),
                SaveAtCall = result.GetValue(sandbox.SaveAtCall),
                Strace = strace,
                Network = sandbox.Network.Read(result),
                Volumes = sandbox.Volumes.ReadVolumes(result),
                Limits = sandbox.Limits.Read(result),
            };
            bool json = JsonOfDetached(result, request.Detach);
            TerminalSession? terminal = request.Detach || !TerminalOptions.IsPossible ? null : sandbox.Terminal.Open(result);
            return AttachedProgram.Run(new AttachRequest { Restore = request, Snapshot = result.GetValue(snapshot) }, request.Detach, descriptor, terminal,
                s =>
                {
                    if (json)
                        JsonOutput.Print(s, ApiJson.Default.Started);
                    else if (request.Detach)
                        Console.Out.WriteLine($"{s.Name}: restored in {Table.Milliseconds(s.RestoreNanoseconds)}");
                },
                new ProgressDisplay(json));
        });
        return command;
    }

    /// <summary>What run and restore have in common.</summary>
    private sealed class NewSandboxOptions(bool restores)
    {
        public NetworkArguments Network { get; } = new(restores);

        public VolumeArguments Volumes { get; } = new(restores);

        public LimitArguments Limits { get; } = new();

        public Option<string?> Name { get; } = new("--name") { Description = "The sandbox's name; made up when missing" };

        public Option<bool> Detach { get; } = new("--detach", "-d") { Description = "Do not wait; output goes to the log" };

        /// <summary>How to leave the terminal of the program.</summary>
        public TerminalOptions Terminal { get; } = new();

        public Option<string?> Platform { get; } = new("--platform") { Description = "How system calls are intercepted: notify" };

        public Option<int> SaveAtCall { get; } = new("--save-at-call") { Description = "Test aid: at this guest call save, destroy and restore the sandbox", HelpName = "N", DefaultValueFactory = _ => -1 };

        public Option<int> CrashAtCall { get; } = new("--crash-at-call") { Description = "Test aid: at this guest call the sentry fails", HelpName = "N", DefaultValueFactory = _ => -1, Hidden = true };

        private Option<string?> Strace { get; } = new("--strace") { Description = "Print each system call, to standard error or a file", HelpName = "FILE", Arity = ArgumentArity.ZeroOrOne };

        public void AddTo(Command command)
        {
            foreach (Option option in (Option[])[Name, Detach, Strace, Platform, SaveAtCall, CrashAtCall])
                command.Options.Add(option);
            Volumes.AddTo(command);
            Limits.AddTo(command);
            Network.AddTo(command);
            Terminal.AddTo(command);
        }

        /// <summary>Whether calls are printed, and the descriptor of the file to print them to; -1 for standard error.</summary>
        public (bool On, int Descriptor) OpenStrace(ParseResult result)
        {
            const int WriteOnly = 1, Create = 0x40, Truncate = 0x200, Append = 0x400, Mode = 0x1B6;
            if (result.GetResult(Strace) is null)
                return (false, -1);
            if (result.GetValue(Strace) is not { } file)
                return (true, -1);
            Result<int> opened = HostFile.Open(HostPath.FromText(file), WriteOnly | Create | Truncate | Append | HostFile.OCloexec, Mode);
            return opened.IsOk ? (true, opened.Value) : throw new CliException($"cannot write {file}: {opened.Error}");
        }
    }

    /// <summary>Options of commands that show a program's terminal in the user's own.</summary>
    private sealed class TerminalOptions
    {
        private readonly Option<string> _keys = new("--detach-keys") { Description = "The keys that leave the terminal, the program going on", HelpName = "KEYS", DefaultValueFactory = _ => DetachKeys.Default };

        /// <summary>Whether there is a terminal here to show another in.</summary>
        public static bool IsPossible => HostTerminal.IsTerminal(0) && HostTerminal.IsTerminal(1);

        public void AddTo(Command command) => command.Options.Add(_keys);

        public TerminalSession Open(ParseResult result) => new(DetachKeys.Parse(result.GetValue(_keys)!));
    }

    /// <summary>The program to run and what it is given.</summary>
    private sealed class ProgramArguments
    {
        private readonly Option<string[]> _environment = new("--env", "-e") { Description = "NAME=value, or NAME for its value here; repeatable", DefaultValueFactory = _ => [] };
        private readonly Option<string?> _workingDirectory = new("--workdir", "-w") { Description = "The folder to start in", HelpName = "DIR" };
        private readonly Option<string?> _user = new("--user", "-u") { Description = "UID, UID:GID or a name of the root file system" };
        private readonly Option<bool> _terminal = new("--tty", "-t") { Description = "Give the program a terminal, shown in this one" };
        private readonly Option<bool> _interactive = new("--interactive", "-i") { Description = "Pass standard input on; always done, so that -it is as elsewhere" };
        private readonly Argument<string[]> _arguments = new("program") { Description = "The program and its arguments, after --", Arity = ArgumentArity.OneOrMore };

        public void AddTo(Command command)
        {
            foreach (Option option in (Option[])[_environment, _workingDirectory, _user, _terminal, _interactive])
                command.Options.Add(option);
            command.Arguments.Add(_arguments);
        }

        public ProgramOptions Read(ParseResult result)
        {
            if (FindUnknownOption(result) is { } option)
                throw new CliException($"there is no option {option}; see {NameOf(result)} --help (options of the program itself come after --)");
            return new ProgramOptions
            {
                Arguments = result.GetValue(_arguments)!,
                Environment = [.. Terminal(), .. result.GetValue(_environment)!.Select(ValueOf)],
                WorkingDirectory = result.GetValue(_workingDirectory),
                User = result.GetValue(_user),
                Terminal = result.GetValue(_terminal),
            };
        }

        /// <summary>What looks like an option, stands where options stand, and is none: it would be taken for the program or an argument of it.</summary>
        private static string? FindUnknownOption(ParseResult result)
        {
            foreach (Token token in result.Tokens)
            {
                if (token.Type == TokenType.DoubleDash)
                    return null;
                if (token.Type == TokenType.Argument && token.Value.Length > 1 && token.Value[0] == '-' && IsProgram(result, token))
                    return token.Value;
                if (token.Type == TokenType.Argument && !result.Tokens.Any(static t => t.Type == TokenType.DoubleDash) && IsProgram(result, token))
                    return null;
            }

            return null;
        }

        private static bool IsProgram(ParseResult result, Token token) =>
            result.CommandResult.Children.OfType<ArgumentResult>().Any(a => a.Argument.Name == "program" && a.Tokens.Any(t => ReferenceEquals(t, token)));

        private static string ValueOf(string entry) => entry.Contains('=', StringComparison.Ordinal) ? entry : $"{entry}={Environment.GetEnvironmentVariable(entry)}";

        private static string[] Terminal() => Environment.GetEnvironmentVariable("TERM") is { Length: > 0 } terminal ? ["TERM=" + terminal] : [];
    }
}
