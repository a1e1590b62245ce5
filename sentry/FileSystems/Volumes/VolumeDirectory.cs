using Gofer.Protocol;

namespace Sentry.FileSystems.Volumes;

/// <summary>A directory of a volume.</summary>
[Savable("volume-directory")]
public sealed partial class VolumeDirectory : VolumeInode
{
    private const long FirstPosition = 2;

    [NotSaved("of the gofer that is gone")] private uint _handle;
    [NotSaved("read again")] private List<(long Position, NodeEntry Entry)>? _listing;

    internal VolumeDirectory(VolumeFileSystem volume, VolumeDirectory? parent, string name, in NodeAttributes attributes)
        : base(volume, parent, name, attributes)
    {
    }

    public override bool HoldsNames => false;

    internal override Result<(uint Directory, string Name)> GetPlace() =>
        GetHandle().TryGet(out uint handle, out Errno error) ? (handle, "") : error;

    /// <summary>The gofer's handle, which stays this directory's whatever the host calls it.</summary>
    internal Result<uint> GetHandle()
    {
        if (ParentDirectory is null)
            return Volume.RootHandle;
        for (int attempt = 0; _handle == 0; attempt++)
        {
            if (!base.GetPlace().TryGet(out (uint Directory, string Name) place, out Errno error))
                return error;
            if (Volume.Client.Lookup(place.Directory, place.Name).TryGet(out FoundNode found, out error))
            {
                if (found.Handle == 0 || (Known is not null && !IsSame(found.Attributes)))
                {
                    if (found.Handle != 0)
                        Volume.Client.Forget([found.Handle]);
                    return Errno.ESTALE;
                }

                _handle = found.Handle;
                Volume.HandleTaken(this);
            }
            else if (error != Errno.ENFILE || attempt > 1)
            {
                return error;
            }
            else
            {
                Volume.ForgetHandles();
            }
        }

        return _handle;
    }

    internal uint DropHandle()
    {
        uint handle = _handle;
        _handle = 0;
        return handle;
    }

    public override Result<Inode> Lookup(string name)
    {
        if (!GetHandle().TryGet(out uint handle, out Errno error)
            || !Volume.Client.Look(handle, name).TryGet(out (NodeAttributes Attributes, string Link) found, out error))
            return error;
        return Volume.GetInode(this, name, found.Attributes, found.Link);
    }

    public override Result<Inode> Create(string name, in NewNode node)
    {
        if (!GetHandle().TryGet(out uint handle, out Errno error))
            return error;
        bool inherits = (Mode & S.ISGID) != 0;
        uint gid = inherits ? Gid : node.Gid;
        Doubt();
        if (S.IsRegular(node.Mode))
        {
            if (!Volume.Client.Create(handle, name, node.Mode, node.Uid, gid).TryGet(out DonatedFile? file, out error))
                return error;
            var made = (VolumeRegular)Volume.GetInode(this, name, file.Attributes, "");
            made.KeepForOpening(file);
            return made;
        }

        uint mode = inherits && S.IsDirectory(node.Mode) ? node.Mode | S.ISGID : node.Mode;
        if (!Volume.Client.MakeNode(handle, name, mode, node.Uid, gid, node.Target).TryGet(out NodeAttributes attributes, out error))
            return error;
        return Volume.GetInode(this, name, attributes, node.Target);
    }

    public override Errno Link(string name, Inode target)
    {
        if (target is not VolumeInode file)
            return Errno.EXDEV;
        if (!file.GetPlace().TryGet(out (uint Directory, string Name) place, out Errno error) || !GetHandle().TryGet(out uint handle, out error)
            || !Volume.Client.Link(place.Directory, place.Name, handle, name).TryGet(out NodeAttributes attributes, out error))
            return error;
        file.Learn(attributes);
        Doubt();
        return Errno.None;
    }

    public override Errno Unlink(string name, Inode child) => Remove(name, child, false);

    public override Errno RemoveDirectory(string name, Inode child) => Remove(name, child, true);

    private Errno Remove(string name, Inode child, bool isDirectory)
    {
        if (!GetHandle().TryGet(out uint handle, out Errno error))
            return error;
        error = Volume.Client.Unlink(handle, name, isDirectory);
        if (error != Errno.None)
            return error;
        (child as VolumeInode)?.LostName();
        Doubt();
        return Errno.None;
    }

    public override Errno Rename(string oldName, Inode child, Inode newParent, string newName, Inode? replaced, bool exchange)
    {
        const uint exchanges = 2;
        if (newParent is not VolumeDirectory target || !ReferenceEquals(target.FileSystem, FileSystem))
            return Errno.EXDEV;
        if (!GetHandle().TryGet(out uint handle, out Errno error) || !target.GetHandle().TryGet(out uint targetHandle, out error))
            return error;
        error = Volume.Client.Rename(handle, oldName, targetHandle, newName, exchange ? exchanges : 0);
        if (error != Errno.None)
            return error;
        (child as VolumeInode)?.FoundAt(target, newName);
        if (exchange)
            (replaced as VolumeInode)?.FoundAt(this, oldName);
        else
            (replaced as VolumeInode)?.LostName();
        (child as VolumeInode)?.Doubt();
        Doubt();
        target.Doubt();
        return Errno.None;
    }

    /// <summary>Entries are in the order of a hash of their names, which is their position: it stays theirs while others come and go, and across a restore.</summary>
    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        if (position <= FirstPosition || _listing is null)
        {
            Errno error = ReadAll();
            if (error != Errno.None)
                return error;
        }

        List<(long Position, NodeEntry Entry)> listing = _listing!;
        int i = listing.BinarySearch((position, default), PositionOrder.Instance);
        for (i = i < 0 ? ~i : i; i < listing.Count; i++)
        {
            (long at, NodeEntry entry) = listing[i];
            if (!reader.Add(entry.Name, entry.Attributes.Inode, entry.Attributes.Mode, at + 1))
                return Errno.None;
        }

        _listing = null;
        return Errno.None;
    }

    private Errno ReadAll()
    {
        if (!GetHandle().TryGet(out uint handle, out Errno error))
            return error;
        var entries = new List<NodeEntry>();
        ulong cursor = 0;
        bool end = false;
        while (error == Errno.None && !end)
            Volume.Client.ReadDirectory(handle, ref cursor, entries).TryGet(out end, out error);
        if (error != Errno.None)
            return error;
        _listing = new List<(long, NodeEntry)>(entries.Count);
        foreach (NodeEntry entry in entries)
            _listing.Add((PositionOf(entry.Name), entry));
        _listing.Sort(PositionOrder.Instance);
        return Errno.None;
    }

    /// <summary>62 bits of FNV-1a, above "." and "..".</summary>
    private static long PositionOf(string name)
    {
        ulong hash = 0xCBF29CE484222325;
        foreach (char letter in name)
            hash = (hash ^ letter) * 0x100000001B3;
        return Math.Max(FirstPosition, (long)(hash >> 2));
    }

    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags) => new DirectoryFile(path, flags);

    private sealed class PositionOrder : IComparer<(long Position, NodeEntry Entry)>
    {
        internal static readonly PositionOrder Instance = new();

        public int Compare((long Position, NodeEntry Entry) x, (long Position, NodeEntry Entry) y) => x.Position.CompareTo(y.Position);
    }
}
