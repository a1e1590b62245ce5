using System.Buffers.Binary;
using System.Globalization;

using Tests.Netstack.Simulation;

namespace Tests.Netstack.Tcp.Packetdrill;

/// <summary>Runs a script against a stack of its own: the script is the peer and the application.</summary>
public sealed class ScriptRunner : IStackHost, ILinkDriver
{
    private const uint RemoteBase = 0x40000000;
    private const ushort LocalPort = 8080;

    // Packets shown when a script fails.
    private const int Recent = 8;

    private static readonly InetAddress Local = InetAddress.Parse("192.168.0.1"), Gateway = InetAddress.Parse("192.168.0.2"), Remote = InetAddress.Parse("192.0.2.1");

    private readonly Random _random = new(7);
    private readonly Queue<LivePacket> _sent = new();
    private readonly List<string> _history = [];
    private readonly List<(ScriptEvent Event, Func<string?> Try, long Deadline)> _blocked = [];
    private readonly Dictionary<uint, uint> _timestamps = [];
    private readonly ScriptCalls _calls;
    private readonly ScriptCode _code = new();
    private readonly NetworkInterface _link;
    private readonly Script _script;
    private readonly bool _strict;
    private long _now = 1_000_000_000;
    private ushort _remotePort = 40000, _localPort;
    private uint _localIsn, _remoteIsn;
    private bool _hasLocal, _dropsAll;
    private long _tolerance = 4_000_000;

    /// <param name="offload">The link takes packets of 64 KiB.</param>
    public ScriptRunner(Script script, bool offload)
    {
        _script = script;
        Stack = new NetworkStack(this);
        Stack.Enter(_now);
        _link = Stack.AddInterface("tun0", InterfaceKind.Ethernet, new MacAddress(0x020000000001), 1500);
        _link.Attach(this, offload ? 65535 : 0, offload);
        _link.IsUp = true;
        _link.AddAddress(SimHost.ParseAddress("192.168.0.1/16"));
        Stack.Ip.Neighbours.Set(_link, Gateway, new MacAddress(0x020000000002), NeighbourState.Permanent, RouteAddMode.Create);
        Stack.Routes.Add(new RouteEntry { Destination = InetAddress.AnyV4, Prefix = 0, InterfaceIndex = _link.Index, Gateway = Gateway });
        Stack.Leave();
        _strict = script.Options.ContainsKey("strict_segments");
        if (script.Options.TryGetValue("tolerance_usecs", out string? tolerance))
            _tolerance = long.Parse(tolerance, CultureInfo.InvariantCulture) * 1000;
        ScriptSysctls.SetDefaults(Stack.Settings);
        _calls = new ScriptCalls(this);
    }

    public NetworkStack Stack { get; }

    public long Now => _now;

    public long Realtime => _now;

    public static ushort ServerPort => LocalPort;

    public static InetAddress LocalAddress => Local;

    public static InetAddress RemoteAddress => Remote;

    private bool ChecksTimestamps => _script.Options.TryGetValue("tcp_ts_tick_usecs", out string? tick) && tick != "0";

    public void FillRandom(Span<byte> destination) => _random.NextBytes(destination);

    public bool Transmit(Packet frame)
    {
        if (_dropsAll)
            return false;
        byte[] bytes = frame.ToArray();
        if (LivePacket.TryParse(bytes.AsSpan(EthernetHeader.Size), _now, out LivePacket? packet))
        {
            _sent.Enqueue(packet);
            _history.Add("> " + Describe(packet, packet, packet.Length));
        }

        return true;
    }

    public void Run()
    {
        foreach (ScriptEvent e in _script.Events)
        {
            try
            {
                Run(e);
            }
            catch (Exception error) when (error is ScriptException or FormatException or KeyNotFoundException)
            {
                throw new ScriptException($"line {e.Line}: {e.Kind} {e.Text}\n  {error.Message}\n  {string.Join("\n  ", _history.TakeLast(Recent))}");
            }
        }

        foreach ((ScriptEvent e, Func<string?> _, long deadline) in _blocked.ToList())
        {
            Advance(deadline + _tolerance);
            if (_blocked.Any(b => ReferenceEquals(b.Event, e)))
                throw new ScriptException($"line {e.Line}: {e.Text} still blocks");
        }
    }

    /// <summary>A call of the stack.</summary>
    public T Do<T>(Func<T> call)
    {
        Stack.Enter(_now);
        T result = call();
        Stack.Leave();
        return result;
    }

