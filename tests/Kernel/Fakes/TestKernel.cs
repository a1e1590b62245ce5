using System.Buffers.Binary;
using System.Text;

namespace Tests.Kernel.Fakes;

/// <summary>A kernel without a machine under it: makes tasks, makes their calls through the real table, moves time, and tries blocked calls
/// again as the sentry does. The one place that knows how tasks and processes are constructed.</summary>
internal sealed class TestKernel
{
    /// <summary>Where every task has 1 MiB of memory.</summary>
    public const ulong Base = 0x10000;
    public const ulong Size = 1 << 20;

    private int _nextPid = 1;
    private ulong _nextAddress = Base;

    public TestKernel()
    {
        Host = new FakeHost();
        Kernel = new GuestKernel(Host);
    }

    public FakeHost Host { get; }

    public GuestKernel Kernel { get; }

    /// <summary>A process of one task, root, with memory of its own.</summary>
    public Task NewProcess(ThreadGroup? parent = null)
    {
        var space = new FakeAddressSpace();
        space.Map(Base, Size);
        int pid = _nextPid++;
        var group = new ThreadGroup(Kernel, pid, parent, new ResourceLimits(), new SignalActions()) { ProcessGroup = pid, Session = pid };
        parent?.Children.Add(group);
        Kernel.Processes.Add(pid, group);
        var task = new Task(Kernel, group, pid, new MemoryManager(space, 0x7fff_0000_0000), new FileTable(), new FsContext(), Root, new SignalState(), $"task{pid}");
        return Start(task, space);
    }

    /// <summary>Another thread of a task's process.</summary>
    public Task NewThread(Task of)
    {
        var task = new Task(Kernel, of.Group, _nextPid++, of.Memory, of.Files, of.Fs, of.Credentials, new SignalState(), of.Name);
        return Start(task, ((FakeGuestThread)of.Thread).Space);
    }

    public static Credentials Root { get; } = new() { Effective = ulong.MaxValue, Permitted = ulong.MaxValue, Bounding = ulong.MaxValue };

    public static FakeGuestThread ThreadOf(Task task) => (FakeGuestThread)task.Thread;

    /// <summary>Fresh guest memory, 16-byte aligned; every task has it at the same address.</summary>
    public ulong Allocate(int length)
    {
        ulong address = _nextAddress;
        _nextAddress += ((ulong)length + 15) & ~15UL;
        Assert.True(_nextAddress <= Base + Size, "a test used more memory than it has");
        return address;
    }

    // ---- calls ---------------------------------------------------------------------------------------------------

    /// <summary>Makes a call and tries whatever became ready; the value it returned, or null while it waits.</summary>
    public long? Call(Task task, int number, params ulong[] args)
    {
        Assert.Null(task.CurrentCall);
        ulong Arg(int i) => i < args.Length ? args[i] : 0;
        ThreadOf(task).Returned = null;
        ThreadOf(task).State = GuestThreadState.InSyscall;
        task.CurrentCall = new CallContext { Number = number, Args = new SyscallArgs(Arg(0), Arg(1), Arg(2), Arg(3), Arg(4), Arg(5)) };
        Try(task);
        RunReady();
        return ThreadOf(task).Returned;
    }

    /// <summary>Makes a call that must not wait.</summary>
    public long Do(Task task, int number, params ulong[] args)
    {
        long? value = Call(task, number, args);
        Assert.True(value.HasValue, $"call {number} waits");
        return value.Value;
    }

    /// <summary>What the task's last call returned; null while it waits.</summary>
    public static long? Result(Task task) => ThreadOf(task).Returned;

    /// <summary>Tries blocked calls again until none is ready.</summary>
    public void RunReady()
    {
        while (Kernel.ReadyTasks.TryDequeue(out Task? task))
        {
            if (task.TakeReady() && task.IsBlocked)
                Try(task);
        }
    }

    /// <summary>Moves both clocks and fires timers.</summary>
    public void Advance(long nanoseconds)
    {
        Host.FakeClock.Monotonic += nanoseconds;
        Host.FakeClock.Realtime += nanoseconds;
        Kernel.Timers.RunExpired();
        RunReady();
    }

    /// <summary>What a restore does to blocked calls: they lose their place in every queue and are tried again.</summary>
    public void RetryAll()
    {
        foreach (Task task in Kernel.Tasks.Values)
        {
            if (task.IsBlocked)
            {
                task.ClearWaits();
                task.MakeReady();
            }
        }

        RunReady();
    }

    /// <summary>Every task as a checkpoint leaves it, the image aside: a call that waited is to be made <see cref="Again"/>.</summary>
    public void StopAll() => Sentry.Kernel.Checkpoint.Freezer.StopAll(Kernel);

    /// <summary>A task that goes on after <see cref="StopAll"/> makes its call again; what it returned, or null while it waits.</summary>
    public long? Again(Task task)
    {
        Assert.True(task.CurrentCall is { Suspended: true }, "the task was in no call");
        task.Call.Suspended = false;
        ThreadOf(task).State = GuestThreadState.InSyscall;
        Try(task);
        RunReady();
        return ThreadOf(task).Returned;
    }

    private void Try(Task task)
    {
        task.ClearWaits();
        CallContext call = task.Call;
        SyscallEntry entry = SyscallTable.Get(call.Number);
        SyscallResult result = entry.Handler is null ? entry.Error : entry.Handler(task, call.Args);
        if (result.IsBlocked)
        {
            task.State = TaskState.Blocked;
            return;
        }

        if (result.IsValue && ReferenceEquals(task.CurrentCall, call))
            Kernel.Dispatcher.Complete(task, result);
    }

    private Task Start(Task task, FakeAddressSpace space)
    {
        task.Thread = new FakeGuestThread(space);
        task.Group.Tasks.Add(task);
        Kernel.Tasks.Add(task.Tid, task);
        return task;
    }

    // ---- memory --------------------------------------------------------------------------------------------------

    public ulong Put(Task task, ReadOnlySpan<byte> bytes)
    {
        ulong address = Allocate(bytes.Length);
        Assert.True(task.Memory.TryWriteAll(address, bytes));
        return address;
    }

    public ulong PutString(Task task, string text) => Put(task, Encoding.Latin1.GetBytes(text + "\0"));

    public ulong PutInts(Task task, params int[] values)
    {
        byte[] bytes = new byte[values.Length * 4];
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(i * 4), values[i]);
        return Put(task, bytes);
    }

    public ulong PutLongs(Task task, params long[] values)
    {
        byte[] bytes = new byte[values.Length * 8];
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(i * 8), values[i]);
        return Put(task, bytes);
    }

    public static byte[] Get(Task task, ulong address, int length)
    {
        byte[] bytes = new byte[length];
        Assert.Equal(length, task.Memory.Read(address, bytes));
        return bytes;
    }

    public static string GetString(Task task, ulong address, int length) => Encoding.Latin1.GetString(Get(task, address, length));

    public static int GetInt(Task task, ulong address) => BinaryPrimitives.ReadInt32LittleEndian(Get(task, address, 4));

    public static long GetLong(Task task, ulong address) => BinaryPrimitives.ReadInt64LittleEndian(Get(task, address, 8));
}
