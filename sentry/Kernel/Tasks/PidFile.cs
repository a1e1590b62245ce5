using System.Buffers.Binary;

namespace Sentry.Kernel.Tasks;

/// <summary>A descriptor that stands for a process or, with PIDFD_THREAD, for a thread (pidfd_open(2)); readable once it has ended.</summary>
[Savable("pid-file")]
public sealed partial class PidFile : FileObject, IProcessFile
{
    [Saved(1)] private ThreadGroup _group;
    [Saved(2)] private Task? _thread;
    [Saved(3)] private int _pid;

    internal PidFile(ThreadGroup group, Task? thread, OpenFlags flags)
        : base(OpenFlags.ReadWrite | flags | (thread is null ? 0 : OpenFlags.Exclusive))
    {
        _group = group;
        _thread = thread;
        _pid = thread?.Tid ?? group.Pid;
    }

    /// <summary>The process, also as a zombie; null once it has been waited for.</summary>
    public ThreadGroup? Process => _group.Kernel.Processes.TryGetValue(_group.Pid, out ThreadGroup? there) && ReferenceEquals(there, _group) ? _group : null;

    /// <summary>With PIDFD_THREAD the thread, as long as it lives.</summary>
    public Task? Thread => _thread is { State: not TaskState.Dead } ? _thread : null;

    public bool IsThread => _thread is not null;

    /// <summary>Of the process or thread; -1 once it is gone, as /proc/PID/fdinfo shows it.</summary>
    public int ShownPid => (IsThread ? Thread is not null : Process is not null) ? _pid : -1;

    public override WaitQueue? WaitQueue => _group.ExitWait;

    public override PollEvents Poll()
    {
        if (IsThread ? Thread is null : _group.WaitStatus is not null)
            return Process is null ? PollEvents.ReadMask | PollEvents.Hup : PollEvents.ReadMask;
        return PollEvents.None;
    }

    public override string Describe() => "anon_inode:[pidfd]";

