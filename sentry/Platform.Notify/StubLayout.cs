namespace Sentry.Platform.Notify;

/// <summary>
/// Where the platform's own parts lie in a stub: a page of code with the right to host calls, a page of code without (<see cref="EntryCode"/>),
/// a slot per thread, and per thread a mailbox. A slot is a control area (8 KiB) and the thread's alternate signal stack, so
/// that code running on that stack finds its slot by masking the stack pointer; other code finds it by the GS base.
/// All of it is writable by the guest or can be made so: the sentry trusts none of it.
/// </summary>
internal static class StubLayout
{
    public const ulong Base = 0x7FFE_0000_0000;
    public const ulong CodeSize = 0x1000;
    public const ulong Entry = Base + CodeSize;
    public const ulong EntrySize = 0x1000;

    /// <summary>A multiple of 1 GiB, and that long: the upper bits tell an address of a slot.</summary>
    public const ulong Slots = Base + 0x4000_0000;

    public const int SlotsShift = 30;
    public const ulong SlotSize = 0x1_0000;
    public const int MaxSlots = 16384;
    public const ulong End = Slots + MaxSlots * SlotSize;

    /// <summary>Memory that a thread shares with the sentry; mapped when it gets one.</summary>
    public const ulong Mailboxes = End;

    public const int MailboxSize = 0x2000;
    public const ulong MailboxesEnd = Mailboxes + MaxSlots * (ulong)MailboxSize;

    /// <summary>Bytes of a slot before the signal stack.</summary>
    public const ulong ControlSize = 0x2000;

    // Control area.
    public const int AtPrefilled = 0x00; // operations to run when the batch signal comes
    public const int AtAutoReturn = 0x08; // after a batch without failures: 0 report, 1 return to the own frame, else to this frame
    public const int AtSetBases = 0x10; // nonzero: load the two bases below before returning
    public const int AtFsBase = 0x18;
    public const int AtGsBase = 0x20;
    public const int AtThreadWord = 0x28; // the host clears it when the thread is gone (CLONE_CHILD_CLEARTID)
    public const int AtMailbox = 0x30; // the address of the thread's mailbox, 0 when it has none
    public const int AtOperations = 0x100;
    public const int OperationSize = 64;
    public const int OperationResult = 56;

    /// <summary>Operations that fit in a control area.</summary>
    public const int MaxOperations = (int)(ControlSize - AtOperations) / OperationSize;

    /// <summary>The number of the system call by which a stub reports; no kernel has it.</summary>
    public const int ReportNumber = 0x1000;

    /// <summary>An operation that is no system call: use the tile registers once, so that the host makes room for their state.</summary>
    public const int TouchTiles = 0x2000;

    /// <summary>Where in the slot a compare-and-exchange has its stack pointer: inside the signal stack, so that a fault's frame goes below it
    /// and spares the thread's saved frame at the top. Its own frame lies just above.</summary>
    public const ulong SwapStack = 0x9000;

    /// <summary>Starts a prefilled batch. Lower than <see cref="StopSignal"/>: of two pending signals the lower is delivered first.</summary>
    public const int BatchSignal = 10;

    public const int StopSignal = 12;

    public static ulong Slot(int index) => Slots + (ulong)index * SlotSize;

    public static ulong Mailbox(int index) => Mailboxes + (ulong)index * MailboxSize;

    public static bool IsSlot(ulong address) => address >> SlotsShift == Slots >> SlotsShift;

    public static bool IsStubAddress(ulong address) => address - Base < MailboxesEnd - Base;
}

/// <summary>The kinds of report a stub makes.</summary>
internal enum ReportKind
{
    /// <summary>A signal handler was entered; the frame is in the slot.</summary>
    Signal = 0,

    /// <summary>A batch has been run.</summary>
    Batch = 1,

    /// <summary>The first report of a new thread or process.</summary>
    Birth = 2,

    /// <summary>A compare-and-exchange has been made.</summary>
    Swap = 3,
}

/// <summary>Offsets in struct ucontext as the kernel writes it on x86-64, and of the siginfo behind it.</summary>
internal static class FrameLayout
{
    public const int Flags = 0, StackPointer = 16, StackFlags = 24, StackSize = 32;
    public const int R8 = 40, Rdi = 104, Rax = 144, Rcx = 152, Rsp = 160, Rip = 168, Eflags = 176, Selectors = 184;
    public const int Error = 192, TrapNumber = 200, OldMask = 208, Cr2 = 216, FpState = 224, SignalMask = 296;
    public const int ContextSize = 304, SiginfoCode = ContextSize + 8, SiginfoAddress = ContextSize + 16, Size = ContextSize + 128;
}
