namespace Netstack.Stack;

/// <summary>How many ICMP messages may be sent (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4(f)): token buckets for each destination and for all, as Linux has them.</summary>
[Savable("icmp-limiter")]
public sealed partial class IcmpLimiter
{
    private const int MaxDestinations = 1024, Burst = 6;
    private const long Second = 1_000_000_000, Millisecond = 1_000_000;

    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private Dictionary<InetAddress, (long Last, long Tokens)> _destinations = [];
    [Saved(3)] private long _globalLast;
    [Saved(4)] private long _globalTokens;
    [Saved(5)] private bool _globalStarted;

    internal IcmpLimiter(NetworkStack stack) => _stack = stack;

    /// <summary>Whether an error may be sent to a destination now.</summary>
    internal bool Allow(InetAddress destination)
    {
        if (destination.IsLoopback || _stack.Ip.IsLocal(destination))
            return true;
        if (AllowGlobal() && AllowDestination(destination))
            return true;
        _stack.Counters.IcmpRateLimited++;
        return false;
    }

    private bool AllowGlobal()
    {
        StackSettings settings = _stack.Settings;
        long now = _stack.Now;
        if (!_globalStarted)
        {
            _globalStarted = true;
            _globalTokens = settings.IcmpMessageBurst;
            _globalLast = now;
        }

        long earned = (now - _globalLast) / Millisecond * settings.IcmpMessagesPerSecond / 1000;
        if (earned > 0)
        {
            _globalTokens = Math.Min(settings.IcmpMessageBurst, _globalTokens + earned);
            _globalLast = now;
        }

        if (_globalTokens <= 0)
            return false;

        // A little at random, so that nobody counts the tokens from outside (CVE-2020-25705).
        _globalTokens = Math.Max(0, _globalTokens - 1 - (_stack.NextRandom() % 3));
        return true;
    }

    private bool AllowDestination(InetAddress destination)
    {
        long cost = _stack.Settings.IcmpRateLimit * Millisecond;
        if (cost <= 0)
            return true;
        long now = _stack.Now;
        if (!_destinations.TryGetValue(destination, out (long Last, long Tokens) bucket))
        {
            if (_destinations.Count >= MaxDestinations && !DropFull(now, cost))
                return false;
            bucket = (now, Burst * cost);
        }

        long tokens = Math.Min(Burst * cost, bucket.Tokens + (now - bucket.Last));
        bool allowed = tokens >= cost;
        _destinations[destination] = (now, allowed ? tokens - cost : tokens);
        return allowed;
    }

    /// <summary>Forgets destinations whose buckets are full again.</summary>
    private bool DropFull(long now, long cost)
    {
        long age = Math.Max(Burst * cost, Second);
        foreach (InetAddress destination in _destinations.Where(d => now - d.Value.Last >= age).Select(d => d.Key).ToList())
            _destinations.Remove(destination);
        return _destinations.Count < MaxDestinations;
    }
}
