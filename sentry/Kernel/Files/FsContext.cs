namespace Sentry.Kernel.Files;

/// <summary>Root, working directory and umask (fs_struct); shared by CLONE_FS.</summary>
[Savable("fs-context")]
public sealed partial class FsContext
{
    [Saved(1)] private uint _umask = 0x12;

    public FsContext()
    {
    }

    /// <summary>umask(2), 0o022 at first.</summary>
    public uint Umask
    {
        get => _umask;
        set => _umask = value & 0x1ff;
    }

    /// <summary>A copy for fork.</summary>
    public FsContext Copy() => new() { _umask = _umask };
}
