using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Platform.Notify;

/// <summary>A host process that runs guest threads. Several can share one address space (vfork).</summary>
internal sealed class StubProcess
{
    public StubProcess(int processId, StubSpace space)
    {
        ProcessId = processId;
        Space = space;
        space.Processes.Add(this);
    }

    public int ProcessId { get; }

    public StubSpace Space { get; }

    /// <summary>Its threads that the host still has, those told to end included.</summary>
    public List<StubThread> Threads { get; } = [];

    /// <summary>Threads that the kernel has not ended.</summary>
    public int LiveThreads { get; set; }

    /// <summary>False once it has been killed.</summary>
    public bool IsAlive { get; set; } = true;

    /// <summary>Watched for an unexpected end; -1 when not.</summary>
    public int PidFd { get; set; } = -1;
}

/// <summary>A guest address space: the memory of the stub processes that share it, and their slots.</summary>
internal sealed class StubSpace(Reception reception) : IAddressSpace
{
    private const int NotYet = -1, NoFile = -2, TransfersBeforeFile = 32, MaxFiles = 256, LongestByFile = 4096, ReadWrite = 2;

    private readonly SortedSet<int> _free = [];
    private readonly List<int> _leaving = [];
    private readonly Dictionary<int, int> _mailboxes = [];
    private int _nextSlot;
    private int _file = NotYet;
    private int _transfers;

    public List<StubProcess> Processes { get; } = [];

    /// <summary>Any process that has this memory, or -1.</summary>
    public int ProcessId => Processes.Count > 0 ? Processes[0].ProcessId : -1;

    public long ResidentBytes
    {
        get
        {
            // statm: size, resident, file and shared pages, …
            string[] fields = ReadProcFile("statm").Split(' ');
            return fields.Length > 2 && long.TryParse(fields[1], out long resident) && long.TryParse(fields[2], out long shared) ? (resident - shared) * Environment.SystemPageSize : 0;
        }
    }

    public long ProportionalBytes
    {
        get
        {
            foreach (string line in ReadProcFile("smaps_rollup").Split('\n'))
            {
                if (line.StartsWith("Pss_Anon:", StringComparison.Ordinal) && line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [_, var kilobytes, ..] && long.TryParse(kilobytes, out long value))
                    return value << 10;
            }

            return ResidentBytes;
        }
    }

    /// <summary>Empty when it cannot be read.</summary>
    private string ReadProcFile(string name)
    {
        Result<int> file = HostFile.Open($"/proc/{ProcessId}/{name}", 0);
        if (file.IsError)
            return "";
        Span<byte> text = stackalloc byte[4096];
        Result<int> length = HostFile.Read(file.Value, text);
        HostFile.Close(file.Value);
        return length.IsOk ? System.Text.Encoding.ASCII.GetString(text[..length.Value]) : "";
    }

    public int Read(ulong address, Span<byte> destination)
    {
        int length = Clip(address, destination.Length);
        return GuestMemory.Read(ProcessId, address, destination[..length]);
    }

    public int Write(ulong address, ReadOnlySpan<byte> source)
    {
        int length = Clip(address, source.Length);
        return GuestMemory.Write(ProcessId, address, source[..length]);
    }

    public int ReadMapped(ulong address, Span<byte> destination)
    {
        if (TryGetFile(address, destination.Length, out int file) && GuestMemory.ReadFile(file, address, destination))
            return destination.Length;
        return Read(address, destination);
    }

    public int WriteMapped(ulong address, ReadOnlySpan<byte> source)
    {
        if (TryGetFile(address, source.Length, out int file) && GuestMemory.WriteFile(file, address, source))
            return source.Length;
        return Write(address, source);
    }

    /// <summary>No process has the memory any more.</summary>
    public void CloseFile()
    {
        if (_file >= 0)
        {
            HostFile.Close(_file);
            reception.OpenMemoryFiles--;
        }

        _file = NoFile;
    }

    public int ReadForced(ulong address, Span<byte> destination)
    {
        int length = Clip(address, destination.Length);
        int count = GuestMemory.Read(ProcessId, address, destination[..length]);
        return count == length ? count : GuestMemory.ReadForced(ProcessId, address, destination[..length]);
    }

    public int WriteForced(ulong address, ReadOnlySpan<byte> source)
    {
        int length = Clip(address, source.Length);
        int count = GuestMemory.Write(ProcessId, address, source[..length]);
        return count == length ? count : GuestMemory.WriteForced(ProcessId, address, source[..length]);
    }

