using System.Globalization;
using System.Text.RegularExpressions;

namespace Tests.Netstack.Tcp.Packetdrill;

/// <summary>The system calls of a script, as a kernel's sockets would make them of an endpoint.</summary>
public sealed partial class ScriptCalls(ScriptRunner runner)
{
    /// <summary>What a call says that would block.</summary>
    public const string Blocks = "blocks";

    private readonly Dictionary<int, Descriptor> _table = [];

    /// <summary>The connection that tcp_info is asked of.</summary>
    public TcpEndpoint? Last { get; private set; }

    /// <summary>A try of the call: null when it did what the script says, <see cref="Blocks"/>, or what is wrong.</summary>
    public Func<string?> Prepare(string text, bool mayBlock)
    {
        Match match = Form().Match(text);
        if (!match.Success)
            throw new FormatException($"no call: {text}");
        string name = match.Groups["name"].Value;
        string[] arguments = Split(match.Groups["args"].Value);
        string wanted = match.Groups["result"].Value;
        Errno error = match.Groups["errno"].Success && Enum.TryParse(match.Groups["errno"].Value, out Errno parsed) ? parsed : Errno.None;
        long expected = wanted.StartsWith("0x", StringComparison.Ordinal) ? Convert.ToInt64(wanted, 16) : long.Parse(wanted, CultureInfo.InvariantCulture);
        int written = 0;
        return () =>
        {
            Result<long> result = name switch
            {
                "socket" => New((int)expected, new Descriptor { Endpoint = runner.Stack.Tcp.CreateEndpoint(false, new EndpointOptions()) }),
                "epoll_create" => New((int)expected, new Descriptor { Interests = [] }),
                "open" or "pipe" => New((int)(name == "pipe" ? 1000 + expected : expected), new Descriptor(), name == "pipe" ? 0 : expected),
                "accept" => Accept(arguments, (int)expected),
                "write" => Write(arguments[0], Size(arguments[2]), "0", mayBlock, ref written),
                "send" or "sendto" => Write(arguments[0], Size(arguments[2]), arguments[3], mayBlock, ref written),
                "sendmsg" => Write(arguments[0], IoLength(arguments[1]), arguments[2], mayBlock, ref written),
                "sendfile" => Write(arguments[0], Size(arguments[3]), "0", mayBlock, ref written),
                "read" or "recv" or "recvfrom" => Read(arguments[0], Size(arguments[2])),
                "recvmsg" => Read(arguments[0], IoLength(arguments[1])),
                "splice" => Read(arguments[0], Size(arguments[4])),
                _ => Other(name, arguments),
            };
            if (result.IsError && result.Error is Errno.EAGAIN or Errno.EINPROGRESS or Errno.EALREADY && mayBlock)
                return Blocks;
            if (result.IsError)
                return expected == -1 && (error == Errno.None || error == result.Error) ? null : $"{name} failed with {result.Error}";
            return result.Value == expected ? null : $"{name} returned {result.Value}";
        };
    }

    [GeneratedRegex(@"^(?<name>\w+)\s?\((?<args>.*)\) = (?<result>-?\w+)(?:\s+(?<errno>E\w+))?.*$")]
    private static partial Regex Form();

    [GeneratedRegex(@"\{\.\.\., (\d+)\}")]
    private static partial Regex IoPiece();

    [GeneratedRegex(@"events=([A-Z|0]+)")]
    private static partial Regex Events();

    [GeneratedRegex(@"revents=([A-Z|0]+)")]
    private static partial Regex ReturnedEvents();

    private static string[] Split(string text)
    {
        var parts = new List<string>();
        int depth = 0, start = 0;
        for (int i = 0; i <= text.Length; i++)
        {
            if (i == text.Length || (text[i] == ',' && depth == 0))
            {
                parts.Add(text[start..i].Trim());
                start = i + 1;
            }
            else if (text[i] is '(' or '[' or '{')
            {
                depth++;
            }
            else if (text[i] is ')' or ']' or '}')
            {
                depth--;
            }
        }

        return [.. parts];
    }

    private static int Size(string text) => int.Parse(text, CultureInfo.InvariantCulture);

    private static int IoLength(string message) => IoPiece().Matches(message).Sum(m => Size(m.Groups[1].Value));

    private static long Number(string text)
    {
        text = text.Trim('[', ']', ' ');
        return text.StartsWith("0x", StringComparison.Ordinal) ? Convert.ToInt64(text, 16) : long.TryParse(text, out long value) ? value : 0;
    }

    private static EndpointEvents ParseEvents(string text)
    {
        EndpointEvents events = EndpointEvents.None;
        foreach (string name in text.Split('|'))
        {
            events |= name.Replace("EPOLL", "POLL", StringComparison.Ordinal) switch
            {
                "POLLIN" => EndpointEvents.In,
                "POLLOUT" => EndpointEvents.Out,
                "POLLERR" => EndpointEvents.Err,
                "POLLHUP" => EndpointEvents.Hup,
                "POLLRDHUP" => EndpointEvents.RdHup,
                "POLLPRI" => EndpointEvents.Pri,
                _ => EndpointEvents.None,
            };
        }

        return events;
    }

