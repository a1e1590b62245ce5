using System.Globalization;
using System.Runtime.InteropServices;
using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Platform.Notify;

/// <summary>What the zygote does to itself before the first copy of it is made.</summary>
internal static class Zygote
{
    // SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_RESTORER, all signals blocked while the handler runs
    private const ulong HandlerFlags = 0x4 | 0x0800_0000 | 0x1000_0000 | 0x0400_0000;

    /// <summary>Batches of operations: no descriptors, nothing mapped but the stub, slots reserved, handlers installed.</summary>
    public static IEnumerable<StubOperation[]> Operations(int processId, ulong handler)
    {
        List<StubOperation> operations = [new(Sysno.close_range, 0, uint.MaxValue, 0, 0, 0, 0)];
        foreach ((ulong start, ulong end) in ForeignMappings(processId))
            operations.Add(new StubOperation(Sysno.munmap, start, end - start, 0, 0, 0, 0));

        ulong rest = StubLayout.Slot(1);
        operations.Add(new StubOperation(Sysno.mmap, rest, StubLayout.End - rest, 3, 0x4032, ulong.MaxValue, 0));

        // struct kernel_sigaction in the part of slot 0 that becomes its signal stack
        ulong scratch = StubLayout.Slot(0) + StubLayout.ControlSize;
        ReadOnlySpan<ulong> action = [handler, HandlerFlags, handler, ulong.MaxValue];
        if (GuestMemory.Write(processId, scratch, MemoryMarshal.AsBytes(action)) != 32)
            throw new InvalidOperationException("the zygote's memory cannot be written: process_vm_writev is refused");
        foreach (int signal in (ReadOnlySpan<int>)[StubLayout.BatchSignal, StubLayout.StopSignal, 4, 5, 7, 8, 11])
            operations.Add(new StubOperation(Sysno.rt_sigaction, (ulong)signal, scratch, 0, 8, 0, 0));

        foreach (StubOperation[] batch in operations.Chunk(StubLayout.MaxOperations))
            yield return batch;
    }

    private static List<(ulong Start, ulong End)> ForeignMappings(int processId)
    {
        List<(ulong, ulong)> found = [];
        foreach (string line in File.ReadLines($"/proc/{processId}/maps"))
        {
            int dash = line.IndexOf('-', StringComparison.Ordinal);
            ulong start = ulong.Parse(line.AsSpan(0, dash), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            ulong end = ulong.Parse(line.AsSpan(dash + 1, line.IndexOf(' ', StringComparison.Ordinal) - dash - 1), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            if (!StubLayout.IsStubAddress(start) && !line.EndsWith("[vsyscall]", StringComparison.Ordinal))
                found.Add((start, end));
        }

        return found;
    }
}
