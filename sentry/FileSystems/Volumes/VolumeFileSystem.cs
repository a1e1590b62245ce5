using System.Diagnostics.CodeAnalysis;
using Gofer.Protocol;

namespace Sentry.FileSystems.Volumes;

/// <summary>A folder of the host's in the sandbox's tree, served by the gofer and shared with the host: every walk asks anew what a name leads to, and changes are made at
/// once. Of its files only those in use are known; saved are their names, by which a restored sandbox finds them again.</summary>
[Savable("volume")]
public sealed partial class VolumeFileSystem : FileSystem, IAfterLoad
{
    private const int MaxHandles = 4096;
    private const long Magic = 0x766F6C75;

    [NotSaved("the restoring sentry's")] private GoferClient _client;
    [NotSaved("of the host that is gone")] private readonly Dictionary<HostIdentity, WeakReference<VolumeInode>> _known = [];
    [NotSaved("of the gofer that is gone")] private readonly Queue<VolumeDirectory> _handles = new();
    [NotSaved("filled while loading")] private readonly List<VolumeInode> _loaded = [];
    [NotSaved("what is written is on the host, and stays there when the sandbox goes on elsewhere")] private (VolumeInode? Inode, DonatedFile? File) _written;
    [NotSaved("as before")] private VolumeFile? _lastWriter;
    [NotSaved("counted from the table")] private int _sweepAt = 1024;
    [Saved(1)] private int _index;
    [Saved(2)] private string _place;
    [Saved(3)] private Dentry? _root;

    private VolumeFileSystem(GuestKernel kernel, GoferClient client, int index, string place)
        : base(kernel, "volume")
    {
        _client = client;
        _index = index;
        _place = place;
    }

    /// <summary>The root of the gofer's volume of that number.</summary>
    public static Result<VolumeFileSystem> Make(GuestKernel kernel, GoferClient client, int index, string place)
    {
        var made = new VolumeFileSystem(kernel, client, index, place);
        if (!client.Look(made.RootHandle, "").TryGet(out (NodeAttributes Attributes, string Link) root, out Errno error))
            return error;
        if (!S.IsDirectory(root.Attributes.Mode))
            return Errno.ENOTDIR;
        made._root = new Dentry(made.GetInode(null, "", root.Attributes, ""));
        return made;
    }

    public Dentry Root => _root!;

    /// <summary>Where it was mounted when the sandbox began: its name.</summary>
    public string Place => _place;

    public override string TypeName => "volume";

    internal GoferClient Client => _client;

    internal uint RootHandle => GoferLimits.RootHandle + 1 + (uint)_index;

    public override FileSystemStatus GetStatus() => _client.StatTree(RootHandle).TryGet(out TreeStatus status, out _)
        ? new FileSystemStatus(Magic, (int)status.BlockSize, status.Blocks, status.FreeBlocks, status.Files, status.FreeFiles, GoferLimits.MaxName)
        : new FileSystemStatus(Magic, 4096, 0, 0, 0, 0, GoferLimits.MaxName);

    /// <summary>The inode of what was found under a name: one for all names of a file of the host, as long as anybody uses it.</summary>
    internal VolumeInode GetInode(VolumeDirectory? parent, string name, in NodeAttributes attributes, string link)
    {
        HostIdentity identity = HostIdentity.Of(attributes);
        if (TryGetKnown(identity, attributes, out VolumeInode? known))
        {
            known.FoundAt(parent, name);
            known.Learn(attributes);
            return known;
        }

        VolumeInode made = (attributes.Mode & S.IFMT) switch
        {
            S.IFDIR => new VolumeDirectory(this, parent, name, attributes),
            S.IFREG => new VolumeRegular(this, parent, name, attributes),
            S.IFLNK => new VolumeSymlink(this, parent, name, attributes, link),
            _ => new VolumeSpecial(this, parent, name, attributes),
        };
        Remember(identity, made);
        return made;
    }

    internal void Remember(HostIdentity identity, VolumeInode inode)
    {
        if (_known.Count >= _sweepAt)
        {
            foreach ((HostIdentity old, WeakReference<VolumeInode> held) in _known)
            {
                if (!held.TryGetTarget(out _))
                    _known.Remove(old);
            }

            _sweepAt = Math.Max(1024, _known.Count * 2);
        }

        _known[identity] = new WeakReference<VolumeInode>(inode);
    }

    /// <summary>What was written last, so that the file system on the host can be named when nothing is open.</summary>
    internal void KeepForSync(VolumeInode inode, DonatedFile file)
    {
        _written.File?.Dispose();
        _written = (inode, file);
    }

    internal void ForgetForSync(VolumeInode inode)
    {
        if (!ReferenceEquals(_written.Inode, inode))
            return;
        _written.File?.Dispose();
        _written = default;
    }

    /// <summary>Who has written last and is still open.</summary>
    internal VolumeFile? LastWriter
    {
        get => _lastWriter;
        set => _lastWriter = value;
    }

    internal void ForgetWriter(VolumeFile file)
    {
        if (ReferenceEquals(_lastWriter, file))
            _lastWriter = null;
    }

    /// <summary>Null when nothing has been written.</summary>
    public override HostSync? StartSync() => VolumeSync.Of(_lastWriter?.Donated ?? _written.File, SyncScope.FileSystem);

    internal void Forget(in NodeAttributes attributes) => _known.Remove(HostIdentity.Of(attributes));

    /// <summary>A directory got a handle.</summary>
    internal void HandleTaken(VolumeDirectory directory)
    {
        _handles.Enqueue(directory);
        if (_handles.Count > MaxHandles)
            ForgetHandles();
    }

    /// <summary>Gives the older half of the handles back.</summary>
    internal void ForgetHandles()
    {
        var forgotten = new List<uint>();
        for (int left = (_handles.Count / 2) + 1; left > 0 && _handles.TryDequeue(out VolumeDirectory? directory); left--)
        {
            if (directory.DropHandle() is var handle and not 0)
                forgotten.Add(handle);
        }

        if (forgotten.Count > 0)
            _client.Forget(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(forgotten));
    }

    internal void Loaded(VolumeInode inode) => _loaded.Add(inode);

    /// <summary>After a restore: finds the files in use again by their names. What is not there any more, or is of another type, is stale from now on.
    /// An error when the volume itself is not served.</summary>
    public Errno Reattach()
    {
        Errno error = Errno.None;
        foreach (VolumeInode inode in _loaded)
        {
            Errno found = inode.FindAgain();
            if (found != Errno.None && ReferenceEquals(inode, _root!.Inode))
                error = found;
        }

        _loaded.Clear();
        return error;
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Host)
            _client = context.Get<GoferClient>();
    }

    private bool TryGetKnown(HostIdentity identity, in NodeAttributes attributes, [NotNullWhen(true)] out VolumeInode? inode)
    {
        inode = null;
        return _known.TryGetValue(identity, out WeakReference<VolumeInode>? held) && held.TryGetTarget(out inode) && inode.IsSame(attributes);
    }
}

/// <summary>What makes a file of the host that file.</summary>
internal readonly record struct HostIdentity(ulong Device, ulong Inode)
{
    internal static HostIdentity Of(in NodeAttributes attributes) => new(attributes.Device, attributes.Inode);
}
