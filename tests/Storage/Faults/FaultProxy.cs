using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Tests.Storage.Faults;

/// <summary>What goes wrong with a request.</summary>
public enum FaultKind
{
    /// <summary>It is refused with 503, as by a server that has too much to do.</summary>
    SlowDown,

    /// <summary>It is refused with 500.</summary>
    InternalError,

    /// <summary>The connection is reset after half of the request's body, or before the answer where there is none.</summary>
    ResetInRequest,

    /// <summary>It is carried out, and the connection is reset instead of an answer.</summary>
    ResetInsteadOfAnswer,

    /// <summary>The connection is reset after half of the answer's body.</summary>
    ResetInAnswer,

    /// <summary>The answer says itself that it has only half of its body.</summary>
    ShortAnswer,

    /// <summary>No answer comes.</summary>
    Silence,

    /// <summary>Both bodies pass slowly.</summary>
    Slow,

    /// <summary>The answer is the one that the same request got first.</summary>
    Stale,
}

/// <summary>A request that a proxy has seen.</summary>
public sealed record ProxiedRequest(string Method, string Target)
{
    /// <summary>Bytes of its body that arrived here.</summary>
    public long Sent { get; set; }

    /// <summary>Bytes of the answer's body that were passed on.</summary>
    public long Received { get; set; }

    public FaultKind? Fault { get; set; }

    public bool IsPut(string folder) => Method == "PUT" && Target.Contains($"/{folder}/", StringComparison.Ordinal);

    public bool IsGet(string folder) => Method == "GET" && Target.Contains($"/{folder}/", StringComparison.Ordinal);

    /// <summary>A listing, by either protocol.</summary>
    public bool IsList => Method == "GET" && (Target.Contains("list-type=2", StringComparison.Ordinal) || Target.Contains("comp=list", StringComparison.Ordinal));
}

/// <summary>An HTTP proxy in front of a store's server, in which a test lets things go wrong. Requests pass unchanged, so that signatures stay good.</summary>
public sealed class FaultProxy : IDisposable
{
    private const int SlowPieces = 10;

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly IPEndPoint _server;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<string, Answer> _first = new();
    private readonly ConcurrentDictionary<Socket, bool> _clients = new();
    private volatile bool _cut;

    public FaultProxy(Uri server)
    {
        _server = new IPEndPoint(IPAddress.Loopback, server.Port);
        _listener.Start();
        Endpoint = new UriBuilder(server) { Host = "127.0.0.1", Port = ((IPEndPoint)_listener.LocalEndpoint).Port }.Uri;
        _ = Task.Run(AcceptAsync);
    }

    /// <summary>Where the server seems to be.</summary>
    public Uri Endpoint { get; }

    /// <summary>Chooses the fault of a request; null for none.</summary>
    public Func<ProxiedRequest, FaultKind?> Rule { get; set; } = _ => null;

    /// <summary>Told of each request whose answer has been passed on whole.</summary>
    public Action<ProxiedRequest> Passed { get; set; } = _ => { };

    /// <summary>How long a slow body takes.</summary>
    public TimeSpan SlowTime { get; set; } = TimeSpan.FromSeconds(6);

    public ConcurrentQueue<ProxiedRequest> Requests { get; } = new();

    /// <summary>The network is down: connections are reset, open ones too.</summary>
    public bool IsCut
    {
        get => _cut;
        set
        {
            _cut = value;
            if (value)
                CloseAll();
        }
    }

    public void Dispose()
    {
        _stop.Cancel();
        _listener.Dispose();
        CloseAll();
    }

    private static void Reset(Socket socket)
    {
        try
        {
            socket.LingerState = new LingerOption(true, 0);
            socket.Close();
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // closed already
        }
    }

