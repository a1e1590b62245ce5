namespace Netstack.Stack;

/// <summary>SYN cookies (RFC 4987 section 3.6, Bernstein): under a flood the answer's sequence number itself holds what is needed to complete the
/// handshake, and timestamps hold the options.</summary>
internal static class TcpSynCookies
{
    private const int CountBits = 24;
    private const uint DataMask = (1u << CountBits) - 1;

    /// <summary>Minutes for which a cookie is good.</summary>
    private const uint MaxAge = 2;

    // Of a timestamp, the bits that hold options: window scale (15 for none), SACK, ECN.
    private const uint OptionBits = 6, NoScale = 0xf, SackBit = 0x10, EcnBit = 0x20;

    private static readonly ushort[] MssV4 = [536, 1300, 1440, 1460], MssV6 = [1280 - 60, 1480 - 60, 1500 - 60, 9000 - 60];

    /// <summary>Answers a SYN without remembering it.</summary>
    public static void Send(TcpRequest request)
    {
        TcpEndpoint listener = request.Listener;
        NetworkStack stack = listener.Stack;
        listener.Listener!.CookieAt = Math.Max(1, stack.Now);
        ReadOnlySpan<ushort> table = request.Tuple.Remote.IsV4 ? MssV4 : MssV6;
        int index = table.Length - 1;
        while (index > 0 && request.Mss < table[index])
            index--;
        request.Mss = table[index];
        request.Sequence = Make(stack, request.Tuple, request.PeerSequence, Count(stack), (uint)index);
        if (request.Timestamps)
            request.Offset += Encode(request) - Clock(stack);
        stack.Counters.SynCookiesSent++;
        TcpListen.SendAnswer(request);
    }

    /// <summary>An acknowledgment to a listener that remembers nothing of it. False: it is to be answered with a reset.</summary>
    public static bool Receive(TcpEndpoint listener, ref TcpSegmentIn segment, in IpInfo info)
    {
        NetworkStack stack = listener.Stack;
        TcpListener state = listener.Listener!;
        if (stack.Settings.SynCookies == 0 || segment.Has(TcpFlags.Syn) || info.IsGroup)
            return false;
        if (state.CookieAt == 0 || stack.Now - state.CookieAt > (MaxAge * 60) * TcpConstants.Second)
            return false;
        var tuple = new TcpTuple(info.Destination, segment.Header.DestinationPort, info.Source, segment.Header.SourcePort);
        ReadOnlySpan<ushort> table = tuple.Remote.IsV4 ? MssV4 : MssV6;
        uint data = Check(stack, in tuple, segment.Seq - 1, segment.Header.Acknowledgment - 1);
        if (data >= table.Length)
        {
            stack.Counters.SynCookiesFailed++;
            return false;
        }

        stack.Counters.SynCookiesReceived++;
        Result<Route> route = stack.Ip.FindRoute(tuple.Remote, tuple.Local, listener.BoundInterface != 0 || tuple.Remote.IsLinkLocal ? info.Interface.Index : 0);
        if (route.IsError)
            return true;
        var options = new TcpHeaderOptions { Mss = table[(int)data] };
        bool ecn = false;
        if (segment.Options.HasTimestamp)
        {
            uint echo = segment.Options.TimestampEcho - TcpHashes.TimestampOffset(stack, tuple.Local, tuple.Remote);
            options.HasTimestamp = true;
            options.TimestampValue = segment.Options.TimestampValue;
            options.SackPermitted = (echo & SackBit) != 0;
            options.HasWindowScale = (echo & NoScale) != NoScale;
            options.WindowScale = (byte)Math.Min(echo & NoScale, TcpHeaderOptions.MaxWindowScale);
            ecn = (echo & EcnBit) != 0 && stack.Settings.Ecn != 0;
        }

        if (TcpListen.IsAcceptQueueFull(listener))
        {
            stack.Counters.ListenOverflows++;
            stack.Counters.ListenDrops++;
            return true;
        }

        Route found = route.Value;
        TcpRequest request = TcpListen.MakeRequest(listener, in tuple, in options, in found, in info);
        request.PeerSequence = segment.Seq - 1;
        request.Sequence = segment.Header.Acknowledgment - 1;
        request.Ecn = ecn;
        TcpListen.Complete(request, ref segment, in info, -1);
        return true;
    }

    private static uint Clock(NetworkStack stack) => (uint)(stack.Now / TcpConstants.Millisecond);

    private static uint Count(NetworkStack stack) => (uint)(stack.Now / (60 * TcpConstants.Second));

    private static uint Make(NetworkStack stack, in TcpTuple tuple, uint peer, uint count, uint data) =>
        Hash(stack, in tuple, 0, false) + peer + (count << CountBits) + ((Hash(stack, in tuple, count, true) + data) & DataMask);

    /// <summary>The data of a cookie; a value beyond any when it is not one of ours or too old.</summary>
    private static uint Check(NetworkStack stack, in TcpTuple tuple, uint peer, uint cookie)
    {
        uint count = Count(stack);
        cookie -= Hash(stack, in tuple, 0, false) + peer;
        uint age = (count - (cookie >> CountBits)) & (uint.MaxValue >> CountBits);
        if (age >= MaxAge)
            return uint.MaxValue;
        return (cookie - Hash(stack, in tuple, count - age, true)) & DataMask;
    }

    private static uint Hash(NetworkStack stack, in TcpTuple tuple, uint count, bool second) =>
        TcpHashes.Cookie(stack, tuple.Local, tuple.LocalPort, tuple.Remote, tuple.RemotePort, count, second);

    /// <summary>The latest timestamp not after now that holds the options in its lowest bits.</summary>
    private static uint Encode(TcpRequest request)
    {
        uint now = Clock(request.Listener.Stack);
        uint options = request.WindowScaling ? request.SendScale : NoScale;
        options |= request.Sack ? SackBit : 0;
        options |= request.Ecn ? EcnBit : 0;
        uint stamp = now >> (int)OptionBits << (int)OptionBits | options;
        return stamp > now ? stamp - (1u << (int)OptionBits) : stamp;
    }
}
