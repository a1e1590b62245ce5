namespace Netstack.Stack;

/// <summary>NUD_* of rtnetlink(7): what is known of a neighbour (RFC 4861 section 7.3.2; Linux does the same for ARP).</summary>
public enum NeighbourState : ushort
{
    None = 0,
    Incomplete = 0x01,
    Reachable = 0x02,
    Stale = 0x04,
    Delay = 0x08,
    Probe = 0x10,
    Failed = 0x20,
    NoArp = 0x40,
    Permanent = 0x80,
}

/// <summary>An entry of the neighbour table: the link address of an IP address (RFC 826, RFC 4861).</summary>
[Savable("neighbour")]
public sealed partial class Neighbour : IStackTimerTarget, IAfterLoad
{
    /// <summary>Packets that wait for the link address (unres_qlen counts bytes in Linux; this is what its default gives for small ones).</summary>
    private const int MaxWaiting = 101;

    [Saved(1)] private NeighbourTable _table;
    [Saved(2)] private NetworkInterface _link;
    [Saved(3)] private InetAddress _address;
    [Saved(4)] private MacAddress _mac;
    [Saved(5)] private NeighbourState _state;
    [Saved(6)] private bool _isRouter;
    [Saved(7)] private long _confirmed;
    [Saved(8)] private long _used;
    [Saved(9)] private long _updated;
    [Saved(10)] private int _probes;
    [Saved(11)] private long _deadline;
    [Saved(12)] private InetAddress _probeSource;
    [NotSaved("armed again from the deadline")] private StackTimer? _timer;
    [NotSaved("frames on their way: what is lost is sent again by its transport")] private Queue<Packet>? _waiting;

    internal Neighbour(NeighbourTable table, NetworkInterface link, InetAddress address)
    {
        _table = table;
        _link = link;
        _address = address;
    }

    public NetworkInterface Interface => _link;

    public InetAddress Address => _address;

    /// <summary>Of no meaning while the state is Incomplete or Failed.</summary>
    public MacAddress Mac => _mac;

    public NeighbourState State => _state;

    /// <summary>NTF_ROUTER.</summary>
    public bool IsRouter
    {
        get => _isRouter;
        internal set => _isRouter = value;
    }

    /// <summary>Stack times (nda_cacheinfo).</summary>
    public long Confirmed => _confirmed;

    public long Used => _used;

    public long Updated => _updated;

    public int Probes => _probes;

    /// <summary>NUD_VALID: the link address is known.</summary>
    public bool IsValid => _state is NeighbourState.Reachable or NeighbourState.Stale or NeighbourState.Delay or NeighbourState.Probe
        or NeighbourState.NoArp or NeighbourState.Permanent;

    /// <summary>Whether a newer advertisement may still be overridden (locktime of Linux: one second).</summary>
    internal bool IsLocked => _updated != 0 && _link.Stack.Now - _updated < 1_000_000_000;

    /// <summary>A packet is to go to it: sent, kept until the address is known, or refused after a failure that is told to its sender.</summary>
    /// <param name="packet">From the IP header on; the Ethernet header is put on here.</param>
    internal void Send(Packet packet)
    {
        _used = _link.Stack.Now;
        switch (_state)
        {
            case NeighbourState.Stale:
                SetState(NeighbourState.Delay);
                Arm(NeighbourTable.DelayTime);
                break;
            case NeighbourState.None or NeighbourState.Failed:
                // In this order: a link that answers at once must find the packet waiting.
                _probeSource = SourceOf(packet);
                Wait(packet);
                StartResolving();
                return;
            case NeighbourState.Incomplete:
                Wait(packet);
                return;
        }

        _link.TransmitTo(packet, _mac);
    }

    /// <summary>What a protocol or a user says of it.</summary>
    internal void Update(MacAddress mac, NeighbourState state)
    {
        long now = _link.Stack.Now;
        bool changed = mac != _mac || state != _state;
        if (mac != _mac || !IsValid)
            _updated = now;
        _mac = mac;
        if (state is NeighbourState.Reachable or NeighbourState.Permanent or NeighbourState.NoArp)
            _confirmed = now;
        _state = state;
        _probes = 0;
        if (state == NeighbourState.Reachable)
            Arm(_table.RandomReachableTime());
        else if (state == NeighbourState.Delay)
            Arm(NeighbourTable.DelayTime);
        else
            Disarm();
        if (changed)
            _link.Stack.TellNeighbour(this, StackChange.Changed);
        Flush();
    }

