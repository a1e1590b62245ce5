using Sentry.Platform;

namespace Tests.Platform;

/// <summary>A kernel whose guest runs on another thread.</summary>
internal sealed class RunningKernel : IDisposable
{
    private readonly Thread _thread;

    public RunningKernel(params string[] arguments)
        : this(null, false, arguments)
    {
    }

    public RunningKernel(Func<IGuestThread, SyscallFrame, bool>? hook, bool watch, string[] arguments)
    {
        Kernel = new TestKernel(watch) { Hook = hook };
        using ManualResetEventSlim started = new();
        _thread = new Thread(() =>
        {
            Kernel.Start(arguments);
            started.Set();
            Kernel.Platform.Run(Kernel, Kernel.Lock);
        });
        _thread.Start();
        started.Wait();
    }

    public TestKernel Kernel { get; }

    public bool Ended => Kernel.First.Status is not null;

    public int Status => Kernel.First.Status ?? -1;

    public void Do(Action action)
    {
        Exception? error = null;
        using ManualResetEventSlim done = new();
        Kernel.Platform.Post(() =>
        {
            try
            {
                action();
            }
            catch (Exception e)
            {
                error = e;
            }

            done.Set();
        });
        while (!done.Wait(20))
        {
            if (!_thread.IsAlive)
                return;
        }

        if (error is not null)
            throw error;
    }

    public void AwaitParked(int count)
    {
        while (true)
        {
            lock (Kernel.Parked)
            {
                if (Kernel.Parked.Count >= count)
                    return;
            }

            if (Ended)
                throw new InvalidOperationException($"ended with {Status}");
            Thread.Yield();
        }
    }

    public void Join() => Assert.True(_thread.Join(60_000));

    public void Dispose()
    {
        Kernel.Platform.Quit();
        _thread.Join();
        Kernel.Dispose();
    }
}
