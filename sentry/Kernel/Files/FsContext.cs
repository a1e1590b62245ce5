namespace Sentry.Kernel.Files;

/// <summary>Root, working directory and umask (fs_struct); shared by CLONE_FS.</summary>
[Savable("fs-context")]
public sealed partial class FsContext
{
    [Saved(1)] private uint _umask = 0x12;
    [Saved(2)] private VfsPath _root;
    [Saved(3)] private VfsPath _workingDirectory;

    public FsContext()
    {
    }

    public FsContext(in VfsPath root)
    {
        _root = root;
        _workingDirectory = root;
    }

    /// <summary>umask(2), 0o022 at first.</summary>
    public uint Umask
    {
        get => _umask;
        set => _umask = value & 0x1ff;
    }

    /// <summary>Where "/" is (chroot(2)).</summary>
    public VfsPath Root
    {
        get => _root;
        set => _root = value;
    }

    /// <summary>Where relative paths begin.</summary>
    public VfsPath WorkingDirectory
    {
        get => _workingDirectory;
        set => _workingDirectory = value;
    }

    /// <summary>The same places in a copy of the tree of mounts.</summary>
    internal void Relocate(Dictionary<Mount, Mount> copies)
    {
        if (copies.TryGetValue(_root.Mount, out Mount? root))
            _root = new VfsPath(root, _root.Dentry);
        if (copies.TryGetValue(_workingDirectory.Mount, out Mount? working))
            _workingDirectory = new VfsPath(working, _workingDirectory.Dentry);
    }

    /// <summary>A copy for fork.</summary>
    public FsContext Copy() => new() { _umask = _umask, _root = _root, _workingDirectory = _workingDirectory };
}
