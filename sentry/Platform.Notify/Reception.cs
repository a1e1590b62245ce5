using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Platform.Notify;

/// <summary>The first report of a host thread that the sentry had made, or that it ended before it made one.</summary>
internal readonly record struct Birth(int ThreadId, ulong ReportId, ulong Frame, ulong FsBase, ulong GsBase, bool IsDead = false);

/// <summary>
/// Takes in notifications and sorts them: reports of the stubs change the state of their thread at once, guests' calls and what else the kernel
/// must hear of wait in a queue. So an operation that must wait for a stub can receive on its own without anything being raised
/// meanwhile. Used under the kernel lock.
/// </summary>
internal sealed class Reception : IDisposable
{
    private const int Slice = 20, Patience = 30_000; // milliseconds
    private const int CopyTries = 4;
    private const ulong Vm = 0x100, Fs = 0x200, Files = 0x400, SignalHandlers = 0x800, SameThreadGroup = 0x10000, SemaphoreUndo = 0x40000;
    private const ulong ParentOfParent = 0x8000, ClearThreadWord = 0x200000;

    private readonly Dictionary<int, StubThread> _threads = [];
    private readonly Dictionary<int, StubProcess> _processes = [];
    private readonly Queue<StubThread> _events = [];
    private readonly Queue<(StubThread Thread, string Reason)> _lost = [];
    private readonly EndedProcesses _ended;
    private readonly IReceiver _receiver;
    private StubThread? _zygote;
    private bool _expectingBirth;
    private Birth? _birth;

    public Reception(Listener listener, StubProgram program, IReceiver receiver)
    {
        Listener = listener;
        Mail = new MailWatch(listener);
        _ended = new EndedProcesses(Mailboxes);
        Program = program;
        _receiver = receiver;
    }

    /// <summary>Makes a copy of a process; CLONE_PARENT makes every stub a child of the sentry.</summary>
    public static StubOperation ForkOperation => StubOperation.CloneWith(ParentOfParent, 0, 0);

    public Listener Listener { get; }

    /// <summary>How many address spaces are accessed through /proc/PID/mem: each takes a descriptor.</summary>
    public int OpenMemoryFiles { get; set; }

    public MailboxPool Mailboxes { get; } = new();

    /// <summary>The mailboxes that are looked at for calls.</summary>
    public MailWatch Mail { get; }

    public StubProgram Program { get; }

    /// <summary>Whether any guest thread may be in guest code now.</summary>
    public bool AnyRunning => _threads.Values.Any(t => t.HostState is HostThreadState.Running or HostThreadState.Batch);

    public bool HasBirth => _birth is not null;

    /// <summary>Whether something waits to be delivered.</summary>
    public bool HasEvents => _events.Count > 0 || _lost.Count > 0;

    /// <summary>Waits for the zygote's first report and cleans it: host descriptors, mappings, signal handlers.</summary>
    public void SetUpZygote(int processId, int pidfd)
    {
        ExpectBirth();
        long deadline = Environment.TickCount64 + Patience;
        while (!HasBirth)
        {
            if (Environment.TickCount64 > deadline || HostProcess.HasEnded(processId))
                throw new InvalidOperationException("the zygote does not report");
            if (Listener.Poll(Slice) && Listener.TryReceive(out Notification notification))
            {
                if (notification.IsFromStub)
                    Accept(notification);
                else
                    Listener.Continue(notification.Id); // its execveat
            }
        }

        TakeBirth(out Birth birth);
        StubSpace space = new(this);
        StubProcess process = new(processId, space) { PidFd = pidfd };
        _receiver.Watch(pidfd, processId);
        _zygote = Register(new StubThread(this, process, birth.ThreadId, space.TakeSlot()));
        _zygote.OnBirth(birth, hasFrame: false);
        foreach (StubOperation[] batch in Zygote.Operations(processId, Program.Handler))
        {
            Errno error = _zygote.Run(batch);
            if (error != Errno.None)
                throw new InvalidOperationException($"the zygote could not be cleaned: {error}");
        }
    }

    /// <summary>A new process, a copy of the zygote.</summary>
    public Result<StubThread> CreateProcess()
    {
        StubThread zygote = _zygote ?? throw new InvalidOperationException("no zygote");
        Errno error = Copy(zygote, out Birth birth);
        if (error != Errno.None)
            return error;
        StubSpace space = new(this);
        space.TakeOnly(zygote.SlotIndex);
        return AdoptProcess(birth, space, zygote.SlotIndex, hasFrame: false);
    }

