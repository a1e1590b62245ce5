using RestoreAgent.Agent.Processes;
using RestoreAgent.Api;
using Sentry.Control;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>The programs of a sandbox that were started by exec: those that run, and those that ended while their clients had no agent.</summary>
public sealed class ExecutedPrograms
{
    private const int Killed = 128 + 9;

    private readonly Lock _lock = new();
    private readonly Dictionary<int, ExecutedProgram> _running = [];
    private readonly Dictionary<int, ExecutedProgram> _endedUnseen = [];
    private readonly Dictionary<int, int> _earlyExits = [];
    private bool _over;

    /// <summary>By ascending process id.</summary>
    public ExecutedProgram[] Running()
    {
        lock (_lock)
            return [.. _running.Values.OrderBy(p => p.Pid)];
    }

    /// <summary>One that runs, or ended without an agent; null when there is none with that process id.</summary>
    public ExecutedProgram? Find(int pid)
    {
        lock (_lock)
            return _running.GetValueOrDefault(pid) ?? _endedUnseen.GetValueOrDefault(pid);
    }

    /// <summary>One that runs, or ended without an agent, by what its client calls it.</summary>
    public ExecutedProgram? FindByKey(string key)
    {
        lock (_lock)
            return _running.Values.Concat(_endedUnseen.Values).FirstOrDefault(p => p.Key == key);
    }

    /// <summary>One that has just been started, and may have ended since.</summary>
    public void Add(ExecutedProgram program)
    {
        lock (_lock)
        {
            if (_earlyExits.Remove(program.Pid, out int status))
                program.End(Sandbox.Report(status));
            else if (_over)
                program.End(new ExitReport { ExitCode = Killed });
            else
                _running[program.Pid] = program;
        }
    }

    /// <summary>Those that an earlier agent has written down; whether they still run is not known yet.</summary>
    public void Add(RecordedProgram[] recorded)
    {
        lock (_lock)
        {
            foreach (RecordedProgram program in recorded)
                _running[program.Pid] = Unstreamed(program.Pid, program.Key, program.HasClient, program.Terminal);
        }
    }

    /// <summary>Brings those of an earlier agent up to date with what the sentry says. Ends that it told after its answer may have been noted before.</summary>
    public void Update(Adoption adoption)
    {
        lock (_lock)
        {
            // The agent died between the start of a program and the record of it; its client, which knows it by its key, may come all the same.
            foreach (RunningProgram program in adoption.Programs.Concat(adoption.Ends.Select(e => new RunningProgram(e.Pid, e.Key))).Where(p => p.Key is not null && !_endedUnseen.ContainsKey(p.Pid)))
                _running.TryAdd(program.Pid, Unstreamed(program.Pid, program.Key, hasClient: true, hasTerminal: false));

            foreach (int pid in (int[])[.. _running.Keys])
            {
                if (_earlyExits.Remove(pid, out int status))
                    EndUnseen(pid, Sandbox.Report(status));
                else if (!adoption.Programs.Any(p => p.Pid == pid))
                    EndUnseen(pid, adoption.Ends.LastOrDefault(e => e.Pid == pid) is { } end ? Sandbox.Report(end.WaitStatus) : new ExitReport { ExitCode = Killed });
            }
        }
    }

    public void OnExited(ProcessExited exited)
    {
        lock (_lock)
        {
            if (!_running.TryGetValue(exited.Pid, out ExecutedProgram? program))
                _earlyExits[exited.Pid] = exited.WaitStatus;
            else if (program is { HasClient: true, IsFollowed: false })
                EndUnseen(exited.Pid, Sandbox.Report(exited.WaitStatus)); // the client of a program that an earlier agent started may not have come back yet
            else if (_running.Remove(exited.Pid))
                program.End(Sandbox.Report(exited.WaitStatus));
        }
    }

    /// <summary>The sandbox goes on in another sentry: what the last one has said of programs unknown is nothing to it.</summary>
    public void OnOtherSentry()
    {
        lock (_lock)
            _earlyExits.Clear();
    }

    /// <summary>Those whose clients have not come back to this agent; ends that nobody has asked for are forgotten.</summary>
    public ExecutedProgram[] TakeUnfollowed()
    {
        lock (_lock)
        {
            _endedUnseen.Clear();
            return [.. _running.Values.Where(p => p is { HasClient: true, IsFollowed: false })];
        }
    }

    /// <summary>The sandbox has ended, and all of them with it.</summary>
    public void EndAll()
    {
        lock (_lock)
        {
            _over = true;
            foreach (ExecutedProgram program in _running.Values)
                program.End(new ExitReport { ExitCode = Killed });
            _running.Clear();
        }
    }

    /// <summary>What a later agent must know.</summary>
    public RecordedProgram[] ToRecord()
    {
        lock (_lock)
            return [.. _running.Values.Select(p => new RecordedProgram(p.Pid, p.HasTerminal, p.HasClient, p.Key))];
    }

    private static ExecutedProgram Unstreamed(int pid, string? key, bool hasClient, bool hasTerminal) =>
        new(pid, Streams.Null("/dev/null")) { HasTerminal = hasTerminal, HasClient = hasClient, Key = key };

    private void EndUnseen(int pid, ExitReport report)
    {
        if (!_running.Remove(pid, out ExecutedProgram? program))
            return;
        _endedUnseen[pid] = program;
        program.End(report);
    }
}
