namespace Sentry.Kernel.Tasks;

/// <summary>clone(2), clone3(2), fork(2), vfork(2).</summary>
internal static class CloneSyscalls
{
    private const ulong Vm = 0x100, Fs = 0x200, Files = 0x400, Sighand = 0x800, PidFd = 0x1000, Ptrace = 0x2000, Vfork = 0x4000, Parent = 0x8000, Thread = 0x10000,
        NewNs = 0x20000, SysVSem = 0x40000, SetTls = 0x80000, ParentSetTid = 0x100000, ChildClearTid = 0x200000, Detached = 0x400000, Untraced = 0x800000,
        ChildSetTid = 0x1000000, NewCgroup = 0x2000000, NewUts = 0x4000000, NewIpc = 0x8000000, NewUser = 0x10000000, NewPid = 0x20000000, NewNet = 0x40000000,
        Io = 0x80000000, ClearSighand = 0x100000000, IntoCgroup = 0x200000000;

    private const ulong NewNamespaces = NewNs | NewCgroup | NewUts | NewIpc | NewUser | NewPid | NewNet;

    /// <summary>What clone and clone3 have in common.</summary>
    private readonly record struct Request(ulong Flags, ulong Stack, ulong ParentTid, ulong ChildTid, ulong Tls, int ExitSignal);

    internal static SyscallResult Fork(Task task, in SyscallArgs args) => Create(task, new Request(0, 0, 0, 0, 0, Signal.SIGCHLD));

    internal static SyscallResult VforkCall(Task task, in SyscallArgs args) => Create(task, new Request(Vm | Vfork, 0, 0, 0, 0, Signal.SIGCHLD));

    internal static SyscallResult Clone(Task task, in SyscallArgs args) =>
        Create(task, new Request(args.A0 & ~0xfful, args.A1, args.A2, args.A3, args.A4, (int)(args.A0 & 0xff)));

    internal static SyscallResult Clone3(Task task, in SyscallArgs args)
    {
        if (args.A1 < 64)
            return Errno.EINVAL;
        if (args.A1 > 4096)
            return Errno.E2BIG;
        ulong[] words = new ulong[11];
        for (int i = 0; i < Math.Min((int)(args.A1 / 8), words.Length); i++)
        {
            if (!task.TryRead(args.A0 + ((ulong)i * 8), out words[i]))
                return Errno.EFAULT;
        }

        for (ulong at = 88; at + 8 <= args.A1; at += 8)
        {
            if (!task.TryRead(args.A0 + at, out ulong beyond))
                return Errno.EFAULT;
            if (beyond != 0)
                return Errno.E2BIG;
        }

        // clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup.
        if ((words[0] & (0xff | Detached | IntoCgroup)) != 0 || words[4] > 64 || (words[5] == 0) != (words[6] == 0))
            return Errno.EINVAL;
        if (words[9] != 0)
            return Errno.EPERM;
        return Create(task, new Request(words[0], words[5] + words[6], words[3], words[2], words[7], (int)words[4]));
    }

    private static SyscallResult Create(Task task, in Request request)
    {
        ulong flags = request.Flags;
        if (((flags & Sighand) != 0 && (flags & Vm) == 0) || ((flags & Thread) != 0 && (flags & Sighand) == 0) || ((flags & ClearSighand) != 0 && (flags & Sighand) != 0)
            || ((flags & Thread) != 0 && (flags & PidFd) != 0 && (flags & Detached) != 0))
            return Errno.EINVAL;
        if ((flags & NewNamespaces) != 0)
            return Errno.EPERM;
        if ((flags & PidFd) != 0)
            return Errno.EINVAL;
        if ((ulong)task.Kernel.Tasks.Count >= task.Group.Limits[ResourceLimits.NProc].Soft)
            return Errno.EAGAIN;
        int tid = task.Kernel.NewPid();
        if (tid < 0)
            return Errno.EAGAIN;
        return (flags & Vm) != 0 ? CreateSharing(task, request, tid) : CreateCopy(task, request, tid);
    }

