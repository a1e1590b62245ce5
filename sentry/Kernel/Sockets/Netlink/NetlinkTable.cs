namespace Sentry.Kernel.Sockets.Netlink;

/// <summary>All sockets of AF_NETLINK: who has which port id, who listens to which group.</summary>
[Savable("netlink-table")]
internal sealed partial class NetlinkTable
{
    /// <summary>Where port ids begin that are chosen when the process id is taken; they go down from here.</summary>
    private const int FirstAutomatic = -4096;

    [Saved(1)] private List<NetlinkSocket> _sockets = [];
    [Saved(2)] private SortedDictionary<ulong, NetlinkSocket> _ports = [];
    [Saved(3)] private int _lastAutomatic = FirstAutomatic;

    internal NetlinkTable()
    {
    }

    /// <summary>In the order of their making.</summary>
    internal IReadOnlyList<NetlinkSocket> Sockets => _sockets;

    internal void Add(NetlinkSocket socket) => _sockets.Add(socket);

    internal void Remove(NetlinkSocket socket)
    {
        _sockets.Remove(socket);
        if (socket.IsBound)
            _ports.Remove(Key(socket.Protocol, socket.Port));
    }

    internal NetlinkSocket? Find(int protocol, uint port) => _ports.GetValueOrDefault(Key(protocol, port));

    internal bool TryBind(NetlinkSocket socket, uint port) => _ports.TryAdd(Key(socket.Protocol, port), socket);

    /// <summary>The process id, or when it is taken a negative number that is not.</summary>
    internal uint BindAutomatically(NetlinkSocket socket, int pid)
    {
        uint port = (uint)pid;
        while (!_ports.TryAdd(Key(socket.Protocol, port), socket))
            port = (uint)(_lastAutomatic = _lastAutomatic == int.MinValue ? FirstAutomatic : _lastAutomatic - 1);
        return port;
    }

    /// <summary>Whether anybody listens, so that a notification need not be made in vain.</summary>
    internal bool HasListeners(int protocol, int group)
    {
        foreach (NetlinkSocket socket in _sockets)
        {
            if (socket.Protocol == protocol && socket.ListensTo(group))
                return true;
        }

        return false;
    }

    /// <summary>Sends to all members of a group but one. The number of those that it reached.</summary>
    /// <param name="except">A port id that does not get it: the sender's, or that of one who has it already; 0 for none.</param>
    internal int Broadcast(int protocol, int group, NetlinkDatagram datagram, uint except = 0)
    {
        int reached = 0;
        foreach (NetlinkSocket socket in _sockets)
        {
            if (socket.Protocol == protocol && socket.ListensTo(group) && (except == 0 || socket.Port != except) && socket.Deliver(datagram))
                reached++;
        }

        return reached;
    }

    private static ulong Key(int protocol, uint port) => (ulong)protocol << 32 | port;
}
