namespace Sentry.Platform.Notify;

/// <content>The registers of a stopped thread, and the extended state behind them.</content>
internal sealed partial class StubThread
{
    public void GetRegisters(out GuestRegisters registers)
    {
        if (!EnsureContext())
        {
            registers = default;
            return;
        }

        Context.Get(out registers);
    }

    public void SetRegisters(in GuestRegisters registers)
    {
        if (EnsureContext())
            Context.Set(registers);
    }

    public int GetXState(Span<byte> destination)
    {
        if (!EnsureContext())
            return 0;
        ulong? address = Context.GetExtendedState();
        if (address == 0)
            return 0;
        Span<byte> legacy = stackalloc byte[512];
        if (address is { } place && GuestMemory.Read(Process.ProcessId, place, legacy) == legacy.Length)
        {
            int length = ExtendedState.ClaimedLength(legacy);
            if (length > 0 && place + (ulong)length <= Slot + StubLayout.SlotSize && length <= destination.Length
                && GuestMemory.Read(Process.ProcessId, place, destination[..length]) == length)
                return length;
        }

        Reception.Lose(this, "its frame's extended state is damaged");
        return 0;
    }

    public bool SetXState(ReadOnlySpan<byte> state)
    {
        if (!EnsureContext() || (!state.IsEmpty && !ExtendedState.IsLoadable(state)))
            return false;
        if (!state.IsEmpty && (ExtendedState.Features(state) & ExtendedState.Tiles) != 0)
            _batch.NeedsTiles = true;
        return Context.PlaceExtendedState(Process.ProcessId, state);
    }

    public bool EnsureContext() => EnsureContext(out _);

    /// <summary>Reads the frame, and takes a thread out of the entry code: it stands at a call site or behind it afterwards.</summary>
    private bool EnsureContext(out EntryCode.Place place)
    {
        place = EntryCode.Place.Outside;
        if (State == GuestThreadState.Dead)
            return false;
        if (Context.IsLoaded)
            return true;
        if (!Context.Load(Process.ProcessId))
        {
            Reception.Lose(this, "its frame cannot be read");
            return false;
        }

        place = Reception.Program.Entry.PlaceOf(Context[FrameLayout.Rip]);
        _mailbox?.Finish();
        if (place != EntryCode.Place.Outside)
            EntryCode.Restore(place, _mailbox, Context);
        if (_mailbox is not null && place is EntryCode.Place.Capturing or EntryCode.Place.CopyingIn)
            LeaveWaiting();
        return true;
    }

    /// <summary>Whether it can execute an instruction for the kernel.</summary>
    public bool CanSwap => State is GuestThreadState.Stopped or GuestThreadState.InSyscall;
}