    /// <summary>Takes over the process that a thread's fork made; its registers are that thread's.</summary>
    public StubThread AdoptFork(StubThread parent, in Birth birth)
    {
        StubSpace space = new(this);
        space.TakeOnly(parent.SlotIndex);
        return AdoptProcess(birth, space, parent.SlotIndex, hasFrame: true);
    }

    /// <summary>A thread beside a stopped one, with a copy of its registers.</summary>
    public Result<StubThread> CloneThread(StubThread parent, bool ownProcess)
    {
        StubSpace space = parent.Process.Space;
        if (!parent.EnsureContext())
            return Errno.ESRCH;
        byte[] state = new byte[ExtendedState.MaxSize];
        int length = parent.GetXState(state);
        int index = space.TakeSlot();
        if (index < 0)
            return Errno.EAGAIN;
        ulong slot = StubLayout.Slot(index);
        if (!GuestMemory.TryWrite64(space.ProcessId, slot + StubLayout.AtThreadWord, 1))
            return Errno.ENOMEM;

        ulong flags = Vm | ClearThreadWord | (ownProcess ? ParentOfParent : Fs | Files | SignalHandlers | SameThreadGroup | SemaphoreUndo);
        Errno error = RunAndAwaitBirth(parent, StubOperation.CloneWith(flags, slot + StubLayout.SlotSize - 64, slot + StubLayout.AtThreadWord), out Birth birth);
        if (error != Errno.None)
        {
            space.ReturnSlot(index);
            return error;
        }

        StubThread child;
        if (ownProcess)
        {
            child = AdoptProcess(birth, space, index, hasFrame: false);
        }
        else
        {
            child = Register(new StubThread(this, parent.Process, birth.ThreadId, index));
            child.OnBirth(birth, hasFrame: false);
        }

        child.Context.CopyFrom(parent.Context);
        if (!child.SetXState(state.AsSpan(0, length)))
            child.SetXState(default);
        return child;
    }

    /// <summary>A copy of a stopped thread's process that never runs.</summary>
    public Result<IFrozenMemory> Freeze(StubThread stopped)
    {
        if (stopped.State != GuestThreadState.Stopped)
            return Errno.ESRCH;
        Errno error = Copy(stopped, out Birth birth);
        if (error != Errno.None)
            return error;
        StubThread copy = AdoptFork(stopped, birth);
        copy.IsSilent = true;
        return new FrozenMemory(this, copy);
    }

    public void ExpectBirth()
    {
        _expectingBirth = true;
        _birth = null;
    }

    public bool TakeBirth(out Birth birth)
    {
        birth = _birth.GetValueOrDefault();
        bool has = HasBirth;
        _birth = null;
        _expectingBirth = false;
        return has;
    }

    /// <summary>Receives until the condition holds; false when the thread is lost meanwhile, or has been silent for too long.</summary>
    public bool ServeUntil(StubThread thread, Func<StubThread, bool> condition)
    {
        long began = Environment.TickCount64, look = began + Slice;
        _receiver.TakeOver();
        while (!condition(thread))
        {
            if (thread.HostState == HostThreadState.Gone)
                return false;
            if (Listener.Poll(Slice) && Listener.TryReceive(out Notification notification))
                Accept(notification);

            // By the clock, not when nothing comes: other guests may have something to say all the time.
            long now = Environment.TickCount64;
            if (now < look)
                continue;
            look = now + Slice;
            LookForDeadNewborn(thread);
            if (!IsPresent(thread))
                Lose(thread, "its host thread ended");
            else if (now > began + Patience)
                Lose(thread, "it does not answer");
        }

        return true;
    }

    /// <summary>Has a stopped thread run a batch and waits. Unlike other operations it may be used without the kernel lock: the receiver's
    /// thread then starts and ends the batch between other events.</summary>
    public bool RunFromAnywhere(StubThread thread, StubOperation[] operations)
    {
        if (_receiver.IsExclusive)
        {
            thread.Run(operations);
        }
        else
        {
            ManualResetEventSlim done = new();
            _receiver.Post(() =>
            {
                if (thread.HostState == HostThreadState.Reporting)
                    thread.StartRun(operations, done.Set);
                else
                    done.Set();
            });
            while (!done.Wait(100))
            {
                if (_receiver.IsExclusive)
                    return false; // the receiver has quit meanwhile
            }
        }

        return thread.Process.IsAlive;
    }