    private void Run(ScriptEvent e)
    {
        long at = e.IsAbsolute ? 1_000_000_000 + e.Start : _now + e.Start;
        switch (e.Kind)
        {
            case ScriptEventKind.Command:
                Advance(at);
                Command(e.Text);
                break;
            case ScriptEventKind.Code:
                Advance(at);
                _code.Run(e.Text, Do(() => _calls.Last!.GetInfo()));
                break;
            case ScriptEventKind.Inbound:
                Advance(at);
                _history.Add(string.Create(CultureInfo.InvariantCulture, $"< {e.Text} at {(_now - 1_000_000_000) / 1e9:f6}"));
                Inject(ScriptPacket.Parse(e.Text));
                TryBlocked();
                break;
            case ScriptEventKind.Outbound:
                Expect(e, ScriptPacket.Parse(e.Text), at, e.End is { } end ? at - e.Start + end : at);
                break;
            case ScriptEventKind.Call:
                Advance(at);
                Call(e, at);
                break;
        }
    }

    private void Call(ScriptEvent e, long at)
    {
        Func<string?> call = _calls.Prepare(e.Text, e.End is not null);
        string? problem = Do(call);
        if (e.End is { } end && problem == ScriptCalls.Blocks)
        {
            _blocked.Add((e, call, at - e.Start + end));
            return;
        }

        if (problem is not null)
            throw new ScriptException(problem);
    }

    private void TryBlocked()
    {
        foreach ((ScriptEvent Event, Func<string?> Try, long Deadline) blocked in _blocked.ToList())
        {
            string? problem = Do(blocked.Try);
            if (problem == ScriptCalls.Blocks)
            {
                if (_now > blocked.Deadline + _tolerance)
                    throw new ScriptException($"line {blocked.Event.Line}: {blocked.Event.Text} still blocks");
                continue;
            }

            _blocked.Remove(blocked);
            if (problem is not null)
                throw new ScriptException($"line {blocked.Event.Line}: {blocked.Event.Text}: {problem}");
            if (_now < blocked.Deadline - _tolerance)
                throw new ScriptException($"line {blocked.Event.Line}: {blocked.Event.Text} returned {(blocked.Deadline - _now) / 1e6} ms too early");
        }
    }

    private void Advance(long to)
    {
        while (Stack.NextDeadline <= to)
        {
            _now = Math.Max(_now, Stack.NextDeadline);
            Stack.RunTimers(_now);
            TryBlocked();
        }

        _now = Math.Max(_now, to);
        if (_blocked.Count > 0)
            TryBlocked();
    }

    private void Command(string text)
    {
        if (text.Contains("pfifo limit 0", StringComparison.Ordinal))
            _dropsAll = true;
        ScriptSysctls.Apply(text, Stack.Settings);
    }

    // ---- packets -------------------------------------------------------------------------------------------------

    private void Inject(ScriptPacket packet)
    {
        if (packet.Flags.HasFlag(TcpFlags.Syn) && Stack.Tcp.Endpoints.Any(e => e.State is TcpState.SynSent or TcpState.SynReceived && e.RemotePort == LocalPort))
        {
            _remoteIsn = RemoteBase - packet.Seq;
        }
        else if (packet.Flags.HasFlag(TcpFlags.Syn) && !packet.Flags.HasFlag(TcpFlags.Ack))
        {
            _remotePort++;
            _localPort = LocalPort;
            _remoteIsn = RemoteBase;
            _hasLocal = false;
        }
        else if (packet.Flags.HasFlag(TcpFlags.Syn))
        {
            _remoteIsn = RemoteBase - packet.Seq;
        }

        TcpHeaderOptions options = default;
        byte[] extra = [];
        foreach (string option in packet.Options ?? [])
            AddOption(option, ref options, ref extra);
        bool isSyn = packet.Flags.HasFlag(TcpFlags.Syn);
        byte[] optionBytes = new byte[options.Length(isSyn)];
        options.Write(optionBytes, isSyn);
        optionBytes = [.. optionBytes, .. extra];
        int headers = 20 + 20 + optionBytes.Length;
        byte[] frame = new byte[EthernetHeader.Size + headers + packet.Length];
        EthernetHeader.Write(frame, _link.Mac, new MacAddress(0x020000000002), EtherType.Ipv4);
        Span<byte> ip = frame.AsSpan(EthernetHeader.Size);
        new Ipv4Header
        {
            HeaderLength = 20, TotalLength = headers + packet.Length, TimeToLive = 64, Protocol = IpProtocol.Tcp, Source = Remote, Destination = Local, TypeOfService = (byte)(packet.Ecn ?? 0),
        }.WriteTo(ip);
        Span<byte> tcp = ip[20..];
        new TcpHeader
        {
            SourcePort = _remotePort,
            DestinationPort = _localPort,
            Sequence = _remoteIsn + packet.Seq,
            Acknowledgment = packet.Flags.HasFlag(TcpFlags.Ack) ? _localIsn + packet.Ack : 0,
            Flags = packet.Flags,
            Window = (ushort)(packet.Window ?? 0),
            UrgentPointer = (ushort)packet.Urgent,
            Length = 20 + optionBytes.Length,
        }.Write(tcp);
        optionBytes.CopyTo(tcp[20..]);
        Packet received = Packet.Received(frame, 0, frame.Length);
        received.Checksum = ChecksumState.Verified;
        int mss = _script.Options.TryGetValue("mss", out string? cooked) ? int.Parse(cooked, CultureInfo.InvariantCulture) : 0;
        received.SegmentSize = mss > 0 && packet.Length > mss ? mss : 0;


        // Nothing takes no time at all.
        _now += 20_000;
        Stack.Receive(_link, received, _now);
    }

