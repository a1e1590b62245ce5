using Sentry.Abi;
using Sentry.Host;

namespace Gofer;

/// <summary>Takes from the process everything but the tree: its root becomes the file system's root, its rights shrink to reading, its system calls to a short list.</summary>
internal static class Confinement
{
    private const int CapChown = 0, CapDacOverride = 1, CapDacReadSearch = 2, CapFowner = 3, CapFsetid = 4, DropBounding = 24, Detach = 2;
    private const int OPath = 0x200000, ODirectory = 0x10000;
    private const ulong ReadOnlyTree = 1, NoSetIdTree = 2, NoDeviceTree = 4;

    /// <summary>Makes <paramref name="path"/> the root directory of the process, mounted read-only and without devices and without what else is mounted in it,
    /// and everything else unreachable. The process must have a mount namespace of its own; without the right to mount there is at least a chroot.</summary>
    internal static Errno EnterTree(string path)
    {
        Errno error = HostFile.ChangeDirectory(path);
        if (error != Errno.None)
            return error;
        _ = HostNamespaces.Mount(null, "/", null, HostNamespaces.MountRecursive | HostNamespaces.MountPrivate);

        // Any directory does to hang the tree in, since everything around it goes; the tree itself may be "/", so it is named by ".".
        foreach (string place in (ReadOnlySpan<string>)["/proc", "/tmp", "/mnt", "/dev"])
        {
            if (BindTo(place) != Errno.None)
                continue;
            error = HostFile.ChangeDirectory(place);
            if (error == Errno.None)
                error = HostNamespaces.PivotRoot(".", ".");
            if (error == Errno.None)
                error = HostNamespaces.Unmount(".", Detach);
            return error != Errno.None ? error : HostFile.ChangeDirectory("/");
        }

        error = HostNamespaces.ChangeRoot(".");
        return error != Errno.None ? error : HostFile.ChangeDirectory("/");
    }

    private static Errno BindTo(string place)
    {
        Errno error = HostNamespaces.Mount(".", place, null, HostNamespaces.MountBind);

        // A user namespace may not uncover what is under the mounts it was given: then they come along.
        if (error == Errno.EINVAL)
            error = HostNamespaces.Mount(".", place, null, HostNamespaces.MountBind | HostNamespaces.MountRecursive);

        // It may not change the flags of such mounts either; files are only ever opened for reading anyway.
        if (error == Errno.None)
            _ = HostNamespaces.Mount(null, place, null, HostNamespaces.MountBind | HostNamespaces.MountRemount | HostNamespaces.MountReadOnly | HostNamespaces.MountNoDev | HostNamespaces.MountNoSuid);
        return error;
    }

    /// <summary>A volume's root directory: of a copy of its mounts that is attached nowhere, so that nothing but the volume can be reached from it even by "..";
    /// read-only unless it is to be changed.</summary>
    internal static Result<int> TakeVolume(string path, bool writable)
    {
        // The host's umask is not the sandbox's: modes come from there.
        HostProcess.SetFileModeMask(0);
        if (!HostNamespaces.CloneTree(path).TryGet(out int tree, out Errno error))
        {
            // Without the right to copy mounts there is at least the directory; names are resolved beneath it.
            return error is Errno.EPERM or Errno.EINVAL or Errno.ENOSYS ? HostFile.Open(path, OPath | ODirectory) : error;
        }

        error = HostNamespaces.SetTreeAttributes(tree, NoSetIdTree | NoDeviceTree | (writable ? 0 : ReadOnlyTree));
        if (error == Errno.None)
            return tree;
        HostFile.Close(tree);
        return error;
    }

    /// <summary>Keeps of all capabilities only the one that reads whatever the modes say, and of all system calls those a server needs. With volumes that are changed
    /// those come along by which the agent's user may change files of its own (of anybody, when it is root).</summary>
    internal static Errno DropRights(bool changesFiles)
    {
        uint kept = 1 << CapDacReadSearch;
        if (changesFiles)
            kept |= 1 << CapChown | 1 << CapDacOverride | 1 << CapFowner | 1 << CapFsetid;
        for (int capability = 0; capability < 64; capability++)
        {
            if ((capability >= 32 || (kept & (1u << capability)) == 0) && HostProcess.Prctl(DropBounding, capability).IsError)
                break;
        }

        if (HostProcess.EffectiveUserId == 0)
            _ = HostProcess.SetCapabilities(kept, kept, 0);
        else
            _ = HostProcess.SetCapabilities(0, 0, 0);
        // A thread of the runtime that is still starting when the filter comes into force would end the process.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        _ = HostProcess.SetDumpable(false);
        Errno error = HostProcess.SetNoNewPrivileges();
        if (error != Errno.None)
            return error;
        var filter = new SeccompFilter();
        if (changesFiles)
        {
            filter.Allow(Sysno.mkdirat, Sysno.mknodat, Sysno.symlinkat, Sysno.linkat, Sysno.unlinkat, Sysno.renameat2, Sysno.fchownat, Sysno.fchmodat2, Sysno.utimensat,
                Sysno.ftruncate);
        }

        return filter
            .Allow(Sysno.recvmsg, Sysno.sendmsg, Sysno.openat2, Sysno.statx, Sysno.readlinkat, Sysno.getdents64, Sysno.lseek, Sysno.close, Sysno.fstatfs, Sysno.flistxattr, Sysno.fgetxattr)
            .AllowRuntime()
            .Install();
    }
}
