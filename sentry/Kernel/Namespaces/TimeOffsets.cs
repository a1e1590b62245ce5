using System.Globalization;

namespace Sentry.Kernel.Namespaces;

/// <summary>/proc/PID/timens_offsets (time_namespaces(7)).</summary>
public static class TimeOffsets
{
    public static string Describe(TimeNamespace space)
    {
        Timespec monotonic = Timespec.FromNanoseconds(space.MonotonicOffset), boot = Timespec.FromNanoseconds(space.BootOffset);
        return string.Create(CultureInfo.InvariantCulture, $"monotonic  {monotonic.Seconds,10} {monotonic.Nanoseconds,9}\nboottime   {boot.Seconds,10} {boot.Nanoseconds,9}\n");
    }

    /// <summary>Lines of clock, seconds, nanoseconds. EACCES once a process is in the namespace, ERANGE where the clock would be negative.</summary>
    public static Errno Write(Task writer, Task target, string text)
    {
        TimeNamespace space = target.Namespaces.TimeForChildren;
        if (!writer.Credentials.HasIn(space.Owner, Capability.CAP_SYS_TIME))
            return Errno.EPERM;
        if (space.IsUsed)
            return Errno.EACCES;
        long monotonic = space.MonotonicOffset, boot = space.BootOffset;
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] parts = line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (parts.Length != 3 || !long.TryParse(parts[1], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long seconds)
                || !long.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out long nanoseconds) || nanoseconds >= Timespec.NanosecondsPerSecond)
                return Errno.EINVAL;
            if (seconds is > 4_000_000_000 or < -4_000_000_000)
                return Errno.ERANGE;
            long offset = (seconds * Timespec.NanosecondsPerSecond) + nanoseconds;
            if (target.Kernel.Clock.Monotonic + offset < 0)
                return Errno.ERANGE;
            switch (parts[0])
            {
                case "monotonic" or "1":
                    monotonic = offset;
                    break;
                case "boottime" or "7":
                    boot = offset;
                    break;
                default:
                    return Errno.EINVAL;
            }
        }

        (space.MonotonicOffset, space.BootOffset) = (monotonic, boot);
        return Errno.None;
    }
}