    /// <summary>PIDFD_GET_INFO (struct pidfd_info of linux/pidfd.h); the size that the caller knows is in the request.</summary>
    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        const uint sizeMask = 0x3FFF0000, getInfo = 0xC000FF0B;
        const int smallest = 64, whole = 72;
        if ((request & ~sizeMask) != getInfo)
            return Errno.ENOTTY;
        int size = (int)((request & sizeMask) >> 16);
        if (argument == 0 || size < smallest)
            return Errno.EINVAL;
        if (!caller.TryRead(argument, out ulong wanted))
            return Errno.EFAULT;
        if (!_group.PidNamespace.IsWithin(caller.PidNamespace))
            return Errno.ESRCH;
        Span<byte> info = stackalloc byte[whole];
        info.Clear();
        Errno error = Fill(caller, wanted, info);
        if (error != Errno.None)
            return error;
        return caller.Memory.TryWriteAll(argument, info[..Math.Min(size, whole)]) ? SyscallResult.Ok : Errno.EFAULT;
    }

    /// <summary>Who it is; once it has been waited for only how it ended, for those who ask, and ESRCH for others.</summary>
    private Errno Fill(Task caller, ulong wanted, Span<byte> info)
    {
        const ulong ids = 1, credentials = 2, exit = 8;
        Task? one = IsThread ? Thread : Process?.Tasks.FirstOrDefault();
        if (Process is null)
        {
            if ((wanted & exit) == 0 || _group.WaitStatus is not { } status)
                return Errno.ESRCH;
            BinaryPrimitives.WriteUInt64LittleEndian(info, exit);
            BinaryPrimitives.WriteInt32LittleEndian(info[60..], status);
            return Errno.None;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(info, one is null ? ids : ids | credentials);
        BinaryPrimitives.WriteInt32LittleEndian(info[16..], caller.PidNamespace.ToLocal(_pid));
        BinaryPrimitives.WriteInt32LittleEndian(info[20..], caller.PidNamespace.ToLocal(_group.Pid));
        BinaryPrimitives.WriteInt32LittleEndian(info[24..], caller.PidNamespace.ToLocal(_group.Parent?.Pid ?? 0));
        if (one is null)
            return Errno.None;
        Credentials theirs = one.Credentials;
        UserNamespace user = caller.UserNamespace;
        ReadOnlySpan<uint> shown =
        [
            user.ShowUid(theirs.Uid), user.ShowGid(theirs.Gid), user.ShowUid(theirs.EffectiveUid), user.ShowGid(theirs.EffectiveGid),
            user.ShowUid(theirs.SavedUid), user.ShowGid(theirs.SavedGid), user.ShowUid(theirs.FsUid), user.ShowGid(theirs.FsGid),
        ];
        for (int i = 0; i < shown.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(info[(28 + (i * 4))..], shown[i]);
        return Errno.None;
    }

    public override Result<FileStatus> GetStatus() => AnonymousInode.Status;
}

/// <summary>System calls: pidfd_open, pidfd_getfd, kcmp.</summary>
internal static class PidfdSyscalls
{
    internal static SyscallResult PidfdOpen(Task task, in SyscallArgs args)
    {
        int pid = args.I0;
        var flags = (OpenFlags)args.I1;
        if ((flags & ~(OpenFlags.NonBlock | OpenFlags.Exclusive)) != 0 || pid <= 0)
            return Errno.EINVAL;
        bool isThread = (flags & OpenFlags.Exclusive) != 0;
        GuestKernel kernel = task.Kernel;
        pid = task.PidNamespace.ToKernel(pid);
        Task? thread = kernel.Tasks.GetValueOrDefault(pid);
        if (isThread)
            return thread is null ? Errno.ESRCH : task.AddFile(new PidFile(thread.Group, thread, flags & OpenFlags.NonBlock), true);
        if (kernel.Processes.TryGetValue(pid, out ThreadGroup? group))
            return task.AddFile(new PidFile(group, null, flags & OpenFlags.NonBlock), true);
        return thread is null ? Errno.ESRCH : Errno.ENOENT;
    }

    internal static SyscallResult PidfdGetfd(Task task, in SyscallArgs args)
    {
        if (args.A2 != 0)
            return Errno.EINVAL;
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is not PidFile pidfd)
            return Errno.EBADF;
        Task? target = pidfd.IsThread ? pidfd.Thread : pidfd.Process?.Tasks.FirstOrDefault();
        if (target is null)
            return Errno.ESRCH;
        if (!PtraceAccess.MayAttach(task, target))
            return Errno.EPERM;
        return target.TryGetFile(args.I1, out FileObject? found) ? task.AddFile(found, true) : Errno.EBADF;
    }

    /// <summary>kcmp(2). Objects have no order here: what differs is 3.</summary>
    internal static SyscallResult Kcmp(Task task, in SyscallArgs args)
    {
        const int file = 0, vm = 1, files = 2, fs = 3, sighand = 4, io = 5, semaphores = 6, epoll = 7, different = 3;
        GuestKernel kernel = task.Kernel;
        if (!kernel.Tasks.TryGetValue(task.PidNamespace.ToKernel(args.I0), out Task? one) || !kernel.Tasks.TryGetValue(task.PidNamespace.ToKernel(args.I1), out Task? two))
            return Errno.ESRCH;
        if (!PtraceAccess.MayRead(task, one) || !PtraceAccess.MayRead(task, two))
            return Errno.EPERM;
        bool same;
        switch (args.I2)
        {
            case file:
                if (!one.TryGetFile(args.I3, out FileObject? first) || !two.TryGetFile(args.I4, out FileObject? second))
                    return Errno.EBADF;
                same = ReferenceEquals(first, second);
                break;
            case vm:
                same = ReferenceEquals(one.Memory, two.Memory);
                break;
            case files:
                same = ReferenceEquals(one.Files, two.Files);
                break;
            case fs:
                same = ReferenceEquals(one.Fs, two.Fs);
                break;
            case sighand:
                same = ReferenceEquals(one.Group.Actions, two.Group.Actions);
                break;
            case io:
                // Nobody has an I/O context of its own.
                same = true;
                break;
            case semaphores:
                same = ReferenceEquals(one.SemaphoreUndo, two.SemaphoreUndo);
                break;
            case epoll:
                return CompareEpollTarget(task, one, two, args);
            default:
                return Errno.EINVAL;
        }

        return same ? 0 : different;
    }

    /// <summary>KCMP_EPOLL_TFD: whether a descriptor is the target of an epoll item; struct kcmp_epoll_slot names the item.</summary>
    private static SyscallResult CompareEpollTarget(Task task, Task one, Task two, in SyscallArgs args)
    {
        const int different = 3;
        if (!task.TryRead(args.A4, out ulong both) || !task.TryRead(args.A4 + 8, out int place))
            return Errno.EFAULT;
        if (!one.TryGetFile(args.I3, out FileObject? first) || !two.TryGetFile((int)both, out FileObject? second))
            return Errno.EBADF;
        if (second is not EpollFile epoll)
            return Errno.EINVAL;
        return epoll.FindTarget((int)(both >> 32), place) is { } target ? ReferenceEquals(target, first) ? 0 : different : Errno.ENOENT;
    }
}

/// <summary>Who may look into or change whom (ptrace(2), "Ptrace access mode checking").</summary>
public static class PtraceAccess
{
    /// <summary>PTRACE_MODE_READ_FSCREDS: /proc/PID, kcmp(2).</summary>
    public static bool MayRead(Task caller, Task target) => May(caller, target, caller.Credentials.FsUid, caller.Credentials.FsGid);

    /// <summary>PTRACE_MODE_ATTACH_REALCREDS: ptrace(2), process_vm_readv(2), pidfd_getfd(2).</summary>
    public static bool MayAttach(Task caller, Task target) => May(caller, target, caller.Credentials.Uid, caller.Credentials.Gid);

    private static bool May(Task caller, Task target, uint uid, uint gid)
    {
        if (ReferenceEquals(caller.Group, target.Group) || caller.Credentials.HasIn(target.UserNamespace, Capability.CAP_SYS_PTRACE))
            return true;
        Credentials theirs = target.Credentials;
        return target.Group.IsDumpable && uid == theirs.Uid && uid == theirs.EffectiveUid && uid == theirs.SavedUid
            && gid == theirs.Gid && gid == theirs.EffectiveGid && gid == theirs.SavedGid && (theirs.Permitted & ~caller.Credentials.Permitted) == 0;
    }
}
