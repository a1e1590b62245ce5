using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Platform.Notify;

/// <summary>What the host thread of a guest thread is doing, as far as the notifications tell.</summary>
internal enum HostThreadState
{
    /// <summary>In guest code, or in a handler of the stub on the way to or from it.</summary>
    Running,

    /// <summary>In a guest's call that has been received and not answered.</summary>
    Received,

    /// <summary>In a report that has not been answered: ready for a batch or for returning to its frame.</summary>
    Reporting,

    /// <summary>Running a batch that ends in a report.</summary>
    Batch,

    /// <summary>Ended, or told to and forgotten.</summary>
    Gone,
}

/// <summary>What a thread waits to tell the kernel.</summary>
internal enum PendingEvent
{
    None,
    Syscall,
    Interrupted,
    Fault,
}

/// <summary>A guest thread on a thread of a stub process.</summary>
internal sealed partial class StubThread : IGuestThread
{
    private const int RestartCall = -513; // ERESTARTNOINTR: with a signal pending the host rewinds to the call instruction
    private const int TrapSignal = 5;

    private readonly StubBatch _batch = new();
    private bool _stopSent;
    private bool _interruptWanted;
    private bool _virtualCall;
    private bool _resumeAfterBatch;
    private bool _trapped;
    private bool _forking; // a fork waits for the end of its prefilled batch
    private bool _forkFailed;
    private bool _swapping;
    private bool _swapFaulted;
    private uint _swapFound;

    public StubThread(Reception reception, StubProcess process, int threadId, int slot)
    {
        Reception = reception;
        Process = process;
        ThreadId = threadId;
        SlotIndex = slot;
        Context = new ThreadContext(Slot);
        process.Threads.Add(this);
    }

    public Reception Reception { get; }

    /// <summary>What the host's scheduler charged the thread (/proc/PID/task/TID/schedstat): the only per-thread account that other processes can read.</summary>
    public long CpuTime
    {
        get
        {
            if (HostState == HostThreadState.Gone)
                return 0;
            Result<int> file = HostFile.Open($"/proc/{Process.ProcessId}/task/{ThreadId}/schedstat", 0);
            if (file.IsError)
                return 0;
            Span<byte> text = stackalloc byte[64];
            Result<int> got = HostFile.ReadAt(file.Value, text, 0);
            HostFile.Close(file.Value);
            long nanoseconds = 0;
            for (int i = 0; got.IsOk && i < got.Value && text[i] is >= (byte)'0' and <= (byte)'9'; i++)
                nanoseconds = (nanoseconds * 10) + (text[i] - '0');
            return nanoseconds;
        }
    }

    public StubProcess Process { get; }

    public int ThreadId { get; }

    public int SlotIndex { get; }

    public ulong Slot => StubLayout.Slot(SlotIndex);

    public HostThreadState HostState { get; private set; }

    public GuestThreadState State { get; private set; } = GuestThreadState.Running;

    public PendingEvent PendingEvent { get; set; }

    public ThreadContext Context { get; }

    /// <summary>The first errno of the last batch.</summary>
    public Errno BatchError { get; private set; }

    /// <summary>A synchronous stop waits for it: its calls are rewound.</summary>
    public bool Stopping { get; private set; }

    public Notification Call { get; private set; }

    private ulong ReportId { get; set; }

    private int FaultSignal { get; set; }

    public IAddressSpace AddressSpace => Process.Space;

    /// <summary>A frozen copy: the kernel does not know it as a thread.</summary>
    public bool IsSilent { get; set; }

    public object? Owner { get; set; }

    /// <summary>The id of what the clone at the end of its last batch has made, as it stands in the guest's memory; 0 when there is none yet.</summary>
    public int NewbornId => _batch.ReadLastResult(Process.ProcessId, Slot) is > 0 and <= int.MaxValue and var id ? (int)id : 0;

    private bool IsLeader => ThreadId == Process.ProcessId;

    public void Queue(in MemoryOperation operation)
    {
        if (operation.Address + operation.Length > StubLayout.Base || operation.Address + operation.Length < operation.Address || operation.NewAddress + operation.NewLength > StubLayout.Base)
            throw new ArgumentOutOfRangeException(nameof(operation), "the range is not the guest's");
        _batch.Queue(operation);
    }

    public Errno Flush()
    {
        if (State is not (GuestThreadState.Stopped or GuestThreadState.InSyscall) || (State == GuestThreadState.InSyscall && !_virtualCall && !MakeCallVirtual()))
            return Errno.ESRCH;
        Errno error = _batch.Build(Reception.Listener, ReportId);
        if (error != Errno.None || !_batch.HasMore)
            return error;
        return RunOperations();
    }

