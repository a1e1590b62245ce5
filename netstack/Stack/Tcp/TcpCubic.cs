namespace Netstack.Stack;

/// <summary>CUBIC (RFC 9438) with HyStart (Ha, Rhee 2011), in the integer arithmetic of Linux so that windows grow alike. Made when a connection
/// first leaves the small windows of slow start.</summary>
[Savable("tcp-cubic")]
internal sealed partial class TcpCubic
{
    private const uint BetaScale = 1024, Beta = 717, Scale = 41;

    // C over a round trip, in units of 2^-10 s; and its inverse.
    private const ulong CubeRttScale = Scale * 10;
    private const int CubeShift = 10 + (3 * 10);
    private const ulong CubeFactor = (1UL << CubeShift) / CubeRttScale;
    private const uint FriendlyScale = 8 * (BetaScale + Beta) / 3 / (BetaScale - Beta);

    private const uint HystartWindow = 16;
    private const int HystartSamples = 8;
    private const long HystartGap = 2 * TcpConstants.Millisecond;

    [Saved(1)] private uint _divisor;
    [Saved(2)] private uint _lastMaxWindow;
    [Saved(3)] private uint _lastWindow;
    [Saved(4)] private long _lastTime;
    [Saved(5)] private uint _origin;
    [Saved(6)] private uint _k;
    [Saved(7)] private long _epochStart;
    [Saved(8)] private uint _acked;
    [Saved(9)] private uint _renoWindow;

    /// <summary>The shortest round trip seen, µs; 0 for none.</summary>
    [Saved(10)] private uint _delayMin;

    [Saved(11)] private long _roundStart;
    [Saved(12)] private long _lastAck;
    [Saved(13)] private uint _roundEnd;
    [Saved(14)] private uint _roundDelay;
    [Saved(15)] private int _samples;
    [Saved(16)] private bool _found;

    public TcpCubic()
    {
    }

    public static uint ReducedThreshold(TcpEndpoint e)
    {
        TcpCubic cubic = Of(e);
        uint window = e.Cong.Window;
        cubic._epochStart = 0;

        // Fast convergence: a connection whose maximum shrinks makes room for new ones (RFC 9438 section 4.7).
        cubic._lastMaxWindow = window < cubic._lastMaxWindow ? window * (BetaScale + Beta) / (2 * BetaScale) : window;
        return Math.Max(window * Beta / BetaScale, 2);
    }

    public static void Avoid(TcpEndpoint e, uint acked)
    {
        TcpCubic cubic = Of(e);
        cubic.Update(e, acked);
        TcpCongestionControl.Increase(e, cubic._divisor, acked);
    }

    public static void OnAcked(TcpEndpoint e, long rttUs)
    {
        if (rttUs < 0)
            return;
        TcpCubic? cubic = e.Cubic;
        if (cubic is null)
        {
            // Below the window where HyStart begins only the shortest round trip matters, which the estimator keeps too.
            if (e.Cong.Window < HystartWindow || !e.Cong.InSlowStart)
                return;
            cubic = Of(e);
        }

        if (cubic._epochStart != 0 && e.Now - cubic._epochStart < TcpConstants.Second)
            return;
        uint delay = (uint)Math.Max(1, rttUs);
        if (cubic._delayMin == 0 || cubic._delayMin > delay)
            cubic._delayMin = delay;
        if (!cubic._found && e.Cong.InSlowStart)
            cubic.LookForExit(e, delay);
    }

    /// <summary>A timeout: all that was learned is forgotten.</summary>
    public void Reset(TcpEndpoint e)
    {
        _divisor = _lastMaxWindow = _lastWindow = _origin = _k = _acked = _renoWindow = _delayMin = 0;
        _lastTime = _epochStart = 0;
        _found = false;
        BeginRound(e);
    }

    /// <summary>Time in which nothing was sent does not count for growth.</summary>
    public void SkipIdle(TcpEndpoint e)
    {
        long idle = e.Now - e.Snd.LastSent;
        if (_epochStart != 0 && idle > 0)
            _epochStart = Math.Min(_epochStart + idle, e.Now);
    }

