using Gofer.Protocol;
using Sentry.FileSystems.Dev;
using Sentry.FileSystems.GoferFs;
using Sentry.FileSystems.Overlay;
using Sentry.FileSystems.Proc;
using Sentry.FileSystems.Sys;
using Sentry.FileSystems.Tmpfs;

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
        Find(mounts.RootMount.Root, "tmp", 0x3FF);
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
        FileSystemTypes.Register("sysfs", static r => new SysFileSystem(r.Kernel).Root);
    }

    private static void Attach(MountNamespace mounts, string name, Dentry root, MountFlags flags) =>
        mounts.Attach(root.Inode.FileSystem, root, new VfsPath(mounts.RootMount, Find(mounts.RootMount.Root, name, 0x1ED)), flags | MountFlags.RelAtime);

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
