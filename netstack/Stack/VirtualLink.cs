namespace Netstack.Stack;

/// <summary>A way out of an interface that leads nowhere outside, and so is saved with it.</summary>
[Savable("virtual-link")]
public abstract partial class VirtualLink : ILinkDriver
{
    /// <summary>Whether there is something at the other end (IFF_LOWER_UP).</summary>
    public virtual bool HasCarrier => true;

    /// <summary>The interface at the other end; null for none.</summary>
    public virtual NetworkInterface? Peer => null;

    public abstract bool Transmit(Packet frame);
}

/// <summary>dummy: takes everything and forgets it.</summary>
[Savable("dummy-link")]
public sealed partial class DummyLink : VirtualLink
{
    public DummyLink()
    {
    }

    /// <summary>Makes an interface one.</summary>
    public static void Attach(NetworkInterface link) => link.Attach(new DummyLink());

    public override bool Transmit(Packet frame) => true;
}

/// <summary>One end of a veth(4) pair: what goes out here comes in at the other interface, when the call in hand is over.</summary>
[Savable("veth-link")]
public sealed partial class VethLink : VirtualLink
{
    [Saved(1)] private NetworkInterface _peer;

    private VethLink(NetworkInterface peer) => _peer = peer;

    public override NetworkInterface Peer => _peer;

    public override bool HasCarrier => _peer.IsUp;

    public override bool Transmit(Packet frame)
    {
        if (!_peer.IsUp)
            return false;
        _peer.Stack.Cross(_peer, frame.Clone());
        return true;
    }

    /// <summary>Connects two interfaces.</summary>
    public static void Join(NetworkInterface one, NetworkInterface other)
    {
        one.Attach(new VethLink(other));
        other.Attach(new VethLink(one));
    }
}
