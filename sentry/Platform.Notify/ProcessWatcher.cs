using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Platform.Notify;

/// <summary>A thread that waits on the pidfds of all stub processes and tells when one has ended by itself. Those that the platform kills are
/// closed first, so this thread sleeps in the ordinary course of events.</summary>
internal sealed class ProcessWatcher : IDisposable
{
    private readonly int _epoll;
    private readonly int _wake;
    private readonly Thread _thread;
    private readonly Action<int> _onEnded;

    public ProcessWatcher(Action<int> onEnded)
    {
        _onEnded = onEnded;
        _epoll = HostEvents.CreateEpoll().Value;
        _wake = HostEvents.CreateEvent().Value;
        HostEvents.ControlEpoll(_epoll, 1, _wake, 1, 0);
        _thread = new Thread(Watch) { IsBackground = true, Name = "stub watcher" };
        _thread.Start();
    }

    public void Watch(int pidfd, int processId)
    {
        const uint In = 1, OneShot = 1u << 30;
        HostEvents.ControlEpoll(_epoll, 1, pidfd, In | OneShot, (ulong)processId);
    }

    public void Dispose()
    {
        HostEvents.Signal(_wake);
        _thread.Join();
        HostFile.Close(_epoll);
        HostFile.Close(_wake);
    }

    private void Watch()
    {
        Span<EpollEvent> events = stackalloc EpollEvent[16];
        while (true)
        {
            Result<int> count = HostEvents.WaitEpoll(_epoll, events, -1);
            if (count.IsError)
                continue;
            foreach (EpollEvent found in events[..count.Value])
            {
                if (found.Data == 0)
                    return;
                _onEnded((int)found.Data);
            }
        }
    }
}
