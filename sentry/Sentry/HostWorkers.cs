using Sentry.Kernel;

namespace Sentry.Main;

/// <summary>The threads that do what the host may take long for. There are as many as work that is under way at once, up to a limit; they stay.</summary>
internal sealed class HostWorkers(Action<Action> guarded)
{
    private const int MaxThreads = 8;

    private readonly Queue<IHostWork> _waiting = [];
    private readonly object _lock = new();
    private int _threads;
    private int _idle;

    /// <summary>Has something done, and the kernel told afterwards.</summary>
    public void Run(IHostWork work, GuestKernel kernel)
    {
        lock (_lock)
        {
            _waiting.Enqueue(work);
            if (_waiting.Count <= _idle || _threads == MaxThreads)
            {
                Monitor.Pulse(_lock);
                return;
            }

            _threads++;
        }

        new Thread(() => guarded(() => Serve(kernel))) { IsBackground = true, Name = "host work" }.Start();
    }

    private void Serve(GuestKernel kernel)
    {
        while (true)
        {
            IHostWork work = Take();
            work.Run();
            lock (kernel.Lock)
            {
                work.OnDone();
                kernel.Dispatcher.RunReadyElsewhere();
            }
        }
    }

    private IHostWork Take()
    {
        lock (_lock)
        {
            IHostWork? work;
            while (!_waiting.TryDequeue(out work))
            {
                _idle++;
                Monitor.Wait(_lock);
                _idle--;
            }

            return work;
        }
    }
}