    private Result<long> New(int number, Descriptor descriptor, long? result = null)
    {
        _table[number] = descriptor;
        if (descriptor.Endpoint is { } endpoint)
        {
            endpoint.Observer = descriptor;
            Last = endpoint;
        }

        return result ?? number;
    }

    private Descriptor At(string number) => _table[Size(number)];

    private Result<long> Accept(string[] arguments, int number) =>
        At(arguments[0]).Endpoint!.Accept() is { } accepted ? New(number, new Descriptor { Endpoint = accepted }) : Errno.EAGAIN;

    private Result<long> Write(string number, int length, string flags, bool mayBlock, ref int written)
    {
        Descriptor descriptor = At(number);
        TcpEndpoint endpoint = descriptor.Endpoint!;
        Last = endpoint;

        // A writer that waits is woken by the endpoint alone.
        if (written > 0 && !descriptor.HasRoom)
            return Errno.EAGAIN;
        descriptor.HasRoom = false;
        Errno error = endpoint.CanSend();
        if (error != Errno.None)
            return error;
        TcpSendFlags how = (flags.Contains("MSG_MORE", StringComparison.Ordinal) ? TcpSendFlags.More : 0)
            | (flags.Contains("MSG_EOR", StringComparison.Ordinal) ? TcpSendFlags.EndOfRecord : 0)
            | (flags.Contains("MSG_OOB", StringComparison.Ordinal) ? TcpSendFlags.Urgent : 0);
        written += TcpSockets.Write(endpoint, new byte[length - written], how);
        if (written == length)
            return written;
        if (mayBlock)
            return Errno.EAGAIN;
        return written > 0 ? written : Errno.EAGAIN;
    }

    private Result<long> Read(string number, int length)
    {
        TcpEndpoint endpoint = At(number).Endpoint!;
        int count = TcpSockets.Read(endpoint, length).Length;
        if (count > 0 || length == 0)
            return count;
        Errno error = endpoint.CanReceive();
        return error == Errno.None ? 0 : error;
    }

    private Result<long> Other(string name, string[] arguments)
    {
        Descriptor descriptor = name == "poll" ? new Descriptor() : At(arguments[0]);
        TcpEndpoint endpoint = descriptor.Endpoint!;
        switch (name)
        {
            case "bind":
                return From(endpoint.Bind(ScriptRunner.LocalAddress, ScriptRunner.ServerPort));
            case "listen":
                return From(endpoint.Listen(Size(arguments[1])));
            case "connect":
                Last = endpoint;
                return Connect(descriptor);
            case "close":
                endpoint?.Close();
                _table.Remove(Size(arguments[0]));
                return 0;
            case "shutdown":
                return From(endpoint.Shutdown(arguments[1] is "SHUT_RD" or "SHUT_RDWR", arguments[1] is "SHUT_WR" or "SHUT_RDWR"));
            case "fcntl":
                return arguments[1] == "F_GETFL" ? 2 : 0;
            case "ioctl":
                return endpoint.Available == Number(arguments[2]) ? 0 : throw new ScriptException($"{endpoint.Available} bytes are queued");
            case "setsockopt":
                return ScriptOptions.Set(endpoint, arguments);
            case "getsockopt":
                long value = ScriptOptions.Get(endpoint, arguments[2]), wanted = Number(arguments[3]);
                return value == wanted ? 0 : throw new ScriptException($"{arguments[2]} is {value}");
            case "poll":
                return Poll(arguments[0]);
            case "epoll_ctl":
                At(arguments[0]).Interests!.Add(new Interest(At(arguments[2]), ParseEvents(Events().Match(arguments[3]).Groups[1].Value)));
                At(arguments[2]).Fired = true;
                return 0;
            case "epoll_wait":
                return Wait(At(arguments[0]), ParseEvents(Events().Match(arguments[1]).Groups[1].Value));
            default:
                throw new FormatException($"call {name}");
        }
    }

    private static Result<long> Connect(Descriptor descriptor)
    {
        TcpEndpoint endpoint = descriptor.Endpoint!;
        if (descriptor.IsConnecting)
        {
            if (endpoint.State is TcpState.SynSent or TcpState.SynReceived)
                return Errno.EALREADY;
            descriptor.IsConnecting = false;
            Errno error = endpoint.TakeError();
            return error == Errno.None ? 0 : error;
        }

        descriptor.IsConnecting = true;
        return From(endpoint.Connect(ScriptRunner.RemoteAddress, ScriptRunner.ServerPort));
    }

    private Result<long> Poll(string text)
    {
        int number = Size(Regex.Match(text, @"fd=(\d+)").Groups[1].Value);
        EndpointEvents ready = At(number.ToString(CultureInfo.InvariantCulture)).Endpoint!.Poll() & ParseEvents(Events().Match(text).Groups[1].Value);
        if (ready == EndpointEvents.None)
            return Errno.EAGAIN;
        return ready == ParseEvents(ReturnedEvents().Match(text).Groups[1].Value) ? 1 : throw new ScriptException($"ready for {ready}");
    }

