using System.Text.Json;
using RestoreAgent.Agent.Http;
using RestoreAgent.Agent.Processes;
using RestoreAgent.Agent.Sandboxes;
using RestoreAgent.Agent.Snapshots;
using RestoreAgent.Api;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Attach;

/// <summary>
/// The socket over which clients hand in standard streams (SCM_RIGHTS), which HTTP cannot carry. One connection is one program: its request
/// and descriptors come in, "started" and "ended" go out, signals come in between, and a client that goes away takes its program along.
/// </summary>
public sealed class AttachServer(AgentFolders folders, SandboxService service, ILogger<AttachServer> logger) : IDisposable
{
    private const int OwnerOnly = 0x180; // 0600
    private UnixChannel? _listener;
    private int _followers;

    /// <summary>Listens; each connection has a thread, since its client may send signals at any time.</summary>
    public void Start()
    {
        File.Delete(folders.AttachSocket);
        Result<UnixChannel> listening = UnixChannel.Listen(HostPath.FromText(folders.AttachSocket), OwnerOnly);
        if (listening.IsError)
            throw AgentException.Failed($"cannot listen at {folders.AttachSocket}: {listening.Error}");
        _listener = listening.Value;
        new Thread(() => Accept(listening.Value), 128 << 10) { IsBackground = true, Name = "attach" }.Start();
    }

    /// <summary>Waits, for a while, until the clients of programs that have ended have been told.</summary>
    public async Task TellAsync(TimeSpan patience)
    {
        long end = Environment.TickCount64 + (long)patience.TotalMilliseconds;
        while (Volatile.Read(ref _followers) > 0 && Environment.TickCount64 < end)
            await Task.Delay(5).ConfigureAwait(false);
    }

    public void Dispose()
    {
        _listener?.Shutdown();
        _listener?.Dispose();
    }

    private void Accept(UnixChannel listener)
    {
        while (listener.Accept() is { IsOk: true } accepted)
        {
            UnixChannel client = accepted.Value;
            Result<PeerCredentials> peer = client.GetPeer();
            if (peer.IsError || peer.Value.UserId != HostProcess.EffectiveUserId)
            {
                client.Dispose();
                continue;
            }

            new Thread(() => Serve(client), 256 << 10) { IsBackground = true, Name = "attached" }.Start();
        }
    }

    private void Serve(UnixChannel socket)
    {
        using FrameChannel client = new(socket);
        try
        {
            byte[]? frame = client.Receive(out int[] descriptors);
            if (frame is not null)
                Serve(client, frame, descriptors);
        }
        catch (IOException)
        {
            // the client has gone; what it started was ended where it was started
        }
        catch (Exception e)
        {
            (int status, string message) = Errors.Describe(e);
            if (status == StatusCodes.Status500InternalServerError && e is not AgentException)
                logger.LogError(e, "attach");
            TrySend(client, new AttachReply { Error = message });
        }
    }

    private void Serve(FrameChannel client, byte[] frame, int[] descriptors)
    {
        AttachRequest request;
        Streams? streams;
        string? id = null;
        try
        {
            request = StrictJson.Read<AttachRequest>(frame);
            if (request.Build is { } build)
                BuildCheck.Check(build);
            streams = TakeStreams(descriptors, request);
        }
        catch (Exception e) when (e is JsonException or AgentException)
        {
            foreach (int descriptor in descriptors)
                HostFile.Close(descriptor);
            throw e as AgentException ?? AgentException.Invalid("the attach request is no request: " + e.Message);
        }

        if (request.Token is { } token)
        {
            try
            {
                PendingAttach pending = service.Redeem(token);
                id = pending.Id;
                request = pending.Request with { TerminalDescriptor = request.TerminalDescriptor, Window = request.Window };
            }
            catch
            {
                streams?.Dispose();
                throw;
            }
        }

        if (request is { Again: true, Key: { } before } && service.FindByKey(before) is { } done)
        {
            streams?.Dispose();
            FollowAgain(client, done, (request.Run?.Detach ?? request.Restore?.Detach ?? request.Exec?.Detach) == true);
            return;
        }

        string? key;
        try
        {
            key = id ?? (request.Key is null ? null : service.CheckKey(request.Key));
        }
        catch
        {
            streams?.Dispose();
            throw;
        }

        if (request.Run is { } run)
            Follow(client, service.RunAsync(run, streams, request.Window, key).GetAwaiter().GetResult(), run.Detach);
        else if (request is { Restore: { } restore, Snapshot: { } snapshot })
            Follow(client, Await(client, request, o => service.RestoreAsync(snapshot, restore, streams, request.Window, key, o)), restore.Detach);
        else if (request is { Exec: { } exec, Sandbox: { } name })
            Follow(client, service.ExecAsync(name, exec, streams, request.Window, key).GetAwaiter().GetResult(), exec);
        else if (request is { Join: { } pid, Sandbox: { } joined })
            Join(client, service.Find(joined), pid, streams, request.Window);
        else if (request.Follow is { } followed)
            FollowAgain(client, service.FindByKey(followed) ?? throw AgentException.NotFound("what became of the program is not known: its sandbox was removed, or ended while there was no agent for long"), detached: false);
        else
        {
            streams?.Dispose();
            throw AgentException.Invalid("an attach request names one of run, restore, exec, join, follow or a token");
        }
    }

