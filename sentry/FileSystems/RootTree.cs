using Gofer.Protocol;
using Sentry.FileSystems.Dev;
using Sentry.FileSystems.GoferFs;
using Sentry.FileSystems.Overlay;
using Sentry.FileSystems.Proc;
using Sentry.FileSystems.Sys;
using Sentry.FileSystems.Tmpfs;
using Sentry.FileSystems.Volumes;
using Sentry.Platform;

namespace Sentry.FileSystems;

/// <summary>Builds the mounts that a new sandbox begins with.</summary>
public static class RootTree
{
    /// <summary>Mounts <c>/</c> as an overlay over the gofer's tree (an empty tmpfs when <paramref name="gofer"/> is null), <c>/dev</c>, <c>/dev/pts</c>, <c>/dev/shm</c>, and
    /// <c>/proc</c> and <c>/sys</c>, and sees to it that the usual directories are there.</summary>
    public static void Mount(GuestKernel kernel, GoferClient? gofer)
    {
        RegisterTypes();
        MountNamespace mounts = kernel.Mounts;
        Dentry root;
        if (gofer is null)
        {
            root = new TmpfsFileSystem(kernel, "rootfs", 0x1ED).Root;
        }
        else
        {
            root = new OverlayFileSystem(kernel, new GoferTree(gofer)).Root;
        }

        mounts.SetRoot(root.Inode.FileSystem, root, MountFlags.RelAtime);
        Attach(mounts, "dev", DeviceTree.Create(kernel).Root, MountFlags.NoSuid);
        VfsPath dev = new VfsPath(mounts.RootMount, Find(mounts.RootMount.Root, "dev", 0x1ED)).CrossMounts();
        Dentry shm = new TmpfsFileSystem(kernel, "shm").Root;
        mounts.Attach(shm.Inode.FileSystem, shm, new VfsPath(dev.Mount, Find(dev.Dentry, "shm", 0x3FF)), MountFlags.NoSuid | MountFlags.NoDev);
        Dentry queues = Mqueues.GetRoot(kernel, kernel.Ipc);
        mounts.Attach(queues.Inode.FileSystem, queues, new VfsPath(dev.Mount, Find(dev.Dentry, "mqueue", 0x3FF)), MountFlags.NoSuid | MountFlags.NoDev | MountFlags.NoExec);
        if (!PtsFileSystem.Make(kernel, kernel.Namespaces.User, "devpts", "gid=5,mode=620,ptmxmode=666").TryGet(out Dentry? pts, out Errno error))
            throw new IOException($"/dev/pts cannot be made: {error}");
        mounts.Attach(pts.Inode.FileSystem, pts, new VfsPath(dev.Mount, Find(dev.Dentry, "pts", 0x1ED)), MountFlags.NoSuid | MountFlags.NoExec);
        Attach(mounts, "proc", new ProcFileSystem(kernel).Root, MountFlags.NoSuid | MountFlags.NoDev | MountFlags.NoExec);
        Attach(mounts, "sys", new SysFileSystem(kernel).Root, MountFlags.NoSuid | MountFlags.NoDev | MountFlags.NoExec | MountFlags.ReadOnly);
        CgroupFileSystem cgroup = new(kernel);
        mounts.Attach(cgroup, cgroup.Root, FindPlace(kernel, "/sys/fs/cgroup"), MountFlags.NoSuid | MountFlags.NoDev | MountFlags.NoExec | MountFlags.ReadOnly | MountFlags.RelAtime);
        Find(mounts.RootMount.Root, "tmp", 0x3FF);
    }

    /// <summary>Mounts the gofer's volume of that number at an absolute path, whose folders are made where they are missing.</summary>
    public static void MountVolume(GuestKernel kernel, GoferClient gofer, int index, string path, bool readOnly)
    {
        if (!VolumeFileSystem.Make(kernel, gofer, index, path).TryGet(out VolumeFileSystem? volume, out Errno error))
            throw new IOException($"the volume at {path} cannot be reached: {error}");
        kernel.Mounts.Attach(volume, volume.Root, FindPlace(kernel, path), MountFlags.RelAtime | MountFlags.NoDev | (readOnly ? MountFlags.ReadOnly : MountFlags.None));
    }

    /// <summary>Mounts an empty tmpfs; <paramref name="size"/> 0 is no bound of its own.</summary>
    public static void MountTmpfs(GuestKernel kernel, string path, long size, uint permissions)
    {
        Dentry root = new TmpfsFileSystem(kernel, "tmpfs", permissions).Root;
        Errno error = size > 0 ? root.Inode.FileSystem.Reconfigure(null, $"size={size}") : Errno.None;
        if (error != Errno.None)
            throw new IOException($"{path} cannot have a size of {size}: {error}");
        kernel.Mounts.Attach(root.Inode.FileSystem, root, FindPlace(kernel, path), MountFlags.RelAtime | MountFlags.NoSuid | MountFlags.NoDev);
    }

