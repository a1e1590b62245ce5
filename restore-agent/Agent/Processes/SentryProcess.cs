using System.Collections.Concurrent;
using RestoreAgent.Agent.Sandboxes;
using Sentry.Abi;
using Sentry.Control;
using Sentry.Host;

namespace RestoreAgent.Agent.Processes;

/// <summary>
/// A sentry and its control channel: matches replies to requests, hands events on in order, and notices the sentry's death by the channel's
/// end and the pidfd. A thread of its own receives. A sentry with a sandbox outlives its agent and waits for the next one at a socket.
/// </summary>
public sealed class SentryProcess : IDisposable
{
    private const int ExitGrace = 3000;

    private readonly ControlChannel _channel;
    private readonly ChildProcess _process;
    private readonly SentryFiles _files;
    private readonly ConcurrentDictionary<long, TaskCompletionSource<Reply>> _requests = new();
    private readonly TaskCompletionSource<SentryReady> _ready = New<SentryReady>();
    private readonly TaskCompletionSource<string> _ended = New<string>();
    private readonly Lock _eventLock = new();
    private readonly Queue<ControlMessage> _early = [];
    private Action<ControlMessage>? _handler;
    private readonly bool _isAdopted;
    private long _lastId;
    private bool _closing;
    private volatile bool _isUnderstood;

    private SentryProcess(ControlChannel channel, ChildProcess process, string platform, SentryFiles files, bool isAdopted)
    {
        (_channel, _process, Platform, _files, _isAdopted) = (channel, process, platform, files, isAdopted);
        Thread thread = new(Receive, 256 << 10) { IsBackground = true, Name = $"sentry {process.ProcessId}" };
        thread.Start();
    }

    public string Platform { get; }

    public int ProcessId => _process.ProcessId;

    /// <summary>By which a later agent finds it.</summary>
    public string Id => _files.Id;

    public ProcessIdentity? Identity => _process.Identity;

    /// <summary>Once it has ended: how its first program had ended, as wait4(2) reports it; null when that had not.</summary>
    public int? ProgramEnd { get; private set; }

    /// <summary>Once it has ended: whether it ever had a program.</summary>
    public bool HasBegun { get; private set; }

    /// <summary>Once it has ended: its sandbox has gone on in another sentry.</summary>
    public bool HasMoved { get; private set; }

    /// <summary>Once it has ended: its log, when it has failed and said something.</summary>
    public string? CrashLog { get; private set; }