    /// <summary>A process with a copy of the memory: one round trip, the parent runs on while the child is set up.</summary>
    private static SyscallResult CreateCopy(Task task, in Request request, int tid)
    {
        // The parent's word is written before its memory is copied, as Linux does it for both.
        if ((request.Flags & ParentSetTid) != 0)
            task.TryWrite(request.ParentTid, tid);
        Result<IGuestThread> made = task.Thread.Fork(tid);
        if (made.IsError)
            return made.Error;
        IGuestThread thread = made.Value;
        Task child = MakeTask(task, request, tid, task.Memory.Copy(thread.AddressSpace));
        Mappings.ApplyForkAdvice(child.Memory, thread);
        Start(child, thread, request);
        if ((request.Flags & Vfork) != 0)
        {
            task.Thread.Stop();
            task.WaitsForVfork = true;
            child.VforkParent = task;
        }

        child.Thread.Resume();
        task.Kernel.Dispatcher.AnsweredByHandler(task, tid);
        return SyscallResult.Handled;
    }

    /// <summary>A thread, or a process that uses the parent's memory.</summary>
    private static SyscallResult CreateSharing(Task task, in Request request, int tid)
    {
        bool isThread = (request.Flags & Thread) != 0;
        task.Thread.ReturnAndStop(tid);
        Result<IGuestThread> made = task.Thread.Clone(ownProcess: !isThread);
        if (made.IsError)
        {
            task.Thread.GetRegisters(out GuestRegisters registers);
            registers.Rax = (ulong)-(long)made.Error;
            task.Thread.SetRegisters(registers);
            task.Kernel.Dispatcher.AnsweredByHandler(task, -(long)made.Error);
            task.Kernel.Dispatcher.ResumeStopped(task);
            return SyscallResult.Handled;
        }

        task.Memory.AddUser();
        Task child = MakeTask(task, request, tid, task.Memory);
        if ((request.Flags & ParentSetTid) != 0)
            task.TryWrite(request.ParentTid, tid);
        Start(child, made.Value, request);
        if ((request.Flags & Vfork) != 0)
        {
            task.WaitsForVfork = true;
            child.VforkParent = task;
        }

        child.Thread.Resume();
        task.Kernel.Dispatcher.AnsweredByHandler(task, tid);
        task.Kernel.Dispatcher.ResumeStopped(task);
        return SyscallResult.Handled;
    }

    private static Task MakeTask(Task parent, in Request request, int tid, MemoryManager memory)
    {
        ulong flags = request.Flags;
        GuestKernel kernel = parent.Kernel;
        FileTable files = parent.Files;
        if ((flags & Files) != 0)
            files.AddUser();
        else
            files = files.Copy();
        FsContext fs = (flags & Fs) != 0 ? parent.Fs : parent.Fs.Copy();
        ThreadGroup group = parent.Group;
        if ((flags & Thread) == 0)
        {
            SignalActions actions = parent.Group.Actions;
            if ((flags & Sighand) != 0)
                actions.Users++;
            else
                actions = actions.Copy();
            if ((flags & ClearSighand) != 0)
                actions.ClearHandlers();
            ThreadGroup? father = (flags & Parent) != 0 ? parent.Group.Parent : parent.Group;
            group = parent.Group.ForkTo(tid, father, actions, request.ExitSignal);
            father?.Children.Add(group);
            kernel.Processes.Add(tid, group);
        }

        Task child = parent.ForkTo(group, tid, memory, files, fs, (flags & Thread) != 0 || (flags & Vm) == 0 || (flags & Vfork) != 0);
        if ((flags & SysVSem) != 0)
        {
            // The list is made now so that both have the same one from here on.
            child.SemaphoreUndo = parent.SemaphoreUndo ??= new SemaphoreUndo();
            child.SemaphoreUndo.AddUser();
        }

        group.Tasks.Add(child);
        kernel.Tasks.Add(tid, child);
        return child;
    }

    private static void Start(Task child, IGuestThread thread, in Request request)
    {
        child.Thread = thread;
        thread.GetRegisters(out GuestRegisters registers);
        registers.Rax = 0;
        if (request.Stack != 0)
            registers.Rsp = request.Stack;
        if ((request.Flags & SetTls) != 0)
            registers.FsBase = request.Tls;
        thread.SetRegisters(registers);
        if ((request.Flags & ChildSetTid) != 0)
            child.TryWrite(request.ChildTid, child.Tid);
        if ((request.Flags & ChildClearTid) != 0)
            child.ClearChildTid = request.ChildTid;
    }
}
