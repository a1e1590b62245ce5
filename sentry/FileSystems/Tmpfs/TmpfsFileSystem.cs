namespace Sentry.FileSystems.Tmpfs;

/// <summary>A file system in memory (tmpfs(5)); its whole content is saved state.</summary>
[Savable("tmpfs")]
public sealed partial class TmpfsFileSystem : FileSystem
{
    [Saved(1)] private Dentry _root;
    [Saved(2)] private string _typeName;

    public TmpfsFileSystem(GuestKernel kernel, string source = "tmpfs", uint rootPermissions = 0x3FF, string typeName = "tmpfs")
        : base(kernel, source)
    {
        _typeName = typeName;
        _root = new Dentry(new MemoryDirectory(this, S.IFDIR | rootPermissions, 0, 0));
    }

    public Dentry Root => _root;

    public override string TypeName => _typeName;

    public override FileSystemStatus GetStatus()
    {
        // Half of a notional 8 GiB machine, as the default of tmpfs is half of memory.
        const ulong Blocks = 4UL << 30 >> 12;
        ulong used = (ulong)Kernel.FileData.BytesInUse / 4096;
        return new FileSystemStatus(0x01021994, 4096, Blocks, Blocks - Math.Min(used, Blocks), Blocks, Blocks / 2, 255);
    }
}
