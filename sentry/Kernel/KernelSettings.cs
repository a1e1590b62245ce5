using System.Globalization;

namespace Sentry.Kernel;

/// <summary>Settings below /proc/sys that the kernel acts on (proc_sys(5)); those of IPC are in <see cref="IpcSettings"/>.</summary>
[Savable("kernel-settings")]
public sealed partial class KernelSettings
{
    /// <summary>fs.lease-break-time, seconds.</summary>
    [Saved(1)] public int LeaseBreakTime = 45;

    /// <summary>fs.inotify.max_user_instances.</summary>
    [Saved(2)] public int InotifyInstances = 128;

    /// <summary>fs.inotify.max_user_watches.</summary>
    [Saved(3)] public int InotifyWatches = 65536;

    /// <summary>fs.inotify.max_queued_events.</summary>
    [Saved(4)] public int InotifyEvents = 16384;

    /// <summary>One more than the highest process id (kernel.pid_max).</summary>
    [Saved(5)] public int PidLimit = GuestKernel.MaxPid;

    /// <summary>fs.nr_open.</summary>
    [Saved(6)] public int OpenFilesLimit = 1048576;

    private sealed record Setting(string Path, Func<GuestKernel, int> Get, Action<GuestKernel, int> Set, int Lowest, int Highest);

    private static readonly Setting[] Numbers =
    [
        new("fs/inotify/max_queued_events", static k => k.Settings.InotifyEvents, static (k, v) => k.Settings.InotifyEvents = v, 0, 1 << 20),
        new("fs/inotify/max_user_instances", static k => k.Settings.InotifyInstances, static (k, v) => k.Settings.InotifyInstances = v, 0, int.MaxValue),
        new("fs/inotify/max_user_watches", static k => k.Settings.InotifyWatches, static (k, v) => k.Settings.InotifyWatches = v, 0, 1 << 20),
        new("fs/lease-break-time", static k => k.Settings.LeaseBreakTime, static (k, v) => k.Settings.LeaseBreakTime = v, 0, int.MaxValue),
        new("fs/nr_open", static k => k.Settings.OpenFilesLimit, static (k, v) => k.Settings.OpenFilesLimit = v, 64, int.MaxValue - 63),
        new("kernel/ns_last_pid", static k => k.LastPid, static (k, v) => k.LastPid = v, 0, int.MaxValue),
        new("kernel/pid_max", static k => k.Settings.PidLimit, static (k, v) => k.Settings.PidLimit = v, 301, 1 << 22),
    ];

    public KernelSettings()
    {
    }

    public static IEnumerable<string> Paths => Numbers.Select(static s => s.Path);

    /// <summary>The value as text; null for a path that is none of these.</summary>
    public static string? Get(GuestKernel kernel, string path) => Find(path)?.Get(kernel).ToString(CultureInfo.InvariantCulture);

    /// <summary>EINVAL for what is no number or out of range.</summary>
    public static Errno Set(Task task, string path, string text)
    {
        if (Find(path) is not { } setting || !int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) || value < setting.Lowest || value > setting.Highest)
            return Errno.EINVAL;
        if (path == "kernel/ns_last_pid")
        {
            if (!task.Credentials.HasIn(task.PidNamespace.Owner, Capability.CAP_SYS_ADMIN) && !task.Credentials.HasIn(task.PidNamespace.Owner, Capability.CAP_CHECKPOINT_RESTORE))
                return Errno.EPERM;
            if (value >= task.Kernel.Settings.PidLimit)
                return Errno.EINVAL;
        }

        setting.Set(task.Kernel, value);
        return Errno.None;
    }

    private static Setting? Find(string path) => Array.Find(Numbers, s => s.Path == path);
}
