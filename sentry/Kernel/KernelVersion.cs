namespace Sentry.Kernel;

/// <summary>What uname(2) and /proc/version report. Programs compare releases, so it is one whose calls are mostly here.</summary>
public static class KernelVersion
{
    public const string SystemName = "Linux";

    public const string Release = "6.18.0";

    public const string Version = "#1 SMP PREEMPT_DYNAMIC Snapshot";
}
