namespace Netstack.Stack;

/// <summary>The multicast groups of an interface, and the host's side of IGMP (RFC 2236, RFC 3376) and MLD (RFC 2710, RFC 3810).</summary>
[Savable("interface-groups")]
public sealed partial class InterfaceGroups
{
    // RFC 3376 section 8.12: older version querier present timeout, with the default robustness and query interval.
    private const long OlderQuerierTimeout = 260_000_000_000;

    private static readonly InetAddress AllHosts = InetAddress.FromV4(0xe0000001), AllRouters = InetAddress.FromV4(0xe0000002), AllIgmpV3 = InetAddress.FromV4(0xe0000016);
    private static readonly InetAddress AllNodes = new(0xff02_0000_0000_0000, 1), InterfaceNodes = new(0xff01_0000_0000_0000, 1),
        AllRoutersV6 = new(0xff02_0000_0000_0000, 2), AllMldV2 = new(0xff02_0000_0000_0000, 0x16);

    [Saved(1)] private NetworkInterface _link;
    [Saved(2)] private List<InterfaceGroup> _list = [];
    [Saved(3)] private long _igmpV1Until;
    [Saved(4)] private long _igmpV2Until;
    [Saved(5)] private long _mldV1Until;

    internal InterfaceGroups(NetworkInterface link) => _link = link;

    public IReadOnlyList<InterfaceGroup> List => _list;

    /// <summary>1 to 3: as the routers that were heard speak it.</summary>
    public int IgmpVersion => _link.Stack.Now < _igmpV1Until ? 1 : _link.Stack.Now < _igmpV2Until ? 2 : 3;

    /// <summary>1 or 2.</summary>
    public int MldVersion => _link.Stack.Now < _mldV1Until ? 1 : 2;

    public bool Contains(InetAddress group)
    {
        foreach (InterfaceGroup member in _list)
        {
            if (member.Group == group)
                return true;
        }

        return false;
    }

    /// <summary>A socket joins; a filter it has for the group is set already.</summary>
    internal void Join(InetAddress group, EndpointOptions member)
    {
        InterfaceGroup joined = Find(group) ?? Add(group);
        joined.Add(member);
        joined.ReportChange();
    }

    internal void Leave(InetAddress group, EndpointOptions member)
    {
        if (Find(group) is { } left && left.Remove(member))
            OnLeft(left);
    }

    /// <summary>A socket has changed which sources it wants.</summary>
    internal void OnFilterChanged(InetAddress group) => Find(group)?.ReportChange();

    /// <summary>The stack itself joins.</summary>
    internal void JoinOwn(InetAddress group)
    {
        InterfaceGroup joined = Find(group) ?? Add(group);
        joined.Owners++;
        joined.ReportChange();
    }

    internal void LeaveOwn(InetAddress group)
    {
        if (Find(group) is { Owners: > 0 } member)
        {
            member.Owners--;
            OnLeft(member);
        }
    }

    /// <summary>The interface is up: the groups that every host is in, and reports for the others.</summary>
    internal void OnUp()
    {
        if (!_link.IsUp)
            return;
        if (Find(AllHosts) is not { Owners: > 0 })
            JoinOwn(AllHosts);
        if (_link.HasIpv6 && Find(AllNodes) is not { Owners: > 0 })
        {
            JoinOwn(InterfaceNodes);
            JoinOwn(AllNodes);

            // They come before those of addresses, which may have been added while the interface was down.
            foreach (InetAddress first in (ReadOnlySpan<InetAddress>)[AllNodes, InterfaceNodes])
            {
                InterfaceGroup member = Find(first)!;
                _list.Remove(member);
                _list.Insert(0, member);
            }
        }

        ReportAll();
    }

    internal void OnDown()
    {
        foreach (InterfaceGroup member in _list)
            member.Stop();
        foreach (InetAddress group in (ReadOnlySpan<InetAddress>)[AllHosts, AllNodes, InterfaceNodes])
        {
            if (Find(group) is { Owners: > 0 } member)
            {
                member.Owners--;
                if (member.References == 0)
                    _list.Remove(member);
            }
        }
    }

    /// <summary>Tells the routers and switches of a link, perhaps another than before, of all memberships.</summary>
    internal void ReportAll(bool v6Only = false)
    {
        foreach (InterfaceGroup member in _list)
        {
            if (!v6Only || member.Group.IsV6)
                member.ReportAnew();
        }
    }

