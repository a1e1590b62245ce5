namespace Sentry.Kernel.Tasks;

/// <summary>clone(2), clone3(2), fork(2), vfork(2).</summary>
internal static class CloneSyscalls
{
    private const ulong Vm = 0x100, Fs = 0x200, Files = 0x400, Sighand = 0x800, PidFd = 0x1000, Ptrace = 0x2000, Vfork = 0x4000, Parent = 0x8000, Thread = 0x10000,
        NewNs = 0x20000, SysVSem = 0x40000, SetTls = 0x80000, ParentSetTid = 0x100000, ChildClearTid = 0x200000, Detached = 0x400000, Untraced = 0x800000,
        ChildSetTid = 0x1000000, NewCgroup = 0x2000000, NewUts = 0x4000000, NewIpc = 0x8000000, NewUser = 0x10000000, NewPid = 0x20000000, NewNet = 0x40000000,
        Io = 0x80000000, ClearSighand = 0x100000000, IntoCgroup = 0x200000000;

    private const ulong NewNamespaces = NewNs | NewCgroup | NewUts | NewIpc | NewUser | NewPid | NewNet | NewTime;

    /// <summary>CLONE_NEWTIME, of clone3 alone: its bit is one of the exit signal's in clone.</summary>
    private const ulong NewTime = 0x80;

    /// <summary>What clone and clone3 have in common.</summary>
    private readonly record struct Request(ulong Flags, ulong Stack, ulong ParentTid, ulong ChildTid, ulong Tls, int ExitSignal)
    {
        /// <summary>Where the descriptor of CLONE_PIDFD is written.</summary>
        public ulong PidFd { get; init; }

        /// <summary>The ids asked for, from the innermost namespace outwards.</summary>
        public int[] Ids { get; init; } = [];
    }

    /// <summary>What the child gets that is not simply its parent's; made before anything can be seen of it.</summary>
    private sealed record Plan(int Id, PidNamespace Pids, NamespaceSet Namespaces, Credentials Credentials, Dictionary<Mount, Mount>? CopiedMounts);

    internal static SyscallResult Fork(Task task, in SyscallArgs args) => Create(task, new Request(0, 0, 0, 0, 0, Signal.SIGCHLD));

    internal static SyscallResult VforkCall(Task task, in SyscallArgs args) => Create(task, new Request(Vm | Vfork, 0, 0, 0, 0, Signal.SIGCHLD));

    internal static SyscallResult Clone(Task task, in SyscallArgs args)
    {
        ulong flags = args.A0 & ~0xfful & uint.MaxValue;
        if ((flags & (PidFd | ParentSetTid)) == (PidFd | ParentSetTid))
            return Errno.EINVAL;
        return Create(task, new Request(flags, args.A1, args.A2, args.A3, args.A4, (int)(args.A0 & 0xff)) { PidFd = args.A2 });
    }

    internal static SyscallResult Clone3(Task task, in SyscallArgs args)
    {
        const int known = 88, first = 64, maxLevels = 32;
        if (args.A1 < first)
            return Errno.EINVAL;
        if (args.A1 > 4096)
            return Errno.E2BIG;
        byte[] bytes = new byte[Math.Max(args.A1, known)];
        if (!task.Memory.TryReadAll(args.A0, bytes.AsSpan(0, (int)args.A1)))
            return Errno.EFAULT;
        if (bytes.AsSpan(known).ContainsAnyExcept((byte)0))
            return Errno.E2BIG;

        // clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup.
        ulong[] words = new ulong[known / 8];
        for (int i = 0; i < words.Length; i++)
            words[i] = BitConverter.ToUInt64(bytes, i * 8);
        if (words[9] > maxLevels || (words[8] == 0) != (words[9] == 0) || words[4] > 64 || (words[4] != 0 && (words[0] & (Thread | Parent)) != 0))
            return Errno.EINVAL;
        if ((words[0] & (0x7f | Detached)) != 0 || words[0] >> 34 != 0 || (words[5] == 0) != (words[6] == 0))
            return Errno.EINVAL;

        // There are no control groups to put it into.
        if ((words[0] & IntoCgroup) != 0)
            return words[10] > int.MaxValue ? Errno.EINVAL : Errno.EBADF;
        int[] ids = new int[words[9]];
        for (int i = 0; i < ids.Length; i++)
        {
            if (!task.TryRead(words[8] + ((ulong)i * 4), out ids[i]))
                return Errno.EFAULT;
        }

        return Create(task, new Request(words[0], words[5] + words[6], words[3], words[2], words[7], (int)words[4]) { PidFd = words[1], Ids = ids });
    }

