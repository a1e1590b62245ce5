namespace Netstack.Stack;

/// <summary>Identification values of IP: a counter per bucket of destinations, begun at random, and a keyed offset per destination, so that they repeat late and
/// cannot be guessed (RFC 7739 section 5.3).</summary>
[Savable("ip-identifications")]
public sealed partial class IpIdentifications
{
    private const int Buckets = 256;

    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private uint[] _counters = [];

    internal IpIdentifications(NetworkStack stack) => _stack = stack;

    internal uint Next(InetAddress source, InetAddress destination, byte protocol)
    {
        if (_counters.Length != Buckets)
        {
            _counters = new uint[Buckets];
            for (int i = 0; i < Buckets; i++)
                _counters[i] = _stack.NextRandom();
        }

        ulong hash = SipHash.Hash(_stack.Secret[..16], source, destination, protocol);
        return _counters[hash % Buckets]++ + (uint)(hash >> 32);
    }
}
