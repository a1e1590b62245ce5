using Sentry.Kernel.Sockets.Tables;

namespace Sentry.FileSystems.Sys;

/// <summary>Inode numbers of entries about interfaces: the same whenever they are made up again.</summary>
internal static class NetworkNumbers
{
    private const ulong First = 1UL << 61;

    /// <param name="index">Of the interface; 0 for what is of none.</param>
    /// <param name="entry">Which entry; below 2^16.</param>
    internal static ulong Of(int index, int entry) => First | ((ulong)(uint)index << 16) | (uint)entry;
}

/// <summary>/sys/class/net: a link to each interface's folder.</summary>
[Savable("sysfs-network-class")]
internal sealed partial class NetworkClassDirectory : SyntheticDirectory
{
    internal NetworkClassDirectory(SysFileSystem fileSystem)
        : base(fileSystem, NetworkNumbers.Of(0, 1), 0x1ED, 0, 0)
    {
    }

    public override Result<Inode> Lookup(string name)
    {
        foreach ((string each, int index) in LinkFiles.Links(((SysFileSystem)FileSystem).Network))
        {
            if (each == name)
                return new SysLink((SysFileSystem)FileSystem, NetworkNumbers.Of(index, 1), "../../devices/virtual/net/" + name);
        }

        return Errno.ENOENT;
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        foreach ((string name, int index) in LinkFiles.Links(((SysFileSystem)FileSystem).Network))
        {
            if (index + 1 >= position && !reader.Add(name, NetworkNumbers.Of(index, 1), S.IFLNK, index + 2))
                break;
        }

        return Errno.None;
    }
}

/// <summary>/sys/devices/virtual/net.</summary>
[Savable("sysfs-network-devices")]
internal sealed partial class NetworkDevicesDirectory : SyntheticDirectory
{
    internal NetworkDevicesDirectory(SysFileSystem fileSystem)
        : base(fileSystem, NetworkNumbers.Of(0, 2), 0x1ED, 0, 0)
    {
    }

    public override Result<Inode> Lookup(string name)
    {
        foreach ((string each, int index) in LinkFiles.Links(((SysFileSystem)FileSystem).Network))
        {
            if (each == name)
                return new InterfaceDirectory((SysFileSystem)FileSystem, index, "");
        }

        return Errno.ENOENT;
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        foreach ((string name, int index) in LinkFiles.Links(((SysFileSystem)FileSystem).Network))
        {
            if (index + 1 >= position && !reader.Add(name, NetworkNumbers.Of(index, 2), S.IFDIR, index + 2))
                break;
        }

        return Errno.None;
    }
}

/// <summary>The folder of an interface, or one within it (statistics, queues, power).</summary>
[Savable("sysfs-interface")]
internal sealed partial class InterfaceDirectory : SyntheticDirectory
{
    private const string Subsystem = "subsystem";

    [Saved(1)] private int _index;
    [Saved(2)] private string _prefix;

    /// <param name="prefix">Its path within the interface's folder, with a slash behind it; empty for that itself.</param>
    internal InterfaceDirectory(SysFileSystem fileSystem, int index, string prefix)
        : base(fileSystem, NumberOf(index, prefix), 0x1ED, 0, 0)
    {
        _index = index;
        _prefix = prefix;
    }

    private bool IsThere => ((SysFileSystem)FileSystem).Network.Stack.FindInterface(_index) is not null;

    public override Result<Inode> Lookup(string name)
    {
        if (!IsThere)
            return Errno.ENOENT;
        var fileSystem = (SysFileSystem)FileSystem;
        if (_prefix.Length == 0 && name == Subsystem)
            return new SysLink(fileSystem, NetworkNumbers.Of(_index, 3), "../../../../class/net");
        string path = _prefix + name;
        int number = 0x100;
        foreach ((string each, uint mode) in LinkFiles.Files)
        {
            number++;
            if (each == path)
                return new InterfaceFile(fileSystem, NetworkNumbers.Of(_index, number), _index, path, mode);
            if (each.StartsWith(path + "/", StringComparison.Ordinal))
                return new InterfaceDirectory(fileSystem, _index, path + "/");
        }

        return Errno.ENOENT;
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        if (!IsThere)
            return Errno.ENOENT;
        long at = 2;
        foreach ((string name, uint type, ulong number) in Entries())
        {
            if (at++ < position)
                continue;
            if (!reader.Add(name, number, type, at))
                break;
        }

        return Errno.None;
    }

    private IEnumerable<(string Name, uint Type, ulong Number)> Entries()
    {
        if (_prefix.Length == 0)
            yield return (Subsystem, S.IFLNK, NetworkNumbers.Of(_index, 3));
        var folders = new HashSet<string>();
        int number = 0x100;
        foreach ((string path, _) in LinkFiles.Files)
        {
            number++;
            if (!path.StartsWith(_prefix, StringComparison.Ordinal))
                continue;
            string rest = path[_prefix.Length..];
            int slash = rest.IndexOf('/');
            if (slash < 0)
                yield return (rest, S.IFREG, NetworkNumbers.Of(_index, number));
            else if (folders.Add(rest[..slash]))
                yield return (rest[..slash], S.IFDIR, NumberOf(_index, _prefix + rest[..(slash + 1)]));
        }
    }

    private static ulong NumberOf(int index, string prefix)
    {
        if (prefix.Length == 0)
            return NetworkNumbers.Of(index, 2);
        int number = 0x1000;
        foreach ((string path, _) in LinkFiles.Files)
        {
            if (path.StartsWith(prefix, StringComparison.Ordinal))
                break;
            number++;
        }

        return NetworkNumbers.Of(index, number + (0x1000 * prefix.Count(c => c == '/')));
    }
}

/// <summary>A file about an interface.</summary>
[Savable("sysfs-interface-file")]
internal sealed partial class InterfaceFile : SyntheticInode
{
    [Saved(1)] private int _index;
    [Saved(2)] private string _path;

    internal InterfaceFile(SysFileSystem fileSystem, ulong number, int index, string path, uint mode)
        : base(fileSystem, number, mode)
    {
        _index = index;
        _path = path;
    }

    public override long Size => 4096;

    public override Result<string> Generate(Task? caller) => LinkFiles.Read(((SysFileSystem)FileSystem).Network, _index, _path);

    public override Result<long> Accept(Task caller, string text, long offset)
    {
        NetworkNamespace network = ((SysFileSystem)FileSystem).Network;
        if (!caller.Credentials.HasIn(network.Owner, Capability.CAP_NET_ADMIN))
            return Errno.EPERM;
        Errno error = LinkFiles.Write(network, _index, _path, text);
        return error == Errno.None ? text.Length : error;
    }
}

/// <summary>A symbolic link of sysfs.</summary>
[Savable("sysfs-link")]
internal sealed partial class SysLink : SyntheticLink
{
    [Saved(1)] private string _target;

    internal SysLink(SysFileSystem fileSystem, ulong number, string target)
        : base(fileSystem, number)
    {
        _target = target;
    }

    public override Result<string> ReadLink(Task? caller) => _target;
}