    public void Return(long value)
    {
        if (State != GuestThreadState.InSyscall)
            return;
        if (_virtualCall)
        {
            _virtualCall = false;
            Context[FrameLayout.Rax] = (ulong)value;
            State = GuestThreadState.Stopped;
            if (_interruptWanted)
                SendStop();
            Resume();
            return;
        }

        if (_posted && _batch.HasQueued)
        {
            if (MakeCallVirtual())
                Return(value);
            return;
        }

        State = GuestThreadState.Running;
        HostState = HostThreadState.Running;
        _mailbox?.Send();
        if (_posted)
        {
            AnswerPosted(value);
            return;
        }

        if (!_batch.HasQueued)
        {
            Reception.Listener.Send(Call.Id, value);
            return;
        }

        if (value == 0 && _batch.IsTheCallItself(Call))
        {
            _batch.ClearQueue();
            Reception.Listener.Continue(Call.Id);
            return;
        }

        Errno error = _batch.Build(Reception.Listener, Call.Id);
        if (error == Errno.None)
        {
            int count = StartBatch(prefilled: true, autoReturn: 1);
            if (_batch.HasMore)
            {
                HostState = HostThreadState.Batch;
                _resumeAfterBatch = true;
            }

            if (count > 0 && Signal(StubLayout.BatchSignal))
                Reception.Listener.Send(Call.Id, value);
            return;
        }

        Reception.Lose(this, $"a change of memory could not be prepared: {error}");
    }

    public void ContinueNatively()
    {
        if (State != GuestThreadState.InSyscall)
            return;
        if (_virtualCall || _posted)
            throw new InvalidOperationException("the call has been answered on the host, or was never made there");
        _mailbox?.Close();
        State = GuestThreadState.Running;
        HostState = HostThreadState.Running;
        Reception.Listener.Continue(Call.Id);
    }

    public void ReturnAndStop(long value)
    {
        if (State != GuestThreadState.InSyscall)
            return;
        if (_virtualCall)
        {
            _virtualCall = false;
            Context[FrameLayout.Rax] = (ulong)value;
            State = GuestThreadState.Stopped;
        }
        else if (!AnswerAndAwaitReport(value))
        {
            return;
        }

        Errno error = _batch.HasQueued ? Flush() : Errno.None;
        if (error != Errno.None)
            Reception.Lose(this, $"a change of memory failed: {error}");
    }

    public void Stop()
    {
        switch (State)
        {
            case GuestThreadState.Dead or GuestThreadState.Stopped:
                return;
            case GuestThreadState.InSyscall when _virtualCall:
                _virtualCall = false;
                Context[FrameLayout.Rax] = (ulong)Call.Number;
                Context[FrameLayout.Rip] -= 2;
                State = GuestThreadState.Stopped;
                return;
            case GuestThreadState.InSyscall:
                AnswerAndAwaitReport(RestartCall);
                return;
        }

        switch (PendingEvent)
        {
            case PendingEvent.Syscall:
                PendingEvent = PendingEvent.None;
                AnswerAndAwaitReport(RestartCall);
                return;
            case PendingEvent.Interrupted or PendingEvent.Fault:
                _trapped |= PendingEvent == PendingEvent.Fault && FaultSignal == TrapSignal;
                PendingEvent = PendingEvent.None;
                BecomeStopped();
                return;
        }

        Stopping = true;
        SendStop();
        AwaitReport();
    }

    public void Interrupt()
    {
        if (State is GuestThreadState.Dead or GuestThreadState.Stopped)
            return;
        _interruptWanted = true;
        if (!_virtualCall)
            SendStop();
    }

    public void Resume()
    {
        if (State != GuestThreadState.Stopped)
            return;
        State = GuestThreadState.Running;
        if (_trapped)
        {
            _trapped = false;
            Raise(PendingEvent.Fault);
            return;
        }

        Errno error = _batch.Build(Reception.Listener, ReportId);
        if (error != Errno.None)
        {
            Reception.Lose(this, $"a change of memory could not be prepared: {error}");
            return;
        }

        Proceed();
    }

