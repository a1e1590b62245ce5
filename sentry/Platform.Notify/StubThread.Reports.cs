using Sentry.Abi;

namespace Sentry.Platform.Notify;

/// <content>What the host tells of the thread: calls, signals, the ends of batches, births and deaths.</content>
internal sealed partial class StubThread
{
    /// <summary>A call of the guest has come.</summary>
    public void OnCall(in Notification call)
    {
        if (_posted)
        {
            OnParked(call);
            return;
        }

        if (_lateAnswer is { } late)
        {
            _lateAnswer = null;
            _mailbox!.ClearCall();
            Reception.Listener.Send(call.Id, late);
            return;
        }

        if (HostState != HostThreadState.Running)
        {
            Reception.Lose(this, "a call while it was not running");
            return;
        }

        Call = call;
        HostState = HostThreadState.Received;
        _batch.ForgetExpected();
        if (_mailbox is { } mailbox)
        {
            mailbox.Begin(call.InstructionPointer == Reception.Program.Entry.CallReturn);
            if (mailbox.IsOpen)
            {
                Call = call with { InstructionPointer = mailbox.PlainCall + 2 };
                Reception.Mail.OnCall(this);
            }
            else
            {
                Reception.Mail.OnOtherCall();
            }
        }

        if (State == GuestThreadState.Dead)
        {
            EndHostThread();
        }
        else if (Stopping)
        {
            // The stop signal is pending, so the host rewinds the call and runs the handler.
            _mailbox?.Close();
            HostState = HostThreadState.Running;
            Reception.Listener.Send(call.Id, RestartCall);
        }
        else
        {
            Raise(PendingEvent.Syscall);
        }
    }

    /// <summary>A signal handler of the stub was entered.</summary>
    public void OnSignalReport(in Notification report)
    {
        int signal = (int)report.A1;
        ulong frame = report.A2;
        bool inSlot = frame >= Slot + StubLayout.ControlSize && frame <= Slot + StubLayout.SlotSize - FrameLayout.Size && frame % 8 == 0;
        if ((HostState != HostThreadState.Running && !_posted) || !inSlot)
        {
            Reception.Lose(this, "a report out of turn");
            return;
        }

        ReportId = report.Id;
        HostState = HostThreadState.Reporting;
        if (_swapping)
        {
            _swapFaulted = true; // the frame of this fault lies below the thread's own, which is what it returns to
            return;
        }

        Context.Begin(frame, report.A3, report.A5);
        if (signal == StubLayout.StopSignal)
            _stopSent = false;
        if (_posted)
        {
            // The kernel still has the call in hand, which from now on is answered in this frame.
            _mailbox!.Close();
            _virtualCall = EnsureContext();
            _posted = false;
            if (State == GuestThreadState.Dead)
                EndHostThread();
            return;
        }

        if (_mailbox is not null && LeaveEntryCode(signal))
            return;
        FaultSignal = 0;
        switch (signal)
        {
            case StubLayout.StopSignal or StubLayout.BatchSignal:
                break;
            case 4 or TrapSignal or 7 or 8 or 11:
                FaultSignal = signal;
                break;
            default:
                Reception.Lose(this, $"a report of signal {signal}");
                return;
        }

        if (State == GuestThreadState.Dead)
            EndHostThread();
        else if (Stopping)
            _trapped = FaultSignal == TrapSignal;
        else if (FaultSignal != 0)
            Raise(PendingEvent.Fault);
        else if (_interruptWanted)
            Raise(PendingEvent.Interrupted);
        else
            ReturnToFrame();
    }

    /// <summary>A batch has been run.</summary>
    public void OnBatchReport(in Notification report)
    {
        bool failedByItself = HostState == HostThreadState.Running && _batch.IsExpected;
        if (HostState != HostThreadState.Batch && !failedByItself)
        {
            Reception.Lose(this, "a batch report out of turn");
            return;
        }

        ReportId = report.Id;
        HostState = HostThreadState.Reporting;
        _batch.ForgetExpected();
        long error = -(long)report.A1;
        BatchError = error is > 0 and < 4096 ? (Errno)error : Errno.None;
        if (report.A2 != Context.Address && report.A2 != 0 && (failedByItself || _resumeAfterBatch) && State != GuestThreadState.Stopped)
            Context.Begin(report.A2, report.A3, report.A5);
        if (State == GuestThreadState.Dead)
        {
            EndHostThread();
        }
        else if (_forking)
        {
            _forkFailed = true;
        }
        else if (BatchEnded is { } ended)
        {
            BatchEnded = null;
            ended();
        }
        else if (failedByItself || (_resumeAfterBatch && BatchError != Errno.None))
        {
            Reception.Lose(this, $"the host refused a change of memory: {BatchError}");
        }
        else if (_resumeAfterBatch)
        {
            Proceed();
        }
    }

    /// <summary>A compare-and-exchange has been made.</summary>
    public void OnSwapReport(in Notification report)
    {
        if (!_swapping || HostState != HostThreadState.Running)
        {
            Reception.Lose(this, "a swap report out of turn");
            return;
        }

        ReportId = report.Id;
        HostState = HostThreadState.Reporting;
        _swapFound = (uint)report.A1;
    }

    /// <summary>The first report of this thread.</summary>
    public void OnBirth(in Birth birth, bool hasFrame)
    {
        ReportId = birth.ReportId;
        HostState = HostThreadState.Reporting;
        State = GuestThreadState.Stopped;
        Process.LiveThreads++;
        bool inSlot = birth.Frame >= Slot + StubLayout.ControlSize && birth.Frame <= Slot + StubLayout.SlotSize - FrameLayout.Size;
        Context.Begin(hasFrame && inSlot ? birth.Frame : 0, birth.FsBase, birth.GsBase);
    }

    /// <summary>Whether a call from the stub's page is one that the sentry ordered; each may be made once.</summary>
    public bool TakeExpected(in Notification call) => _batch.TakeExpected(call);

    /// <summary>Hands the waiting event to the kernel.</summary>
    public void Deliver(IPlatformEvents events)
    {
        PendingEvent pending = PendingEvent;
        PendingEvent = PendingEvent.None;
        switch (pending)
        {
            case PendingEvent.Syscall:
                State = GuestThreadState.InSyscall;
                Notification call = Call;
                events.OnSyscall(this, new SyscallFrame(call.Number, call.A0, call.A1, call.A2, call.A3, call.A4, call.A5, call.InstructionPointer));
                if (_posted)
                    _mailbox!.Block();
                break;
            case PendingEvent.Interrupted:
                BecomeStopped();
                events.OnInterrupted(this);
                break;
            case PendingEvent.Fault:
                BecomeStopped();
                if (!EnsureContext())
                    break;
                events.OnFault(this, new GuestFault(
                    FaultSignal,
                    (int)Context.ReadWord32(FrameLayout.SiginfoCode),
                    Context[FrameLayout.SiginfoAddress],
                    Context[FrameLayout.TrapNumber],
                    Context[FrameLayout.Error],
                    Context[FrameLayout.Cr2]));
                break;
        }
    }

    /// <summary>The process has been killed.</summary>
    public void OnProcessEnded()
    {
        HostState = HostThreadState.Gone;
        State = GuestThreadState.Dead;
        PendingEvent = PendingEvent.None;
        Stopping = false;
        _posted = false;
        Reception.Mail.Remove(this);
        BatchEnded?.Invoke();
        BatchEnded = null;
    }
}
