using System.Buffers.Binary;

namespace Sentry.Kernel.Memory;

/// <summary>
/// Finds the system-call instructions that a program uses most, and rewrites them in its memory where the platform offers it, so that calls bring along
/// what they need (<see cref="IGuestThread.Mailbox"/>). Only text that is mapped privately from a file is touched, and not while a tracer looks on.
/// </summary>
internal sealed class CallSites(GuestKernel kernel, bool eager)
{
    /// <summary>Calls at one instruction after which it is rewritten; calls by a rewritten one after which its thread gets a mailbox.</summary>
    private const int Hot = 32, Travelling = 4, Eager = 2;

    private const int TableSize = 4096, PageSize = 4096, Before = 16, Window = 192;

    private readonly Counter[] _counters = new Counter[TableSize];

    /// <summary>Counts a call by the address behind its instruction.</summary>
    public void OnCall(Task task, int number, ulong address)
    {
        MemoryManager memory = task.Memory;
        ref Counter counter = ref _counters[(int)((address * 0x9E3779B97F4A7C15) >> 52)];
        if (counter.Address != address || !ReferenceEquals(counter.Memory, memory))
        {
            counter = new Counter { Address = address, Memory = memory, Count = 1 };
            return;
        }

        int count = ++counter.Count;
        if (count is Hot or Travelling || (eager && count == Eager))
            Consider(task, number, address - 2, count == Hot || eager);
    }

    /// <summary>The address in a program's own text that stands for one in rewritten text: what signal handlers and snapshots are to see.</summary>
    public static ulong ToNatural(Task task, ulong address) => task.Memory.Patches is { } patches ? patches.ToNatural(address, task.Memory) : address;

    /// <summary>Somebody is going to look at the program's text and step through it: it is the program's own from now on.</summary>
    public static void TurnOff(Task task)
    {
        MemoryManager memory = task.Memory;
        memory.Patches ??= new TextPatches();
        if (memory.Patches.IsOff)
            return;
        List<Task> stopped = StopAll(task);
        memory.Patches.TurnOff(memory);
        Resume(stopped);
    }

    /// <summary>Gives all programs their own text while the sandbox stands still, and takes it away again afterwards.</summary>
    public static void SetNatural(GuestKernel kernel, bool natural)
    {
        HashSet<MemoryManager> seen = [];
        foreach (Task task in kernel.Tasks.Values)
        {
            if (task.Memory.Patches is not { IsEmpty: false, IsOff: false } patches || !seen.Add(task.Memory))
                continue;
            if (natural)
                patches.Undo(task.Memory);
            else
                patches.Redo(task.Memory);
        }
    }

    private void Consider(Task task, int number, ulong site, bool isHot)
    {
        MemoryManager memory = task.Memory;
        if (task.Trace is not null || memory.Areas.Find(site) is not { IsShared: false, File: RegularFile file } area
            || (area.Protection & (MemoryProtection.Execute | MemoryProtection.Write)) != MemoryProtection.Execute)
            return;
        TextPatches patches = memory.Patches ??= new TextPatches();
        if (patches.IsOff)
            return;
        if (patches.IsTrampoline(site, memory))
            task.Thread.OpenMailbox();
        else if (isHot && !patches.IsKnown(site, area) && Rewrite(task, patches, area, file, site, number))
            task.Thread.OpenMailbox();
    }

    private bool Rewrite(Task task, TextPatches patches, Area area, RegularFile file, ulong site, int number)
    {
        MemoryManager memory = task.Memory;
        patches.SetKnown(site, area);
        if (!patches.TryGetRoom(area, out ulong next, out ulong end))
        {
            (next, end) = FindRoom(memory, area, file);
            patches.SetRoom(area, next, end);
        }

        Span<byte> code = stackalloc byte[Window];
        ulong from = Math.Max(area.Start, site - Before);
        int length = memory.Space.ReadForced(from, code[..(int)Math.Min(Window, area.End - from)]);
        if (next == end || kernel.Host.Platform.PlanCallSite(code[..length], (int)(site - from), (long)(next - site), number) is not { } plan || (ulong)plan.Trampoline.Length > end - next)
            return false;

        // No thread may be between the bytes that are about to change.
        List<Task> stopped = StopAll(task);
        bool done = patches.Add(memory, area, site, plan, next);
        if (done)
            patches.SetRoom(area, next + (((ulong)plan.Trampoline.Length + 7) & ~7ul), end);
        Resume(stopped);
        return done;
    }

