using System.Globalization;
using Netstack.Stack;
using Netstack.Wire;
using Sentry.Abi;
using Sentry.Control;
using Sentry.Kernel.Sockets;

namespace Sentry.Main;

/// <summary>Gives the sandbox's network the interfaces that a start or restore names.</summary>
internal static class LinkSetup
{
    /// <param name="descriptors">One for each link.</param>
    /// <exception cref="SentryException">What is asked for can't be; one line for the user.</exception>
    public static LinkDriver[] Apply(NetworkNamespace network, EventLoop loop, NetworkLink[] links, ReadOnlySpan<int> descriptors, bool newIdentity)
    {
        using StackCall call = network.Enter();
        var drivers = new LinkDriver[links.Length];
        for (int i = 0; i < links.Length; i++)
        {
            NetworkLink link = links[i];
            NetworkInterface? found = network.Stack.FindInterface(link.Name);
            if (link.ReplacesSaved && found is null)
                throw new SentryException($"the image has no interface {link.Name}");
            if (!link.ReplacesSaved && found is not null)
                throw new SentryException($"there is an interface {link.Name} already");
            if (!MacAddress.TryParse(link.Mac, out MacAddress mac))
                throw new SentryException($"\"{link.Mac}\" is no MAC address");
            if (found is null)
            {
                found = network.Stack.AddInterface(link.Name, InterfaceKind.Ethernet, mac, link.Mtu);
                Configure(found, link);
            }
            else if (newIdentity)
            {
                found.IsUp = false;
                while (found.Addresses.Count > 0)
                    found.RemoveAddress(found.Addresses[0].Address);
                found.Mac = mac;
                found.Mtu = link.Mtu;
                Configure(found, link);
            }

            // It is another link, where others have the same addresses: who they are is asked anew, as after a loss of the carrier.
            if (link.ReplacesSaved)
                network.Stack.Ip.Neighbours.Forget(found);
            drivers[i] = new LinkDriver(descriptors[i], loop, network, found, link.Offloads);
            drivers[i].Start();
            if (link.ReplacesSaved)
                network.Stack.Announce(found);
        }

        if (newIdentity)
            network.Stack.Tcp.ResetForeign();
        else if (links.Any(l => l.ReplacesSaved))
            network.Stack.Tcp.Announce();
        return drivers;
    }

    /// <summary>Gives a restored sandbox that runs again what came for it after its state was written.</summary>
    public static void DeliverKept(LinkDriver[] drivers, IEnumerable<KeptFrame> frames)
    {
        foreach (KeptFrame kept in frames)
            Array.Find(drivers, d => d.Name == kept.Link)?.Deliver(kept.Frame);
    }

    private static void Configure(NetworkInterface to, NetworkLink link)
    {
        to.IsUp = true;
        foreach (string text in link.Addresses)
            Check(to.AddAddress(ParseAddress(text, to.Name)), $"give {to.Name} the address {text}");
        foreach (string text in link.Gateways)
        {
            if (!InetAddress.TryParse(text, out InetAddress gateway))
                throw new SentryException($"\"{text}\" is no address of a gateway");
            InetAddress any = gateway.IsV4 ? InetAddress.AnyV4 : InetAddress.AnyV6;
            var route = new RouteEntry { Destination = any, Gateway = gateway, PreferredSource = any, InterfaceIndex = to.Index, Metric = gateway.IsV4 ? 0 : RouteEntry.UserMetricV6 };
            Check(to.Stack.Routes.Add(route), $"route by {text}");
        }
    }

    private static void Check(Errno error, string action)
    {
        if (error != Errno.None)
            throw new SentryException($"cannot {action}: {error}");
    }

    private static InterfaceAddress ParseAddress(string text, string label)
    {
        string[] parts = text.Split('/');
        if (parts.Length != 2 || !InetAddress.TryParse(parts[0], out InetAddress address) || !int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int prefix) || prefix > address.Bits)
            throw new SentryException($"\"{text}\" is no address with a prefix length");

        // Whoever gives out addresses has seen to it that nobody else has them: they are used at once.
        var parsed = new InterfaceAddress { Address = address, Prefix = prefix, Flags = AddressFlags.Permanent | AddressFlags.NoDad, Scope = address.IsLinkLocal ? RouteScope.Link : RouteScope.Universe };
        if (address.IsV4)
        {
            parsed.Label = label;
            if (prefix < 31)
                parsed.Broadcast = InetAddress.FromV4(address.V4 | (uint.MaxValue >> prefix));
        }

        return parsed;
    }
}
