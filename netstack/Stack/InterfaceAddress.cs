namespace Netstack.Stack;

/// <summary>IFA_F_* of rtnetlink(7).</summary>
public static class AddressFlags
{
    public const uint Secondary = 1, NoDad = 2, Optimistic = 4, DadFailed = 8, HomeAddress = 0x10, Deprecated = 0x20, Tentative = 0x40, Permanent = 0x80,
        ManageTemporary = 0x100, NoPrefixRoute = 0x200;
}

/// <summary>An address of an interface (struct ifaddrmsg, rtnetlink(7)). Once it is one of an interface, its fields are changed by the stack alone.</summary>
[Savable("interface-address")]
public sealed partial class InterfaceAddress : IStackTimerTarget, IAfterLoad
{
    [Saved(1)] public InetAddress Address;

    /// <summary>0 to 32 or 128.</summary>
    [Saved(2)] public int Prefix;

    /// <summary>IPv4 only; 0.0.0.0 for none.</summary>
    [Saved(3)] public InetAddress Broadcast = InetAddress.AnyV4;

    /// <summary>RT_SCOPE_*: universe 0, link 253, host 254.</summary>
    [Saved(4)] public byte Scope;

    /// <summary>IFA_F_*: PERMANENT 0x80, TENTATIVE 0x40, NODAD 2, DEPRECATED 0x20.</summary>
    [Saved(5)] public uint Flags = AddressFlags.Permanent;

    [Saved(6)] public string Label = "";

    /// <summary>Stack time at which it was added, and last changed (ifa_cacheinfo).</summary>
    [Saved(7)] public long Created;

    [Saved(8)] public long Updated;

    /// <summary>Stack time at which it is deprecated or goes (RFC 4862 section 5.5.4); 0 for never.</summary>
    [Saved(9)] public long PreferredUntil;

    [Saved(10)] public long ValidUntil;
    [Saved(11)] private NetworkInterface? _link;
    [Saved(12)] private long _deadline;
    [Saved(13)] private int _probesLeft;

    /// <summary>IFA_ADDRESS of a point-to-point link, whose network is the connected one; default for none.</summary>
    [Saved(20)] public InetAddress Peer;

    /// <summary>IFA_PROTO: 1 the kernel's of loopback, 2 of router advertisements, 3 link-local; 0 not told.</summary>
    [Saved(21)] public byte Protocol;

    /// <summary>IFA_RT_PRIORITY: metric of the connected route; 0 for the usual.</summary>
    [Saved(22)] public uint RoutePriority;

    [NotSaved("armed again from the deadline")] private StackTimer? _timer;
    [NotSaved("random, of the last probe in flight")] private ulong _nonce;

    public InterfaceAddress()
    {
    }

    public bool HasPeer => Peer != default;

    public bool IsTentative => (Flags & AddressFlags.Tentative) != 0;

    /// <summary>Whether it may be used: not tentative (RFC 4862 section 5.4).</summary>
    public bool IsUsable => !IsTentative;

    public bool IsSecondary => (Flags & AddressFlags.Secondary) != 0;

    public bool IsDeprecated => (Flags & AddressFlags.Deprecated) != 0;

    /// <summary>Whether an address is in the subnet of this one.</summary>
    internal bool Covers(InetAddress address) => address.IsWithin(Address, Prefix);

    internal void BelongTo(NetworkInterface link) => _link = link;

    /// <summary>Whether a solicitation of duplicate address detection is one of this interface's own that came back.</summary>
    internal bool IsOwnProbe(ulong nonce) => nonce != 0 && nonce == _nonce;

    /// <summary>Begins duplicate address detection (RFC 4862 section 5.4).</summary>
    internal void StartDetection(NetworkInterface link)
    {
        const long maxDelay = 1_000_000_000;
        _link = link;
        Flags = (Flags | AddressFlags.Tentative) & ~AddressFlags.DadFailed;
        _probesLeft = 1;
        ArmAt(link.Stack.Now + (link.Stack.NextRandom() % maxDelay));
    }

    /// <summary>Another station has the address (RFC 4862 section 5.4.5).</summary>
    internal void FailDetection()
    {
        Stop();
        Flags |= AddressFlags.DadFailed;
    }

    /// <summary>Arms the timer for the lifetimes.</summary>
    internal void ArmLifetime()
    {
        if (IsTentative && _deadline != 0)
            return;
        long next = PreferredUntil != 0 && !IsDeprecated ? PreferredUntil : ValidUntil;
        if (next != 0)
            ArmAt(next);
        else
            Stop();
    }

    internal void Stop()
    {
        _deadline = 0;
        if (_timer is not null)
            _link!.Stack.Timers.Cancel(_timer);
    }

    public void OnTimer(StackTimer timer)
    {
        NetworkInterface link = _link!;
        _deadline = 0;
        if (IsTentative && (Flags & AddressFlags.DadFailed) == 0)
        {
            if (_probesLeft > 0)
            {
                _probesLeft--;
                _nonce = link.Stack.NextRandom64() & 0xffff_ffff_ffff | 1;
                link.Stack.Ip.Ndp.SendDetectionProbe(link, Address, _nonce);
                ArmAt(link.Stack.Now + NeighbourTable.RetransmitTime);
                return;
            }

            link.OnDetectionDone(this);
            ArmLifetime();
            return;
        }

        long now = link.Stack.Now;
        if (ValidUntil != 0 && now >= ValidUntil)
        {
            link.RemoveAddress(Address, Prefix);
            return;
        }

        if (PreferredUntil != 0 && now >= PreferredUntil && !IsDeprecated)
        {
            Flags |= AddressFlags.Deprecated;
            link.Stack.Routes.Touch();
            link.Stack.TellAddress(link, this, StackChange.Changed);
        }

        ArmLifetime();
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Activation && _deadline != 0 && _link is not null)
            ArmAt(_deadline);
    }

    private void ArmAt(long deadline)
    {
        _deadline = deadline;
        _link!.Stack.Timers.Arm(_timer ??= new StackTimer(this), deadline);
    }
}
