namespace Netstack.Wire;

/// <summary>Comparison of TCP sequence numbers, which wrap (RFC 9293 section 3.4).</summary>
public static class TcpSequence
{
    public static bool Before(uint a, uint b) => (int)(a - b) < 0;

    public static bool After(uint a, uint b) => (int)(b - a) < 0;

    /// <summary>Whether <paramref name="value"/> lies from <paramref name="first"/> to <paramref name="last"/>, both included.</summary>
    public static bool Between(uint value, uint first, uint last) => last - first >= value - first;

    public static uint Max(uint a, uint b) => After(a, b) ? a : b;

    public static uint Min(uint a, uint b) => Before(a, b) ? a : b;
}
