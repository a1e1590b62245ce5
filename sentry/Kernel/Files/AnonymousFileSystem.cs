namespace Sentry.Kernel.Files;

/// <summary>The file system of files without a name in the tree: memfd_create(2), shared anonymous memory. Mounted nowhere.</summary>
[Savable("anonymous-filesystem")]
public sealed partial class AnonymousFileSystem : FileSystem
{
    internal AnonymousFileSystem(GuestKernel kernel)
        : base(kernel, "tmpfs")
    {
    }

    public override string TypeName => "tmpfs";

    public override FileSystemStatus GetStatus() => new(0x01021994, 4096, 0, 0, 0, 0, 255);

    /// <summary>A new nameless file, open for reading and writing; it goes with its last reference. <paramref name="name"/> is what
    /// <c>/proc/PID/maps</c> shows, e.g. <c>memfd:x</c> or <c>dev/zero</c>.</summary>
    public static RegularFile CreateFile(GuestKernel kernel, string name, uint permissions = 0x1FF, uint uid = 0, uint gid = 0)
    {
        Mount mount = kernel.MountRegistry.GetAnonymousMount(kernel);
        var inode = new MemoryFile(mount.FileSystem, S.IFREG | permissions, uid, gid) { LinkCount = 0 };
        var dentry = new Dentry(mount.Root, name, inode);
        dentry.Unhash();
        return (RegularFile)inode.Open(null, new VfsPath(mount, dentry), OpenFlags.ReadWrite).Value;
    }
}