    private static Result<long> Wait(Descriptor epoll, EndpointEvents expected)
    {
        foreach (Interest interest in epoll.Interests!)
        {
            Descriptor target = interest.Target;
            if (!target.Fired)
                continue;
            target.Fired = false;
            EndpointEvents ready = target.Endpoint!.Poll() & (interest.Events | EndpointEvents.Err | EndpointEvents.Hup);
            if (ready == EndpointEvents.None)
                continue;
            return ready == expected ? 1 : throw new ScriptException($"ready for {ready}");
        }

        return 0;
    }

    private static Result<long> From(Errno error) => error == Errno.None ? 0 : error;

    private sealed record Interest(Descriptor Target, EndpointEvents Events);

    private sealed class Descriptor : IEndpointObserver
    {
        public TcpEndpoint? Endpoint { get; init; }

        public List<Interest>? Interests { get; init; }

        public bool IsConnecting { get; set; }

        public bool Fired { get; set; }

        public bool HasRoom { get; set; }

        public void OnReady(EndpointEvents events)
        {
            HasRoom |= (events & EndpointEvents.Out) != 0;
            Fired |= (events & (EndpointEvents.In | EndpointEvents.Out | EndpointEvents.Err | EndpointEvents.Hup)) != 0;
        }
    }
}

/// <summary>Socket options as scripts set and ask them.</summary>
internal static class ScriptOptions
{
    public static Result<long> Set(TcpEndpoint endpoint, string[] arguments)
    {
        string text = arguments[3].Trim('[', ']', ' ');
        long value = text.StartsWith("0x", StringComparison.Ordinal) ? Convert.ToInt64(text, 16) : long.TryParse(text, out long number) ? number : 0;
        switch (arguments[2])
        {
            case "SO_REUSEADDR":
                endpoint.Options.ReuseAddress = value != 0;
                break;
            case "SO_SNDBUF":
                endpoint.Options.SendBuffer = (int)value * 2;
                endpoint.Options.SendBufferLocked = true;
                break;
            case "SO_RCVBUF":
                endpoint.Options.ReceiveBuffer = (int)value * 2;
                endpoint.Options.ReceiveBufferLocked = true;
                break;
            case "SO_KEEPALIVE":
                endpoint.Options.KeepAlive = value != 0;
                break;
            case "TCP_NODELAY":
                endpoint.SetOptions(endpoint.TcpOptions with { NoDelay = value != 0 });
                break;
            case "TCP_CORK":
                endpoint.SetOptions(endpoint.TcpOptions with { Cork = value != 0 });
                break;
            case "TCP_MAXSEG":
                endpoint.SetOptions(endpoint.TcpOptions with { MaxSegment = (int)value });
                break;
            case "TCP_USER_TIMEOUT":
                endpoint.SetOptions(endpoint.TcpOptions with { UserTimeout = (int)value });
                break;
            case "TCP_NOTSENT_LOWAT":
                endpoint.SetOptions(endpoint.TcpOptions with { NotSentLowWater = (uint)value });
                break;
            case "TCP_QUICKACK":
                endpoint.SetQuickAck(value != 0);
                break;
            case "TCP_KEEPIDLE":
                endpoint.SetOptions(endpoint.TcpOptions with { KeepIdle = (int)value });
                break;
            case "TCP_KEEPINTVL":
                endpoint.SetOptions(endpoint.TcpOptions with { KeepInterval = (int)value });
                break;
            case "TCP_KEEPCNT":
                endpoint.SetOptions(endpoint.TcpOptions with { KeepCount = (int)value });
                break;
            case "SO_LINGER":
                endpoint.Options.Linger = (int)value;
                break;
            case "TCP_LINGER2":
                endpoint.SetOptions(endpoint.TcpOptions with { Linger2 = (int)value });
                break;
            case "TCP_SYNCNT":
                endpoint.SetOptions(endpoint.TcpOptions with { SynCount = (int)value });
                break;
            case "TCP_DEFER_ACCEPT":
                endpoint.SetOptions(endpoint.TcpOptions with { DeferAccept = (int)value });
                break;
            case "TCP_INQ" or "SO_ZEROCOPY" or "IP_TOS" or "IP_MTU_DISCOVER" or "IP_FREEBIND":
                break;
            default:
                throw new FormatException($"option {arguments[2]}");
        }

        endpoint.OnOptionsChanged();
        return 0;
    }

    public static long Get(TcpEndpoint endpoint, string name) => name switch
    {
        "SO_ERROR" => (long)endpoint.TakeError(),
        "SO_SNDBUF" => endpoint.Options.SendBuffer,
        "SO_RCVBUF" => endpoint.Options.ReceiveBuffer,
        "TCP_MAXSEG" => endpoint.MaxSegment,
        "TCP_NOTSENT_LOWAT" => endpoint.TcpOptions.NotSentLowWater,
        "TCP_NODELAY" => endpoint.TcpOptions.NoDelay ? 1 : 0,
        _ => throw new FormatException($"option {name}"),
    };
}