    private void AddOption(string text, ref TcpHeaderOptions options, ref byte[] extra)
    {
        string[] words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        switch (words[0])
        {
            case "mss":
                options.Mss = ushort.Parse(words[1], CultureInfo.InvariantCulture);
                break;
            case "wscale":
                options.HasWindowScale = true;
                options.WindowScale = byte.Parse(words[1], CultureInfo.InvariantCulture);
                break;
            case "sackOK":
                options.SackPermitted = true;
                break;
            case "TS":
                options.HasTimestamp = true;
                options.TimestampValue = uint.Parse(words[2], CultureInfo.InvariantCulture);
                uint echo = uint.Parse(words[4], CultureInfo.InvariantCulture);
                options.TimestampEcho = _timestamps.GetValueOrDefault(echo, echo);
                break;
            case "sack":
                foreach (string block in words[1..])
                {
                    string[] ends = block.Split(':');
                    options.Blocks[options.BlockCount++] = new SackBlock(_localIsn + uint.Parse(ends[0], CultureInfo.InvariantCulture), _localIsn + uint.Parse(ends[1], CultureInfo.InvariantCulture));
                }

                break;
            case "md5":
                extra = [19, 18, .. Convert.FromHexString(words[1]), 1, 1];
                break;
            case "nop" or "eol":
                break;
            default:
                throw new FormatException($"option {text}");
        }
    }

    private void Expect(ScriptEvent e, ScriptPacket expected, long from, long to)
    {
        var live = new List<LivePacket>();
        int length = 0;
        do
        {
            while (_sent.Count == 0)
            {
                long deadline = Stack.NextDeadline;
                if (deadline > to + _tolerance + 1_000_000_000)
                    throw new ScriptException($"no packet was sent{(live.Count > 0 ? $", only {length} bytes" : "")}");
                Advance(deadline);
            }

            LivePacket next = _sent.Dequeue();
            if (live.Count > 0 && length + next.Length < expected.Length && next.Length != live[^1].Length)
                throw new ScriptException($"segments of {live[^1].Length} and {next.Length} bytes");
            live.Add(next);
            length += next.Length;
        }
        while (length < expected.Length && !_strict);
        LivePacket first = live[0], last = live[^1];
        if (first.Flags.HasFlag(TcpFlags.Syn))
        {
            _localIsn = first.Seq - expected.Seq;
            _localPort = first.SourcePort;
            _remotePort = first.DestinationPort;
            _hasLocal = true;
            _remoteIsn = first.Flags.HasFlag(TcpFlags.Ack) ? _remoteIsn : RemoteBase;
        }

        string actual = Describe(first, last, length);
        if (length != expected.Length)
            throw new ScriptException($"sent: {actual}");
        TcpFlags flags = (first.Flags & ~(TcpFlags.Fin | TcpFlags.Psh)) | (last.Flags & (TcpFlags.Fin | TcpFlags.Psh));
        if (flags != expected.Flags || first.Seq - _localIsn != expected.Seq || (expected.Flags.HasFlag(TcpFlags.Ack) && last.Ack - _remoteIsn != expected.Ack))
            throw new ScriptException($"sent: {actual}");
        if (expected.Urgent != first.Urgent)
            throw new ScriptException($"sent with urgent pointer {first.Urgent}: {actual}");
        if (expected.Window is { } window && first.Window != window)
            throw new ScriptException($"sent: {actual}");
        if (expected.Ecn is { } ecn && first.Ecn != ecn)
            throw new ScriptException($"sent with ECN {first.Ecn}: {actual}");
        CheckOptions(expected, first, actual);
        if (first.Time < from - _tolerance || last.Time > to + _tolerance)
            throw new ScriptException(string.Create(CultureInfo.InvariantCulture, $"sent at +{(first.Time - (from - e.Start)) / 1e9:f6} s: {actual}"));
        TryBlocked();
    }

