namespace Sentry.FileSystems.Tmpfs;

/// <summary>A file system in memory (tmpfs(5)); its whole content is saved state.</summary>
[Savable("tmpfs")]
public sealed partial class TmpfsFileSystem : FileSystem
{
    [Saved(1)] private Dentry _root;
    [Saved(2)] private string _typeName;
    [Saved(3)] private SpaceQuota? _quota;
    [Saved(4)] private uint _permissions;
    [Saved(5)] private uint _uid;
    [Saved(6)] private uint _gid;

    public TmpfsFileSystem(GuestKernel kernel, string source = "tmpfs", uint rootPermissions = 0x3FF, string typeName = "tmpfs")
        : base(kernel, source)
    {
        _typeName = typeName;
        _permissions = rootPermissions;
        _root = new Dentry(new MemoryDirectory(this, S.IFDIR | rootPermissions, 0, 0));
    }

    private TmpfsFileSystem(GuestKernel kernel, string source, TmpfsOptions options)
        : base(kernel, source)
    {
        _typeName = "tmpfs";
        (_permissions, _uid, _gid) = (options.Permissions, options.Uid, options.Gid);
        _root = new Dentry(new MemoryDirectory(this, S.IFDIR | options.Permissions, options.Uid, options.Gid));
        if (options.Size != 0 || options.Inodes != 0)
            StartQuota(options);
    }

    /// <summary>For mount(2).</summary>
    public static Result<Dentry> Make(FileSystemRequest request)
    {
        if (!TmpfsOptions.Parse(request.Options, request.Kernel, request.Task.UserNamespace, TmpfsOptions.Default(request.Task.Credentials)).TryGet(out TmpfsOptions options, out Errno error))
            return error;
        return new TmpfsFileSystem(request.Kernel, request.Source, options).Root;
    }

    public Dentry Root => _root;

    public override string TypeName => _typeName;

    public override SpaceQuota? Quota => _quota;

    public override string DescribeOptions() => _typeName == "tmpfs" ? Options.Describe() : "";

    private TmpfsOptions Options => new(_quota?.Limit ?? 0, _quota?.InodeLimit ?? 0, _permissions, _uid, _gid);

    public override FileSystemStatus GetStatus()
    {
        const int pageSize = 4096;

        // Without an own size it is half of the memory, as in Linux, and all such draw on the same.
        ulong blocks = (ulong)(_quota is { Limit: > 0 } own ? own.Limit : Kernel.MemorySize / 2) / pageSize;
        ulong used = (ulong)(_quota is { Limit: > 0 } counted ? counted.Used : Kernel.FileData.BytesInUse) / pageSize;
        ulong files = _quota is { InodeLimit: > 0 } limited ? (ulong)limited.InodeLimit : blocks;
        ulong freeFiles = _quota is { InodeLimit: > 0 } some ? (ulong)Math.Max(0, some.InodeLimit - some.Inodes) : files / 2;
        return new FileSystemStatus(0x01021994, pageSize, blocks, blocks - Math.Min(used, blocks), files, freeFiles, 255);
    }

    /// <summary>Size and number of inodes can be changed, not below what is there; the root's owner and mode stay.</summary>
    public override Errno Reconfigure(Task? caller, string options)
    {
        if (!TmpfsOptions.Parse(options, Kernel, caller?.UserNamespace ?? Kernel.Namespaces.User, Options).TryGet(out TmpfsOptions wanted, out Errno error))
            return error;
        if (_quota is null && wanted.Size == 0 && wanted.Inodes == 0)
            return Errno.None;
        if (_quota is null)
            StartQuota(wanted);
        else if ((wanted.Size != 0 && wanted.Size < _quota.Used) || (wanted.Inodes != 0 && wanted.Inodes < _quota.Inodes))
            return Errno.EINVAL;
        (_quota!.Limit, _quota.InodeLimit) = (wanted.Size, wanted.Inodes);
        return Errno.None;
    }

    /// <summary>Counts what is there and from now on what comes.</summary>
    private void StartQuota(TmpfsOptions options)
    {
        _quota = new SpaceQuota(options.Size, options.Inodes);
        ((MemoryDirectory)_root.Inode).ChargeAll();
    }
}
