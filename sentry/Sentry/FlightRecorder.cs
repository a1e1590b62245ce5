using System.Runtime.InteropServices;
using Sentry.Control;
using Sentry.Host;

namespace Sentry.Main;

/// <summary>Writes the <see cref="FlightRecord"/> of this sentry.</summary>
internal sealed class FlightRecorder
{
    private readonly nint _page;

    /// <param name="descriptor">The agent's file; -1 for a record that nobody reads.</param>
    public FlightRecorder(int descriptor)
    {
        int flags = descriptor >= 0 ? HostMemory.MapShared : HostMemory.MapPrivate | HostMemory.MapAnonymous;
        _page = Require.Ok(HostMemory.Map(0, FlightRecord.Size, HostMemory.ProtectionRead | HostMemory.ProtectionWrite, flags, descriptor, 0), "map the flight record");
        if (descriptor >= 0)
            HostFile.Close(descriptor);
        FlightRecord.Initialize(Page);
    }

    private Span<ulong> Page => MemoryMarshal.Cast<byte, ulong>(HostMemory.Span(_page, FlightRecord.Size));

    public void Begin(int pid, int tid, int number, in Kernel.SyscallArgs args, string name) =>
        FlightRecord.Begin(Page, pid, tid, number, args.A0, args.A1, args.A2, args.A3, args.A4, args.A5, name);

    public void End() => FlightRecord.End(Page);

    public void SetBegun() => FlightRecord.SetBegun(Page);

    public void SetMoved() => FlightRecord.SetMoved(Page);

    public void SetEnd(int waitStatus) => FlightRecord.SetEnd(Page, waitStatus);
}
