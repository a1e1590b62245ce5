namespace Sentry.Platform.Notify;

/// <summary>A copy of a stub process that stays in its first report: its memory is what it was.</summary>
internal sealed class FrozenMemory(Reception reception, StubThread copy) : IFrozenMemory
{
    private readonly int _process = copy.Process.ProcessId;

    public int Read(ulong address, Span<byte> destination) => copy.Process.IsAlive ? GuestMemory.Read(_process, address, destination) : 0;

    public void FindPrivatePages(ulong start, ulong end, List<PageRun> runs) => GuestMemory.FindPrivatePages(_process, start, Math.Min(end, StubLayout.Base), runs);

    public void Dump(int hostDescriptor, ReadOnlySpan<DumpRun> runs) => GuestMemory.Dump(_process, hostDescriptor, runs);

    public void Dispose()
    {
        if (copy.State != GuestThreadState.Dead)
            copy.Kill();
        _ = reception;
    }
}