    /// <summary>Waits for a restore and tells its client how far it has come. A client that has gone by then wants it no more.</summary>
    private static T Await<T>(FrameChannel client, AttachRequest request, Func<Operation, Task<T>> start)
    {
        const int TellEveryMilliseconds = 200;
        using CancellationTokenSource gone = new();
        Operation operation = new(request.Restore!.WaitSeconds > 0 ? "waiting" : "reading", request.Restore.Rate, gone.Token);
        Task<T> work = start(operation);
        while (request.Progress && Task.WaitAny([work], TellEveryMilliseconds) < 0)
        {
            if (!TrySend(client, new AttachReply { Progress = operation.Describe() }))
                gone.Cancel();
        }

        return work.GetAwaiter().GetResult();
    }

    private static Streams? TakeStreams(int[] descriptors, AttachRequest request)
    {
        int expected = (request.Join is null && request.Follow is null ? 3 : 0) + (request.StraceDescriptor ? 1 : 0) + (request.TerminalDescriptor ? 1 : 0);
        if (descriptors.Length == 0 && !request.StraceDescriptor)
            return null;
        if (descriptors.Length != expected)
            throw AgentException.Invalid($"{expected} descriptors are expected, {descriptors.Length} came");
        int terminal = request.TerminalDescriptor ? descriptors[^1] : -1;
        return request.Join is null
            ? new Streams(descriptors[0], descriptors[1], descriptors[2], request.StraceDescriptor ? descriptors[3] : -1, terminal)
            : new Streams(-1, -1, -1, -1, terminal);
    }

    private void Follow(FrameChannel client, (Sandbox Sandbox, Started Started) run, bool detached)
    {
        Sandbox sandbox = run.Sandbox;
        if (detached)
            TrySend(client, new AttachReply { Started = run.Started });
        else
            Follow(client, run.Started, sandbox.Exit, input => TakeAsync(sandbox, 1, input), () => sandbox.Detach(1), () => sandbox.Kill("its client has gone"));
    }

    private void Follow(FrameChannel client, (Sandbox Sandbox, ExecutedProgram Program) run, ExecProgramRequest request)
    {
        const int Kill = 9;
        (Sandbox sandbox, ExecutedProgram program) = run;
        Started started = new() { Id = sandbox.Identity.Id, Name = sandbox.Identity.Name, Pid = program.Pid, Terminal = request.Program.Terminal };
        if (request.Detach)
            TrySend(client, new AttachReply { Started = started });
        else
            Follow(client, started, program.Exit, input => TakeAsync(sandbox, program.Pid, input), () => sandbox.Detach(program.Pid), () => Observe(sandbox.SignalAsync(program.Pid, Kill)));
    }