    public Result<IGuestThread> Fork(long parentValue)
    {
        if (State != GuestThreadState.InSyscall)
            return Errno.ESRCH;
        Errno error = _batch.Build(Reception.Listener, _virtualCall ? ReportId : Call.Id);
        if (error != Errno.None)
            return error;
        if (!_virtualCall && !_batch.HasRoomInOne && !MakeCallVirtual())
            return Errno.ESRCH;
        Reception.ExpectBirth();
        _batch.Add(Reception.ForkOperation);
        error = _virtualCall ? RunOperations() : AnswerByFork(parentValue);
        if (error == Errno.None)
            Reception.ServeUntil(this, static t => t.Reception.HasBirth);
        if (!Reception.TakeBirth(out Birth birth))
            return error == Errno.None ? Errno.EAGAIN : error;
        StubThread child = Reception.AdoptFork(this, _virtualCall ? birth with { Frame = Context.Address } : birth);
        if (_virtualCall)
            Return(parentValue);
        return child;
    }

    /// <summary>Answers the call with a prefilled batch that forks and returns by itself. When it fails, the thread reports, which
    /// makes the call a virtual one.</summary>
    private Errno AnswerByFork(long value)
    {
        _mailbox?.Close();
        State = GuestThreadState.Running;
        HostState = HostThreadState.Running;
        _forking = true;
        _forkFailed = false;
        if (StartBatch(prefilled: true, autoReturn: 1) > 0 && Signal(StubLayout.BatchSignal))
            Reception.Listener.Send(Call.Id, value);
        Reception.ServeUntil(this, static t => t.Reception.HasBirth || t._forkFailed);
        _forking = false;
        if (HostState == HostThreadState.Gone)
            return Errno.EAGAIN;
        if (!_forkFailed)
            return Errno.None;
        State = GuestThreadState.InSyscall;
        _virtualCall = true;
        return BatchError == Errno.None ? Errno.EAGAIN : BatchError;
    }

    public Result<IGuestThread> Clone(bool ownProcess)
    {
        if (State != GuestThreadState.Stopped)
            return Errno.ESRCH;
        Result<StubThread> clone = Reception.CloneThread(this, ownProcess);
        return clone.IsOk ? clone.Value : clone.Error;
    }

    public void Kill()
    {
        if (State == GuestThreadState.Dead)
            return;
        State = GuestThreadState.Dead;
        PendingEvent = PendingEvent.None;
        _virtualCall = false;
        if (--Process.LiveThreads == 0)
        {
            Reception.EndProcess(Process);
            return;
        }

        if (HostState is HostThreadState.Received or HostThreadState.Reporting && !_posted)
            EndHostThread();
        else
            SendStop();
    }

    /// <summary>Runs operations while stopped (or in a virtual call) and waits; the first errno.</summary>
    public Errno Run(params ReadOnlySpan<StubOperation> operations)
    {
        _batch.Begin(operations);
        return RunOperations();
    }

    /// <summary>Starts a batch while stopped; <see cref="BatchEnded"/> is called when it reports, or the process is gone.</summary>
    public void StartRun(ReadOnlySpan<StubOperation> operations, Action ended)
    {
        BatchEnded = ended;
        _batch.Begin(operations);
        HostState = HostThreadState.Batch;
        int count = StartBatch(prefilled: false, autoReturn: 0);
        if (count > 0)
            Reception.Listener.Send(ReportId, count);
    }

    /// <summary>Told once at the end of what <see cref="StartRun"/> started.</summary>
    private Action? BatchEnded { get; set; }

    /// <summary>Installs a descriptor while stopped.</summary>
    public Result<int> Install(int descriptor) => Reception.Listener.AddDescriptor(ReportId, descriptor);

    /// <summary>
    /// Has this thread execute a locked cmpxchg, between two of its own instructions: it returns to a frame that leads there and reports.
    /// </summary>
    public bool TrySwap(ulong address, uint expected, uint desired, out uint found)
    {
        // All but the faults stay blocked: SIGILL 4, SIGTRAP 5, SIGBUS 7, SIGFPE 8, SIGSEGV 11.
        const ulong AllButFaults = ~(1ul << 3 | 1ul << 4 | 1ul << 6 | 1ul << 7 | 1ul << 10);
        found = 0;
        if ((State == GuestThreadState.InSyscall && !_virtualCall && !MakeCallVirtual()) || !EnsureContext() || !Context.Store(Process.ProcessId))
            return false;
        GuestRegisters registers = new()
        {
            Rip = Reception.Program.Swap,
            Rdi = address,
            Rax = expected,
            Rcx = desired,
            Rbx = Slot,
            Rsp = Slot + StubLayout.SwapStack,
        };
        ulong frame = Slot + StubLayout.SwapStack + 0x100;
        if (!ThreadContext.WriteOther(Process.ProcessId, Slot, frame, registers, AllButFaults))
            return false;
        _swapping = true;
        _swapFaulted = false;
        HostState = HostThreadState.Running;
        Reception.Listener.Send(ReportId, (long)frame);
        bool reported = Reception.ServeUntil(this, static t => t.HostState == HostThreadState.Reporting);
        _swapping = false;
        found = _swapFound;
        return reported && !_swapFaulted;
    }

