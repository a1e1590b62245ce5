using Sentry.Host;
using Sentry.Kernel.Time;

namespace Sentry.Main;

/// <summary>The host's clocks, and a timerfd in the event loop as the kernel's one wake-up.</summary>
internal sealed class MainClock : IHostClock, IDisposable
{
    private const int Realtime0 = 0, Monotonic1 = 1, NonBlocking = 0x800;
    private readonly int _timer;

    public MainClock() => _timer = Require.Ok(HostEvents.CreateTimer(Monotonic1, NonBlocking), "create a timer");

    public int Descriptor => _timer;

    public long Monotonic => HostEvents.GetTime(Monotonic1);

    public ulong Counter => HostCounter.IsConstant ? HostCounter.Read() : 0;

    public long Realtime => HostEvents.GetTime(Realtime0);

    /// <inheritdoc/>
    public void ArmWakeup(long hostMonotonic)
    {
        // 0 would disarm: a time long past is 1 ns after boot.
        Require.Ok(HostEvents.SetTimer(_timer, hostMonotonic == long.MaxValue ? 0 : Math.Max(1, hostMonotonic), absolute: true), "arm the timer");
    }

    public void Dispose() => HostFile.Close(_timer);
}
