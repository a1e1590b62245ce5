using System.Collections.Concurrent;
using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Platform.Notify;

/// <summary>
/// The default platform: every system call of a guest becomes a seccomp user notification (seccomp_unotify(2)), which one thread
/// receives, hands to the kernel and answers.
/// </summary>
public sealed class NotifyPlatform : IPlatform, IReceiver
{
    private const int Outside = 0, Receiving = 1, InHand = 2;

    private readonly Reception _reception;
    private readonly ProcessWatcher _watcher;
    private readonly ConcurrentQueue<Action> _posted = new();
    private int _receiverState;
    private int _receiveCount;
    private int _receiverThread;
    private int _receiverManagedThread;
    private Notification _inHand;
    private Lock? _kernelLock;
    private readonly Func<bool> _mustLeave;
    private volatile bool _kicked; // the receiver is to leave its call, or what it does instead
    private volatile bool _quit;
    private bool _disposed;

    /// <summary>Starts the zygote. Throws InvalidOperationException when this host cannot (Linux 6.17 or newer is wanted).</summary>
    public NotifyPlatform()
    {
        _mustLeave = () => _kicked || !_posted.IsEmpty;
        KickSignal.Prepare();
        StubProgram program = StubProgram.Build();
        (SpawnedProcess zygote, Listener listener, int image) = ZygoteLauncher.Launch(program);
        _reception = new Reception(listener, program, this);
        _watcher = new ProcessWatcher(processId => Post(() => _reception.OnProcessEnded(processId)));
        _reception.SetUpZygote(zygote.ProcessId, zygote.PidFd);
        HostFile.Close(image);
    }

    public string Name => "notify";

    public int MaxXStateSize => ExtendedState.MaxSize;

    public ulong GuestAddressLimit => StubLayout.Base;

    public bool HasCallSites => true;

    /// <summary>Calls that were found in mailboxes, without a notification.</summary>
    public long WatchedCallCount => _reception.Mail.CallCount;

    /// <summary>For tests: looks at mailboxes even when calls come rarely.</summary>
    public bool WatchesEagerly
    {
        set => _reception.Mail.IsEager = value;
    }

    public CallSitePlan? PlanCallSite(ReadOnlySpan<byte> code, int site, long trampoline, int number) =>
        CallSiteWriter.Plan(code, site, trampoline, number, StubLayout.Entry);

    public Result<IGuestThread> CreateProcess()
    {
        Result<StubThread> thread = _reception.CreateProcess();
        return thread.IsOk ? thread.Value : thread.Error;
    }

    public void Run(IPlatformEvents events, Lock kernelLock)
    {
        ArgumentNullException.ThrowIfNull(events);
        _kernelLock = kernelLock;
        _receiverThread = _reception.Mail.ReceiverThread = HostProcess.ThreadId;
        _receiverManagedThread = Environment.CurrentManagedThreadId;
        kernelLock.Enter();
        try
        {
            while (true)
            {
                // Both queues are emptied under the lock, and again when an event posted or caused more.
                while (_posted.TryDequeue(out Action? action))
                    action();
                _reception.Deliver(events);
                if (_quit)
                    return;
                if (!_posted.IsEmpty)
                    continue;

                _kicked = false;
                Volatile.Write(ref _receiveCount, _receiveCount + 1);
                Volatile.Write(ref _receiverState, Receiving);
                kernelLock.Exit();
                Interlocked.MemoryBarrier(); // either the poster sees Receiving, or we see what was posted
                StubThread? caller = _reception.Mail.IsActive ? _reception.Mail.Wait(_mustLeave) : null;
                bool received = caller is null && !_mustLeave() && _reception.Listener.TryReceive(out _inHand);
                Volatile.Write(ref _receiverState, received ? InHand : Outside);
                kernelLock.Enter();
                if (Interlocked.Exchange(ref _receiverState, Outside) == InHand)
                    _reception.Accept(_inHand);
                caller?.OnPosted();
            }
        }
        finally
        {
            _quit = false;
            _receiverThread = 0;
            kernelLock.Exit();
        }
    }

    public void Post(Action action)
    {
        _posted.Enqueue(action);
        KickReceiver();
    }

    public void Quit()
    {
        _quit = true;
        Post(static () => { });
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _watcher.Dispose();
        _reception.Dispose();
    }

    bool IReceiver.IsExclusive => _receiverThread == 0 || _kernelLock is not { } kernelLock || kernelLock.IsHeldByCurrentThread;

    void IReceiver.TakeOver()
    {
        if (_receiverThread == 0 || _receiverManagedThread == Environment.CurrentManagedThreadId)
            return;

        // We hold the kernel lock, so the receiver cannot go back to receiving once it has left.
        KickReceiver();
        if (Interlocked.Exchange(ref _receiverState, Outside) == InHand)
            _reception.Accept(_inHand);
    }

    void IReceiver.Watch(int pidfd, int processId) => _watcher.Watch(pidfd, processId);

    /// <summary>Returns when the receiver is not in the call, or has left it since: a signal that comes just before it is lost, so it is repeated.</summary>
    private void KickReceiver()
    {
        Interlocked.MemoryBarrier();
        int count = Volatile.Read(ref _receiveCount);
        SpinWait spin = default;
        while (Volatile.Read(ref _receiverState) == Receiving && Volatile.Read(ref _receiveCount) == count)
        {
            _kicked = true;
            if (_receiverThread is var thread && thread != 0)
                KickSignal.Send(thread);
            spin.SpinOnce(sleep1Threshold: 20);
        }
    }
}
