using Sentry.Control;
using Sentry.Host;
using Sentry.Kernel;

namespace Sentry.Main;

/// <summary>Limits of a sandbox: the kernel keeps those on memory and tasks, the host's scheduler the one on processors.</summary>
internal static class ResourceBounds
{
    private const int MostProcessors = 1024;

    public static void Apply(GuestKernel kernel, LimitsSpec? limits)
    {
        if (limits is { Memory: > 0 })
            kernel.Limits.Memory = limits.Memory & -4096;
        if (limits is { Tasks: > 0 })
            kernel.Limits.Tasks = limits.Tasks;
        if (limits is { Cpus: > 0 })
            kernel.Limits.Cpus = limits.Cpus;
        kernel.ApplyLimits();
        if (kernel.Limits.Cpus > 0)
            Confine(kernel.Limits.Cpus);
    }

    /// <summary>The sentry and its stubs, which are all there is in this pid namespace, run on so many processors; what they make inherits that.</summary>
    private static void Confine(int count)
    {
        List<int> allowed = HostProcess.GetAffinity();
        if (count >= allowed.Count || HostProcess.ProcessId != 1)
            return;

        // Sandboxes side by side are not to meet on the first ones.
        int first = Random.Shared.Next(allowed.Count);
        Span<ulong> mask = stackalloc ulong[MostProcessors / 64];
        mask.Clear();
        for (int i = 0; i < count; i++)
        {
            int processor = allowed[(first + i) % allowed.Count];
            mask[processor / 64] |= 1UL << (processor % 64);
        }

        foreach (string process in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(process), out _))
                continue;
            foreach (string thread in Directory.EnumerateDirectories(Path.Combine(process, "task")))
                _ = HostProcess.SetAffinity(int.Parse(Path.GetFileName(thread), System.Globalization.CultureInfo.InvariantCulture), mask);
        }
    }
}
