using System.Runtime.InteropServices;

namespace Sentry.Abi;

/// <summary>struct timespec.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Timespec
{
    public const long NanosecondsPerSecond = 1_000_000_000;

    public long Seconds;
    public long Nanoseconds;

    /// <summary>Whether it is a time that the kernel accepts: no negative seconds, nanoseconds within a second.</summary>
    public readonly bool IsValid => Seconds >= 0 && (ulong)Nanoseconds < NanosecondsPerSecond;

    /// <summary>In ns, at most long.MaxValue. Of a valid one.</summary>
    public readonly long ToNanoseconds() =>
        Seconds >= long.MaxValue / NanosecondsPerSecond ? long.MaxValue : (Seconds * NanosecondsPerSecond) + Nanoseconds;

    public static Timespec FromNanoseconds(long ns)
    {
        (long seconds, long rest) = Math.DivRem(ns, NanosecondsPerSecond);
        return rest < 0 ? new Timespec { Seconds = seconds - 1, Nanoseconds = rest + NanosecondsPerSecond } : new Timespec { Seconds = seconds, Nanoseconds = rest };
    }
}

/// <summary>struct timeval.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Timeval
{
    public long Seconds;
    public long Microseconds;

    public readonly bool IsValid => Seconds >= 0 && (ulong)Microseconds < 1_000_000;

    /// <summary>In ns, at most long.MaxValue. Of a valid one.</summary>
    public readonly long ToNanoseconds() => new Timespec { Seconds = Seconds, Nanoseconds = Microseconds * 1000 }.ToNanoseconds();

    /// <summary>Rounded up, so that a timer that runs never reads as 0.</summary>
    public static Timeval FromNanoseconds(long ns)
    {
        long microseconds = (ns / 1000) + (ns % 1000 > 0 ? 1 : 0);
        return new Timeval { Seconds = microseconds / 1_000_000, Microseconds = microseconds % 1_000_000 };
    }
}

/// <summary>struct itimerspec.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Itimerspec
{
    public Timespec Interval;
    public Timespec Value;
}

/// <summary>struct itimerval.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Itimerval
{
    public Timeval Interval;
    public Timeval Value;
}

/// <summary>Clock ids of clock_gettime(2).</summary>
public static class ClockId
{
    public const int Realtime = 0;
    public const int Monotonic = 1;
    public const int ProcessCpu = 2;
    public const int ThreadCpu = 3;
    public const int MonotonicRaw = 4;
    public const int RealtimeCoarse = 5;
    public const int MonotonicCoarse = 6;
    public const int Boottime = 7;
    public const int RealtimeAlarm = 8;
    public const int BoottimeAlarm = 9;
    public const int Tai = 11;
}
