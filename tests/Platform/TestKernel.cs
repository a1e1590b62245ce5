using System.Buffers.Binary;
using System.Text;
using Sentry.Abi;
using Sentry.Host;
using Sentry.Platform;
using Sentry.Platform.Notify;

namespace Tests.Platform;

/// <summary>The least kernel that runs the guest program: a few calls answered directly on the platform.</summary>
internal sealed class TestKernel : IPlatformEvents, IDisposable
{
    private readonly Dictionary<int, Process> _processes = [];
    private int _nextId;
    private int _memory = -1;

    /// <param name="watch">Whether mailboxes are looked at for calls even when these come rarely.</param>
    public TestKernel(bool watch = false) => Platform = new NotifyPlatform { WatchesEagerly = watch };

    public IPlatform Platform { get; }

    public Lock Lock { get; } = new();

    public Process First { get; private set; } = null!;

    public List<string> Lost { get; } = [];

    public List<GuestFault> Faults { get; } = [];

    public List<IGuestThread> Parked { get; } = [];

    public long Next { get; private set; }

    public long Twice { get; private set; }

    /// <summary>Called for a guest's call first; true when it was answered.</summary>
    public Func<IGuestThread, SyscallFrame, bool>? Hook { get; set; }

    public Action<IGuestThread>? OnStopped { get; set; }

    internal sealed class Process(int id, IGuestThread main)
    {
        public int Id { get; } = id;
        public List<IGuestThread> Threads { get; } = [main];
        public int? Status { get; set; }
        public IGuestThread? Waiter { get; set; }
        public IGuestThread? VforkParent { get; set; }
        public ulong Top { get; set; } = 0x7000_0000_0000;
        public int Ticks { get; set; }
        public int ThreadWaitCount { get; set; }
    }

    /// <summary>Starts the guest with these arguments, runs it, returns its status (1000 + n: lost).</summary>
    public int Run(params string[] arguments)
    {
        Start(arguments);
        Platform.Run(this, Lock);
        return First.Status ?? -1;
    }

    public void Start(params string[] arguments)
    {
        _processes.Clear();
        _nextId = 0;
        Next = Twice = 0;
        IGuestThread thread = Platform.CreateProcess().Value;
        First = Add(thread);
        Load(thread, ["guest", .. arguments]);
        thread.Resume();
    }

    public void OnSyscall(IGuestThread thread, in SyscallFrame call)
    {
        if (Hook?.Invoke(thread, call) == true)
            return;
        Process process = (Process)thread.Owner!;
        switch (call.Number)
        {
            case Sysno.getpid or Sysno.getppid:
                thread.Return(process.Id);
                break;
            case 3007:
                thread.Return((long)call.A0 * 2);
                break;
            case 3001:
                if ((long)call.A0 < Next)
                    Twice++;
                Next = (long)call.A0 + 1;
                thread.Return((long)call.A0 + 7);
                break;
            case Sysno.mmap:
                process.Top -= call.A1;
                thread.Queue(MemoryOperation.Map(process.Top, call.A1, (MemoryProtection)call.A2, MemorySource.Anonymous));
                thread.Return((long)process.Top);
                break;
            case 3010:
                process.Top -= call.A0 * 8192;
                for (ulong i = 0; i < call.A0; i++)
                    thread.Queue(MemoryOperation.Map(process.Top + i * 8192, 4096, MemoryProtection.Read | MemoryProtection.Write, MemorySource.Anonymous));
                thread.Return((long)process.Top);
                break;
            case Sysno.mprotect:
                thread.Queue(MemoryOperation.Protect(call.A0, call.A1, (MemoryProtection)call.A2));
                thread.Return(0);
                break;
            case Sysno.munmap:
                thread.Queue(MemoryOperation.Unmap(call.A0, call.A1));
                thread.Return(0);
                break;
            case Sysno.arch_prctl:
                thread.ContinueNatively();
                break;
            case 3003:
                if (_memory < 0)
                    HostFile.Truncate(_memory = HostFile.CreateMemory("shared").Value, 8192);
                process.Top -= 4096;
                thread.Queue(MemoryOperation.Map(process.Top, 4096, MemoryProtection.Read | MemoryProtection.Write, new MemorySource(_memory, 4096, true)));
                thread.Return((long)process.Top);
                break;
            case Sysno.fork:
                Fork(thread);
                break;
            case Sysno.clone:
                Clone(thread, process, call);
                break;
            case 3005:
                Wait(thread, process, (int)call.A0);
                break;
            case 3000:
                process.Ticks++;
                thread.Return(0);
                Wake(process);
                break;
            case 3002:
                lock (Parked)
                    Parked.Add(thread);
                break;
            case 3006:
                thread.Return(Faults.Count);
                break;
            case 3008:
                bool done = thread.AddressSpace.TryCompareExchange32(thread, call.A0, (uint)call.A1, (uint)call.A2, out uint found);
                thread.Return(done ? found : -14);
                break;
            case Sysno.exit:
                process.Threads.Remove(thread);
                thread.Kill();
                if (process.Threads.Count == 0)
                    Exit(process, 0);
                break;
            case Sysno.exit_group:
                Exit(process, (int)call.A0);
                break;
            default:
                thread.Return(-38);
                break;
        }
    }

