using Gofer.Protocol;
using Sentry.FileSystems.GoferFs;

namespace Sentry.FileSystems.Overlay;

/// <summary>A file of the base tree on which the state of a sandbox depends.</summary>
public readonly record struct BaseFileUse(string Path, long Size, long ModifyTime);

/// <summary>A writable tree over a read-only one. What the sandbox makes or changes is kernel state and hides what is below; the rest is looked up there when asked
/// for and forgotten by a checkpoint.</summary>
[Savable("overlay")]
public sealed partial class OverlayFileSystem : FileSystem
{
    private const ulong FirstUpperInode = 1UL << 48;

    [NotSaved("each puts itself in")] private readonly HashSet<OverlayFile> _dependents = [];
    [Saved(1)] private GoferTree _tree;
    [Saved(2)] private Dentry _root;

    public OverlayFileSystem(GuestKernel kernel, GoferTree tree)
        : base(kernel, "overlay")
    {
        _tree = tree;
        SetFirstInode(FirstUpperInode);
        if (!tree.Root.GetAttributes().TryGet(out NodeAttributes attributes, out Errno error))
            throw new IOException($"the root of the base tree: {error}");
        _root = new Dentry(new OverlayDirectory(this, tree.Root, attributes, null));
    }

    public Dentry Root => _root;

    public override string TypeName => "overlay";

    public override FileSystemStatus GetStatus()
    {
        const long OverlayMagic = 0x794C7630;
        if (!_tree.Client.StatFs().TryGet(out TreeStatus status, out _))
            return new FileSystemStatus(OverlayMagic, 4096, 0, 0, 0, 0, 255);
        return new FileSystemStatus(OverlayMagic, (int)Math.Max(512, status.BlockSize), status.Blocks, status.FreeBlocks, status.Files, status.FreeFiles, 255);
    }

    /// <summary>For a checkpoint: the base files that are open, mapped or partly copied up.</summary>
    public List<BaseFileUse> ListBaseFiles()
    {
        var uses = new List<BaseFileUse>();
        foreach (OverlayFile file in _dependents)
        {
            if (file.DependsOnBase)
                uses.Add(new BaseFileUse(file.Lower.Path, file.Lower.Size, file.Lower.ModifyTime));
        }

        uses.Sort(static (a, b) => string.CompareOrdinal(a.Path, b.Path));
        return uses;
    }

    internal void AddDependent(OverlayFile file) => _dependents.Add(file);

    internal void RemoveDependent(OverlayFile file) => _dependents.Remove(file);
}
