using System.Collections.Concurrent;
using Sentry.Abi;
using Sentry.Control;
using Sentry.Host;

namespace RestoreAgent.Agent.Processes;

/// <summary>
/// A sentry and its control channel: matches replies to requests, hands events on in order, and notices the sentry's death by the channel's
/// end and the pidfd. A thread of its own receives.
/// </summary>
public sealed class SentryProcess : IDisposable
{
    private const int ExitGrace = 3000;

    private readonly ControlChannel _channel;
    private readonly ChildProcess _process;
    private readonly string _log;
    private readonly ConcurrentDictionary<long, TaskCompletionSource<Reply>> _requests = new();
    private readonly TaskCompletionSource<SentryReady> _ready = New<SentryReady>();
    private readonly TaskCompletionSource<string> _ended = New<string>();
    private readonly Lock _eventLock = new();
    private readonly Queue<ControlMessage> _early = [];
    private Action<ControlMessage>? _handler;
    private long _lastId;
    private bool _closing;

    private SentryProcess(ControlChannel channel, ChildProcess process, string platform, string log)
    {
        (_channel, _process, Platform, _log) = (channel, process, platform, log);
        Thread thread = new(Receive, 256 << 10) { IsBackground = true, Name = $"sentry {process.ProcessId}" };
        thread.Start();
    }

    public string Platform { get; }

    public int ProcessId => _process.ProcessId;

    /// <summary>Completes when the sentry waits for start or restore.</summary>
    public Task<SentryReady> Ready => _ready.Task;

    /// <summary>Completes when the sentry is dead and reaped, with one line that says how it ended.</summary>
    public Task<string> Ended => _ended.Task;

    /// <summary>Starts a sentry in empty namespaces of its own.</summary>
    public static SentryProcess Start(AgentFolders folders, string platform)
    {
        Result<(UnixChannel First, UnixChannel Second)> pair = UnixChannel.CreatePair();
        if (pair.IsError)
            throw AgentException.Failed($"cannot make a socket pair: {pair.Error}");
        string log = Path.Combine(folders.Logs, $"sentry-{Guid.NewGuid():N}.log");
        using UnixChannel theirs = pair.Value.Second;
        try
        {
            using Streams streams = Streams.Null(log);
            ChildProcess process = ChildProcess.Spawn(new SpawnOptions
            {
                Path = HostPath.FromText(folders.Sentry),
                Arguments = ["sentry", "--control-fd", "3", "--platform", platform],
                Environment = ProcessEnvironment.ForPrograms,
                Descriptors = [streams.Input, streams.Output, streams.Error, theirs.Descriptor],
                Namespaces = Isolation.Sentry,
                NewSession = true,
                DieWithParent = true,
                WorkingDirectory = "/",
            });
            return new SentryProcess(new ControlChannel(pair.Value.First), process, platform, log);
        }
        catch
        {
            pair.Value.First.Dispose();
            File.Delete(log);
            throw;
        }
    }

    /// <summary>Sets who gets the events from now on, on the receiving thread: the handler must not wait for this sentry.</summary>
    public void SetHandler(Action<ControlMessage> handler)
    {
        lock (_eventLock)
        {
            _handler = handler;
            while (_early.TryDequeue(out ControlMessage? message))
                handler(message);
        }
    }

    /// <summary>Sends a request and returns its reply; one that carries an error becomes an <see cref="AgentException"/>.</summary>
    public async Task<Reply> RequestAsync(ControlMessage request, int[] descriptors, TimeSpan timeout)
    {
        long id = Interlocked.Increment(ref _lastId);
        TaskCompletionSource<Reply> source = New<Reply>();
        _requests[id] = source;
        try
        {
            if (_ended.Task.IsCompleted)
                throw AgentException.Failed(await _ended.Task.ConfigureAwait(false));
            try
            {
                _channel.Send(request with { Id = id }, descriptors);
            }
            catch (IOException e)
            {
                string reason = await _ended.Task.WaitAsync(TimeSpan.FromMilliseconds(2 * ExitGrace)).ConfigureAwait(false);
                throw AgentException.Failed(reason, e);
            }

            Reply reply = await source.Task.WaitAsync(timeout).ConfigureAwait(false);
            return reply.Error is null ? reply : throw AgentException.Failed(reply.Error);
        }
        catch (TimeoutException)
        {
            throw AgentException.Failed($"the sentry does not answer within {timeout.TotalSeconds:0} s; snapshot-rpc rm -f ends the sandbox");
        }
        finally
        {
            _requests.TryRemove(id, out _);
        }
    }

    /// <summary>Lets the sentry end: it does when its channel closes, and is killed when it takes too long.</summary>
    public void Close()
    {
        Volatile.Write(ref _closing, true);
        _channel.Shutdown();
    }

    /// <summary>Ends the sentry, and with its pid namespace everything in the sandbox, at once.</summary>
    public void Kill() => _process.Kill();

    public void Dispose()
    {
        Close();
        Kill();
    }

    private static TaskCompletionSource<T> New<T>() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Receive()
    {
        string? broken = null;
        try
        {
            while (_channel.ReceiveFrame(out int[] descriptors) is { } message)
            {
                foreach (int descriptor in descriptors)
                    HostFile.Close(descriptor); // a sentry has none to give
                Dispatch(message);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            broken = e.Message;
            _process.Kill();
        }

        // A sentry whose channel is closed has nothing left to do; its descriptors go when it ends.
        _channel.Shutdown();
        ExitStatus? status = _process.End(ExitGrace);
        string reason = Describe(status, broken);
        _channel.Dispose();
        _process.Dispose();
        try
        {
            if (new FileInfo(_log) is { Exists: true, Length: 0 } || (Volatile.Read(ref _closing) && status is { Code: 0 }))
                File.Delete(_log);
        }
        catch (IOException)
        {
            // a log that cannot be removed does no harm
        }

        _ready.TrySetException(AgentException.Failed(reason));
        _ = _ready.Task.Exception;
        _ended.TrySetResult(reason);
        foreach (TaskCompletionSource<Reply> request in _requests.Values)
            request.TrySetException(AgentException.Failed(reason));
    }

    private void Dispatch(ControlMessage message)
    {
        switch (message)
        {
            case SentryReady ready:
                _ready.TrySetResult(ready);
                break;
            case Reply reply:
                if (_requests.TryRemove(reply.Id, out TaskCompletionSource<Reply>? source))
                    source.TrySetResult(reply);
                break;
            default:
                lock (_eventLock)
                {
                    if (_handler is null)
                        _early.Enqueue(message);
                    else
                        _handler(message);
                }

                break;
        }
    }

    private string Describe(ExitStatus? status, string? broken)
    {
        string what = status switch
        {
            null => "the sentry cannot be ended",
            { Signaled: true } s when broken is null => $"sentry killed by signal {s.Code}",
            { Signaled: true } => $"sentry killed: {broken}",
            { Code: 0 } => "the sandbox has ended",
            { } s => $"sentry ended with status {s.Code}",
        };
        string? last = LogFiles.LastLine(_log);
        return last is null ? what : $"{what}: {last}";
    }
}