    public List<IGuestThread> AllThreads() => [.. _processes.Values.Where(p => p.Status is null).SelectMany(p => p.Threads)];

    public void OnInterrupted(IGuestThread thread)
    {
        OnStopped?.Invoke(thread);
        thread.Resume();
    }

    public void OnFault(IGuestThread thread, in GuestFault fault)
    {
        Faults.Add(fault);
        thread.GetRegisters(out GuestRegisters registers);
        Span<byte> code = stackalloc byte[2];
        thread.AddressSpace.Read(registers.Rip, code);
        registers.Rip += (fault.Signal, code[0]) switch
        {
            (11, 0xC6) => 4,
            (11, _) => 1,
            (5, _) => 0ul,
            _ => 2,
        };
        if (Faults.Count > 20)
        {
            Exit((Process)thread.Owner!, 77);
            return;
        }

        thread.SetRegisters(registers);
        thread.Resume();
    }

    public void OnLost(IGuestThread thread, string reason)
    {
        Lost.Add(reason);
        Exit((Process)thread.Owner!, 1000);
    }

    public void Dispose()
    {
        Platform.Dispose();
        if (_memory >= 0)
            HostFile.Close(_memory);
    }

    public uint ReadShared(int index)
    {
        byte[] word = new byte[4];
        HostFile.ReadAt(_memory, word, 4096 + 4 * index);
        return BinaryPrimitives.ReadUInt32LittleEndian(word);
    }

    public void Exit(Process process, int status)
    {
        if (process.Status is not null)
            return;
        process.Status = status;
        foreach (IGuestThread thread in process.Threads)
            thread.Kill();
        process.VforkParent?.Resume();
        process.VforkParent = null;
        if (process.Waiter is { } waiter)
            waiter.Return(status);
        if (process == First)
            Platform.Quit();
    }

    private Process Add(IGuestThread thread)
    {
        Process process = new(++_nextId, thread);
        thread.Owner = process;
        _processes.Add(process.Id, process);
        return process;
    }

    private void Fork(IGuestThread thread)
    {
        Result<IGuestThread> child = thread.Fork(_nextId + 1);
        if (child.IsError)
        {
            thread.Return(-(long)child.Error);
            return;
        }

        Process process = Add(child.Value);
        process.Top = ((Process)thread.Owner!).Top;
        child.Value.GetRegisters(out GuestRegisters registers);
        registers.Rax = 0;
        child.Value.SetRegisters(registers);
        child.Value.Resume();
    }

    private void Clone(IGuestThread thread, Process process, in SyscallFrame call)
    {
        bool vfork = (call.A0 & 0x4000) != 0;
        int id = vfork ? _nextId + 1 : 500;
        ulong stack = call.A1;
        thread.ReturnAndStop(id);
        Result<IGuestThread> child = thread.Clone(ownProcess: vfork);
        if (child.IsError)
        {
            thread.GetRegisters(out GuestRegisters failed);
            failed.Rax = (ulong)-(long)child.Error;
            thread.SetRegisters(failed);
            thread.Resume();
            return;
        }

        child.Value.GetRegisters(out GuestRegisters registers);
        registers.Rax = 0;
        registers.Rsp = stack;
        child.Value.SetRegisters(registers);
        if (vfork)
        {
            Process made = Add(child.Value);
            made.VforkParent = thread;
        }
        else
        {
            child.Value.Owner = process;
            process.Threads.Add(child.Value);
            thread.Resume();
        }

        child.Value.Resume();
    }

