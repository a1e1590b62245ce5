using Gofer.Protocol;

namespace Sentry.FileSystems.Volumes;

/// <summary>What is to reach the host's disk.</summary>
internal enum SyncScope
{
    File,
    Data,
    FileSystem,
}

/// <summary>fsync(2), fdatasync(2) or syncfs(2) on the host, through a descriptor of its own: the file may be closed meanwhile.</summary>
internal sealed class VolumeSync : HostSync
{
    private readonly DonatedFile _file;
    private readonly SyncScope _scope;

    private VolumeSync(DonatedFile file, SyncScope scope)
    {
        _file = file;
        _scope = scope;
    }

    /// <summary>Null when there is no file, or no descriptor for it.</summary>
    internal static VolumeSync? Of(DonatedFile? file, SyncScope scope) => file?.Duplicate() is { IsOk: true } copy ? new VolumeSync(copy.Value, scope) : null;

    protected override Errno Work()
    {
        Errno error = _scope switch
        {
            SyncScope.File => _file.Sync(),
            SyncScope.Data => _file.SyncData(),
            _ => _file.SyncFileSystem(),
        };
        _file.Dispose();
        return error;
    }
}
