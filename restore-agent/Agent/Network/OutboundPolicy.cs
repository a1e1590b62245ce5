using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>What a sandbox may reach beyond its network.</summary>
/// <param name="Outside">Other hosts.</param>
/// <param name="HostLoopback">This host: as the gateway's address.</param>
public readonly record struct OutboundRights(bool Outside, bool HostLoopback);

/// <summary>Decides where a flow that leaves a sandbox goes on this host.</summary>
public sealed class OutboundPolicy(GatewayAddresses gateway, Func<InetAddress, OutboundRights> rightsOf)
{
    private const int AnyPort = 9;

    /// <summary>Whether a packet's destination is beyond the network, so that it is not for the gateway's own stack.</summary>
    public bool IsBeyond(InetAddress source, InetAddress destination) =>
        IsGateway(destination) ? rightsOf(source).HostLoopback : !gateway.Subnet.Contains(destination) && !gateway.SubnetV6.Contains(destination)
            && !(destination.IsV6 && destination.IsLinkLocal) && !destination.IsMulticast && !destination.IsBroadcast;

    /// <summary>The address of the host's sockets for a flow; null when it may not be.</summary>
    public InetAddress? Translate(InetAddress source, InetAddress destination)
    {
        OutboundRights rights = rightsOf(source);
        if (IsGateway(destination))
            return !rights.HostLoopback ? null : destination.IsV4 ? InetAddress.LoopbackV4 : InetAddress.LoopbackV6;

        // 0.0.0.0/8 and :: are other names for this host (RFC 1122 section 3.2.1.3).
        if (!rights.Outside || destination.IsLoopback || destination.IsAny || destination.IsLinkLocal || (destination.IsV4 && destination.V4 >> 24 == 0))
            return null;
        return rights.HostLoopback || !IsThisHost(destination) ? destination : null;
    }

    /// <summary>Whether an address is one of this host: a socket connected to it gets the same address itself.</summary>
    private static bool IsThisHost(InetAddress address)
    {
        Result<int> made = HostSockets.Create(address.IsV4 ? HostSockets.Inet : HostSockets.Inet6, HostSockets.Datagram);
        if (made.IsError)
            return true;
        Span<byte> name = stackalloc byte[HostSockets.MaxAddress];
        bool own = false;
        if (HostSockets.Connect(made.Value, new InetSocketAddress(address.ToBytes(), AnyPort).Bytes) == Errno.None)
        {
            Result<int> length = HostSockets.GetName(made.Value, name);
            own = length.IsError || !InetSocketAddress.TryRead(name[..length.Value], out InetSocketAddress local) || InetAddress.FromBytes(local.Address) == address;
        }

        HostFile.Close(made.Value);
        return own;
    }

    private bool IsGateway(InetAddress address) => address == gateway.Gateway || address == gateway.GatewayV6;
}
