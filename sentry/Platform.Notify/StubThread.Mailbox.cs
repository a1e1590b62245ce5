using Sentry.Abi;

namespace Sentry.Platform.Notify;

/// <content>Calls that come with the thread's mailbox, and those that are left in it.</content>
internal sealed partial class StubThread
{
    private Mailbox? _mailbox;
    private bool _posted; // the call in hand was left in the mailbox, and the thread waits there
    private long? _lateAnswer; // the call left in the mailbox is answered, but the thread is about to make it
    private long _answer;

    public ICallMailbox? Mailbox => _mailbox is { IsOpen: true } open && !_virtualCall ? open : null;

    public void OpenMailbox()
    {
        if (_mailbox is not null || State is not (GuestThreadState.InSyscall or GuestThreadState.Stopped) || _virtualCall)
            return;
        StubSpace space = Process.Space;
        if (!space.TryGetMailbox(SlotIndex, out int index))
            return;
        _mailbox = new Mailbox(Reception.Mailboxes, index, this);
        _mailbox.Reset();
        _batch.MapMailbox(Reception.Mailboxes.Descriptor, SlotIndex, index);
        GuestMemory.TryWrite64(Process.ProcessId, Slot + StubLayout.AtMailbox, StubLayout.Mailbox(SlotIndex));
    }

    /// <summary>The last window of <see cref="MailWatch"/> in which it made a call.</summary>
    public int MailWindow { get; set; }

    /// <summary>Whether a call has been left in its mailbox that <see cref="OnPosted"/> would take.</summary>
    public bool HasPosted => _mailbox is { IsPosted: true };

    /// <summary>Whether the thread may leave calls in its mailbox.</summary>
    public void Listen(bool on) => _mailbox?.Listen(on);

    /// <summary>Takes the call left in the mailbox, if it still is.</summary>
    public void OnPosted()
    {
        if (HostState != HostThreadState.Running || State != GuestThreadState.Running || Stopping || PendingEvent != PendingEvent.None || _lateAnswer is not null
            || _mailbox is not { } mailbox || !mailbox.TryTake())
            return;
        Call = mailbox.PostedCall;
        HostState = HostThreadState.Received;
        _posted = true;
        _batch.ForgetExpected();
        mailbox.Begin(withMailbox: true);
        Raise(PendingEvent.Syscall);
    }

    /// <summary>The thread makes the call that it had left in its mailbox, in order to sleep.</summary>
    private void OnParked(in Notification call)
    {
        Call = Call with { Id = call.Id };
        _posted = false;
        _mailbox!.ClearCall();
        if (State == GuestThreadState.Dead)
            EndHostThread();
    }

    private void AnswerPosted(long value)
    {
        _posted = false;
        _answer = value;
        if (!_mailbox!.TryAnswer(value))
            _lateAnswer = value;
    }

    /// <summary>A thread with a mailbox was stopped by a signal. True when that was the entry code's fault at the guest's memory, and has been seen to:
    /// what could not be fetched the kernel looks at itself; what cannot be stored any more ends the call with EFAULT.</summary>
    private bool LeaveEntryCode(int signal)
    {
        bool fault = signal is 7 or 11;
        if ((!fault && !_mailbox!.HasUnfinished) || !EnsureContext(out EntryCode.Place place) || !fault || place is not (EntryCode.Place.CopyingIn or EntryCode.Place.CopyingOut))
            return false;
        if (place == EntryCode.Place.CopyingOut)
            Context[FrameLayout.Rax] = unchecked((ulong)-(long)Errno.EFAULT);
        if (Stopping)
            return false;
        if (Context.Store(Process.ProcessId))
            ReturnToFrame();
        else
            Reception.Lose(this, "its frame cannot be written");
        return true;
    }

    /// <summary>The thread stood where a call is prepared or waits in the mailbox, and its registers are those at the plain call. When the call has been taken it
    /// is behind it instead, with the answer if there is one already.</summary>
    private void LeaveWaiting()
    {
        long? answer = _lateAnswer ?? (_mailbox!.IsAnswered ? _answer : null);
        if (_posted || answer is not null)
        {
            Context[FrameLayout.Rax] = (ulong)answer.GetValueOrDefault();
            Context[FrameLayout.Rip] = _mailbox!.PlainCall + 2;
        }

        _lateAnswer = null;
        _posted = false;
        _mailbox!.ClearCall();
    }
}