    /// <summary>Whether an older version is spoken, for the sake of a router.</summary>
    internal bool IsCompatible(bool isV4) => isV4 ? IgmpVersion < 3 : MldVersion < 2;

    internal void Report(InterfaceGroup member, List<GroupRecord> records)
    {
        InetAddress group = member.Group;
        if (group.IsV4)
        {
            if (IgmpVersion == 3)
                SendV3(AllIgmpV3, records);
            else
                SendIgmp(group, IgmpVersion == 1 ? IgmpType.ReportV1 : IgmpType.ReportV2, group);
        }
        else if (_link.HasIpv6)
        {
            if (MldVersion == 2)
                SendV3(AllMldV2, records);
            else
                SendMld(group, Icmpv6Type.ListenerReport, group);
        }
    }

    internal void ReceiveIgmp(ReadOnlySpan<byte> message)
    {
        if (message.Length < GroupReports.IgmpSize || InternetChecksum.Finish(InternetChecksum.Add(0, message)) != 0)
            return;
        if (GroupQuery.TryParseIgmp(message, out GroupQuery query))
        {
            if (query.Version == 1)
                _igmpV1Until = _link.Stack.Now + OlderQuerierTimeout;
            else if (query.Version == 2)
                _igmpV2Until = _link.Stack.Now + OlderQuerierTimeout;
            OnQuery(query, isV4: true);
        }
        else if (message[0] is IgmpType.ReportV1 or IgmpType.ReportV2)
        {
            Find(InetAddress.FromBytes(message.Slice(4, 4)))?.OnReportHeard();
        }
    }

    /// <param name="message">An ICMPv6 message of MLD, its checksum verified.</param>
    internal void ReceiveMld(ReadOnlySpan<byte> message)
    {
        if (GroupQuery.TryParseMld(message, out GroupQuery query))
        {
            if (query.Version == 1)
                _mldV1Until = _link.Stack.Now + OlderQuerierTimeout;
            OnQuery(query, isV4: false);
        }
        else if (message[0] == Icmpv6Type.ListenerReport && message.Length >= GroupReports.MldSize)
        {
            Find(InetAddress.FromBytes(message.Slice(8, 16)))?.OnReportHeard();
        }
    }

    private void OnQuery(GroupQuery query, bool isV4)
    {
        foreach (InterfaceGroup member in _list)
        {
            if (member.Group.IsV4 == isV4 && (query.Group.IsAny || query.Group == member.Group))
                member.OnQuery(query.MaxResponse);
        }
    }

    private InterfaceGroup? Find(InetAddress group) => _list.Find(m => m.Group == group);

    private InterfaceGroup Add(InetAddress group)
    {
        var member = new InterfaceGroup(_link, group);
        _list.Add(member);
        return member;
    }

    private void OnLeft(InterfaceGroup member)
    {
        if (member.References > 0)
        {
            member.ReportChange();
            return;
        }

        SourceState reported = member.Reported;
        member.Stop();
        _list.Remove(member);
        if (!member.IsReported || !_link.IsUp)
            return;
        InetAddress group = member.Group;
        if (!IsCompatible(group.IsV4))
        {
            if (SourceState.Nothing.Since(reported, group) is { Count: > 0 } records)
                SendV3(group.IsV4 ? AllIgmpV3 : AllMldV2, records);
        }
        else if (group.IsV4 && IgmpVersion == 2 && member.WasLastReporter)
        {
            SendIgmp(AllRouters, IgmpType.Leave, group);
        }
        else if (group.IsV6 && member.WasLastReporter)
        {
            SendMld(AllRoutersV6, Icmpv6Type.ListenerDone, group);
        }
    }

    private void SendV3(InetAddress to, List<GroupRecord> records)
    {
        int size = GroupReports.SizeOf(records);
        Packet packet = Packet.Create(size);
        GroupReports.Write(packet.Append(size), records);
        _link.Stack.Ip.SendGroupMessage(_link, packet, to);
    }

    private void SendIgmp(InetAddress to, byte type, InetAddress group)
    {
        Packet packet = Packet.Create(GroupReports.IgmpSize);
        GroupReports.WriteIgmp(packet.Append(GroupReports.IgmpSize), type, group);
        _link.Stack.Ip.SendGroupMessage(_link, packet, to);
    }

    private void SendMld(InetAddress to, byte type, InetAddress group)
    {
        Packet packet = Packet.Create(GroupReports.MldSize);
        GroupReports.WriteMld(packet.Append(GroupReports.MldSize), type, group);
        _link.Stack.Ip.SendGroupMessage(_link, packet, to);
    }
}
