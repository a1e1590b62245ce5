using Sentry.Kernel.Sockets.Settings;

namespace Sentry.FileSystems.Proc;

/// <summary>A setting below /proc/sys/net.</summary>
[Savable("proc-network-sysctl")]
internal sealed partial class NetworkSysctl : SyntheticInode
{
    [Saved(1)] private string _path;

    /// <param name="path">Below /proc/sys/net.</param>
    internal NetworkSysctl(ProcFileSystem fileSystem, string path, uint permissions)
        : base(fileSystem, permissions)
    {
        _path = path;
    }

    public override Result<string> Generate(Task? caller) => NetworkSysctls.Read(caller?.Network ?? FileSystem.Kernel.Network, _path) is { } text ? text + "\n" : Errno.ENOENT;

    /// <summary>A value is written at once; what is written behind the beginning is taken and has no effect, as proc_dointvec does.</summary>
    public override Result<long> Accept(Task caller, string text, long offset)
    {
        if (offset != 0)
            return text.Length;
        Errno error = NetworkSysctls.Write(caller.Network, _path, text);
        return error == Errno.None ? text.Length : error;
    }
}

/// <summary>A folder with one for each interface (net/ipv4/conf), or with an owner the folder of that one.</summary>
[Savable("proc-network-sysctl-folder")]
internal sealed partial class NetworkSysctlFolder : SyntheticDirectory
{
    [Saved(1)] private string _folder;
    [Saved(2)] private string? _owner;

    internal NetworkSysctlFolder(ProcFileSystem fileSystem, string folder, string? owner = null)
        : base(fileSystem, 0x16D, 0, 0)
    {
        _folder = folder;
        _owner = owner;
    }

    private IEnumerable<string> Names => _owner is null ? NetworkSysctls.Interfaces(FileSystem.Kernel.Network, _folder) : NetworkSysctls.InterfaceFiles(_folder);

    public override Result<Inode> Lookup(string name)
    {
        if (!Names.Contains(name))
            return Errno.ENOENT;
        var fileSystem = (ProcFileSystem)FileSystem;
        return _owner is null ? new NetworkSysctlFolder(fileSystem, _folder, name) : new NetworkSysctl(fileSystem, $"{_folder}/{_owner}/{name}", 0x1A4);
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        long at = 2;
        foreach (string name in Names)
        {
            if (at++ < position)
                continue;
            if (!reader.Add(name, Number + (ulong)at, _owner is null ? S.IFDIR : S.IFREG, at))
                break;
        }

        return Errno.None;
    }
}