    /// <summary>Ends a thread that the kernel does not know; without the kernel lock the receiver's thread does it, since what is known of processes is its to change.</summary>
    public void KillFromAnywhere(StubThread thread)
    {
        if (_receiver.IsExclusive)
            Kill();
        else
            _receiver.Post(Kill);

        void Kill()
        {
            if (thread.State != GuestThreadState.Dead)
                thread.Kill();
        }
    }

    /// <summary>Sorts one notification.</summary>
    public void Accept(in Notification notification)
    {
        _threads.TryGetValue(notification.ThreadId, out StubThread? thread);
        if (notification.IsFromStub)
            AcceptFromStub(thread, notification);
        else if (thread is not null)
            thread.OnCall(notification);
        else
            KillStray(notification);
    }

    public void Enqueue(StubThread thread)
    {
        _events.Enqueue(thread);
        _receiver.TakeOver(); // when another thread than the receiver found it: so that it is delivered
    }

    /// <summary>Raises what waits, in the order of arrival.</summary>
    public void Deliver(IPlatformEvents events)
    {
        while (true)
        {
            if (_lost.TryDequeue(out (StubThread Thread, string Reason) lost))
                events.OnLost(lost.Thread, lost.Reason);
            else if (_events.TryDequeue(out StubThread? thread))
                thread.Deliver(events);
            else
                return;
        }
    }

    /// <summary>Kills the process of a thread that broke the protocol or vanished, and tells the kernel when it comes to it.</summary>
    /// <exception cref="InvalidOperationException">It is the zygote: no program could be executed any more.</exception>
    public void Lose(StubThread thread, string reason)
    {
        StubProcess process = thread.Process;
        if (!process.IsAlive)
            return;
        if (thread == _zygote)
            throw new InvalidOperationException($"the zygote, of which new processes are copies, is lost: {reason}");
        StubThread? witness = Concerns(thread) ? thread : process.Threads.Find(Concerns);
        EndProcess(process);
        if (witness is null)
            return;
        _lost.Enqueue((witness, reason));
        _receiver.TakeOver();

        static bool Concerns(StubThread thread) => thread.State != GuestThreadState.Dead && !thread.IsSilent;
    }

    /// <summary>A process was found to have ended by itself.</summary>
    public void OnProcessEnded(int processId)
    {
        if (_processes.TryGetValue(processId, out StubProcess? process) && process.Threads.Count > 0)
            Lose(process.Threads[0], "its host process ended");
    }

    /// <summary>Kills a process; all its threads are dead.</summary>
    public void EndProcess(StubProcess process)
    {
        if (!process.IsAlive)
            return;
        process.IsAlive = false;
        HostProcess.Kill(process.ProcessId, 9);
        if (process.PidFd >= 0)
            HostFile.Close(process.PidFd);
        process.PidFd = -1;
        process.Space.Processes.Remove(process);
        if (process.Space.Processes.Count == 0)
            process.Space.CloseFile();
        _processes.Remove(process.ProcessId);
        foreach (StubThread thread in process.Threads)
        {
            thread.OnProcessEnded();
            RemoveEntry(thread);
            if (process.Space.Processes.Count > 0)
                process.Space.ReleaseSlot(thread.SlotIndex);
        }

        process.Threads.Clear();

        _ended.Add(process.ProcessId, process.Space.Processes.Count == 0 ? process.Space.TakeMailboxes() : []);
        _ended.Reap();
    }

    /// <summary>A host thread was told to end.</summary>
    public void Forget(StubThread thread)
    {
        Mail.Remove(thread);
        RemoveEntry(thread);
        thread.Process.Threads.Remove(thread);
        thread.Process.Space.ReleaseSlot(thread.SlotIndex);
    }

    public void Dispose()
    {
        foreach (StubProcess process in _processes.Values.ToArray())
            EndProcess(process);
        long deadline = Environment.TickCount64 + 5000;
        while (!_ended.IsEmpty && Environment.TickCount64 < deadline)
        {
            if (!_ended.Reap())
                Thread.Sleep(1);
        }

        Listener.Dispose();
        Mailboxes.Dispose();
    }

