using System.Diagnostics.CodeAnalysis;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using RestoreAgent.Api;
using Sentry.Host;

namespace SnapshotRpc;

/// <summary>The agent's HTTP API over its Unix socket.</summary>
public sealed class AgentClient : IDisposable
{
    private const int ComeBackMilliseconds = 60_000, TryAgainMilliseconds = 100, MostLosses = 20;

    private static readonly string[] OfAnyBuild = ["v1/version", "v1/stop"];

    private long _patience;
    private int _losses;
    private volatile bool _wasThere;
    private readonly HttpClient _http;

    /// <summary>The agent's contract as this program has it.</summary>
    public static ProtocolBuild Build { get; } = new("API", ProtocolFingerprint.Value);

    public AgentClient(bool start = true)
    {
        SocketsHttpHandler handler = new()
        {
            UseProxy = false,
            UseCookies = false,
            ConnectCallback = (_, _) =>
            {
                int descriptor = AgentLauncher.Connect(UserFolders.HttpSocket(AgentLauncher.RuntimeFolder), start).Detach();
                _wasThere = true;
                return ValueTask.FromResult<Stream>(new NetworkStream(new Socket(new SafeSocketHandle(descriptor, ownsHandle: true)), ownsSocket: true));
            },
        };
        _http = new HttpClient(handler) { BaseAddress = new Uri("http://agent/"), Timeout = Timeout.InfiniteTimeSpan };
        _http.DefaultRequestHeaders.Add(ApiHeaders.Build, Build.Identity);
    }

    public T Get<T>(string path, JsonTypeInfo<T> type) => Read(Send(HttpMethod.Get, path, null), type);

    public TOut Post<TIn, TOut>(string path, TIn body, JsonTypeInfo<TIn> type, JsonTypeInfo<TOut> outType) => Read(Send(HttpMethod.Post, path, JsonContent.Create(body, type)), outType);

    /// <summary>Makes a request that takes long, and shows how far it has come.</summary>
    public TOut Follow<TIn, TOut>(string path, TIn body, JsonTypeInfo<TIn> type, JsonTypeInfo<ProgressLine<TOut>> lineType, ProgressDisplay display)
        where TOut : class => Follow(path, JsonContent.Create(body, type), lineType, display);

    /// <summary>The same for a request that has no body.</summary>
    public TOut Follow<TOut>(string path, JsonTypeInfo<ProgressLine<TOut>> lineType, ProgressDisplay display)
        where TOut : class => Follow(path, null, lineType, display);

    private TOut Follow<TOut>(string path, HttpContent? body, JsonTypeInfo<ProgressLine<TOut>> lineType, ProgressDisplay display)
        where TOut : class
    {
        using (display)
        using (HttpResponseMessage response = Send(HttpMethod.Post, path, body, "application/x-ndjson"))
        using (StreamReader lines = new(response.Content.ReadAsStream()))
        {
            try
            {
                while (lines.ReadLine() is { } line)
                {
                    ProgressLine<TOut> told = JsonSerializer.Deserialize(line, lineType) ?? throw new CliException("the agent's answer is empty");
                    if (told.Problem is { } problem)
                        throw new CliException(problem.Error);
                    if (told.Result is { } result)
                        return result;
                    if (told.Progress is { } progress)
                        display.Show(progress);
                }
            }
            catch (Exception e) when (e is IOException or HttpRequestException)
            {
                throw new CliException("the connection to the agent broke: " + e.Message);
            }

            throw new CliException("the agent has gone; snapshot-rpc agent start starts a new one");
        }
    }

    public void Post<TIn>(string path, TIn body, JsonTypeInfo<TIn> type) => Send(HttpMethod.Post, path, JsonContent.Create(body, type)).Dispose();

    public TOut Post<TOut>(string path, JsonTypeInfo<TOut> outType) => Read(Send(HttpMethod.Post, path, null), outType);

    public void Post(string path) => Send(HttpMethod.Post, path, null).Dispose();

    public void Delete(string path) => Send(HttpMethod.Delete, path, null).Dispose();