    // All that have the task's memory and may be in guest code.
    private static List<Task> StopAll(Task task)
    {
        List<Task> stopped = [];
        foreach (Task other in task.Kernel.Tasks.Values)
        {
            if (!ReferenceEquals(other.Memory, task.Memory) || other.Thread.State != GuestThreadState.Running)
                continue;
            other.Thread.Stop();
            if (other.Thread.State == GuestThreadState.Stopped)
                stopped.Add(other);
        }

        return stopped;
    }

    private static void Resume(List<Task> stopped)
    {
        foreach (Task task in stopped)
        {
            // An interrupt that the stop has taken the place of is made up for: one too many does no harm.
            task.Thread.Resume();
            task.Thread.Interrupt();
        }
    }

    /// <summary>The end of the last page of the text: free when no other segment has bytes of the file there and all are 0. Empty when there is nothing.</summary>
    private static (ulong Start, ulong End) FindRoom(MemoryManager memory, Area area, RegularFile file)
    {
        FileData data = file.Data;
        Span<byte> header = stackalloc byte[64];
        if (!data.Read(header, 0).TryGet(out int got, out _) || got != 64 || BinaryPrimitives.ReadUInt32BigEndian(header) != 0x7F454C46 || header[4] != 2)
            return default;
        long table = BinaryPrimitives.ReadInt64LittleEndian(header[32..]);
        int size = BinaryPrimitives.ReadUInt16LittleEndian(header[54..]), count = BinaryPrimitives.ReadUInt16LittleEndian(header[56..]);
        if (size != 56 || count > 64 || table < 0 || table > data.Size - (size * count))
            return default;
        Span<byte> headers = new byte[size * count];
        if (!data.Read(headers, table).TryGet(out got, out _) || got != headers.Length)
            return default;
        ulong end = 0;
        for (int i = 0; i < count; i++)
        {
            (ulong start, ulong length) = Segment(headers[(i * size)..], out bool executable);
            if (executable && start + length > area.FileOffset && start < area.OffsetOf(area.End))
                end = start + length;
        }

        ulong limit = (end + PageSize - 1) & ~(PageSize - 1ul);
        for (int i = 0; i < count; i++)
        {
            (ulong start, ulong length) = Segment(headers[(i * size)..], out _);
            if (length > 0 && start >= end)
                limit = Math.Min(limit, start);
        }

        if (end <= area.FileOffset || limit <= end || limit > area.OffsetOf(area.End))
            return default;
        byte[] slack = new byte[limit - end];
        ulong address = area.Start + (end - area.FileOffset);
        if (memory.Space.ReadForced(address, slack) != slack.Length || slack.AsSpan().ContainsAnyExcept((byte)0))
            return default;
        return ((address + 15) & ~15ul, address + (ulong)slack.Length) is var (first, last) && first < last ? (first, last) : default;

        static (ulong Start, ulong Length) Segment(ReadOnlySpan<byte> header, out bool executable)
        {
            const uint load = 1, execute = 1;
            executable = (BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) & execute) != 0;
            return BinaryPrimitives.ReadUInt32LittleEndian(header) == load
                ? (BinaryPrimitives.ReadUInt64LittleEndian(header[8..]), BinaryPrimitives.ReadUInt64LittleEndian(header[32..]))
                : (0, 0);
        }
    }

    private struct Counter
    {
        public ulong Address;
        public MemoryManager? Memory;
        public int Count;
    }
}
