using System.Runtime.InteropServices;
using Sentry.Abi;

namespace Sentry.Platform.Notify;

/// <summary>A copy of a stub process that stays in its first report: its memory is what it was.</summary>
internal sealed class FrozenMemory(Reception reception, StubThread copy) : IFrozenMemory
{
    private const ulong Piece = 1 << 20;
    private readonly int _process = copy.Process.ProcessId;

    public int Read(ulong address, Span<byte> destination) => copy.Process.IsAlive ? GuestMemory.Read(_process, address, destination) : 0;

    public void FindPrivatePages(ulong start, ulong end, List<PageRun> runs) => GuestMemory.FindPrivatePages(_process, start, Math.Min(end, StubLayout.Base), runs);

    /// <summary>
    /// The copy writes its own pages to the file, in pieces of 1 MiB: one copy of the data less than through the sentry, and the sentry's
    /// thread is free meanwhile. What it cannot write (pages that are unreadable for it) goes through the sentry.
    /// </summary>
    public void Dump(int hostDescriptor, ReadOnlySpan<DumpRun> runs)
    {
        List<DumpRun> left = [];
        List<DumpRun> pieces = [];
        foreach (DumpRun run in runs)
        {
            // the overhead of a call of the stub is worth it only for larger pieces
            if (run.Length < Piece / 16)
                left.Add(run);
            for (ulong done = 0; run.Length >= Piece / 16 && done < run.Length; done += Piece)
                pieces.Add(new DumpRun(run.Address + done, Math.Min(Piece, run.Length - done), run.FileOffset + (long)done));
        }

        int installed = -1;
        foreach (DumpRun[] part in pieces.Chunk(StubLayout.MaxOperations))
        {
            if (installed < 0)
                installed = copy.Install(hostDescriptor) is { IsOk: true } added ? added.Value : throw new IOException("the file cannot be given to the copy");
            StubOperation[] operations = Array.ConvertAll(part, p => new StubOperation(Sysno.pwrite64, (ulong)installed, p.Address, p.Length, (ulong)p.FileOffset, 0, 0));
            if (!reception.RunFromAnywhere(copy, operations))
                throw new IOException("the frozen copy is gone");
            StubOperation[] ran = new StubOperation[part.Length];
            if (GuestMemory.Read(_process, copy.Slot + StubLayout.AtOperations, MemoryMarshal.AsBytes(ran.AsSpan())) != ran.Length * StubLayout.OperationSize)
                throw new IOException("the frozen copy is gone");
            for (int i = 0; i < part.Length; i++)
            {
                if (ran[i].Result != part[i].Length)
                    left.Add(part[i]);
            }
        }

        GuestMemory.Dump(_process, hostDescriptor, CollectionsMarshal.AsSpan(left));
    }

    public void Dispose() => reception.KillFromAnywhere(copy);
}
