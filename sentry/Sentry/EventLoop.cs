using Sentry.Abi;
using Sentry.Host;
using Sentry.Kernel;

namespace Sentry.Main;

/// <summary>The sentry's second thread: waits for the timer and for host streams, and takes what happened to the kernel under its lock.</summary>
internal sealed class EventLoop : IDisposable
{
    private const int Add = 1, Delete = 2, Modify = 3;
    private const uint OneShot = 1u << 30;
    private const ulong TimerKey = ulong.MaxValue, StopKey = ulong.MaxValue - 1;

    private readonly int _epoll;
    private readonly int _stop;
    private readonly MainClock _clock;
    private readonly Dictionary<ulong, MainStream> _streams = [];
    private volatile bool _stopped;

    public EventLoop(MainClock clock)
    {
        _clock = clock;
        _epoll = Require.Ok(HostEvents.CreateEpoll(), "create an epoll");
        _stop = Require.Ok(HostEvents.CreateEvent(), "create an eventfd");
        Require.Ok(HostEvents.ControlEpoll(_epoll, Add, clock.Descriptor, 1, TimerKey), "watch the timer");
        Require.Ok(HostEvents.ControlEpoll(_epoll, Add, _stop, 1, StopKey), "watch the stop event");
    }

    /// <summary>Asks for one event. True when the descriptor is registered (regular files can't be and are always ready).</summary>
    public bool Watch(MainStream stream, uint events, bool registered)
    {
        _streams[(ulong)stream.Descriptor] = stream;
        return HostEvents.ControlEpoll(_epoll, registered ? Modify : Add, stream.Descriptor, events | OneShot, (ulong)stream.Descriptor) == Errno.None;
    }

    public void Forget(MainStream stream)
    {
        if (_streams.Remove((ulong)stream.Descriptor))
            HostEvents.ControlEpoll(_epoll, Delete, stream.Descriptor, 0, 0);
    }

    /// <summary>Runs until <see cref="Stop"/>.</summary>
    public void Run(GuestKernel kernel)
    {
        Span<EpollEvent> events = stackalloc EpollEvent[16];
        Span<byte> expirations = stackalloc byte[8];
        while (!_stopped)
        {
            Result<int> count = HostEvents.WaitEpoll(_epoll, events, -1);
            if (count.IsError)
            {
                if (count.Error == Errno.EINTR)
                    continue;
                throw new SentryException($"cannot wait for events: {count.Error}");
            }

            lock (kernel.Lock)
            {
                foreach (EpollEvent occurred in events[..count.Value])
                {
                    if (occurred.Data == TimerKey)
                    {
                        HostFile.Read(_clock.Descriptor, expirations);
                        kernel.Timers.RunExpired();
                    }
                    else if (_streams.TryGetValue(occurred.Data, out MainStream? stream))
                    {
                        stream.OnReady(occurred.Events);
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
