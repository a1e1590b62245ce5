namespace Netstack.Stack;

/// <summary>What tells connections apart.</summary>
internal readonly record struct TcpTuple(InetAddress Local, ushort LocalPort, InetAddress Remote, ushort RemotePort);

/// <summary>The connections of a stack by addresses and ports. Chains run through the connections themselves, which saves an object for each.</summary>
[Savable("tcp-table")]
internal sealed partial class TcpTable
{
    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private TcpEndpoint?[] _chains = new TcpEndpoint?[16];
    [Saved(3)] private int _count;

    public TcpTable(NetworkStack stack) => _stack = stack;

    public int Count => _count;

    public TcpEndpoint? Find(in TcpTuple tuple)
    {
        for (TcpEndpoint? e = _chains[Index(in tuple)]; e is not null; e = e.NextInTable)
        {
            if (e.LocalPort == tuple.LocalPort && e.RemotePort == tuple.RemotePort && e.RemoteAddress == tuple.Remote && e.LocalAddress == tuple.Local)
                return e;
        }

        return null;
    }

    public void Add(TcpEndpoint e)
    {
        if (_count == _chains.Length)
            Grow();
        ref TcpEndpoint? chain = ref _chains[Index(e.Tuple)];
        e.NextInTable = chain;
        chain = e;
        _count++;
    }

    public bool Remove(TcpEndpoint e)
    {
        ref TcpEndpoint? at = ref _chains[Index(e.Tuple)];
        if (ReferenceEquals(at, e))
        {
            at = e.NextInTable;
        }
        else
        {
            TcpEndpoint? before = at;
            while (before is not null && !ReferenceEquals(before.NextInTable, e))
                before = before.NextInTable;
            if (before is null)
                return false;
            before.NextInTable = e.NextInTable;
        }

        e.NextInTable = null;
        _count--;
        return true;
    }

    /// <summary>All of them, as they are now.</summary>
    public List<TcpEndpoint> ToList()
    {
        var all = new List<TcpEndpoint>(_count);
        foreach (TcpEndpoint? chain in _chains)
        {
            for (TcpEndpoint? e = chain; e is not null; e = e.NextInTable)
                all.Add(e);
        }

        return all;
    }

    private int Index(in TcpTuple tuple) => (int)(TcpHashes.Table(_stack, tuple.Local, tuple.LocalPort, tuple.Remote, tuple.RemotePort) & (uint)(_chains.Length - 1));

    private void Grow()
    {
        List<TcpEndpoint> all = ToList();
        _chains = new TcpEndpoint?[2 * _chains.Length];
        foreach (TcpEndpoint e in all)
        {
            ref TcpEndpoint? chain = ref _chains[Index(e.Tuple)];
            e.NextInTable = chain;
            chain = e;
        }
    }
}

/// <summary>A route that connections share; not saved, since it is looked up again.</summary>
internal sealed class TcpRoute(Route route)
{
    public readonly Route Value = route;
}
