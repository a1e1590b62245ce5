using System.Globalization;

namespace Netstack.Links;

/// <summary>An address with the length of its network's prefix, as people write it: 10.1.2.3/24.</summary>
/// <param name="Address">An address of a host.</param>
/// <param name="Prefix">0 to 32, or 0 to 128.</param>
public readonly record struct InterfaceCidr(InetAddress Address, int Prefix)
{
    /// <summary>Reads ADDRESS/PREFIX; false when it is none or names no host.</summary>
    public static bool TryParse(string text, out InterfaceCidr cidr)
    {
        cidr = default;
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        if (slash < 0 || !InetAddress.TryParse(text[..slash], out InetAddress address)
            || !int.TryParse(text[(slash + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int prefix) || prefix > address.Bits)
        {
            return false;
        }

        cidr = new InterfaceCidr(address, prefix);
        return !address.IsAny && !address.IsLoopback && !address.IsMulticast && !address.IsBroadcast
            && (prefix >= address.Bits - 1 || (address != address.Network(prefix) && (address.IsV6 || address != new Subnet(address, prefix).Last)));
    }

    public Subnet Subnet => new(Address.Network(Prefix), Prefix);

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Address}/{Prefix}");
}

/// <summary>A network: addresses that share a prefix.</summary>
public readonly record struct Subnet
{
    private const ulong FirstPrivate = 0x0a40_0000; // 10.64.0.0, of which 10.64.0.0/10 is dealt out in /24s

    public Subnet(InetAddress address, int prefix) => (Network, Prefix) = (address.Network(prefix), prefix);

    public InetAddress Network { get; }

    public int Prefix { get; }

    /// <summary>The last address; in IPv4 the broadcast address.</summary>
    public InetAddress Last
    {
        get
        {
            int host = Network.Bits - Prefix;
            ulong low = host >= 64 ? ulong.MaxValue : (1UL << host) - 1;
            ulong high = host <= 64 ? 0 : host == 128 ? ulong.MaxValue : (1UL << (host - 64)) - 1;
            return new InetAddress(Network.High | high, Network.Low | low);
        }
    }

    /// <summary>How many addresses hosts can have, at most 2^31.</summary>
    public int Hosts => Network.Bits - Prefix >= 31 ? int.MaxValue : Math.Max(1, (1 << (Network.Bits - Prefix)) - 2);

    /// <summary>The n-th host: 1 is the first.</summary>
    public InetAddress Host(int number) => new(Network.High, Network.Low + (ulong)number);

    public bool Contains(InetAddress address) => address.IsWithin(Network, Prefix);

    /// <summary>The IPv4 network of a switch by its name, the same on every host; another one with <paramref name="attempt"/> above 0.</summary>
    public static Subnet OfName(string name, int attempt)
    {
        uint number = (uint)((Hash(name) + (ulong)attempt) % (1 << 14));
        return new Subnet(InetAddress.FromV4((uint)FirstPrivate + (number << 8)), 24);
    }

    /// <summary>The unique local IPv6 network (RFC 4193) of a switch by its name.</summary>
    public static Subnet OfNameV6(string name, int attempt)
    {
        ulong global = (Hash(name) + (ulong)attempt) & 0xff_ffff_ffff;
        return new Subnet(new InetAddress(0xfd00_0000_0000_0000 | global << 16, 0), 64);
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Network}/{Prefix}");

    // FNV-1a: it must be the same in every build and on every host.
    private static ulong Hash(string text)
    {
        ulong hash = 14695981039346656037;
        foreach (char c in text)
            hash = (hash ^ c) * 1099511628211;
        return hash ^ hash >> 29;
    }
}
