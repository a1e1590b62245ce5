namespace Netstack.Stack;

/// <summary>A multicast group that an interface is in, and its part in telling routers so.</summary>
[Savable("interface-group")]
public sealed partial class InterfaceGroup : IStackTimerTarget, IAfterLoad
{
    private const long Interval = 1_000_000_000, IntervalV2 = 10_000_000_000;

    [Saved(1)] private NetworkInterface _link;
    [Saved(2)] private InetAddress _group;
    [Saved(4)] private int _owners;
    [Saved(5)] private long _deadline;
    [Saved(6)] private int _reportsLeft;
    [Saved(7)] private bool _wasLastReporter;
    [Saved(8)] private List<EndpointOptions> _members = [];
    [Saved(9)] private SourceState _reported = SourceState.Nothing;
    [NotSaved("armed again from the deadline")] private StackTimer? _timer;

    internal InterfaceGroup(NetworkInterface link, InetAddress group)
    {
        _link = link;
        _group = group;
    }

    public InetAddress Group => _group;

    /// <summary>Joins by sockets.</summary>
    public int Users => _members.Count;

    /// <summary>Joins by the stack itself: all hosts, solicited-node groups.</summary>
    public int Owners
    {
        get => _owners;
        internal set => _owners = value;
    }

    /// <summary>How often /proc/net/igmp and igmp6 say it was joined.</summary>
    public int References => Users + _owners;

    /// <summary>Stack time of the next report; 0 for none.</summary>
    public long Deadline => _deadline;

    /// <summary>Whether no other host is known to have reported it since this one.</summary>
    public bool WasLastReporter => _wasLastReporter;

    /// <summary>Whether routers are told of it: all-nodes groups and those that never leave the host are not (RFC 2236 section 6, RFC 3810 section 6).</summary>
    internal bool IsReported => !_link.IsLoopback && (_group.IsV4 ? _group.V4 != 0xe0000001 : (_group.High >> 48 & 0xf) > 1 && !IsAllNodes);

    /// <summary>The sources that the stack and all sockets want together.</summary>
    internal SourceState Wanted => _owners > 0
        ? SourceState.Everything
        : SourceState.Merge(_members.Select(m => m.FindSourceFilter(new GroupMembership(_group, _link.Index))));

    /// <summary>What routers were told last.</summary>
    internal SourceState Reported => _reported;

    private bool IsAllNodes => _group.Low == 1 && _group.High == 0xff02_0000_0000_0000;

    internal void Add(EndpointOptions member) => _members.Add(member);

    internal bool Remove(EndpointOptions member) => _members.Remove(member);

    /// <summary>Tells routers what has changed since they were told last, twice (robustness variable 2).</summary>
    internal void ReportChange()
    {
        if (!IsReported || !_link.IsUp)
            return;
        SourceState wanted = Wanted;
        List<GroupRecord> records = wanted.Since(_reported, _group);
        _reported = wanted;
        if (records.Count > 0)
            Tell(records);
    }

    /// <summary>Tells routers, perhaps others than before, all there is to know, twice.</summary>
    internal void ReportAnew()
    {
        if (!IsReported || !_link.IsUp)
            return;
        _reported = Wanted;
        Tell([_reported.Changed(_group)]);
    }

    /// <summary>A query asks for it: answers within the time given, or earlier if that is due already (RFC 2236 section 3).</summary>
    internal void OnQuery(int maxResponse)
    {
        if (!IsReported)
            return;
        long deadline = _link.Stack.Now + 1 + (maxResponse <= 0 ? 0 : (long)(_link.Stack.NextRandom64() % ((ulong)maxResponse * 1_000_000)));
        if (_deadline == 0 || deadline < _deadline)
            ArmAt(deadline);
    }

    /// <summary>Another host has reported it: this one need not (versions 1 and 2 of IGMP, version 1 of MLD).</summary>
    internal void OnReportHeard()
    {
        if (!_link.Groups.IsCompatible(_group.IsV4))
            return;
        _wasLastReporter = false;
        _deadline = 0;
        _reportsLeft = 0;
        if (_timer is not null)
            _link.Stack.Timers.Cancel(_timer);
    }

    /// <summary>Nothing is left to tell; the group is told anew when the interface is up again.</summary>
    internal void Stop()
    {
        _deadline = 0;
        _reportsLeft = 0;
        _reported = SourceState.Nothing;
        if (_timer is not null)
            _link.Stack.Timers.Cancel(_timer);
    }

    public void OnTimer(StackTimer timer)
    {
        _deadline = 0;
        if (!_link.IsUp)
            return;
        bool unsolicited = _reportsLeft > 0;
        _link.Groups.Report(this, [unsolicited ? _reported.Changed(_group) : _reported.Current(_group)]);
        _wasLastReporter = true;
        if (unsolicited && --_reportsLeft > 0)
            ArmAt(_link.Stack.Now + 1 + (_link.Stack.NextRandom() % Interval));
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Activation && _deadline != 0)
            ArmAt(_deadline);
    }

    private void Tell(List<GroupRecord> records)
    {
        _link.Groups.Report(this, records);
        _wasLastReporter = true;
        _reportsLeft = 1;
        ArmAt(_link.Stack.Now + 1 + (_link.Stack.NextRandom() % (_link.Groups.IsCompatible(_group.IsV4) ? IntervalV2 : Interval)));
    }

    private void ArmAt(long deadline)
    {
        _deadline = deadline;
        _link.Stack.Timers.Arm(_timer ??= new StackTimer(this), deadline);
    }
}
