using System.Buffers.Binary;
using System.Text;
using Netstack.Links;
using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>How a device on the host is made.</summary>
/// <param name="Name">Of the host's side, at most 15 characters.</param>
/// <param name="Mac">Of the sandbox's side.</param>
/// <param name="Addresses">Of the host's side, the sandbox's gateways.</param>
/// <param name="Bridge">An interface to plug the host's side into; null for none.</param>
public sealed record HostDeviceOptions(string Name, MacAddress Mac, InterfaceCidr[] Addresses, string? Bridge, int Mtu);

/// <summary>A device whose one side is an interface of the host and whose other is a descriptor with frames behind virtio headers: a TAP device, or a
/// packet socket on the end of a veth pair. It is gone with the last copy of the descriptor.</summary>
public sealed class HostDevice : IDisposable
{
    private const int ReadWrite = 2;
    private const uint SetInterface = 0x400454ca, SetOffload = 0x400454d0, SetHeaderSize = 0x400454d8; // TUNSET*, the kernel's tuntap.rst
    private const short Tap = 0x2, NoPacketInformation = 0x1000, VirtioHeader = 0x4000;
    private const int OffloadChecksum = 1, OffloadTcpV4 = 2, OffloadTcpV6 = 4, OffloadEcn = 8;
    private const int PacketLevel = 263, PacketVirtioHeader = 15, PacketQdiscBypass = 20, PacketIgnoreOutgoing = 23; // packet(7)
    private const int PacketBuffer = 16 << 20;

    private int _descriptor;

    private HostDevice(string name, int descriptor) => (Name, _descriptor) = (name, descriptor);

    /// <summary>The interface of the host.</summary>
    public string Name { get; }

    /// <summary>Owned by this object.</summary>
    public int Descriptor => _descriptor;

    /// <summary>A name that a sandbox's device has on the host.</summary>
    public static string NameFor(string sandboxId, int link) => $"sn{sandboxId[..10]}-{link}";

    public static HostDevice CreateTap(NetworkNamespace place, HostDeviceOptions options)
    {
        int descriptor = place.Run(() => OpenTap(options.Name));
        try
        {
            using RouteNetlink netlink = new(place);
            Configure(netlink, options);
            return new HostDevice(options.Name, descriptor);
        }
        catch
        {
            HostFile.Close(descriptor);
            throw;
        }
    }

    public static HostDevice CreateVeth(NetworkNamespace place, HostDeviceOptions options)
    {
        const string SandboxSide = "link";
        using NetworkNamespace hidden = NetworkNamespace.CreateHidden();
        using RouteNetlink inside = new(hidden), outside = new(place);
        inside.CreateVeth(SandboxSide, options.Mac, options.Name, place);
        int index = inside.Find(SandboxSide) ?? throw AgentException.Failed("the veth pair has gone");
        inside.SetMtu(index, options.Mtu);

        // Up before the socket is bound: one bound to a device that is down begins with the error ENETDOWN.
        inside.SetUp(index);
        int descriptor = hidden.Run(() => OpenPacketSocket(index));
        try
        {
            Configure(outside, options);
            return new HostDevice(options.Name, descriptor);
        }
        catch
        {
            HostFile.Close(descriptor);
            throw;
        }
    }

    /// <summary>Gives the descriptor away.</summary>
    public int Detach() => Interlocked.Exchange(ref _descriptor, -1);

    public void Dispose()
    {
        int descriptor = Detach();
        if (descriptor >= 0)
            HostFile.Close(descriptor);
    }

    private static void Configure(RouteNetlink netlink, HostDeviceOptions options)
    {
        int index = netlink.Find(options.Name) ?? throw AgentException.Failed($"the interface {options.Name} has gone");
        netlink.SetMtu(index, options.Mtu);
        if (options.Bridge is { } bridge)
            netlink.SetMaster(index, netlink.Find(bridge) ?? throw AgentException.Invalid($"there is no bridge {bridge} in the network namespace"));
        foreach (InterfaceCidr address in options.Addresses)
            netlink.AddAddress(index, address);
        netlink.SetUp(index);
    }

    private static int OpenTap(string name)
    {
        Result<int> opened = HostFile.Open("/dev/net/tun", ReadWrite | HostFile.OCloexec);
        if (opened.IsError)
            throw opened.Error == Errno.ENOENT ? AgentException.Failed("this host has no /dev/net/tun; modprobe tun, or give --link veth") : NetworkNamespace.Refused(opened.Error, "open /dev/net/tun");
        Span<byte> request = stackalloc byte[40], headerSize = stackalloc byte[4];
        Encoding.Latin1.GetBytes(name, request);
        BinaryPrimitives.WriteInt16LittleEndian(request[16..], Tap | NoPacketInformation | VirtioHeader);
        BinaryPrimitives.WriteInt32LittleEndian(headerSize, VirtioNetHeader.Size);
        Errno error = HostFile.Ioctl(opened.Value, SetInterface, request).Error;
        if (error == Errno.None)
            error = HostFile.Ioctl(opened.Value, SetHeaderSize, headerSize).Error;
        if (error == Errno.None)
            error = HostFile.Ioctl(opened.Value, SetOffload, OffloadChecksum | OffloadTcpV4 | OffloadTcpV6 | OffloadEcn).Error;
        if (error == Errno.None)
            return opened.Value;
        HostFile.Close(opened.Value);
        throw NetworkNamespace.Refused(error, $"make the TAP device {name}");
    }

    private static int OpenPacketSocket(int index)
    {
        Result<int> made = HostSockets.Create(HostSockets.Packet, HostSockets.Raw);
        if (made.IsError)
            throw NetworkNamespace.Refused(made.Error, "make a packet socket");
        int socket = made.Value;
        Errno error = HostSockets.SetOption(socket, PacketLevel, PacketVirtioHeader, 1);
        if (error == Errno.None)
            error = HostSockets.SetOption(socket, PacketLevel, PacketQdiscBypass, 1);
        if (error == Errno.None)
            error = HostSockets.SetOption(socket, PacketLevel, PacketIgnoreOutgoing, 1);
        if (error == Errno.None)
            error = HostSockets.SetOption(socket, HostSockets.SocketLevel, HostSockets.ReceiveBufferForce, PacketBuffer);
        if (error == Errno.None)
            error = HostSockets.SetOption(socket, HostSockets.SocketLevel, HostSockets.SendBufferForce, PacketBuffer);
        if (error == Errno.None)
            error = PacketSockets.Bind(socket, index);
        if (error == Errno.None)
            return socket;
        HostFile.Close(socket);
        throw NetworkNamespace.Refused(error, "prepare a packet socket");
    }
}