    private static SyscallResult Create(Task task, in Request request)
    {
        ulong flags = request.Flags;
        if (((flags & Sighand) != 0 && (flags & Vm) == 0) || ((flags & Thread) != 0 && (flags & Sighand) == 0) || ((flags & ClearSighand) != 0 && (flags & Sighand) != 0)
            || ((flags & PidFd) != 0 && (flags & Detached) != 0) || ((flags & Fs) != 0 && (flags & (NewNs | NewUser)) != 0) || ((flags & SysVSem) != 0 && (flags & NewIpc) != 0))
            return Errno.EINVAL;
        if ((flags & Thread) != 0 && ((flags & (NewUser | NewPid)) != 0 || !ReferenceEquals(task.Namespaces.PidForChildren, task.PidNamespace)))
            return Errno.EINVAL;
        if ((flags & Parent) != 0 && task.Group.IsReaper)
            return Errno.EINVAL;
        Errno error;
        if ((flags & PidFd) != 0)
        {
            // Told before there is a file behind it: a parent that forks runs on before its child is made.
            if (!task.Files.PeekFree((int)Math.Min(int.MaxValue, task.Group.Limits[ResourceLimits.NoFile].Soft)).TryGet(out int descriptor, out error))
                return error;
            if (!task.TryWrite(request.PidFd, descriptor))
                return Errno.EFAULT;
        }

        if (!MakePlan(task, request).TryGet(out Plan? plan, out error))
            return error;
        return (flags & Vm) != 0 ? CreateSharing(task, request, plan) : CreateCopy(task, request, plan);
    }

    private static Result<Plan> MakePlan(Task task, in Request request)
    {
        GuestKernel kernel = task.Kernel;
        ulong flags = request.Flags;
        if (IsOverProcessLimit(task))
            return Errno.EAGAIN;
        UserNamespace owner = task.UserNamespace;
        Credentials credentials = task.Credentials;
        Errno error;
        if ((flags & NewUser) != 0)
        {
            if (!NamespaceSyscalls.MayMakeUser(task, out error) || !UserNamespace.Make(task).TryGet(out owner!, out error))
                return error;
            credentials = NamespaceSyscalls.EnterUser(credentials, owner);
        }

        NamespaceSet namespaces = task.Namespaces;
        Dictionary<Mount, Mount>? copied = null;
        var kinds = (NamespaceKinds)(flags & NewNamespaces & ~NewUser);
        if (kinds != 0)
        {
            if ((flags & NewUser) == 0 && !credentials.HasOwn(Capability.CAP_SYS_ADMIN))
                return Errno.EPERM;
            if (!task.Namespaces.Unshare(kinds, owner, out copied).TryGet(out namespaces!, out error))
                return error;
        }

        // Threads stay where their process is; processes begin where the parent wants its children.
        PidNamespace pids = (flags & Thread) != 0 ? task.PidNamespace : namespaces.PidForChildren;
        if (pids.IsDead || (!pids.IsFirst && pids.Reaper is { WaitStatus: not null }))
            return Errno.ENOMEM;
        int wanted = request.Ids.Length > 0 ? request.Ids[0] : 0;
        if (request.Ids.Length > 0)
        {
            error = CheckIds(task, pids, request.Ids);
            if (error != Errno.None)
                return error;
        }

        int id = pids.IsFirst && wanted > 0 ? wanted : kernel.NewPid();
        if (id < 0)
            return Errno.EAGAIN;
        error = pids.Add(id, pids.IsFirst ? 0 : wanted);
        return error != Errno.None ? error : new Plan(id, pids, (flags & Vm) != 0 ? namespaces : namespaces.ForChild(), credentials, copied);
    }

    /// <summary>RLIMIT_NPROC counts the processes of the real user; root and its like are exempt.</summary>
    private static bool IsOverProcessLimit(Task task)
    {
        if (task.Kernel.Limits.Tasks > 0 && task.Kernel.Tasks.Count >= task.Kernel.Limits.Tasks)
            return true;
        ulong limit = task.Group.Limits[ResourceLimits.NProc].Soft;
        if ((ulong)task.Kernel.Tasks.Count < limit || task.Credentials.Uid == 0 || task.Credentials.Has(Capability.CAP_SYS_RESOURCE) || task.Credentials.Has(Capability.CAP_SYS_ADMIN))
            return task.Kernel.Tasks.Count >= task.Kernel.Settings.PidLimit;
        ulong count = 0;
        foreach (Task other in task.Kernel.Tasks.Values)
            count += other.Credentials.Uid == task.Credentials.Uid ? 1UL : 0;
        return count >= limit;
    }

    /// <summary>set_tid of clone3(2): as many as namespaces, free, and by one who may.</summary>
    private static Errno CheckIds(Task task, PidNamespace pids, int[] ids)
    {
        if (ids.Length > pids.Level + 1)
            return Errno.EINVAL;
        PidNamespace? at = pids;
        foreach (int id in ids)
        {
            if (id < 1 || id >= task.Kernel.Settings.PidLimit)
                return Errno.EINVAL;
            if (id != 1 && !at!.IsFirst && at.Reaper is null)
                return Errno.EINVAL;
            if (!task.Credentials.HasIn(at!.Owner, Capability.CAP_SYS_ADMIN) && !task.Credentials.HasIn(at.Owner, Capability.CAP_CHECKPOINT_RESTORE))
                return Errno.EPERM;
            if (at.IsFirst && task.Kernel.IsIdInUse(id))
                return Errno.EEXIST;
            at = at.Parent;
        }

        return Errno.None;
    }