    /// <summary>Copies an answer to a stream as it comes. When the agent dies meanwhile the next one is asked for the rest: what was said does not change.</summary>
    public void CopyTo(string path, Stream destination)
    {
        long copied = 0;
        while (!TryCopy(path, destination, ref copied))
            OnLost();
    }

    public void Dispose() => _http.Dispose();

    private static T Read<T>(HttpResponseMessage response, JsonTypeInfo<T> type)
    {
        try
        {
            using (response)
            using (Stream body = response.Content.ReadAsStream())
                return JsonSerializer.Deserialize(body, type) ?? throw new CliException("the agent's answer is empty");
        }
        catch (IOException)
        {
            throw new CliException("the agent has died while it answered");
        }
    }

    private bool TryCopy(string path, Stream destination, ref long copied)
    {
        using HttpResponseMessage response = Send(HttpMethod.Get, path, null);
        using Stream body = response.Content.ReadAsStream();
        byte[] buffer = new byte[65536];
        long skip = copied;
        while (true)
        {
            int count;
            try
            {
                count = body.Read(buffer);
            }
            catch (IOException)
            {
                return false;
            }

            if (count == 0)
                return true;
            int known = (int)Math.Min(skip, count);
            skip -= known;
            destination.Write(buffer, known, count - known);
            destination.Flush();
            copied += count - known;
        }
    }

    private HttpResponseMessage Send(HttpMethod method, string path, HttpContent? content, string? accept = null)
    {
        HttpResponseMessage? response;
        while (!TrySend(method, path, content, accept, out response))
        {
            // Asking twice does no harm; doing twice may.
            if (method != HttpMethod.Get)
                throw new CliException("the agent has died before it answered; what it was asked for may be done or not");
            OnLost();
        }

        // An agent that checks has refused already; one that knows nothing of builds may have understood anything.
        string? agent = response.Headers.TryGetValues(ApiHeaders.Build, out IEnumerable<string>? builds) ? builds.First() : null;
        if (!OfAnyBuild.Contains(path.Split('?')[0]) && agent is null && Build.Refuse(agent, "the agent", "this snapshot-rpc", "snapshot-rpc agent restart replaces it, and sandboxes go on") is { } refusal)
        {
            response.Dispose();
            throw new CliException(refusal);
        }

        if (response.IsSuccessStatusCode)
            return response;
        using (response)
        {
            string? error = null;
            try
            {
                error = JsonSerializer.Deserialize(response.Content.ReadAsStream(), ApiJson.Default.Problem)?.Error;
            }
            catch (JsonException)
            {
                // an answer of another kind
            }

            throw new CliException(error ?? $"the agent answers {(int)response.StatusCode} to {method} {path}");
        }
    }

    // The next agent may be on its way already; this client starts one if not.
    private void OnLost()
    {
        if (_patience == 0 && ++_losses > MostLosses)
            throw new CliException("the agent dies again and again; its log says more");
        if (_patience == 0)
            _patience = Environment.TickCount64 + ComeBackMilliseconds;
        Thread.Sleep(TryAgainMilliseconds);
    }

    /// <returns>False when the agent was there and went without an answer, or is not there again yet.</returns>
    private bool TrySend(HttpMethod method, string path, HttpContent? content, string? accept, [NotNullWhen(true)] out HttpResponseMessage? response)
    {
        using HttpRequestMessage request = new(method, path) { Content = content };
        if (accept is not null)
            request.Headers.Accept.ParseAdd(accept);
        try
        {
            response = _http.Send(request, HttpCompletionOption.ResponseHeadersRead);
            _patience = 0;
            return true;
        }
        catch (HttpRequestException e)
        {
            response = null;
            // The handler itself connects anew when a connection breaks before the request is sent: that the agent is not there then means that it has gone.
            return _wasThere && (_patience == 0 || Environment.TickCount64 < _patience) ? false
                : throw e.InnerException as CliException ?? new CliException("the agent does not answer: " + e.Message);
        }
    }
}
