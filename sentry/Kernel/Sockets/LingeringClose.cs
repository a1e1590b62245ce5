namespace Sentry.Kernel.Sockets;

/// <summary>A close(2) that waits until the peer has acknowledged everything or the time of SO_LINGER is over (socket(7)). The descriptor is gone already; the
/// call succeeds whatever comes.</summary>
[Savable("lingering-close")]
internal sealed partial class LingeringClose : CallState
{
    [Saved(1)] private TcpSocket _socket;

    private LingeringClose(TcpSocket socket) => _socket = socket;

    public override long? ValueIfInterrupted => 0;

    /// <summary>The last descriptor of <paramref name="file"/> has been closed.</summary>
    internal static SyscallResult Begin(Task task, FileObject file)
    {
        if (file is not TcpSocket { References: 0, IsLingering: true } socket)
            return SyscallResult.Ok;
        task.Call.State = new LingeringClose(socket);
        task.Call.SetTimeoutOnce(task.Kernel.Clock.Monotonic, socket.Ip.Linger * 1_000_000_000L);
        return Wait(task, socket);
    }

    /// <summary>Another try.</summary>
    internal SyscallResult Continue(Task task)
    {
        if (_socket.IsLingering && !task.Call.TimedOut)
            return Wait(task, _socket);
        _socket.EndLinger();
        return SyscallResult.Ok;
    }

    private static SyscallResult Wait(Task task, TcpSocket socket)
    {
        task.WaitOn(socket.Waiters);
        return task.Block(InterruptMode.Interrupt);
    }
}
