using System.Buffers.Binary;
using Netstack.Links;
using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>Finds out whether somebody on a link in a namespace has an address already, before a restored sandbox takes it.</summary>
internal static class LinkProbe
{
    private const int WaitMilliseconds = 40, AskAgainAfter = 15;

    /// <summary>Ends when no answer has come; fails when one has.</summary>
    /// <param name="bridge">Where others can be; null when there is nobody but the namespace itself.</param>
    public static Task StartAsync(NetworkNamespace place, string? bridge, IReadOnlyList<InterfaceCidr> addresses)
    {
        foreach (InterfaceCidr address in addresses)
        {
            if (IsLocal(place, address.Address))
                throw Conflict(address.Address, $"the namespace {place.Name} itself");
        }

        return bridge is null ? Task.CompletedTask : Task.Factory.StartNew(() => Ask(place, bridge, addresses), TaskCreationOptions.LongRunning);
    }

    // Binding to an address works only where it is one of the namespace's own: but everywhere while no interface of the namespace has ever been up, or
    // when its ip_nonlocal_bind is set. Then an address that nobody has can be bound to as well (RFC 1112 section 4, RFC 6666).
    private static bool IsLocal(NetworkNamespace place, InetAddress address) =>
        CanBind(place, address) && !CanBind(place, InetAddress.Parse(address.IsV4 ? "240.0.0.1" : "100::1"));

    private static bool CanBind(NetworkNamespace place, InetAddress address)
    {
        Result<int> made = place.Run(() => HostSockets.Create(address.IsV4 ? HostSockets.Inet : HostSockets.Inet6, HostSockets.Datagram));
        if (made.IsError)
            return false;
        bool bound = HostSockets.Bind(made.Value, new InetSocketAddress(address.ToBytes(), 0).Bytes) == Errno.None;
        HostFile.Close(made.Value);
        return bound;
    }

    /// <summary>Asks from the bridge's own address: the bridge must not learn the sandbox's here while another still uses it.</summary>
    private static void Ask(NetworkNamespace place, string bridge, IReadOnlyList<InterfaceCidr> addresses)
    {
        using RouteNetlink netlink = new(place);
        int index = netlink.Find(bridge) ?? throw AgentException.Invalid($"there is no bridge {bridge} in the network namespace");
        Result<int> made = place.Run(() => HostSockets.Create(HostSockets.Packet, HostSockets.Raw | HostSockets.NonBlocking));
        if (made.IsError)
            throw NetworkNamespace.Refused(made.Error, "probe the link");
        int socket = made.Value;
        try
        {
            Span<byte> name = stackalloc byte[HostSockets.MaxAddress];
            PacketSockets.Bind(socket, index);
            if (HostSockets.GetName(socket, name).IsError)
                throw AgentException.Failed($"cannot probe the link at {bridge}");
            MacAddress own = PacketSockets.MacOf(name);
            ConflictProbe[] probes = [.. addresses.Select(a => new ConflictProbe(own, a.Address))];
            long begin = Environment.TickCount64, asked = 0;
            byte[] frame = new byte[VirtioNetHeader.Size + 2048];
            while (Environment.TickCount64 - begin is var now && now < WaitMilliseconds)
            {
                if (asked == 0 || (asked == 1 && now >= AskAgainAfter))
                {
                    asked++;
                    foreach (ConflictProbe probe in probes)
                        HostSockets.Send(socket, probe.Build().AsSpan(VirtioNetHeader.Size), HostSockets.DontWait);
                }

                PollDescriptor[] poll = [new PollDescriptor { Descriptor = socket, Events = PollDescriptor.In }];
                HostEvents.Poll(poll, (int)((asked == 1 ? AskAgainAfter : WaitMilliseconds) - now) is > 0 and int left ? left : 0);
                while (HostSockets.Receive(socket, frame.AsSpan(VirtioNetHeader.Size), HostSockets.DontWait, default, out _) is { IsOk: true } got)
                {
                    for (int i = 0; i < probes.Length; i++)
                    {
                        if (probes[i].IsAnswer(frame.AsSpan(0, VirtioNetHeader.Size + got.Value), out MacAddress holder))
                            throw Conflict(addresses[i].Address, holder.ToString());
                    }
                }
            }
        }
        finally
        {
            HostFile.Close(socket);
        }
    }

    private static AgentException Conflict(InetAddress address, string holder) =>
        AgentException.Conflict($"{address} is in use on the link, by {holder}: end that copy of the sandbox first, or give --new-identity with another --ip");
}

/// <summary>struct sockaddr_ll of packet(7).</summary>
internal static class PacketSockets
{
    private const ushort AllProtocols = 3;
    private const int AddressSize = 20;

    /// <summary>Binds a packet socket to an interface, for all protocols.</summary>
    public static Errno Bind(int socket, int index)
    {
        Span<byte> address = stackalloc byte[AddressSize];
        BinaryPrimitives.WriteUInt16LittleEndian(address, HostSockets.Packet);
        BinaryPrimitives.WriteUInt16BigEndian(address[2..], AllProtocols);
        BinaryPrimitives.WriteInt32LittleEndian(address[4..], index);
        return HostSockets.Bind(socket, address);
    }

    /// <summary>The link address in a name.</summary>
    public static MacAddress MacOf(ReadOnlySpan<byte> name) => MacAddress.FromBytes(name[12..]);

    /// <summary>sll_pkttype in a name: whether the host sent the frame itself.</summary>
    public static bool IsOutgoing(ReadOnlySpan<byte> name)
    {
        const byte outgoing = 4;
        return name[10] == outgoing;
    }
}
