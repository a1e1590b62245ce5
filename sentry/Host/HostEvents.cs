using System.Runtime.InteropServices;
using Sentry.Abi;

namespace Sentry.Host;

/// <summary>struct pollfd.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct PollDescriptor
{
    public const short In = 1, Priority = 2, Out = 4, Error = 8, HangUp = 0x10, Invalid = 0x20, ReadHangUp = 0x2000;

    public int Descriptor;
    public short Events;
    public short Ready;
}

/// <summary>struct epoll_event, which is packed on x86-64.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct EpollEvent
{
    public uint Events;
    public ulong Data;
}

/// <summary>Waiting, counters, timers and the clocks of the host.</summary>
public static unsafe class HostEvents
{
    /// <summary>poll(2): how many are ready; milliseconds -1 waits forever.</summary>
    public static Result<int> Poll(Span<PollDescriptor> descriptors, int milliseconds)
    {
        fixed (PollDescriptor* p = descriptors)
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.poll, (long)p, descriptors.Length, milliseconds));
    }

    /// <summary>ppoll(2) with nanoseconds; negative waits forever.</summary>
    public static Result<int> PollPrecise(Span<PollDescriptor> descriptors, long nanoseconds)
    {
        long* time = stackalloc long[2] { nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000 };
        fixed (PollDescriptor* p = descriptors)
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.ppoll, (long)p, descriptors.Length, nanoseconds < 0 ? 0 : (long)time, 0, 8));
    }

    public static Result<int> CreateEpoll() => HostSyscall.ToInt(HostSyscall.Call(Sysno.epoll_create1, HostFile.OCloexec));

    /// <summary>epoll_ctl(2): EPOLL_CTL_ADD 1, DEL 2, MOD 3.</summary>
    public static Errno ControlEpoll(int epoll, int operation, int descriptor, uint events, ulong data)
    {
        EpollEvent value = new() { Events = events, Data = data };
        return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.epoll_ctl, epoll, operation, descriptor, (long)(&value)));
    }

    public static Result<int> WaitEpoll(int epoll, Span<EpollEvent> events, int milliseconds)
    {
        fixed (EpollEvent* p = events)
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.epoll_wait, epoll, (long)p, events.Length, milliseconds));
    }

    /// <summary>eventfd2(2), close-on-exec; flags EFD_NONBLOCK 0x800, EFD_SEMAPHORE 1.</summary>
    public static Result<int> CreateEvent(uint initial = 0, int flags = 0) => HostSyscall.ToInt(HostSyscall.Call(Sysno.eventfd2, initial, flags | HostFile.OCloexec));

    /// <summary>Adds to an eventfd.</summary>
    public static Errno Signal(int descriptor, ulong count = 1) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.write, descriptor, (long)(&count), 8));

    /// <summary>timerfd_create(2), close-on-exec; CLOCK_MONOTONIC is 1; flags TFD_NONBLOCK 0x800.</summary>
    public static Result<int> CreateTimer(int clock = 1, int flags = 0) => HostSyscall.ToInt(HostSyscall.Call(Sysno.timerfd_create, clock, flags | HostFile.OCloexec));

    /// <summary>timerfd_settime(2), one shot, in nanoseconds: 0 disarms; absolute when asked.</summary>
    public static Errno SetTimer(int descriptor, long nanoseconds, bool absolute)
    {
        long* value = stackalloc long[4] { 0, 0, nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000 };
        return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.timerfd_settime, descriptor, absolute ? 1 : 0, (long)value, 0));
    }

    /// <summary>clock_gettime(2) in nanoseconds: CLOCK_REALTIME 0, MONOTONIC 1, BOOTTIME 7.</summary>
    public static long GetTime(int clock)
    {
        long* time = stackalloc long[2];
        HostSyscall.CallFast(Sysno.clock_gettime, clock, (long)time);
        return time[0] * 1_000_000_000 + time[1];
    }

    /// <summary>Fills with random bytes (getrandom(2)).</summary>
    public static void FillRandom(Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            fixed (byte* p = destination)
            {
                long count = HostSyscall.Call(Sysno.getrandom, (long)p, destination.Length, 0);
                if (count > 0)
                    destination = destination[(int)count..];
                else if (count != -(int)Errno.EINTR)
                    throw new InvalidOperationException($"getrandom: {HostSyscall.ErrorOf(count)}");
            }
        }
    }
}
