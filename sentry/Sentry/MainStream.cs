using Sentry.Abi;
using Sentry.Host;
using Sentry.Kernel;
using Sentry.Kernel.Events;

namespace Sentry.Main;

/// <summary>A descriptor of the caller's (pipe, terminal, file), used without ever waiting. Its flags belong to the caller too and are left alone:
/// readiness is asked for first.</summary>
internal sealed class MainStream(int descriptor, EventLoop loop) : IHostStream, IEventSource
{
    private const int MaxTransfer = 65536;
    private IHostStreamWatcher? _watcher;
    private bool _registered;
    private bool _closed;

    public int Descriptor { get; } = descriptor;

    /// <inheritdoc/>
    public Result<int> Read(Span<byte> destination)
    {
        if ((Ready(PollDescriptor.In) & ~PollDescriptor.Out) == 0)
            return Errno.EAGAIN;
        return HostFile.Read(Descriptor, destination[..Math.Min(destination.Length, MaxTransfer)]);
    }

    /// <inheritdoc/>
    public Result<int> Write(ReadOnlySpan<byte> source)
    {
        short ready = Ready(PollDescriptor.Out);
        if ((ready & PollDescriptor.Error) != 0 && (ready & PollDescriptor.Out) == 0)
            return Errno.EPIPE;
        if (ready == 0)
            return Errno.EAGAIN;

        // A pipe that polls writable has room for PIPE_BUF bytes at least; more could make the host wait.
        return HostFile.Write(Descriptor, source[..Math.Min(source.Length, 4096)]);
    }

    /// <inheritdoc/>
    public PollEvents Poll()
    {
        short ready = Ready(PollDescriptor.In | PollDescriptor.Out);
        PollEvents events = (PollEvents)(ready & (PollDescriptor.In | PollDescriptor.Out | PollDescriptor.Error | PollDescriptor.HangUp));
        if ((ready & PollDescriptor.In) != 0)
            events |= PollEvents.RdNorm;
        if ((ready & PollDescriptor.Out) != 0)
            events |= PollEvents.WrNorm;
        return events;
    }

    /// <inheritdoc/>
    public void Watch(IHostStreamWatcher waiter, PollEvents events)
    {
        _watcher = waiter;
        _registered |= loop.Watch(this, (uint)(events & (PollEvents.In | PollEvents.Out)), _registered, once: true);
    }

    /// <inheritdoc/>
    public void OnReady(uint events) => _watcher?.OnReady((PollEvents)events);

    /// <inheritdoc/>
    public void Close()
    {
        if (_closed)
            return;
        _closed = true;
        loop.Forget(this);
        HostFile.Close(Descriptor);
    }

    private short Ready(short events)
    {
        if (_closed)
            return PollDescriptor.Error | PollDescriptor.HangUp;
        Span<PollDescriptor> one = [new PollDescriptor { Descriptor = Descriptor, Events = events }];
        return HostEvents.Poll(one, 0) is { IsOk: true, Value: > 0 } ? one[0].Ready : (short)0;
    }
}