    private void Wait(IGuestThread thread, Process process, int id)
    {
        if (id < 0)
        {
            process.ThreadWaitCount = -id;
            process.Waiter = thread;
            Wake(process);
        }
        else if (_processes[id].Status is { } status)
        {
            thread.Return(status);
        }
        else
        {
            _processes[id].Waiter = thread;
        }
    }

    private static void Wake(Process process)
    {
        if (process.ThreadWaitCount == 0 || process.Ticks < process.ThreadWaitCount || process.Waiter is not { } waiter)
            return;
        process.Waiter = null;
        waiter.Return(0);
    }

    private static void Load(IGuestThread thread, string[] arguments)
    {
        byte[] file = File.ReadAllBytes(GuestProgram.Path);
        int descriptor = HostFile.Open(GuestProgram.Path, 0).Value;
        ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(24));
        int headers = (int)BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(32));
        int count = BinaryPrimitives.ReadUInt16LittleEndian(file.AsSpan(56));
        List<(ulong Address, int Length)> clear = [];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> header = file.AsSpan(headers + 56 * i, 56);
            if (BinaryPrimitives.ReadUInt32LittleEndian(header) != 1)
                continue;
            uint flags = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
            MemoryProtection protection = ((flags & 4) != 0 ? MemoryProtection.Read : 0) | ((flags & 2) != 0 ? MemoryProtection.Write : 0) | ((flags & 1) != 0 ? MemoryProtection.Execute : 0);
            ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]), address = BinaryPrimitives.ReadUInt64LittleEndian(header[16..]);
            ulong fileSize = BinaryPrimitives.ReadUInt64LittleEndian(header[32..]), memorySize = BinaryPrimitives.ReadUInt64LittleEndian(header[40..]);
            ulong start = address & ~4095ul, fileEnd = (address + fileSize + 4095) & ~4095ul, end = (address + memorySize + 4095) & ~4095ul;
            if (fileSize > 0)
                thread.Queue(MemoryOperation.Map(start, fileEnd - start, protection, new MemorySource(descriptor, (long)(offset & ~4095ul), false)));
            else
                fileEnd = start;
            if (end > fileEnd)
                thread.Queue(MemoryOperation.Map(fileEnd, end - fileEnd, protection, MemorySource.Anonymous));
            if (fileSize > 0 && memorySize > fileSize && (address + fileSize) % 4096 != 0)
                clear.Add((address + fileSize, (int)(4096 - ((address + fileSize) % 4096))));
        }

        const ulong Stack = 0x7100_0000_0000, StackSize = 0x10_0000;
        thread.Queue(MemoryOperation.Map(Stack, StackSize, MemoryProtection.Read | MemoryProtection.Write, MemorySource.Anonymous));
        Assert.Equal(Errno.None, thread.Flush());
        HostFile.Close(descriptor);
        foreach ((ulong address, int length) in clear)
            Assert.Equal(length, thread.AddressSpace.Write(address, new byte[length]));

        ulong strings = Stack + StackSize - 4096, vector = strings - 4096;
        List<ulong> words = [(ulong)arguments.Length];
        foreach (string argument in arguments)
        {
            words.Add(strings);
            byte[] bytes = Encoding.ASCII.GetBytes(argument + "\0");
            Assert.Equal(bytes.Length, thread.AddressSpace.Write(strings, bytes));
            strings += (ulong)bytes.Length;
        }

        byte[] block = new byte[8 * (words.Count + 2)];
        for (int i = 0; i < words.Count; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(block.AsSpan(8 * i), words[i]);
        thread.AddressSpace.Write(vector, block);
        thread.SetRegisters(new GuestRegisters { Rip = entry, Rsp = vector });
    }
}

/// <summary>The guest, compiled once.</summary>
internal static class GuestProgram
{
    private static readonly Lazy<string> _path = new(Compile);

    public static string Path => _path.Value;

    private static string Compile()
    {
        string source = System.IO.Path.Combine(AppContext.BaseDirectory, "Guests", "guest.c");
        string output = System.IO.Path.Combine(AppContext.BaseDirectory, "Guests", "guest");
        using System.Diagnostics.Process gcc = System.Diagnostics.Process.Start("gcc", ["-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie", "-mavx", "-mfsgsbase", "-o", output, source]);
        gcc.WaitForExit();
        Assert.Equal(0, gcc.ExitCode);
        return output;
    }
}