    /// <summary>A client that an earlier agent had waits on, or is told what that one could not tell it any more.</summary>
    private void FollowAgain(FrameChannel client, (Sandbox Sandbox, int Pid) found, bool detached)
    {
        const int Kill = 9;
        (Sandbox sandbox, int pid) = found;
        ExecutedProgram? program = pid == 1 ? null : sandbox.FindProgram(pid) ?? throw AgentException.NotFound($"process {pid} of {sandbox.Identity.Name} has gone");
        sandbox.OnFollowed(pid);
        Started started = new() { Id = sandbox.Identity.Id, Name = sandbox.Identity.Name, Pid = pid, Terminal = program?.HasTerminal ?? sandbox.Identity.Program.Terminal };
        if (detached)
        {
            sandbox.Detach(pid);
            TrySend(client, new AttachReply { Started = started });
            return;
        }

        Action kill = pid == 1 ? () => sandbox.Kill("its client has gone") : () => Observe(sandbox.SignalAsync(pid, Kill));
        Follow(client, started, program?.Exit ?? sandbox.Exit, input => TakeAsync(sandbox, pid, input), () => sandbox.Detach(pid), kill);
    }

    /// <summary>Joins a terminal with one more client, which is told of the program's end and may leave at any time.</summary>
    private void Join(FrameChannel client, Sandbox sandbox, int pid, Streams? streams, WindowSize? window)
    {
        using (streams)
        {
            if (streams is not { Terminal: >= 0 and int terminal })
                throw AgentException.Invalid("to join a terminal its socket must come along");
            Task<ExitReport> exit = pid == 1 ? sandbox.Exit
                : sandbox.FindProgram(pid)?.Exit ?? throw AgentException.NotFound($"process {pid} of {sandbox.Identity.Name} was not started by exec, or has ended");
            sandbox.JoinAsync(pid, terminal, window).GetAwaiter().GetResult();
            streams.Dispose();
            Started started = new() { Id = sandbox.Identity.Id, Name = sandbox.Identity.Name, Pid = pid, Terminal = true };
            Follow(client, started, exit, input => TakeAsync(sandbox, pid, input), () => { }, () => { });
        }
    }

    private static async Task TakeAsync(Sandbox sandbox, int pid, AttachInput input)
    {
        if (input.Window is { } window)
            await sandbox.ResizeAsync(pid, window).ConfigureAwait(false);
        if (input.Signal > 0)
            await sandbox.SignalAsync(pid, input.Signal).ConfigureAwait(false);
    }

    /// <summary>Passes on what comes until the client closes: after it has been told of the end, or before, which kills the program unless the
    /// client has said that it leaves.</summary>
    private void Follow(FrameChannel client, Started started, Task<ExitReport> exit, Func<AttachInput, Task> take, Action detach, Action kill)
    {
        TrySend(client, new AttachReply { Started = started });
        Interlocked.Increment(ref _followers);
        _ = exit.ContinueWith(
            ended =>
            {
                TrySend(client, new AttachReply { Exit = ended.Result });
                Interlocked.Decrement(ref _followers);
                client.Shutdown();
            },
            CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
        bool left = false, refused = false;
        try
        {
            while (!left && client.Receive(out int[] descriptors) is { } frame)
            {
                foreach (int descriptor in descriptors)
                    HostFile.Close(descriptor);
                if (refused)
                    continue;
                if (Read(client, frame) is { } input)
                {
                    left = input.Detach;
                    Observe(take(input));
                }
                else
                {
                    // The client is told of the program's end yet.
                    refused = true;
                    kill();
                }
            }

            if (left)
                detach();
        }
        finally
        {
            if (!left && !refused && !exit.IsCompleted)
                kill();
        }
    }

    /// <summary>What a client sends to its program; null when it is none, which the client is told.</summary>
    private static AttachInput? Read(FrameChannel client, byte[] frame)
    {
        try
        {
            return StrictJson.Read<AttachInput>(frame);
        }
        catch (JsonException e)
        {
            TrySend(client, new AttachReply { Error = AgentException.Invalid("what came is no input for a program: " + e.Message).Message });
            return null;
        }
    }

    // A signal to a program that has just ended fails, and that is all right.
    private static void Observe(Task task) => _ = task.ContinueWith(t => _ = t.Exception, TaskScheduler.Default);

    /// <returns>False when the client has gone.</returns>
    private static bool TrySend(FrameChannel client, AttachReply reply)
    {
        try
        {
            client.Send(JsonSerializer.SerializeToUtf8Bytes(reply, ApiJson.Default.AttachReply));
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