    /// <summary>Traffic shows that it is there (RFC 4861 section 7.3.1).</summary>
    internal void Confirm()
    {
        _confirmed = _link.Stack.Now;
        if (_state is NeighbourState.Stale or NeighbourState.Delay or NeighbourState.Probe)
        {
            SetState(NeighbourState.Reachable);
            Arm(_table.RandomReachableTime());
        }
    }

    /// <summary>A user asks for a probe (NUD_PROBE) or gives no address.</summary>
    internal void StartProbing()
    {
        if (!IsValid)
        {
            StartResolving();
            return;
        }

        SetState(NeighbourState.Probe);
        _probes = 0;
        SendProbe();
    }

    internal void Drop()
    {
        Disarm();
        Refuse();
    }

    public void OnTimer(StackTimer timer)
    {
        const long second = 1_000_000_000;
        long now = _link.Stack.Now;
        _deadline = 0;
        switch (_state)
        {
            case NeighbourState.Reachable when now - _confirmed < NeighbourTable.MinReachableTime:
                Arm(NeighbourTable.MinReachableTime);
                break;
            case NeighbourState.Reachable when now - _used < NeighbourTable.DelayTime && _used != 0:
                SetState(NeighbourState.Delay);
                Arm(NeighbourTable.DelayTime);
                break;
            case NeighbourState.Reachable:
                SetState(NeighbourState.Stale);
                break;
            case NeighbourState.Delay when now - _confirmed < NeighbourTable.DelayTime + second && _confirmed != 0:
                SetState(NeighbourState.Reachable);
                Arm(_table.RandomReachableTime());
                break;
            case NeighbourState.Delay:
                SetState(NeighbourState.Probe);
                _probes = 0;
                SendProbe();
                break;
            case NeighbourState.Incomplete or NeighbourState.Probe:
                if (_probes < NeighbourTable.MaxProbes)
                    SendProbe();
                else
                    Fail();
                break;
        }
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Activation && _deadline != 0)
            _link.Stack.Timers.Arm(_timer ??= new StackTimer(this), _deadline);
    }

    private static InetAddress SourceOf(Packet packet)
    {
        ReadOnlySpan<byte> head = packet.Head;
        if (packet.Protocol == EtherType.Ipv4 && head.Length >= Ipv4Header.Size)
            return InetAddress.FromBytes(head.Slice(12, 4));
        return packet.Protocol == EtherType.Ipv6 && head.Length >= Ipv6Header.Size ? InetAddress.FromBytes(head.Slice(8, 16)) : default;
    }

    private void StartResolving()
    {
        SetState(NeighbourState.Incomplete);
        _probes = 0;
        SendProbe();
    }

    private void Wait(Packet packet)
    {
        _waiting ??= new Queue<Packet>();
        if (_waiting.Count >= MaxWaiting)
        {
            _waiting.Dequeue();
            _link.Counters.SendDropped++;
        }

        _waiting.Enqueue(packet);
    }

    private void Flush()
    {
        while (IsValid && _waiting is not null && _waiting.TryDequeue(out Packet? packet))
            _link.TransmitTo(packet, _mac);
    }

    private void SendProbe()
    {
        _probes++;
        Arm(NeighbourTable.RetransmitTime);
        MacAddress? to = _state == NeighbourState.Probe ? _mac : null;
        if (_address.IsV4)
            _link.Stack.Ip.Arp.SendRequest(_link, _address, _probeSource, to);
        else
            _link.Stack.Ip.Ndp.SendSolicitation(_link, _address, _probeSource, to is not null);
    }

    private void Fail()
    {
        SetState(NeighbourState.Failed);
        _updated = _link.Stack.Now;
        Refuse();
    }

    private void Refuse()
    {
        while (_waiting is not null && _waiting.TryDequeue(out Packet? packet))
        {
            _link.Counters.SendDropped++;
            _link.Stack.Ip.OnUnreachable(packet);
        }
    }

    private void SetState(NeighbourState state)
    {
        if (state == _state)
            return;
        _state = state;
        _link.Stack.TellNeighbour(this, StackChange.Changed);
    }

    private void Arm(long delay)
    {
        _deadline = _link.Stack.Now + delay;
        _link.Stack.Timers.Arm(_timer ??= new StackTimer(this), _deadline);
    }

    private void Disarm()
    {
        _deadline = 0;
        if (_timer is not null)
            _link.Stack.Timers.Cancel(_timer);
    }
}
