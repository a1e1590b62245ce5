using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Main;

/// <summary>What the sentry takes from itself before it meets a guest: the host's files and its privileges.</summary>
internal static class Isolation
{
    private const int LimitNoFile = 7, DetachMount = 2;

    /// <summary>Raises the descriptor limit to what the host allows: donated files, streams, stubs.</summary>
    public static void RaiseLimits()
    {
        if (HostProcess.GetLimit(LimitNoFile) is { IsOk: true } limit)
            HostProcess.SetLimit(LimitNoFile, limit.Value.Hard, limit.Value.Hard);
    }

    /// <summary>As process 1 of its own pid and mount namespaces: replaces the file tree by an empty one that holds only /proc of this pid namespace.</summary>
    public static void EmptyFileTree()
    {
        if (HostProcess.ProcessId != 1)
            return;
        Require.Ok(HostNamespaces.Mount("none", "/", null, HostNamespaces.MountRecursive | HostNamespaces.MountPrivate), "make mounts private");
        Require.Ok(HostNamespaces.Mount("tmpfs", "/tmp", "tmpfs", HostNamespaces.MountNoSuid | HostNamespaces.MountNoDev, "size=64k,mode=755"), "mount an empty root");
        Require.Ok(HostFile.MakeDirectoryAt(HostFile.AtFdCwd, "/tmp/proc", 0x16d), "make /proc");
        Require.Ok(HostNamespaces.Mount("proc", "/tmp/proc", "proc", HostNamespaces.MountNoSuid | HostNamespaces.MountNoDev | HostNamespaces.MountNoExec), "mount /proc");
        Require.Ok(HostFile.ChangeDirectory("/tmp"), "enter the empty root");
        Require.Ok(HostNamespaces.PivotRoot(".", "."), "switch to the empty root");
        Require.Ok(HostNamespaces.Unmount(".", DetachMount), "leave the host's files");
        Require.Ok(HostFile.ChangeDirectory("/"), "enter the empty root");
        Errno readOnly = HostNamespaces.Mount("none", "/", null, HostNamespaces.MountRemount | HostNamespaces.MountReadOnly | HostNamespaces.MountNoSuid | HostNamespaces.MountNoDev);
        Require.Ok(readOnly, "make the empty root read-only");
    }

    /// <summary>Gives up every capability for good, and all system calls but those of a process that serves descriptors and memory which it was given: it makes
    /// no process, runs no program, opens no socket, and changes neither namespaces nor mounts. The stubs have been started by then.</summary>
    public static void DropPrivileges()
    {
        Require.Ok(HostProcess.SetNoNewPrivileges(), "set no_new_privs");
        Require.Ok(HostProcess.DropAllCapabilities(), "drop capabilities");
        Require.Ok(Filter().Install(), "install the filter of system calls");
    }

    // The runtime itself looks at files of /proc; there is nothing else to open in the empty tree.
    private static SeccompFilter Filter() => new SeccompFilter()
        .Allow(Sysno.ioctl, Sysno.process_vm_readv, Sysno.process_vm_writev, Sysno.pread64, Sysno.pwrite64) // the most frequent first
        .Allow(Sysno.openat, Sysno.open, Sysno.close, Sysno.close_range, Sysno.statx, Sysno.fstat, Sysno.newfstatat, Sysno.lseek, Sysno.getdents64, Sysno.readlink, Sysno.readlinkat,
            Sysno.dup, Sysno.dup2, Sysno.dup3, Sysno.preadv, Sysno.pwritev, Sysno.pwritev2, Sysno.readv, Sysno.writev, Sysno.ftruncate, Sysno.fallocate, Sysno.fadvise64, Sysno.memfd_create,
            Sysno.fsync, Sysno.fdatasync, Sysno.syncfs, Sysno.fchmod, Sysno.fchown, Sysno.fgetxattr, Sysno.flistxattr, Sysno.fsetxattr, Sysno.fremovexattr, Sysno.fstatfs, Sysno.flock)
        .Allow(Sysno.ppoll, Sysno.epoll_create1, Sysno.epoll_ctl, Sysno.epoll_wait, Sysno.epoll_pwait, Sysno.eventfd2, Sysno.timerfd_create, Sysno.timerfd_settime, Sysno.pipe2)
        .Allow(Sysno.sendmsg, Sysno.recvmsg, Sysno.sendto, Sysno.recvfrom, Sysno.accept4, Sysno.bind, Sysno.connect, Sysno.listen, Sysno.shutdown, Sysno.getsockname, Sysno.getpeername,
            Sysno.getsockopt, Sysno.setsockopt)
        .Allow(Sysno.pidfd_open, Sysno.pidfd_send_signal, Sysno.kill, Sysno.wait4, Sysno.waitid, Sysno.getcpu, Sysno.geteuid, Sysno.getegid, Sysno.getuid, Sysno.getgid, Sysno.getrlimit,
            Sysno.gettimeofday, Sysno.time)
        .AllowThreads()
        .AllowRuntime();
}