    private static TcpCubic Of(TcpEndpoint e)
    {
        if (e.Cubic is { } cubic)
            return cubic;
        e.Cubic = cubic = new TcpCubic();
        cubic.BeginRound(e);
        cubic._delayMin = e.Rtt.MinUs;
        return cubic;
    }

    private void BeginRound(TcpEndpoint e)
    {
        _roundStart = _lastAck = e.Now;
        _roundEnd = e.Snd.Nxt;
        _roundDelay = uint.MaxValue;
        _samples = 0;
    }

    /// <summary>HyStart: leaves slow start when a train of acknowledgments is as long as half a round trip, or the round trip grows by an eighth.</summary>
    private void LookForExit(TcpEndpoint e, uint delay)
    {
        if (TcpSequence.After(e.Snd.Una, _roundEnd))
            BeginRound(e);
        if (e.Cong.Window < HystartWindow)
            return;
        if (e.Now - _lastAck <= HystartGap)
        {
            _lastAck = e.Now;
            long threshold = (_delayMin + BatchDelay(e)) * TcpConstants.Microsecond >> 1;
            if (e.Now - _roundStart > threshold)
            {
                Found(e);
                return;
            }
        }

        _roundDelay = Math.Min(_roundDelay, delay);
        if (_samples < HystartSamples)
        {
            _samples++;
            return;
        }

        if (_roundDelay > _delayMin + Math.Clamp(_delayMin >> 3, 4000, 16000))
            Found(e);
    }

    private void Found(TcpEndpoint e)
    {
        _found = true;
        e.Cong.Threshold = e.Cong.Window;
    }

    /// <summary>µs that a link may keep acknowledgments of one batch together.</summary>
    private static uint BatchDelay(TcpEndpoint e)
    {
        ulong rate = TcpOutput.PacingRate(e);
        return rate == 0 ? 0 : (uint)Math.Min(1000, 4UL * 65536 * 1_000_000 / rate);
    }

    private void Update(TcpEndpoint e, uint acked)
    {
        uint window = e.Cong.Window;
        _acked += acked;
        if (_lastWindow == window && e.Now - _lastTime <= TcpConstants.Second / 32)
            return;
        if (_epochStart == 0 || e.Now - _lastTime >= TcpConstants.Millisecond)
        {
            _lastWindow = window;
            _lastTime = e.Now;
            if (_epochStart == 0)
                BeginEpoch(e, window, acked);
            FollowCurve(e, window);
        }

        // Not slower than Reno would be (RFC 9438 section 4.3).
        uint step = Math.Max(1, (window * FriendlyScale) >> 3);
        while (_acked > step)
        {
            _acked -= step;
            _renoWindow++;
        }

        if (_renoWindow > window)
            _divisor = Math.Min(_divisor, window / (_renoWindow - window));

        // At most half as much again in a round trip.
        _divisor = Math.Max(_divisor, 2);
    }

    private void BeginEpoch(TcpEndpoint e, uint window, uint acked)
    {
        _epochStart = Math.Max(1, e.Now);
        _acked = acked;
        _renoWindow = window;
        if (_lastMaxWindow <= window)
        {
            _k = 0;
            _origin = window;
        }
        else
        {
            _k = CubeRoot(CubeFactor * (_lastMaxWindow - window));
            _origin = _lastMaxWindow;
        }
    }

    private void FollowCurve(TcpEndpoint e, uint window)
    {
        // In units of 2^-10 s: the time that the window will be for, one round trip ahead.
        ulong t = (ulong)(((e.Now - _epochStart) / TcpConstants.Microsecond) + _delayMin) * 1024 / 1_000_000;
        ulong offset = t < _k ? _k - t : t - _k;
        uint delta = (uint)UInt128.Min((UInt128)CubeRttScale * offset * offset * offset >> CubeShift, int.MaxValue);
        uint target = t < _k ? _origin - Math.Min(delta, _origin) : _origin + delta;
        _divisor = target > window ? window / (target - window) : 100 * window;
        if (_lastMaxWindow == 0 && _divisor > 20)
            _divisor = 20;
    }

    private static uint CubeRoot(ulong value)
    {
        uint root = (uint)Math.Cbrt(value);
        while ((ulong)root * root * root > value)
            root--;
        return root;
    }
}