    private void CloseAll()
    {
        foreach (Socket socket in _clients.Keys)
            Reset(socket);
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                Socket client = await _listener.AcceptSocketAsync(_stop.Token);
                if (_cut)
                    Reset(client);
                else
                    _ = ServeAsync(client);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // the test is over
        }
    }

    private async Task ServeAsync(Socket client)
    {
        _clients[client] = true;
        using Socket server = new(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (_cut)
                return;
            await server.ConnectAsync(_server, _stop.Token);
            HttpReader fromClient = new(client), fromServer = new(server);
            while (await fromClient.ReadHeadAsync(_stop.Token) is { } head)
            {
                if (!await ExchangeAsync(client, server, fromClient, fromServer, head))
                    return;
            }
        }
        catch (Exception e) when (e is SocketException or IOException or ObjectDisposedException or OperationCanceledException)
        {
            // one side has gone
        }
        finally
        {
            _clients.TryRemove(client, out _);
            Reset(client);
        }
    }

    /// <summary>Passes one request and its answer.</summary>
    /// <returns>False when the connection is to be reset.</returns>
    private async Task<bool> ExchangeAsync(Socket client, Socket server, HttpReader fromClient, HttpReader fromServer, HttpHead head)
    {
        string[] line = head.FirstLine.Split(' ');
        ProxiedRequest request = new(line[0], line[1]);
        FaultKind? fault = request.Fault = Rule(request);
        Requests.Enqueue(request);
        long length = head.Length ?? 0;
        if (fault == FaultKind.ResetInRequest)
        {
            request.Sent = (await fromClient.ReadAsync(length / 2, _stop.Token)).Length;
            return false;
        }

        byte[] body = fault == FaultKind.Slow && length > 0 ? await fromClient.ReadSlowlyAsync(length, SlowTime, SlowPieces, _stop.Token) : await fromClient.ReadAsync(length, _stop.Token);
        request.Sent = body.Length;
        switch (fault)
        {
            case FaultKind.SlowDown or FaultKind.InternalError:
                await SendAllAsync(client, Refusal(fault.Value));
                return true;
            case FaultKind.Silence:
                await fromClient.ReadHeadAsync(_stop.Token); // until the client gives up
                return false;
            case FaultKind.Stale when _first.TryGetValue(line[1], out Answer? old):
                const string Id = "x-ms-client-request-id"; // Azure's SDK wants its own back
                await SendAllAsync(client, head.Header(Id) is { } id ? new HttpHead(old.Head).With(Id, id) : old.Head, old.Body);
                return true;
        }

        await SendAllAsync(server, head.Bytes, body);
        Answer answer = await fromServer.ReadAnswerAsync(request.Method == "HEAD", _stop.Token);
        _first.TryAdd(line[1], answer);
        switch (fault)
        {
            case FaultKind.ResetInsteadOfAnswer:
                return false;
            case FaultKind.ResetInAnswer:
                request.Received = answer.Body.Length / 2;
                await SendAllAsync(client, answer.Head, answer.Body[..(answer.Body.Length / 2)]);
                return false;
            case FaultKind.ShortAnswer when answer.Length is { } whole and > 1 && request.Method == "GET":
                string shorter = Encoding.ASCII.GetString(answer.Head).Replace($": {whole}\r\n", $": {whole / 2}\r\n", StringComparison.Ordinal);
                await SendAllAsync(client, Encoding.ASCII.GetBytes(shorter), answer.Body[..(int)(whole / 2)]);
                return true;
            case FaultKind.Slow when answer.Body.Length > 0:
                await SendAllAsync(client, answer.Head);
                foreach (byte[] piece in answer.Body.Chunk((answer.Body.Length / SlowPieces) + 1))
                {
                    await Task.Delay(SlowTime / SlowPieces, _stop.Token);
                    await SendAllAsync(client, piece);
                }

                break;
            default:
                await SendAllAsync(client, answer.Head, answer.Body);
                break;
        }

        request.Received = answer.Body.Length;
        Passed(request);
        return !answer.Closes;
    }

    private static byte[] Refusal(FaultKind fault)
    {
        (int status, string s3, string azure) = fault == FaultKind.SlowDown ? (503, "SlowDown", "ServerBusy") : (500, "InternalError", "InternalError");
        string body = $"<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{s3}</Code><Message>as the test wants it</Message></Error>";
        return Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture,
            $"HTTP/1.1 {status} Refused\r\nContent-Type: application/xml\r\nx-ms-error-code: {azure}\r\nContent-Length: {body.Length}\r\n\r\n{body}"));
    }

    private async Task SendAllAsync(Socket socket, params byte[][] parts)
    {
        foreach (byte[] part in parts)
        {
            for (int sent = 0; sent < part.Length;)
                sent += await socket.SendAsync(part.AsMemory(sent), _stop.Token);
        }
    }
}
