using Sentry.Abi;
using Sentry.Control;
using Sentry.Host;
using Sentry.Kernel;
using Sentry.Kernel.Files;
using Sentry.Kernel.Tasks;
using Sentry.Kernel.Terminals;

namespace Sentry.Main;

/// <summary>Starts the programs that the agent asks for, on streams or on terminals, and joins those terminals with whoever comes to look at them.</summary>
internal sealed class ProgramStarter(GuestKernel kernel, EventLoop loop)
{
    public Reply Start(ProgramSpec program, ReadOnlySpan<int> streams, ReadOnlySpan<int> terminal)
    {
        List<string> arguments = [.. program.Arguments.Select(HostPath.FromText)];
        InitialProgram initial = new(arguments, [.. program.Environment.Select(HostPath.FromText)], HostPath.FromText(program.WorkingDirectory), program.Uid, program.Gid);
        Result<int> started = program.Terminal is { } spec ? StartOnTerminal(initial, spec, streams, terminal) : StartOnStreams(initial, streams);
        if (started.IsOk)
            return new Reply { Pid = started.Value };
        return new Reply { Error = $"cannot run {program.Arguments[0]}: {Describe(started.Error)}" };
    }

    private Result<int> StartOnStreams(InitialProgram program, ReadOnlySpan<int> streams)
    {
        int pid = kernel.PeekNextPid();
        FileObject[] files = new FileObject[streams.Length];
        for (int i = 0; i < streams.Length; i++)
            files[i] = new HostStreamFile(kernel, new MainStream(streams[i], loop), new StreamIdentity(pid, i));
        return InitialProcess.Start(kernel, program, files);
    }

    private Result<int> StartOnTerminal(InitialProgram program, TerminalSpec spec, ReadOnlySpan<int> streams, ReadOnlySpan<int> terminal)
    {
        Result<(int Pid, TerminalBridge Bridge)> started = InitialProcess.StartOnTerminal(kernel, program, new WindowSize { Rows = spec.Rows, Columns = spec.Columns });
        for (int i = 0; i < streams.Length; i++)
        {
            if (started.IsOk && spec.Log && i == 1)
                started.Value.Bridge.Attach(new MainStream(streams[i], loop), reads: false);
            else
                HostFile.Close(streams[i]);
        }

        if (started.IsOk && terminal.Length > 0)
            started.Value.Bridge.Attach(new MainStream(terminal[0], loop), reads: true);
        else if (terminal.Length > 0)
            HostFile.Close(terminal[0]);
        return started.IsOk ? started.Value.Pid : started.Error;
    }

    public Reply AttachTerminal(AttachTerminalRequest request, int descriptor)
    {
        if (FindBridge(request.Pid) is not { } bridge)
        {
            HostFile.Close(descriptor);
            return new Reply { Error = NoTerminal(request.Pid) };
        }

        // Whoever comes anew sees nothing of what was drawn before: the program is told to draw again, also when its window is as large as it was.
        Resize(bridge, request.Rows, request.Columns);
        bridge.Terminal.SignalForeground(Abi.Signal.SIGWINCH);
        bridge.Attach(new MainStream(descriptor, loop), reads: true);
        return new Reply();
    }

    public Reply Resize(ResizeRequest request)
    {
        if (FindBridge(request.Pid) is not { } bridge)
            return new Reply { Error = NoTerminal(request.Pid) };
        Resize(bridge, request.Rows, request.Columns);
        return new Reply();
    }

    /// <summary>The terminals of a restored sandbox get the size of the windows they are in now, and their programs draw anew.</summary>
    public void ShowTerminals(IEnumerable<TerminalSpec> terminals)
    {
        foreach (TerminalSpec terminal in terminals)
        {
            if (FindBridge(terminal.Pid) is not { } bridge)
                continue;
            Resize(bridge, terminal.Rows, terminal.Columns);
            if (terminal.Attached)
                bridge.Terminal.SignalForeground(Abi.Signal.SIGWINCH);
        }
    }

    private static void Resize(TerminalBridge bridge, ushort rows, ushort columns)
    {
        if (rows > 0 && columns > 0)
            bridge.Terminal.SetWindowSize(new WindowSize { Rows = rows, Columns = columns });
    }

    private TerminalBridge? FindBridge(int pid) => kernel.Bridges.Find(b => b.ProcessId == pid);

    private static string NoTerminal(int pid) => pid == 1 ? "the sandbox has no terminal: it was started without -t" : $"process {pid} has no terminal: it was started without -t";

    private static string Describe(Errno error) => error switch
    {
        Errno.ENOENT => "no such file in the sandbox",
        Errno.EACCES => "permission denied",
        Errno.ENOEXEC => "not a program for x86-64 Linux",
        Errno.ENOTDIR => "the working directory is not there",
        Errno.ENODEV => "there are no terminals at /dev/pts of the sandbox",
        _ => error.ToString(),
    };
}
