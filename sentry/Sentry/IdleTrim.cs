namespace Sentry.Main;

/// <summary>Gives memory of the sentry back to the host once the sandbox has become quiet. The runtime collects only when something is allocated, so what a busy time
/// left behind would stay resident for as long as nothing happens, and most sandboxes of a host are quiet most of the time.</summary>
internal sealed class IdleTrim
{
    // A collection stops the sentry for about 2 ms a MiB of live objects (50 ms with 10,000 connections), so it must be worth it, and is as rare as the runtime's own.
    private const long Enough = 4 << 20, QuietPerSecond = 64 << 10;
    private const int Shortest = 500, Longest = 4000;

    private int _interval = Shortest;
    private long _next = Environment.TickCount64 + Shortest;
    private long _seen, _collected;

    /// <summary>Milliseconds until the next look.</summary>
    public int Remaining => (int)Math.Max(0, _next - Environment.TickCount64);

    /// <summary>Collects when it is time to look, little was allocated since the last look and much since the last collection.</summary>
    public void Look()
    {
        if (Environment.TickCount64 < _next)
            return;
        long allocated = GC.GetTotalAllocatedBytes();
        bool isQuiet = (allocated - _seen) * 1000 < QuietPerSecond * _interval;
        if (isQuiet && allocated - _collected >= Math.Max(Enough, GC.GetTotalMemory(forceFullCollection: false) / 2))
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            _collected = allocated;
        }

        _seen = allocated;
        _interval = isQuiet ? Math.Min(2 * _interval, Longest) : Shortest;
        _next = Environment.TickCount64 + _interval;
    }
}
