using Sentry.Abi;
using Sentry.Host;

namespace Gofer;

/// <summary>Takes from the process everything but the tree: its root becomes the file system's root, its rights shrink to reading, its system calls to a short list.</summary>
internal static class Confinement
{
    private const int CapDacReadSearch = 2, DropBounding = 24, Detach = 2;

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

    /// <summary>Keeps of all capabilities only the one that reads whatever the modes say, and of all system calls those a server needs.</summary>
    internal static Errno DropRights()
    {
        for (int capability = 0; capability < 64; capability++)
        {
            if (capability != CapDacReadSearch && HostProcess.Prctl(DropBounding, capability).IsError)
                break;
        }

        if (HostProcess.EffectiveUserId == 0)
            _ = HostProcess.SetCapabilities(1 << CapDacReadSearch, 1 << CapDacReadSearch, 0);
        else
            _ = HostProcess.SetCapabilities(0, 0, 0);
        // A thread of the runtime that is still starting when the filter comes into force would end the process.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        _ = HostProcess.SetDumpable(false);
        Errno error = HostProcess.SetNoNewPrivileges();
        if (error != Errno.None)
            return error;
        return new SeccompFilter()
            .Allow(Sysno.recvmsg, Sysno.sendmsg, Sysno.openat2, Sysno.statx, Sysno.readlinkat, Sysno.getdents64, Sysno.lseek, Sysno.close, Sysno.fstatfs, Sysno.flistxattr, Sysno.fgetxattr)
            .AllowRuntime()
            .Install();
    }
}