    private void CheckOptions(ScriptPacket expected, LivePacket live, string actual)
    {
        if (expected.Options is not { } options)
            return;
        string[] described = live.DescribeOptions(_remoteIsn).Split(',', StringSplitOptions.RemoveEmptyEntries);
        if (described.Length != options.Length)
            throw new ScriptException($"sent: {actual}");
        for (int i = 0; i < options.Length; i++)
        {
            if (!options[i].StartsWith("TS", StringComparison.Ordinal))
            {
                if (options[i] != described[i])
                    throw new ScriptException($"sent: {actual}");
                continue;
            }

            string[] words = options[i].Split(' ');
            uint value = uint.Parse(words[2], CultureInfo.InvariantCulture), echo = uint.Parse(words[4], CultureInfo.InvariantCulture);
            if (!described[i].StartsWith("TS", StringComparison.Ordinal) || live.TimestampEcho != echo)
                throw new ScriptException($"sent: {actual}");
            if (ChecksTimestamps && _timestamps.Count > 0)
            {
                (uint script, uint known) = _timestamps.First();
                int off = (int)(live.TimestampValue - known) - (int)(value - script);
                if (Math.Abs(off) > _tolerance / 1_000_000)
                    throw new ScriptException($"timestamp is off by {off}: {actual}");
            }

            _timestamps.TryAdd(value, live.TimestampValue);
        }
    }

    private string Describe(LivePacket first, LivePacket last, int length)
    {
        uint seq = _hasLocal ? first.Seq - _localIsn : first.Seq;
        return string.Create(CultureInfo.InvariantCulture, $"{first.Flags | last.Flags} {seq}:{seq + (uint)length}({length}) ack {last.Ack - _remoteIsn} win {first.Window} <{first.DescribeOptions(_remoteIsn)}> at {(first.Time - 1_000_000_000) / 1e9:f6}");
    }
}

/// <summary>A TCP packet that the stack sent.</summary>
public sealed class LivePacket
{
    private TcpHeaderOptions _options;
    private bool _isSyn;

    public long Time { get; private init; }

    public ushort SourcePort { get; private init; }

    public ushort DestinationPort { get; private init; }

    public uint Seq { get; private init; }

    public uint Ack { get; private init; }

    public TcpFlags Flags { get; private init; }

    public int Window { get; private init; }

    public int Length { get; private init; }

    public int Ecn { get; private init; }

    public int Urgent { get; private init; }

    public uint TimestampValue => _options.TimestampValue;

    public uint TimestampEcho => _options.TimestampEcho;

    public static bool TryParse(ReadOnlySpan<byte> ip, long time, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out LivePacket? packet)
    {
        packet = null;
        if (ip.Length < 40 || ip[0] != 0x45 || ip[9] != IpProtocol.Tcp)
            return false;
        ip = ip[..BinaryPrimitives.ReadUInt16BigEndian(ip[2..])];
        if (!TcpHeader.TryRead(ip[20..], out TcpHeader header))
            return false;
        packet = new LivePacket
        {
            Time = time,
            SourcePort = header.SourcePort,
            DestinationPort = header.DestinationPort,
            Seq = header.Sequence,
            Ack = header.Acknowledgment,
            Flags = header.Flags,
            Window = header.Window,
            Urgent = header.UrgentPointer,
            Length = ip.Length - 20 - header.Length,
            Ecn = ip[1] & 3,
            _isSyn = header.Has(TcpFlags.Syn),
        };
        TcpHeaderOptions.Read(ip[40..(20 + header.Length)], packet._isSyn, out packet._options);
        return true;
    }

    /// <summary>In the order and with the padding in which the stack writes them.</summary>
    public string DescribeOptions(uint remoteIsn)
    {
        var parts = new List<string>();
        if (_isSyn && _options.Mss != 0)
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"mss {_options.Mss}"));
        if (_options.HasTimestamp)
        {
            if (_isSyn && _options.SackPermitted)
                parts.Add("sackOK");
            else
                parts.AddRange(["nop", "nop"]);
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"TS val {_options.TimestampValue} ecr {_options.TimestampEcho}"));
        }
        else if (_isSyn && _options.SackPermitted)
        {
            parts.AddRange(["nop", "nop", "sackOK"]);
        }

        if (_options.HasWindowScale)
            parts.AddRange(["nop", string.Create(CultureInfo.InvariantCulture, $"wscale {_options.WindowScale}")]);
        if (_options.BlockCount > 0)
        {
            parts.AddRange(["nop", "nop"]);
            string sack = "sack";
            for (int i = 0; i < _options.BlockCount; i++)
                sack += string.Create(CultureInfo.InvariantCulture, $" {_options.Blocks[i].Start - remoteIsn}:{_options.Blocks[i].End - remoteIsn}");
            parts.Add(sack);
        }

        return string.Join(',', parts);
    }
}
