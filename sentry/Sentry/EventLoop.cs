using Sentry.Abi;
using Sentry.Host;
using Sentry.Kernel;

namespace Sentry.Main;

/// <summary>A descriptor that the event loop waits for.</summary>
internal interface IEventSource
{
    int Descriptor { get; }

    /// <summary>On the event loop's thread, under the kernel lock: what epoll says of it.</summary>
    void OnReady(uint events);
}

/// <summary>The sentry's second thread: waits for the timer and for host streams, and takes what happened to the kernel under its lock.</summary>
internal sealed class EventLoop : IDisposable
{
    private const int Add = 1, Delete = 2, Modify = 3;
    private const uint OneShot = 1u << 30;
    private const ulong TimerKey = ulong.MaxValue, StopKey = ulong.MaxValue - 1;

    private readonly int _epoll;
    private readonly int _stop;
    private readonly MainClock _clock;
    private readonly Dictionary<ulong, IEventSource> _sources = [];
    private readonly IdleTrim _trim = new();
    private volatile bool _stopped;

    public EventLoop(MainClock clock)
    {
        _clock = clock;
        _epoll = Require.Ok(HostEvents.CreateEpoll(), "create an epoll");
        _stop = Require.Ok(HostEvents.CreateEvent(), "create an eventfd");
        Require.Ok(HostEvents.ControlEpoll(_epoll, Add, clock.Descriptor, 1, TimerKey), "watch the timer");
        Require.Ok(HostEvents.ControlEpoll(_epoll, Add, _stop, 1, StopKey), "watch the stop event");
    }

    /// <summary>Asks for events, or for the next one only. True when the descriptor is registered (regular files can't be and are always ready).</summary>
    public bool Watch(IEventSource source, uint events, bool registered, bool once)
    {
        _sources[(ulong)source.Descriptor] = source;
        return HostEvents.ControlEpoll(_epoll, registered ? Modify : Add, source.Descriptor, once ? events | OneShot : events, (ulong)source.Descriptor) == Errno.None;
    }

    public void Forget(IEventSource source)
    {
        if (_sources.Remove((ulong)source.Descriptor))
            HostEvents.ControlEpoll(_epoll, Delete, source.Descriptor, 0, 0);
    }

    /// <summary>Runs until <see cref="Stop"/>.</summary>
    public void Run(GuestKernel kernel)
    {
        Span<EpollEvent> events = stackalloc EpollEvent[16];
        Span<byte> expirations = stackalloc byte[8];
        while (!_stopped)
        {
            Result<int> count = HostEvents.WaitEpoll(_epoll, events, _trim.Remaining);
            if (count.IsError)
            {
                if (count.Error == Errno.EINTR)
                    continue;
                throw new SentryException($"cannot wait for events: {count.Error}");
            }

            _trim.Look();
            if (count.Value == 0)
                continue;
            lock (kernel.Lock)
            {
                foreach (EpollEvent occurred in events[..count.Value])
                {
                    if (occurred.Data == TimerKey)
                    {
                        HostFile.Read(_clock.Descriptor, expirations);
                        kernel.Timers.RunExpired();
                    }
                    else if (_sources.TryGetValue(occurred.Data, out IEventSource? source))
                    {
                        source.OnReady(occurred.Events);
                    }
                }

                kernel.Dispatcher.RunReadyElsewhere();
            }
        }
    }

    public void Stop()
    {
        _stopped = true;
        HostEvents.Signal(_stop);
    }

    public void Dispose()
    {
        HostFile.Close(_epoll);
        HostFile.Close(_stop);
    }
}
