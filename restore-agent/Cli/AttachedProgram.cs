using System.Runtime.InteropServices;
using System.Text.Json;
using RestoreAgent.Api;
using Sentry.Host;
using SnapshotRpc.Terminals;

namespace SnapshotRpc;

/// <summary>Hands a request with this process's standard streams, or with a terminal, to the agent, passes signals on, and ends as the program ends.</summary>
public sealed class AttachedProgram : IDisposable
{
    private const int SandboxFailed = 125, KilledBySignal = 128;
    private const int ComeBackMilliseconds = 60_000, TryAgainMilliseconds = 100;
    private const int Hangup = 1, Interrupt = 2, Quit = 3, Terminate = 15;

    private static readonly (PosixSignal Signal, int Number)[] Forwarded =
        [(PosixSignal.SIGINT, Interrupt), (PosixSignal.SIGTERM, Terminate), (PosixSignal.SIGHUP, Hangup), (PosixSignal.SIGQUIT, Quit)];

    private readonly AttachRequest _request;
    private readonly TerminalSession? _terminal;
    private volatile FrameChannel _agent = Connect();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private readonly ProgressDisplay? _progress;
    private readonly string _key = Guid.NewGuid().ToString("N");
    private volatile bool _left;
    private volatile bool _started;
    private volatile int _signal;
    private AttachRequest _sent = new();
    private int[] _descriptors = [];

    private AttachedProgram(AttachRequest request, TerminalSession? terminal, ProgressDisplay? progress) => (_request, _terminal, _progress) = (request, terminal, progress);

    // The agent that knows it by another name has been asked over HTTP, and who only looks on has nothing to come back to.
    private bool HasKey => _request.Join is null && _request.Token is null;

