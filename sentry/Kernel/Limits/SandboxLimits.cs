namespace Sentry.Kernel.Limits;

/// <summary>What a sandbox may use, kept by this kernel; 0 for no bound.</summary>
[Savable("sandbox-limits")]
public sealed partial class SandboxLimits
{
    [Saved(1)] private long _memory;
    [Saved(2)] private int _tasks;
    [Saved(3)] private int _cpus;
    [Saved(4)] private long _kills;

    public SandboxLimits()
    {
    }

    /// <summary>Bytes of private and shared memory and of files in memory.</summary>
    public long Memory
    {
        get => _memory;
        set => _memory = value;
    }

    /// <summary>Processes and threads.</summary>
    public int Tasks
    {
        get => _tasks;
        set => _tasks = value;
    }

    /// <summary>Processors.</summary>
    public int Cpus
    {
        get => _cpus;
        set => _cpus = value;
    }

    /// <summary>Processes that were killed because memory ran out.</summary>
    public long Kills
    {
        get => _kills;
        internal set => _kills = value;
    }
}

/// <summary>What the memory of a sandbox is used for, bytes.</summary>
public readonly record struct MemoryUse(long Private, long Files)
{
    public long Total => Private + Files;

    /// <summary>Memory that processes share after a fork counts for each, unless <paramref name="shares"/>.</summary>
    public static MemoryUse Measure(GuestKernel kernel, bool shares = false)
    {
        long resident = 0;
        HashSet<IAddressSpace> seen = [];
        foreach (Task task in kernel.Tasks.Values)
        {
            if (seen.Add(task.Memory.Space))
                resident += shares ? task.Memory.Space.ProportionalBytes : task.Memory.Space.ResidentBytes;
        }

        return new MemoryUse(resident, kernel.FileData.BytesInUse);
    }
}
