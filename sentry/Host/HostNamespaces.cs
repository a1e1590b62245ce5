using Sentry.Abi;

namespace Sentry.Host;

/// <summary>Namespaces of the host, for clone, unshare and setns.</summary>
[Flags]
public enum NamespaceFlags
{
    None = 0,
    Mount = 0x00020000,
    Cgroup = 0x02000000,
    Uts = 0x04000000,
    Ipc = 0x08000000,
    User = 0x10000000,
    Pid = 0x20000000,
    Network = 0x40000000,
}

/// <summary>Namespaces, mounts and roots of the host.</summary>
public static unsafe class HostNamespaces
{
    public const ulong MountReadOnly = 1, MountNoSuid = 2, MountNoDev = 4, MountNoExec = 8, MountRemount = 32, MountBind = 4096, MountRecursive = 16384, MountPrivate = 1 << 18, MountSlave = 1 << 19;

    /// <summary>unshare(2) of the calling thread.</summary>
    public static Errno Unshare(NamespaceFlags flags) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.unshare, (long)flags));

    public static Errno SetNamespace(int descriptor, NamespaceFlags kind) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.setns, descriptor, (long)kind));

    /// <summary>mount(2); null for what a call does not use.</summary>
    public static Errno Mount(string? source, string target, string? type, ulong flags, string? data = null)
    {
        byte* buffer = stackalloc byte[4 * HostPath.MaxLength];
        long* pointers = stackalloc long[4];
        ReadOnlySpan<string?> strings = [source, target, type, data];
        for (int i = 0; i < 4; i++)
        {
            byte* place = buffer + i * HostPath.MaxLength;
            if (strings[i] is not { } value)
                continue;
            Errno error = HostPath.Encode(value, new Span<byte>(place, HostPath.MaxLength));
            if (error != Errno.None)
                return error;
            pointers[i] = (long)place;
        }

        return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.mount, pointers[0], pointers[1], pointers[2], (long)flags, pointers[3]));
    }

    /// <summary>umount2(2): MNT_DETACH 2.</summary>
    /// <summary>open_tree(2) with OPEN_TREE_CLONE: the tree of mounts at a place as one of its own, attached nowhere; its root's ".." is itself.</summary>
    public static Result<int> CloneTree(string path)
    {
        const long flags = 1 | HostFile.OCloexec | 0x8000;
        byte* name = stackalloc byte[HostPath.MaxLength];
        Errno error = HostPath.Encode(path, new Span<byte>(name, HostPath.MaxLength));
        return error != Errno.None ? error : HostSyscall.ToInt(HostSyscall.Call(Sysno.open_tree, HostFile.AtFdCwd, (long)name, flags));
    }

    /// <summary>mount_setattr(2) of a whole tree: MOUNT_ATTR_RDONLY 1, NOSUID 2, NODEV 4.</summary>
    public static Errno SetTreeAttributes(int tree, ulong set)
    {
        const long flags = 0x1000 | 0x8000;
        ulong* attributes = stackalloc ulong[4] { set, 0, 0, 0 };
        byte empty = 0;
        return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.mount_setattr, tree, (long)&empty, flags, (long)attributes, 32));
    }

    public static Errno Unmount(string target, int flags) => HostFile.OnPath(Sysno.umount2, target, flags);

    public static Errno PivotRoot(string newRoot, string putOld)
    {
        byte* first = stackalloc byte[HostPath.MaxLength];
        byte* second = stackalloc byte[HostPath.MaxLength];
        Errno error = HostFile.Encode2(newRoot, first, putOld, second);
        return error != Errno.None ? error : HostSyscall.ErrorOf(HostSyscall.Call(Sysno.pivot_root, (long)first, (long)second));
    }

    public static Errno ChangeRoot(string path) => HostFile.OnPath(Sysno.chroot, path);

    public static Errno SetHostName(string name)
    {
        byte* bytes = stackalloc byte[256];
        Errno error = HostPath.Encode(name, new Span<byte>(bytes, 256));
        return error != Errno.None ? error : HostSyscall.ErrorOf(HostSyscall.Call(Sysno.sethostname, (long)bytes, name.Length));
    }
}