    /// <summary>Why nothing can be asked of it, although it lives: it is of another build than this agent.</summary>
    public string? Refusal { get; private set; }

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
        SentryFiles files = SentryFiles.Create(folders);
        using UnixChannel theirs = pair.Value.Second;
        try
        {
            using UnixChannel listener = files.Listen();
            using OpenDescriptor record = files.CreateRecord();
            using Streams streams = Streams.Null(files.Log);
            ChildProcess process = ChildProcess.Spawn(new SpawnOptions
            {
                Path = HostPath.FromText(folders.Sentry),
                Arguments = ["sentry", "--control-fd", "3", "--adopt-fd", "4", "--record-fd", "5", "--platform", platform],
                Environment = ProcessEnvironment.ForPrograms,
                Descriptors = [streams.Input, streams.Output, streams.Error, theirs.Descriptor, listener.Descriptor, record.Value],
                Namespaces = Isolation.Sentry,
                NewSession = true,
                WorkingDirectory = "/",
            });
            return new SentryProcess(new ControlChannel(pair.Value.First), process, platform, files, isAdopted: false);
        }
        catch
        {
            pair.Value.First.Dispose();
            files.Delete(keepLog: false);
            throw;
        }
    }

    /// <summary>Takes over a sentry whose agent has gone; null when it has ended meanwhile.</summary>
    /// <exception cref="AgentException">It is there, but cannot be reached.</exception>
    public static SentryProcess? Adopt(AgentFolders folders, string id, ProcessIdentity? identity, string platform)
    {
        SentryFiles files = SentryFiles.Of(folders, id);
        if (ChildProcess.Find(identity) is not { } process)
            return null;
        Result<UnixChannel> connected = UnixChannel.Connect(HostPath.FromText(files.Socket));
        if (connected.IsOk)
        {
            SentryProcess sentry = new(new ControlChannel(connected.Value), process, platform, files, isAdopted: true);
            sentry._ready.TrySetResult(new SentryReady { Platform = platform });
            return sentry;
        }

        bool ended = process.WaitForExit(0) is not null;
        process.Dispose();
        return ended ? null : throw AgentException.Failed($"the sentry {identity!.ProcessId} does not listen at {files.Socket}: {connected.Error}");
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

    /// <summary>Asks a sentry that was taken over how it is; null when it is of another build (<see cref="Refusal"/>). Then it lives on, out of reach but for its end.</summary>
    public async Task<Adoption?> AdoptAsync(TimeSpan timeout)
    {
        Reply reply;
        try
        {
            reply = await RequestAsync(new AdoptRequest(), [], timeout).ConfigureAwait(false);
        }
        catch (AgentException) when (Refusal is not null)
        {
            return null;
        }

        if (reply.Adoption is { } adoption && Check(adoption.Build) is null)
        {
            _isUnderstood = true;
            return adoption;
        }

        Refusal = Check(reply.Adoption?.Build);
        return null;
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
            if (Refusal is { } refusal)
                throw AgentException.Conflict(refusal);
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

    /// <summary>Lets the sentry end; it is killed when that takes too long.</summary>
    public void Close()
    {
        if (Interlocked.Exchange(ref _closing, true))
            return;
        try
        {
            _channel.Send(new EndRequest());
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // it has ended already
        }

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
            if (!_isAdopted || _isUnderstood)
                _process.Kill();
        }

        if (_isAdopted && !_isUnderstood && !Volatile.Read(ref _closing))
            AwaitUnreachable();

        // A sentry whose channel is closed has nothing left to do; its descriptors go when it ends.
        _channel.Shutdown();
        ExitStatus? status = _process.End(ExitGrace);
        bool ordered = Volatile.Read(ref _closing);
        bool failed = !ordered && status is not { Signaled: false, Code: 0 };
        (ProgramEnd, HasBegun, HasMoved) = (_files.ReadEnd(), _files.HasBegun, _files.HasMoved);
        CrashLog = failed && LogFiles.LastLine(_files.Log) is not null ? _files.Log : null;
        string reason = Describe(status, broken, ordered);
        _channel.Dispose();
        _process.Dispose();
        _files.Delete(keepLog: failed);

        _ready.TrySetException(AgentException.Failed(reason));
        _ = _ready.Task.Exception;
        _ended.TrySetResult(reason);
        foreach (TaskCompletionSource<Reply> request in _requests.Values)
            request.TrySetException(AgentException.Failed(reason));
    }

    // A sentry of another build may have closed the channel over what it did not understand. It is left alone until it ends by itself, or is killed.
    private void AwaitUnreachable()
    {
        const int forEver = -1;
        if (_process.WaitForExit(ExitGrace / 3) is not null)
            return;
        Refusal ??= Check(null);
        foreach (TaskCompletionSource<Reply> request in _requests.Values)
            request.TrySetException(AgentException.Conflict(Refusal!));
        _process.WaitForExit(forEver);
    }

    private string? Check(string? build) => ControlProtocol.Build.Refuse(build, $"the sentry {ProcessId}", "this agent",
        _isAdopted ? "its sandbox goes on, but only an agent of its build can reach it; snapshot-rpc rm -f ends it" : "build both with eng/build, then snapshot-rpc agent restart");

    private void Dispatch(ControlMessage message)
    {
        switch (message)
        {
            case SentryReady ready when Check(ready.Build) is { } refusal:
                _ready.TrySetException(AgentException.Failed(refusal));
                _ = _ready.Task.Exception;
                Close();
                break;
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

    private string Describe(ExitStatus? status, string? broken, bool ordered)
    {
        string what = status switch
        {
            null => "the sentry cannot be ended",
            { } s when ChildProcess.IsUnknown(s) => "the sentry has died",
            { Signaled: true } s when broken is null => $"sentry killed by signal {s.Code}",
            { Signaled: true } => $"sentry killed: {broken}",
            { Code: 0 } => "the sandbox has ended",
            { } s => $"sentry ended with status {s.Code}",
        };
        string? last = LogFiles.LastLine(_files.Log);
        if (last is not null)
            return $"{what}: {last}";
        return ordered || _files.DescribeCall() is not { } call ? what : $"{what} serving {call}";
    }
}
