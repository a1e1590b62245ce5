using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Platform.Notify;

/// <summary>The memory of one stub process by process_vm_readv(2) and PAGEMAP_SCAN. A page's protection is checked by the host.</summary>
internal static unsafe class GuestMemory
{
    private const uint ScanRequest = 0xC0606610;
    private const ulong PageIsFile = 4, PageIsPresent = 8, PageIsSwapped = 16, PageIsZero = 32;

    public static int Read(int process, ulong address, Span<byte> destination)
    {
        if (destination.Length == 0)
            return 0;
        fixed (byte* p = destination)
        {
            long count = Transfer(Sysno.process_vm_readv, process, address, p, destination.Length);

            // The host stops at the start of the iovec's bad page but reports only whole pages it pinned together: go on until nothing comes.
            while (count > 0 && count < destination.Length)
            {
                long more = Transfer(Sysno.process_vm_readv, process, address + (ulong)count, p + count, destination.Length - count);
                if (more <= 0)
                    break;
                count += more;
            }

            return (int)Math.Max(count, 0);
        }
    }

    public static int Write(int process, ulong address, ReadOnlySpan<byte> source)
    {
        if (source.Length == 0)
            return 0;
        fixed (byte* p = source)
        {
            long count = Transfer(Sysno.process_vm_writev, process, address, p, source.Length);
            while (count > 0 && count < source.Length)
            {
                long more = Transfer(Sysno.process_vm_writev, process, address + (ulong)count, p + count, source.Length - count);
                if (more <= 0)
                    break;
                count += more;
            }

            return (int)Math.Max(count, 0);
        }
    }

    /// <summary>All of a range by an opened /proc/PID/mem, a third quicker than <see cref="Read"/>, which looks the process up and asks whether it may be
    /// accessed each time. It overrides protection, so it is for memory whose protection the kernel knows.</summary>
    public static bool ReadFile(int file, ulong address, Span<byte> destination)
    {
        fixed (byte* p = destination)
            return HostSyscall.CallFast(Sysno.pread64, file, (long)p, destination.Length, (long)address) == destination.Length;
    }

    /// <summary>As <see cref="ReadFile"/>.</summary>
    public static bool WriteFile(int file, ulong address, ReadOnlySpan<byte> source)
    {
        fixed (byte* p = source)
            return HostSyscall.CallFast(Sysno.pwrite64, file, (long)p, source.Length, (long)address) == source.Length;
    }

    /// <summary>Through /proc/PID/mem, which looks at what a mapping could be, not at its protection.</summary>
    public static int ReadForced(int process, ulong address, Span<byte> destination)
    {
        Result<int> memory = HostFile.Open($"/proc/{process}/mem", 0);
        if (memory.IsError)
            return 0;
        int done = 0;
        while (done < destination.Length && HostFile.ReadAt(memory.Value, destination[done..], (long)address + done) is { IsOk: true, Value: > 0 } count)
            done += count.Value;
        HostFile.Close(memory.Value);
        return done;
    }

    /// <inheritdoc cref="ReadForced"/>
    public static int WriteForced(int process, ulong address, ReadOnlySpan<byte> source)
    {
        const int writing = 1;
        Result<int> memory = HostFile.Open($"/proc/{process}/mem", writing);
        if (memory.IsError)
            return 0;
        int done = 0;
        while (done < source.Length && HostFile.WriteAt(memory.Value, source[done..], (long)address + done) is { IsOk: true, Value: > 0 } count)
            done += count.Value;
        HostFile.Close(memory.Value);
        return done;
    }

    public static bool TryRead64(int process, ulong address, out ulong value)
    {
        value = 0;
        return Read(process, address, MemoryMarshal.AsBytes(new Span<ulong>(ref value))) == 8;
    }