    /// <summary>After a restore, once the gofer serves: finds what is in use of the volumes again. One line when a volume is not there, or a program that runs from it is
    /// another than before.</summary>
    public static void ReattachVolumes(GuestKernel kernel)
    {
        foreach (Mount mount in kernel.Mounts.All())
        {
            if (mount.FileSystem is not VolumeFileSystem volume)
                continue;
            Errno error = volume.Reattach();
            if (error != Errno.None)
                throw new IOException($"the volume at {volume.Place} cannot be reached: {error}");
        }

        foreach (Task task in kernel.Tasks.Values)
        {
            foreach (Area area in task.Memory.Areas.All)
            {
                if (area.File is not VolumeFile file)
                    continue;
                if (file.Regular.IsGone)
                    throw new IOException($"{file.Describe()} of a volume is mapped by process {task.Group.Pid} and is not there any more");
                if ((area.Protection & MemoryProtection.Execute) != 0 && file.Regular.HasChanged)
                    throw new IOException($"{file.Describe()} of a volume is a program of process {task.Group.Pid} and has changed since the checkpoint");
            }
        }
    }

    /// <summary>Puts a text file of the agent's into the tree in the place of whatever is there, a link included; folders above it are made.</summary>
    /// <param name="path">Absolute, a byte per char.</param>
    public static void WriteFile(GuestKernel kernel, string path, ReadOnlySpan<byte> content)
    {
        string[] names = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (names.Length == 0 || path[0] != '/')
            throw new IOException($"\"{path}\" is no absolute path of a file");
        Mount mount = kernel.Mounts.RootMount;
        Dentry folder = mount.Root;
        foreach (string name in names[..^1])
            folder = Find(folder, name, 0x1ED);
        if (folder.Lookup(names[^1]).TryGet(out Dentry? old, out Errno error))
            error = Vfs.RemoveKernelEntry(old);
        if (error is not (Errno.None or Errno.ENOENT))
            throw new IOException($"{path} cannot be replaced: {error}");
        Result<Dentry> made = Vfs.MakeKernelEntry(folder, names[^1], new NewNode(S.IFREG | 0x1A4, 0, 0));
        if (made.IsError)
            throw new IOException($"{path} cannot be made: {made.Error}");
        Result<FileObject> opened = made.Value.Inode.Open(null, new VfsPath(mount, made.Value), OpenFlags.WriteOnly);
        if (opened.IsError)
            throw new IOException($"{path} cannot be opened: {opened.Error}");
        FileObject file = opened.Value;
        file.AddReference();
        Result<long> written = file.WriteAt(null!, new UserBuffer(content.ToArray()), 0);
        file.Release();
        if (written.IsError || written.Value != content.Length)
            throw new IOException($"{path} cannot be written: {written.Error}");
    }

    /// <summary>Makes tmpfs, devtmpfs, devpts, proc and sysfs known to mount(2). Called for a new and for a restored sandbox.</summary>
    public static void RegisterTypes()
    {
        FileSystemTypes.Register("tmpfs", TmpfsFileSystem.Make);
        FileSystemTypes.Register("devtmpfs", static r => DeviceTree.Create(r.Kernel).Root, inUserNamespaces: false);
        FileSystemTypes.Register("mqueue", static r => Mqueues.GetRoot(r.Kernel, r.Task.Ipc));
        FileSystemTypes.Register("devpts", PtsFileSystem.Make, inUserNamespaces: true);
        FileSystemTypes.Register("proc", static r => new ProcFileSystem(r.Kernel, r.Task.PidNamespace).Root);
        FileSystemTypes.Register("sysfs", SysFileSystem.Mount);
    }

    private static void Attach(MountNamespace mounts, string name, Dentry root, MountFlags flags) =>
        mounts.Attach(root.Inode.FileSystem, root, new VfsPath(mounts.RootMount, Find(mounts.RootMount.Root, name, 0x1ED)), flags | MountFlags.RelAtime);

    /// <summary>A directory by its absolute path, with what is mounted on the way; missing ones are made.</summary>
    private static VfsPath FindPlace(GuestKernel kernel, string path)
    {
        VfsPath place = kernel.Mounts.Root;
        foreach (string name in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            Dentry next = Find(place.Dentry, name, 0x1ED);
            if (!next.Inode.IsDirectory)
                throw new IOException(next.Inode.IsSymlink ? $"{path} leads through a link; name the folder itself" : $"{path} is no folder of the root file system");
            place = new VfsPath(place.Mount, next).CrossMounts();
        }

        return place;
    }

    /// <summary>The directory of that name, made when it is not there.</summary>
    private static Dentry Find(Dentry parent, string name, uint permissions)
    {
        Result<Dentry> found = parent.Lookup(name);
        if (found.IsOk)
            return found.Value;
        if (found.Error != Errno.ENOENT)
            throw new IOException($"/{name} of the root file system: {found.Error}");
        Result<Dentry> made = Vfs.MakeKernelEntry(parent, name, new NewNode(S.IFDIR | permissions, 0, 0));
        return made.IsOk ? made.Value : throw new IOException($"/{name} cannot be made: {made.Error}");
    }
}
