using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using RestoreAgent.Api;

namespace SnapshotRpc;

/// <summary>The agent's HTTP API over its Unix socket.</summary>
public sealed class AgentClient : IDisposable
{
    private readonly HttpClient _http;

    public AgentClient(bool start = true)
    {
        SocketsHttpHandler handler = new()
        {
            UseProxy = false,
            UseCookies = false,
            ConnectCallback = (_, _) =>
            {
                int descriptor = AgentLauncher.Connect(UserFolders.HttpSocket(AgentLauncher.RuntimeFolder), start).Detach();
                return ValueTask.FromResult<Stream>(new NetworkStream(new Socket(new SafeSocketHandle(descriptor, ownsHandle: true)), ownsSocket: true));
            },
        };
        _http = new HttpClient(handler) { BaseAddress = new Uri("http://agent/"), Timeout = Timeout.InfiniteTimeSpan };
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

    /// <summary>Copies an answer to a stream as it comes.</summary>
    public void CopyTo(string path, Stream destination)
    {
        using HttpResponseMessage response = Send(HttpMethod.Get, path, null);
        using Stream body = response.Content.ReadAsStream();
        byte[] buffer = new byte[65536];
        int count;
        while ((count = body.Read(buffer)) > 0)
        {
            destination.Write(buffer, 0, count);
            destination.Flush();
        }
    }

    public void Dispose() => _http.Dispose();

    private static T Read<T>(HttpResponseMessage response, JsonTypeInfo<T> type)
    {
        using (response)
        using (Stream body = response.Content.ReadAsStream())
            return JsonSerializer.Deserialize(body, type) ?? throw new CliException("the agent's answer is empty");
    }

    private HttpResponseMessage Send(HttpMethod method, string path, HttpContent? content, string? accept = null)
    {
        using HttpRequestMessage request = new(method, path) { Content = content };
        if (accept is not null)
            request.Headers.Accept.ParseAdd(accept);
        HttpResponseMessage response;
        try
        {
            response = _http.Send(request, HttpCompletionOption.ResponseHeadersRead);
        }
        catch (HttpRequestException e)
        {
            throw e.InnerException as CliException ?? new CliException("the agent does not answer: " + e.Message);
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
}
