using Sentry.Kernel.Sockets.Tables;

namespace Sentry.FileSystems.Proc;

/// <summary>/proc/PID/net: the network that the process is in, as tables (proc(5)).</summary>
[Savable("proc-network")]
internal sealed partial class NetworkDirectory : SyntheticDirectory
{
    private const ulong FirstFile = 0x800, InterfaceCounters = 0x7fe, Statistics = 0x7ff;

    private const string InterfaceCountersName = "dev_snmp6", StatisticsName = "stat";

    [Saved(1)] private NetworkNamespace? _network;

    /// <param name="network">Null for that of whoever reads.</param>
    internal NetworkDirectory(ProcFileSystem fileSystem, ulong number, NetworkNamespace? network)
        : base(fileSystem, number, 0x16D, 0, 0)
    {
        _network = network;
        LinkCount = 4;
    }

    public override Result<Inode> Lookup(string name)
    {
        var fileSystem = (ProcFileSystem)FileSystem;
        for (int i = 0; i < NetworkTables.Names.Count; i++)
        {
            if (NetworkTables.Names[i] == name)
                return new NetworkFile(fileSystem, Number + FirstFile + (ulong)i, name, _network);
        }

        return name switch
        {
            InterfaceCountersName => new InterfaceCountersDirectory(fileSystem, Number + InterfaceCounters, _network),
            StatisticsName => new StaticDirectory(fileSystem).Add("rt_cache", new NetworkFile(fileSystem, Number + FirstFile - 3, NetworkFile.RouteCacheStatistics, _network)),
            _ => Errno.ENOENT,
        };
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        int count = NetworkTables.Names.Count;
        for (long i = position - 2; i < count + 2; i++)
        {
            bool added = i < count
                ? reader.Add(NetworkTables.Names[(int)i], Number + FirstFile + (ulong)i, S.IFREG, i + 3)
                : i == count
                    ? reader.Add(InterfaceCountersName, Number + InterfaceCounters, S.IFDIR, i + 3)
                    : reader.Add(StatisticsName, Number + Statistics, S.IFDIR, i + 3);
            if (!added)
                break;
        }

        return Errno.None;
    }
}

/// <summary>One table of <see cref="NetworkDirectory"/>.</summary>
[Savable("proc-network-file", Version = 3)]
internal sealed partial class NetworkFile : SyntheticInode
{
    internal const string RouteCacheStatistics = "stat/rt_cache";

    /// <summary>What the numbers of version 1 meant.</summary>
    private static readonly string[] NamesOfVersion1 = ["arp", "dev", "if_inet6", "netlink", "packet", "raw", "route", "sockstat", "tcp", "tcp6", "udp", "udp6", "unix"];

    [Saved(1)] private int _table;
    [Saved(2, Since = 2)] private string? _name;
    [Saved(3, Since = 3)] private NetworkNamespace? _network;

    internal NetworkFile(ProcFileSystem fileSystem, ulong number, string name, NetworkNamespace? network)
        : base(fileSystem, number, 0x124)
    {
        _network = network;
        _name = name;
    }

    partial void OnMigrate(int fromVersion)
    {
        if (fromVersion < 2)
            _name = (uint)_table < (uint)NamesOfVersion1.Length ? NamesOfVersion1[_table] : null;
    }

    public override Result<string> Generate(Task? caller)
    {
        if (_name == RouteCacheStatistics)
            return "entries  in_hit   in_slow_tot in_slow_mc in_no_route in_brd   in_martian_dst in_martian_src out_hit  out_slow_tot out_slow_mc gc_total gc_ignored gc_goal_miss gc_dst_overflow in_hlist_search out_hlist_search\n";
        return _name is not null && NetworkTables.Generate(_network ?? caller?.Network ?? FileSystem.Kernel.Network, _name) is { } text ? text : Errno.EIO;
    }
}

/// <summary>/proc/net/dev_snmp6: a file for each interface.</summary>
[Savable("proc-network-interfaces")]
internal sealed partial class InterfaceCountersDirectory : SyntheticDirectory
{
    [Saved(1)] private NetworkNamespace? _network;

    internal InterfaceCountersDirectory(ProcFileSystem fileSystem, ulong number, NetworkNamespace? network)
        : base(fileSystem, number, 0x16D, 0, 0)
    {
        _network = network;
    }

    public override Result<Inode> Lookup(string name) => (_network ?? FileSystem.Kernel.Network).Stack.FindInterface(name) is null
        ? Errno.ENOENT
        : new InterfaceCountersFile((ProcFileSystem)FileSystem, name, _network);

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        foreach (Netstack.Stack.NetworkInterface link in (_network ?? caller?.Network ?? FileSystem.Kernel.Network).Stack.Interfaces)
        {
            if (link.Index + 1 >= position && !reader.Add(link.Name, Number + ((ulong)link.Index << 16), S.IFREG, link.Index + 2))
                break;
        }

        return Errno.None;
    }
}

/// <summary>/proc/net/dev_snmp6/NAME.</summary>
[Savable("proc-network-interface")]
internal sealed partial class InterfaceCountersFile : SyntheticInode
{
    [Saved(1)] private string _name;
    [Saved(2)] private NetworkNamespace? _network;

    internal InterfaceCountersFile(ProcFileSystem fileSystem, string name, NetworkNamespace? network)
        : base(fileSystem, 0x124)
    {
        _name = name;
        _network = network;
    }

    public override Result<string> Generate(Task? caller) => NetworkTables.GenerateOfInterface(_network ?? caller?.Network ?? FileSystem.Kernel.Network, _name) is { } text ? text : Errno.ENOENT;
}