    public static bool TryWrite64(int process, ulong address, ulong value) => Write(process, address, MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(ref value))) == 8;

    public static void FindPrivatePages(int process, ulong start, ulong end, List<PageRun> runs)
    {
        const int Regions = 512;
        Result<int> pagemap = HostFile.Open($"/proc/{process}/pagemap", 0);
        if (pagemap.IsError)
            throw new IOException($"pagemap of a stub: {pagemap.Error}");
        PageRegion* regions = (PageRegion*)NativeMemory.Alloc(Regions, (nuint)sizeof(PageRegion));
        try
        {
            for (ulong at = start; at < end;)
            {
                ScanArguments arguments = new()
                {
                    Size = (ulong)sizeof(ScanArguments),
                    Start = at,
                    End = end,
                    Vector = regions,
                    VectorLength = Regions,
                    CategoryInverted = PageIsFile | PageIsZero,
                    CategoryMask = PageIsFile | PageIsZero,
                    CategoryAny = PageIsPresent | PageIsSwapped,
                    ReturnMask = PageIsPresent,
                };
                long count = HostSyscall.Call(Sysno.ioctl, pagemap.Value, ScanRequest, (long)(&arguments));
                if (count < 0)
                    throw new IOException($"PAGEMAP_SCAN: {HostSyscall.ErrorOf(count)}");
                for (long i = 0; i < count; i++)
                {
                    if (runs.Count > 0 && runs[^1].End == regions[i].Start && regions[i].Start > start)
                        runs[^1] = new PageRun(runs[^1].Start, regions[i].End);
                    else
                        runs.Add(new PageRun(regions[i].Start, regions[i].End));
                }

                if (arguments.WalkEnd <= at)
                    break;
                at = arguments.WalkEnd;
            }
        }
        finally
        {
            NativeMemory.Free(regions);
            HostFile.Close(pagemap.Value);
        }
    }

    /// <summary>Copies guest memory to a file through a buffer of the sentry. Pages that the guest made unreadable (PROT_NONE) are its data too:
    /// those are read through /proc/PID/mem, which looks at what the mapping could be.</summary>
    public static void Dump(int process, int descriptor, ReadOnlySpan<DumpRun> runs)
    {
        const int Size = 1 << 20;
        byte* buffer = (byte*)NativeMemory.AlignedAlloc(Size, 4096);
        int memory = -1;
        try
        {
            foreach (DumpRun run in runs)
            {
                for (ulong done = 0; done < run.Length;)
                {
                    int length = (int)Math.Min(Size, run.Length - done);
                    Span<byte> piece = new(buffer, length);
                    if (Read(process, run.Address + done, piece) != length)
                    {
                        if (memory < 0)
                            memory = HostFile.Open($"/proc/{process}/mem", 0) is { IsOk: true } opened ? opened.Value : throw new IOException("guest memory is gone while it is written out");
                        for (int got = 0; got < length;)
                        {
                            Result<int> count = HostFile.ReadAt(memory, piece[got..], (long)(run.Address + done) + got);
                            if (count.IsError || count.Value == 0)
                                throw new IOException($"guest memory cannot be read while it is written out: {count.Error}");
                            got += count.Value;
                        }
                    }

                    for (int written = 0; written < length;)
                    {
                        Result<int> count = HostFile.WriteAt(descriptor, piece[written..], run.FileOffset + (long)done + written);
                        if (count.IsError)
                            throw new IOException($"cannot write guest memory: {count.Error}{(count.Error is Errno.ENOSPC or Errno.EDQUOT ? "; free disk space and try again" : "")}");
                        written += count.Value;
                    }

                    done += (ulong)length;
                }
            }
        }
        finally
        {
            NativeMemory.AlignedFree(buffer);
            if (memory >= 0)
                HostFile.Close(memory);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long Transfer(int number, int process, ulong address, byte* local, long length)
    {
        IoVec here = new((ulong)local, (ulong)length);
        IoVec there = new(address, (ulong)length);

        // Small transfers take about a microsecond and never wait for anything but a page.
        return length <= 4096
            ? HostSyscall.CallFast(number, process, (long)(&here), 1, (long)(&there), 1)
            : HostSyscall.Call(number, process, (long)(&here), 1, (long)(&there), 1);
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct ScanArguments
    {
        public ulong Size, Flags, Start, End, WalkEnd;
        public PageRegion* Vector;
        public ulong VectorLength, MaxPages, CategoryInverted, CategoryMask, CategoryAny, ReturnMask;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct PageRegion
    {
        public ulong Start, End, Categories;
    }
}
