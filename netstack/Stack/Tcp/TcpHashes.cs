namespace Netstack.Stack;

/// <summary>What must not be guessed by others, each a keyed hash of its own: sequence numbers, timestamps, ports, cookies, places in tables.</summary>
internal static class TcpHashes
{
    private const ulong SequencePurpose = 1, TimestampPurpose = 2, PortPurpose = 3, CookiePurpose = 4, TablePurpose = 6;

    /// <summary>Initial sequence number (RFC 6528): a hash of the connection and a clock of 64 ns.</summary>
    public static uint InitialSequence(NetworkStack stack, InetAddress local, ushort localPort, InetAddress remote, ushort remotePort)
    {
        ulong hash = SipHash.Hash(stack.Secret, local, remote, Ports(localPort, remotePort, SequencePurpose));
        return (uint)hash + (uint)(stack.Now >> 6);
    }

    /// <summary>Added to the clock for timestamps. Of the addresses alone, so that values grow from one connection of two hosts to the next, as
    /// TIME-WAIT reuse wants it (RFC 6191).</summary>
    public static uint TimestampOffset(NetworkStack stack, InetAddress local, InetAddress remote) =>
        (uint)SipHash.Hash(stack.Secret, local, remote, TimestampPurpose);

    /// <summary>Where the search for a local port begins (RFC 6056, algorithm 4).</summary>
    public static ulong PortOffset(NetworkStack stack, InetAddress local, InetAddress remote, ushort remotePort) =>
        SipHash.Hash(stack.Secret[16..], local, remote, Ports(0, remotePort, PortPurpose));

    /// <summary>Part of a SYN cookie: a hash of the connection and a count of minutes.</summary>
    public static uint Cookie(NetworkStack stack, InetAddress local, ushort localPort, InetAddress remote, ushort remotePort, uint count, bool second)
    {
        ulong ports = (ulong)localPort << 16 | remotePort;
        return (uint)SipHash.Hash(stack.Secret[16..], local, remote, ports << 32 | ((ulong)count << 4 & 0xfffffff0) | (second ? CookiePurpose + 1 : CookiePurpose));
    }

    /// <summary>Place of a connection in the table: keyed, so that nobody can make all connections fall into one chain.</summary>
    public static uint Table(NetworkStack stack, InetAddress local, ushort localPort, InetAddress remote, ushort remotePort) =>
        (uint)SipHash.Hash(stack.Secret[8..], local, remote, Ports(localPort, remotePort, TablePurpose));

    private static ulong Ports(ushort local, ushort remote, ulong purpose) => (ulong)local << 48 | (ulong)remote << 32 | purpose;
}