    /// <summary>Runs a request to its end; a detached one to its start, of which <paramref name="started"/> is told.</summary>
    /// <param name="terminal">Offered to the program; used when it has a terminal.</param>
    /// <param name="progress">Shows how far a restore has come until its program starts.</param>
    /// <returns>The exit code for this process.</returns>
    public static int Run(AttachRequest request, bool detached, int strace, TerminalSession? terminal = null, Action<Started>? started = null, ProgressDisplay? progress = null)
    {
        using (terminal)
        using (progress)
        {
            try
            {
                using AttachedProgram program = new(request, terminal, progress);
                if (!detached)
                    program.TakeSignals();
                program.Send(detached, strace);
                return program.Follow(detached, started);
            }
            catch (IOException e)
            {
                terminal?.Dispose();
                Console.Error.WriteLine("snapshot-rpc: the connection to the agent failed: " + e.Message);
                return SandboxFailed;
            }
        }
    }

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations)
            registration.Dispose();
        _agent.Dispose();
    }

    // Before the program can start: a signal in between is then its, not this process's end. Who only looks on keeps its signals to itself.
    private void TakeSignals()
    {
        foreach ((PosixSignal signal, int number) in Forwarded)
        {
            _registrations.Add(PosixSignalRegistration.Create(signal, context =>
            {
                context.Cancel = true;
                if (_request.Join is null && (_started || _progress is null))
                {
                    TrySend(new AttachInput { Signal = number });
                    return;
                }

                _signal = number;
                Leave();
            }));
        }
    }

    private void Send(bool detached, int strace)
    {
        List<int> descriptors = (detached && strace < 0) || _request.Join is not null ? [] : [0, 1, 2];
        if (strace >= 0)
            descriptors.Add(strace);
        if (_terminal is not null)
            descriptors.Add(_terminal.Descriptor);
        _sent = _request with
        {
            StraceDescriptor = strace >= 0,
            TerminalDescriptor = _terminal is not null,
            Key = HasKey ? _key : null,
            Window = TerminalSession.Window,
            Progress = _progress is not null,
            Build = AgentClient.Build.Identity,
        };
        _descriptors = [.. descriptors];
        try
        {
            _agent.Send(JsonSerializer.SerializeToUtf8Bytes(_sent, ApiJson.Default.AttachRequest), _descriptors);
        }
        catch (IOException) when (HasKey)
        {
            // the agent has gone, which is noticed when its answer does not come
        }
    }

    private int Follow(bool detached, Action<Started>? started)
    {
        Started? program = null;
        while (true)
        {
            if (Receive() is not { } reply)
            {
                if (_left || !HasKey || !ComeBack(program is not null))
                    break;
                continue;
            }

            if (reply.Error is not null)
                throw new CliException(reply.Error);
            if (reply.Progress is not null)
                _progress?.Show(reply.Progress);
            if (reply.Started is not null && program is null)
            {
                _started = true;
                _progress?.Dispose();
                program = reply.Started;
                started?.Invoke(program);
                if (detached)
                    return 0;
                if (program.Terminal)
                    _terminal?.Start(window => TrySend(new AttachInput { Window = window }), Leave);
            }

            if (reply.Exit is null)
                continue;
            _terminal?.Finish();
            _terminal?.Dispose();
            if (reply.Exit.Reason is { } reason)
                Console.Error.WriteLine("snapshot-rpc: " + reason);
            return reply.Exit.ExitCode;
        }

        _terminal?.Dispose();
        if (_left && !_started && _request.Join is null)
            throw new CliException("interrupted; what was fetched is kept, and the same command goes on from there");
        if (!_left)
            throw new CliException(HasKey ? "the agent has gone and no other can be reached; snapshot-rpc agent start says why" : "the agent has gone; snapshot-rpc ps shows what goes on");
        string name = program is null ? "" : program.Name + (program.Pid == 1 ? "" : $" --pid {program.Pid}");
        Console.Error.WriteLine($"snapshot-rpc: detached; snapshot-rpc attach {name} comes back");
        return _signal == 0 ? 0 : KilledBySignal + _signal;
    }

    private static FrameChannel Connect() => new(AgentLauncher.Connect(UserFolders.AttachSocket(AgentLauncher.RuntimeFolder)));

    /// <summary>What the agent says next; null when it has gone.</summary>
    private AttachReply? Receive()
    {
        try
        {
            return _agent.Receive(out _) is { } frame ? JsonSerializer.Deserialize(frame, ApiJson.Default.AttachReply) ?? new AttachReply() : null;
        }
        catch (IOException) when (!_left)
        {
            return null;
        }
    }

    /// <summary>Waits on with the next agent, which finds the sandbox alive; starts one where none comes by itself. A request that was not answered is made
    /// again: the agent knows by its key whether it was carried out.</summary>
    private bool ComeBack(bool started)
    {
        long end = Environment.TickCount64 + ComeBackMilliseconds;
        while (Environment.TickCount64 < end)
        {
            try
            {
                FrameChannel next = Connect();
                AttachRequest request = started ? new AttachRequest { Follow = _key, Build = AgentClient.Build.Identity } : _sent with { Again = true };
                next.Send(JsonSerializer.SerializeToUtf8Bytes(request, ApiJson.Default.AttachRequest), started ? [] : _descriptors);
                FrameChannel before = _agent;
                _agent = next;
                before.Dispose();
                return true;
            }
            catch (Exception e) when (e is CliException or IOException)
            {
                // the agent is on its way out or in
                Thread.Sleep(TryAgainMilliseconds);
            }
        }

        return false;
    }

    /// <summary>The program goes on without this client.</summary>
    private void Leave()
    {
        _left = true;
        TrySend(new AttachInput { Detach = true });
        _agent.Shutdown();
    }

    private void TrySend(AttachInput input)
    {
        try
        {
            _agent.Send(JsonSerializer.SerializeToUtf8Bytes(input, ApiJson.Default.AttachInput));
        }
        catch (IOException)
        {
            // the program has just ended
        }
    }
}
