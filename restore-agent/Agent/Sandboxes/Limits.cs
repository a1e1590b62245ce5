using RestoreAgent.Api;
using Sentry.Control;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>Checks what users say of limits.</summary>
public static class Limits
{
    // Below this not even a small program with its libraries runs.
    private const long LeastMemory = 4 << 20;

    public static LimitsSpec? ToSpec(LimitOptions? options)
    {
        if (options is null)
            return null;
        if (options.Memory is not 0 and (< LeastMemory or > 1L << 50))
            throw AgentException.Invalid($"a limit on memory of {options.Memory} bytes is out of range: give at least 4m");
        if (options.Pids is < 0 or > 1 << 22)
            throw AgentException.Invalid($"{options.Pids} is no limit on processes");
        if (options.Cpus is < 0 or > 64)
            throw AgentException.Invalid($"{options.Cpus} is no number of processors: give 1 to 64");
        return new LimitsSpec { Memory = options.Memory, Tasks = options.Pids, Cpus = options.Cpus };
    }
}