    /// <summary>A process with a copy of the memory: one round trip, the parent runs on while the child is set up.</summary>
    private static SyscallResult CreateCopy(Task task, in Request request, Plan plan)
    {
        int shown = task.PidNamespace.ToLocal(plan.Id);
        // The parent's word is written before its memory is copied, as Linux does it for both.
        if ((request.Flags & ParentSetTid) != 0)
            task.TryWrite(request.ParentTid, shown);
        if (TraceEvents.StopsAtFork(task, request.Flags, request.ExitSignal))
            task.Thread.Interrupt();
        Result<IGuestThread> made = task.Thread.Fork(shown);
        if (made.IsError)
            return made.Error;
        IGuestThread thread = made.Value;
        Task child = MakeTask(task, request, plan, task.Memory.Copy(thread.AddressSpace));
        Mappings.ApplyForkAdvice(child.Memory, thread);
        if (!ReferenceEquals(child.Namespaces.Time, task.Namespaces.Time))
            ProgramLoader.UseClock(child.Memory, thread, task.Kernel, child.Namespaces.Time);
        Start(task, child, thread, request);
        if ((request.Flags & Vfork) != 0)
        {
            task.Thread.Stop();
            task.WaitsForVfork = true;
            child.VforkParent = task;
        }

        TraceEvents.OnFork(task, child, request.Flags, request.ExitSignal);
        Begin(child);
        task.Kernel.Dispatcher.AnsweredByHandler(task, shown);
        if (task.WaitsForVfork)
            task.Kernel.Dispatcher.ResumeStopped(task);
        return SyscallResult.Handled;
    }

    /// <summary>A thread, or a process that uses the parent's memory.</summary>
    private static SyscallResult CreateSharing(Task task, in Request request, Plan plan)
    {
        int shown = task.PidNamespace.ToLocal(plan.Id);
        bool isThread = (request.Flags & Thread) != 0;
        task.Thread.ReturnAndStop(shown);
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
        Task child = MakeTask(task, request, plan, task.Memory);
        if ((request.Flags & ParentSetTid) != 0)
            task.TryWrite(request.ParentTid, shown);
        Start(task, child, made.Value, request);
        if ((request.Flags & Vfork) != 0)
        {
            task.WaitsForVfork = true;
            child.VforkParent = task;
        }

        TraceEvents.OnFork(task, child, request.Flags, request.ExitSignal);
        Begin(child);
        task.Kernel.Dispatcher.AnsweredByHandler(task, shown);
        task.Kernel.Dispatcher.ResumeStopped(task);
        return SyscallResult.Handled;
    }

    /// <summary>The child's first instruction, or its first stop when it is traced.</summary>
    private static void Begin(Task child)
    {
        child.Group.FollowCpuLimit();
        if (child.Trace is null)
            child.Thread.Resume();
        else
            SignalDelivery.Resume(child);
    }

    private static Task MakeTask(Task parent, in Request request, Plan plan, MemoryManager memory)
    {
        int tid = plan.Id;
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
            group = parent.Group.ForkTo(tid, father, actions, (flags & Parent) != 0 ? parent.Group.ExitSignal : request.ExitSignal);
            group.PidNamespace = plan.Pids;
            if (!plan.Pids.IsFirst && plan.Pids.Reaper is null)
                plan.Pids.SetReaper(group);
            father?.Children.Add(group);
            kernel.Processes.Add(tid, group);
        }

        Task child = parent.ForkTo(group, tid, memory, files, fs, (flags & (Vm | Vfork)) != Vm);
        child.Namespaces = plan.Namespaces;
        child.Credentials = plan.Credentials;
        if (plan.CopiedMounts is { } copies)
            child.Fs.Relocate(copies);
        if ((flags & SysVSem) != 0)
        {
            // The list is made now so that both have the same one from here on.
            child.SemaphoreUndo = parent.SemaphoreUndo ??= new SemaphoreUndo();
            child.SemaphoreUndo.AddUser();
        }

        group.Tasks.Add(child);
        kernel.Tasks.Add(tid, child);
        if ((flags & PidFd) != 0)
        {
            // The descriptor that was told: there is room for it.
            parent.AddFile(new PidFile(group, (flags & Thread) != 0 ? child : null, OpenFlags.ReadWrite), true);
        }

        return child;
    }

    private static void Start(Task parent, Task child, IGuestThread thread, in Request request)
    {
        child.Thread = thread;
        thread.GetRegisters(out GuestRegisters registers);

        // A tracer steps the parent, not the child.
        if (parent.Trace is { TrapFlag: true })
            registers.Eflags &= ~TraceStops.TrapFlag;
        registers.Rax = 0;
        if (request.Stack != 0)
            registers.Rsp = request.Stack;
        if ((request.Flags & SetTls) != 0)
            registers.FsBase = request.Tls;
        thread.SetRegisters(registers);
        if ((request.Flags & ChildSetTid) != 0)
            child.TryWrite(request.ChildTid, child.OwnTid);
        if ((request.Flags & ChildClearTid) != 0)
            child.ClearChildTid = request.ChildTid;
    }
}