    private void AcceptFromStub(StubThread? thread, in Notification notification)
    {
        bool isBirth = notification.Number == StubLayout.ReportNumber && notification.A0 == (ulong)ReportKind.Birth;
        if (isBirth && thread is null && _expectingBirth && !HasBirth)
        {
            // Only one clone is let through at a time, so the one unknown thread is its child.
            _birth = new Birth(notification.ThreadId, notification.Id, notification.A2, notification.A3, notification.A5);
        }
        else if (thread is null)
        {
            KillStray(notification);
        }
        else if (notification.Number != StubLayout.ReportNumber)
        {
            if (thread.TakeExpected(notification))
                Listener.Continue(notification.Id);
            else
                Lose(thread, $"system call {notification.Number} from the stub's page");
        }
        else if (notification.A0 == (ulong)ReportKind.Signal)
        {
            thread.OnSignalReport(notification);
        }
        else if (notification.A0 == (ulong)ReportKind.Batch)
        {
            thread.OnBatchReport(notification);
        }
        else if (notification.A0 == (ulong)ReportKind.Swap)
        {
            thread.OnSwapReport(notification);
        }
        else
        {
            Lose(thread, "a report of no known kind");
        }
    }

    /// <summary>Copies a process for the platform's own ends: one that is killed before it has reported is missed by nobody, and made again.</summary>
    private Errno Copy(StubThread stopped, out Birth birth)
    {
        for (int tries = 1; ; tries++)
        {
            Errno error = RunAndAwaitBirth(stopped, ForkOperation, out birth);
            if (error != Errno.None || !birth.IsDead)
                return error;
            _ended.Add(birth.ThreadId);
            _ended.Reap();
            if (tries == CopyTries)
                return Errno.EAGAIN;
        }
    }

    /// <summary>
    /// What is killed between its clone and its first report never reports. The parent has its id from the host, in the guest's memory: it is believed
    /// only when a child of ours has that id, has ended, and is none that we know.
    /// </summary>
    private void LookForDeadNewborn(StubThread parent)
    {
        if (_expectingBirth && !HasBirth && parent.NewbornId is > 0 and var id && HostProcess.HasEnded(id)
            && !_processes.ContainsKey(id) && !_ended.Contains(id))
            _birth = new Birth(id, 0, 0, 0, 0, IsDead: true);
    }

    /// <summary>The child's first report and the parent's own come in either order.</summary>
    private Errno RunAndAwaitBirth(StubThread parent, in StubOperation clone, out Birth birth)
    {
        ExpectBirth();
        Errno error = parent.Run(clone);
        if (error == Errno.None)
            ServeUntil(parent, static t => t.Reception.HasBirth);
        bool born = TakeBirth(out birth);
        return born ? Errno.None : error == Errno.None ? Errno.EAGAIN : error;
    }

    private StubThread AdoptProcess(in Birth birth, StubSpace space, int slot, bool hasFrame)
    {
        StubProcess process = new(birth.ThreadId, space);
        StubThread thread = Register(new StubThread(this, process, birth.ThreadId, slot));
        thread.OnBirth(birth, hasFrame);
        Result<int> pidfd = HostProcess.OpenPidFd(birth.ThreadId);
        if (pidfd.IsOk)
        {
            process.PidFd = pidfd.Value;
            _receiver.Watch(pidfd.Value, birth.ThreadId);
        }

        if (birth.IsDead)
            Lose(thread, "it was killed before it began");
        _ended.Reap();
        return thread;
    }

    private StubThread Register(StubThread thread)
    {
        _threads[thread.ThreadId] = thread;
        _processes[thread.Process.ProcessId] = thread.Process;
        return thread;
    }

    private void RemoveEntry(StubThread thread)
    {
        if (_threads.TryGetValue(thread.ThreadId, out StubThread? entry) && entry == thread)
            _threads.Remove(thread.ThreadId);
    }

    // Not one of ours any more: a process that was killed and has not noticed yet, or one that reports after we have given it up.
    private void KillStray(in Notification notification)
    {
        int process = notification.ThreadId;
        HostProcess.Kill(process, 9);
        if (!_ended.Contains(process))
            _ended.Add(process);
    }

    private static bool IsPresent(StubThread thread)
    {
        Result<int> stat = HostFile.Open($"/proc/{thread.Process.ProcessId}/task/{thread.ThreadId}/stat", 0);
        if (stat.IsError)
            return false;
        Span<byte> line = stackalloc byte[64];
        Result<int> length = HostFile.Read(stat.Value, line);
        HostFile.Close(stat.Value);
        if (length.IsError)
            return false;
        int name = line[..length.Value].LastIndexOf((byte)')');
        return name >= 0 && name + 2 < length.Value && line[name + 2] is not ((byte)'Z' or (byte)'X');
    }
}
