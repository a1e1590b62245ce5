namespace Sentry.Platform.Notify;

/// <summary>
/// A mailbox: memory that one thread of a stub and the sentry share. With it a call brings along what the sentry would have to fetch from the
/// thread's memory (a path, the bytes to write), and the thread puts results of the call where they belong, so that neither needs a host call
/// of the sentry. Everything in it is the guest's word about its own memory and registers, and is believed for that alone.
/// </summary>
internal static class MailboxLayout
{
    public const int Return = 0x00; // where the code of the call site goes on: there is a plain call, 2 bytes, and behind it the rest
    public const int Number = 0x08;
    public const int Result = 0x10; // the call's result while bytes are put in place
    public const int InAddress = 0x18; // what came along: bytes of memory at this address
    public const int InLength = 0x20;
    public const int OutCount = 0x28; // how many pieces of memory are to be put in place; the thread sets it to 0 when it has done so
    public const int Arguments = 0x30; // six registers as they are before the call

    // What both sides look at while a call waits, in a cache line of its own.
    public const int State = 0x80; // MailState, 4 bytes
    public const int Listening = 0x84; // not 0: the sentry looks for posted calls
    public const int Answer = 0x88; // the posted call's result

    /// <summary>How often the thread looks before it makes the call: 20 to 30 µs.</summary>
    public const int Patience = 500;

    public const int Outs = 0x100; // address, length (4 bytes), offset in the mailbox (4 bytes)
    public const int MaxOuts = 16;
    public const int InData = 0x200;
    public const int InSize = 0x400;
    public const int OutData = InData + InSize;
    public const int OutSize = StubLayout.MailboxSize - OutData;
}

/// <summary>How far a call is that was left in the mailbox.</summary>
internal enum MailState
{
    /// <summary>There is none.</summary>
    Idle,

    /// <summary>Left by the thread, which may still take it back.</summary>
    Posted,

    /// <summary>The sentry has it.</summary>
    Taken,

    /// <summary>The sentry has it, and the answer will take its time.</summary>
    Blocked,

    /// <summary>The thread makes the call in order to sleep: the answer goes there.</summary>
    Parking,

    /// <summary>The answer is there.</summary>
    Answered,
}