    private int StartBatch(bool prefilled, ulong autoReturn)
    {
        int count = _batch.Write(Process.ProcessId, Slot, prefilled, autoReturn);
        if (count == 0)
            Reception.Lose(this, "its slot cannot be written");
        return count;
    }

    private void Raise(PendingEvent what)
    {
        PendingEvent = what;
        Reception.Enqueue(this);
    }

    private void BecomeStopped()
    {
        State = GuestThreadState.Stopped;
        _interruptWanted = false;
    }

    private Errno RunOperations()
    {
        while (_batch.HasMore)
        {
            HostState = HostThreadState.Batch;
            int count = StartBatch(prefilled: false, autoReturn: 0);
            if (count > 0)
                Reception.Listener.Send(ReportId, count);
            if (!Reception.ServeUntil(this, static t => t.HostState == HostThreadState.Reporting))
                return Errno.ESRCH;
            if (BatchError != Errno.None)
                return BatchError;
        }

        return Errno.None;
    }

    /// <summary>Runs what is left of the operations and returns to the frame, without waiting.</summary>
    private void Proceed()
    {
        _resumeAfterBatch = false;
        if (!Context.Store(Process.ProcessId))
        {
            Reception.Lose(this, "its frame cannot be written");
            return;
        }

        if (!_batch.HasMore)
        {
            ReturnToFrame();
            return;
        }

        bool last = _batch.FitsInOne;
        HostState = last ? HostThreadState.Running : HostThreadState.Batch;
        _resumeAfterBatch = !last;
        int count = StartBatch(prefilled: false, autoReturn: Context.Address);
        if (count > 0)
            Reception.Listener.Send(ReportId, count);
    }

    private void ReturnToFrame()
    {
        HostState = HostThreadState.Running;
        Reception.Listener.Send(ReportId, (long)Context.Address);
    }

    private bool AnswerAndAwaitReport(long value)
    {
        _mailbox?.Close();
        if (_posted)
        {
            SendStop();
            if (!Reception.ServeUntil(this, static t => !t._posted))
                return false;
        }

        if (_virtualCall)
        {
            _virtualCall = false;
            Context[FrameLayout.Rax] = value == RestartCall ? (ulong)Call.Number : (ulong)value;
            if (value == RestartCall)
                Context[FrameLayout.Rip] -= 2;
            BecomeStopped();
            return true;
        }

        Stopping = true;
        HostState = HostThreadState.Running;
        SendStop();
        Reception.Listener.Send(Call.Id, value);
        return AwaitReport();
    }

    private bool AwaitReport()
    {
        bool reported = Reception.ServeUntil(this, static t => t.HostState == HostThreadState.Reporting);
        Stopping = false;
        if (reported)
            BecomeStopped();
        return reported;
    }

    /// <summary>Answers the call on the host while the kernel still has to answer it: from then on the thread waits in a report.</summary>
    private bool MakeCallVirtual()
    {
        bool wanted = _interruptWanted;
        if (!AnswerAndAwaitReport(0))
            return false;
        _interruptWanted = wanted;
        State = GuestThreadState.InSyscall;
        return _virtualCall = EnsureContext();
    }

    private void SendStop()
    {
        if (_stopSent || HostState == HostThreadState.Gone)
            return;
        _stopSent = Signal(StubLayout.StopSignal);
    }

    private bool Signal(int signal)
    {
        if (HostProcess.KillThread(Process.ProcessId, ThreadId, signal) == Errno.None)
            return true;
        Reception.Lose(this, "its host thread is gone");
        return false;
    }

    /// <summary>Ends the host thread, which waits in a call or a report. The process's first thread stays parked instead: without it
    /// the host no longer finds the process's memory by its id.</summary>
    private void EndHostThread()
    {
        if (IsLeader)
            return;
        bool received = HostState == HostThreadState.Received;
        if (received && Call.Number == Sysno.exit)
        {
            Reception.Listener.Continue(Call.Id);
        }
        else
        {
            _batch.Begin(StubOperation.Exit);
            int count = StartBatch(prefilled: received, autoReturn: 0);
            if (count == 0)
                return;
            if (received && Signal(StubLayout.BatchSignal))
                Reception.Listener.Send(Call.Id, 0);
            else if (!received)
                Reception.Listener.Send(ReportId, count);
        }

        HostState = HostThreadState.Gone;
        Reception.Forget(this);
    }
}