    public bool TryRead32(ulong address, out uint value)
    {
        value = 0;
        return Read(address, System.Runtime.InteropServices.MemoryMarshal.AsBytes(new Span<uint>(ref value))) == 4;
    }

    public bool TryWrite32(ulong address, uint value) => Write(address, System.Runtime.InteropServices.MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(ref value))) == 4;

    public bool TryCompareExchange32(IGuestThread runner, ulong address, uint expected, uint desired, out uint found)
    {
        if (!TryRead32(address, out found))
            return false;
        if (found != expected)
            return true;

        // When no guest thread is in guest code nothing can come between the read and the write.
        if (!reception.AnyRunning || runner is not StubThread { CanSwap: true } thread)
            return TryWrite32(address, desired);
        return thread.TrySwap(address, expected, desired, out found);
    }

    public void FindPrivatePages(ulong start, ulong end, List<PageRun> runs)
    {
        if (ProcessId >= 0)
            GuestMemory.FindPrivatePages(ProcessId, start, Math.Min(end, StubLayout.Base), runs);
    }

    public void Dump(int hostDescriptor, ReadOnlySpan<DumpRun> runs) => GuestMemory.Dump(ProcessId, hostDescriptor, runs);

    public Result<IFrozenMemory> Freeze(IGuestThread stopped) => reception.Freeze((StubThread)stopped);

    /// <summary>A slot that no host thread is on; -1 when all are taken.</summary>
    public int TakeSlot()
    {
        // A thread told to end is gone when the host has cleared its word.
        for (int i = _leaving.Count - 1; i >= 0 && i >= _leaving.Count - 8; i--)
        {
            if (GuestMemory.TryRead64(ProcessId, StubLayout.Slot(_leaving[i]) + StubLayout.AtThreadWord, out ulong word) && (uint)word == 0)
            {
                _free.Add(_leaving[i]);
                _leaving.RemoveAt(i);
            }
        }

        if (_free.Count > 0)
        {
            int slot = _free.Min;
            _free.Remove(slot);
            return slot;
        }

        return _nextSlot < StubLayout.MaxSlots ? _nextSlot++ : -1;
    }

    /// <summary>In a copied space: the one slot that is taken.</summary>
    public void TakeOnly(int slot)
    {
        for (int i = 0; i < slot; i++)
            _free.Add(i);
        _nextSlot = slot + 1;
    }

    /// <summary>The mailbox of a slot, which stays the slot's as long as the space lives; false when there is none to be had.</summary>
    public bool TryGetMailbox(int slot, out int index)
    {
        if (_mailboxes.TryGetValue(slot, out index))
            return true;
        index = reception.Mailboxes.Take();
        if (index < 0)
            return false;
        _mailboxes.Add(slot, index);
        return true;
    }

    /// <summary>The mailboxes that this space has had, which it gives up; they are free when no process of it is left.</summary>
    public int[] TakeMailboxes()
    {
        int[] taken = [.. _mailboxes.Values];
        _mailboxes.Clear();
        return taken;
    }

    /// <summary>The slot can be used again when the host thread on it is gone.</summary>
    public void ReleaseSlot(int slot) => _leaving.Insert(0, slot);

    /// <summary>The slot was never used.</summary>
    public void ReturnSlot(int slot) => _free.Add(slot);

    /// <summary>/proc/PID/mem of a process that has made some calls, for what it is quicker at: short ranges.</summary>
    private bool TryGetFile(ulong address, int length, out int file)
    {
        if (_file == NotYet && ++_transfers > TransfersBeforeFile)
        {
            _file = NoFile;
            if (ProcessId >= 0 && reception.OpenMemoryFiles < MaxFiles && HostFile.Open($"/proc/{ProcessId}/mem", ReadWrite | HostFile.OCloexec) is { IsOk: true, Value: var opened })
            {
                _file = opened;
                reception.OpenMemoryFiles++;
            }
        }

        file = _file;
        return file >= 0 && length <= LongestByFile && address < StubLayout.Base && (ulong)length <= StubLayout.Base - address;
    }

    private static int Clip(ulong address, int length) => address >= StubLayout.Base ? 0 : (int)Math.Min((ulong)length, StubLayout.Base - address);
}
