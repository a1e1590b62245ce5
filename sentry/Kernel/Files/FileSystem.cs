namespace Sentry.Kernel.Files;

/// <summary>What statfs(2) tells.</summary>
public readonly record struct FileSystemStatus(long Type, int BlockSize, ulong Blocks, ulong FreeBlocks, ulong Files, ulong FreeFiles, int NameLength);

/// <summary>A mounted or mountable tree of inodes (super_block).</summary>
[Savable("filesystem")]
public abstract partial class FileSystem
{
    [Saved(1)] private GuestKernel _kernel;
    [Saved(2)] private ulong _device;
    [Saved(3)] private ulong _nextInode = 2;
    [Saved(4)] private string _source;
    [Saved(80)] private bool _readOnly;
    [Saved(81)] private UserNamespace? _owner;

    protected FileSystem(GuestKernel kernel, string source)
    {
        _kernel = kernel;
        _source = source;
        _device = kernel.MountRegistry.NewAnonymousDevice();
    }

    public GuestKernel Kernel => _kernel;

    /// <summary>st_dev of everything in it.</summary>
    public ulong Device => _device;

    /// <summary>The first column of /proc/mounts.</summary>
    public string Source => _source;

    /// <summary>Nothing in it can be changed, by whichever mount.</summary>
    public bool IsReadOnly
    {
        get => _readOnly;
        set => _readOnly = value;
    }

    /// <summary>The user namespace whose root mounted it: whose capabilities count for it.</summary>
    public UserNamespace Owner
    {
        get => _owner ?? _kernel.Namespaces.User;
        set => _owner = value;
    }

    /// <summary>mount(2) with MS_REMOUNT, fsconfig(2): other options; EINVAL for those it does not know.</summary>
    public virtual Errno Reconfigure(Task? caller, string options) => Errno.None;

    /// <summary>What it may hold; null where nothing is counted.</summary>
    public virtual SpaceQuota? Quota => null;

    /// <summary>The file system's name in /proc/filesystems.</summary>
    public abstract string TypeName { get; }

    /// <summary>Wall-clock time for time stamps, ns.</summary>
    public long Now => _kernel.Clock.Realtime;

    /// <summary>An inode number that this file system has not given before.</summary>
    public ulong NewInodeNumber() => _nextInode++;

    /// <summary>For file systems that number from another base.</summary>
    protected void SetFirstInode(ulong first) => _nextInode = first;

    public abstract FileSystemStatus GetStatus();

    /// <summary>syncfs(2); null where there is nothing to wait for.</summary>
    public virtual HostSync? StartSync() => null;

    /// <summary>Extra mount options shown in /proc/mounts, with a leading comma, or nothing.</summary>
    public virtual string DescribeOptions() => "";
}
