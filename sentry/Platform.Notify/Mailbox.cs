using System.Buffers.Binary;
using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Platform.Notify;

/// <summary>The sentry's side of one thread's mailbox.</summary>
internal sealed unsafe class Mailbox(MailboxPool pool, int index, StubThread thread) : ICallMailbox
{
    private const int EntrySize = 16;

    private readonly byte* _page = (byte*)pool.GetPage(index);
    private readonly (ulong Address, int Offset, int Length)[] _outs = new (ulong, int, int)[MailboxLayout.MaxOuts];
    private ulong _inAddress;
    private int _inLength;
    private int _outCount;
    private int _outEnd;

    /// <summary>Its number in the pool.</summary>
    public int Index => index;

    public ulong Number => Word(MailboxLayout.Number);

    public ulong PlainCall => Word(MailboxLayout.Return);

    public ulong Result => Word(MailboxLayout.Result);

    /// <summary>A call that came with the mailbox is being answered.</summary>
    public bool IsOpen { get; private set; }

    public ulong GetArgument(int number) => Word(MailboxLayout.Arguments + number * 8);

    /// <summary>The thread makes a call; all that belonged to the one before is done.</summary>
    public void Begin(bool withMailbox)
    {
        IsOpen = withMailbox;
        _outCount = 0;
        _outEnd = MailboxLayout.OutData;
        if (!withMailbox)
            return;
        _inAddress = Word(MailboxLayout.InAddress);
        _inLength = (int)Math.Min(Word(MailboxLayout.InLength), MailboxLayout.InSize);
    }

    /// <summary>The call is answered: the thread puts the results in place.</summary>
    public void Send()
    {
        if (!IsOpen)
            return;
        Set(MailboxLayout.OutCount, (ulong)_outCount);
        IsOpen = false;
    }

    /// <summary>The call is answered in another way: results are put in place by the sentry.</summary>
    public void Close()
    {
        if (!IsOpen)
            return;
        Flush();
        Set(MailboxLayout.OutCount, 0);
        IsOpen = false;
    }

    /// <summary>The thread has been stopped: what it has not put in place is put there now.</summary>
    public void Finish()
    {
        if (!HasUnfinished)
            return;
        Flush();
        Set(MailboxLayout.OutCount, 0);
    }

    /// <summary>Whether the thread may still have results to put in place.</summary>
    public bool HasUnfinished => _outCount > 0 && !IsOpen && Word(MailboxLayout.OutCount) != 0;

    public int Read(ulong address, Span<byte> destination)
    {
        ulong offset = address - _inAddress;
        if (offset >= (ulong)_inLength || _outCount > 0)
            return 0;
        int count = Math.Min(destination.Length, _inLength - (int)offset);
        Page.Slice(MailboxLayout.InData + (int)offset, count).CopyTo(destination);
        return count;
    }

    public bool Write(ulong address, ReadOnlySpan<byte> source)
    {
        if (!IsOpen || _outCount == MailboxLayout.MaxOuts || source.Length > StubLayout.MailboxSize - _outEnd)
            return false;
        source.CopyTo(Page.Slice(_outEnd, source.Length));
        Span<byte> entry = Page.Slice(MailboxLayout.Outs + _outCount * EntrySize, EntrySize);
        BinaryPrimitives.WriteUInt64LittleEndian(entry, address);
        BinaryPrimitives.WriteInt32LittleEndian(entry[8..], source.Length);
        BinaryPrimitives.WriteInt32LittleEndian(entry[12..], _outEnd);
        _outs[_outCount++] = (address, _outEnd, source.Length);
        _outEnd += source.Length;
        return true;
    }

    public void Flush()
    {
        for (int i = 0; i < _outCount; i++)
            GuestMemory.Write(thread.Process.ProcessId, _outs[i].Address, Page.Slice(_outs[i].Offset, _outs[i].Length));
        _outCount = 0;
        _outEnd = MailboxLayout.OutData;
    }

    /// <summary>Begins anew: the thread that had it before has ended.</summary>
    public void Reset()
    {
        Listen(false);
        ClearCall();
        Set(MailboxLayout.OutCount, 0);
    }

    /// <summary>A call has been left in it.</summary>
    public bool IsPosted => Volatile.Read(ref State) == (int)MailState.Posted;

    /// <summary>The answer to a call left in it has not been fetched.</summary>
    public bool IsAnswered => Volatile.Read(ref State) == (int)MailState.Answered;

    /// <summary>The arguments of the call left in it.</summary>
    public Notification PostedCall => new()
    {
        ThreadId = thread.ThreadId,
        Number = (int)Number,
        InstructionPointer = PlainCall + 2,
        A0 = GetArgument(0),
        A1 = GetArgument(1),
        A2 = GetArgument(2),
        A3 = GetArgument(3),
        A4 = GetArgument(4),
        A5 = GetArgument(5),
    };

    /// <summary>The thread may leave calls from now on, or may not.</summary>
    public void Listen(bool on) => Volatile.Write(ref *(int*)(_page + MailboxLayout.Listening), on ? 1 : 0);

    /// <summary>Takes the call left in it; false when the thread has taken it back.</summary>
    public bool TryTake() => Interlocked.CompareExchange(ref State, (int)MailState.Taken, (int)MailState.Posted) == (int)MailState.Posted;

    /// <summary>Answers the call left in it; false when the thread makes it instead.</summary>
    public bool TryAnswer(long value)
    {
        Set(MailboxLayout.Answer, (ulong)value);
        return Interlocked.CompareExchange(ref State, (int)MailState.Answered, (int)MailState.Taken) == (int)MailState.Taken
            || Interlocked.CompareExchange(ref State, (int)MailState.Answered, (int)MailState.Blocked) == (int)MailState.Blocked;
    }

    /// <summary>Has the thread sleep until the call is answered.</summary>
    public void Block() => Interlocked.CompareExchange(ref State, (int)MailState.Blocked, (int)MailState.Taken);

    /// <summary>Nothing is left in it. The thread is stopped or waits in a call.</summary>
    public void ClearCall() => Volatile.Write(ref State, (int)MailState.Idle);

    private ref int State => ref *(int*)(_page + MailboxLayout.State);

    private Span<byte> Page => new(_page, StubLayout.MailboxSize);

    // SAFETY: offsets are constants within the page, which stays mapped as long as the pool.
    private ulong Word(int offset) => *(ulong*)(_page + offset);

    private void Set(int offset, ulong value) => *(ulong*)(_page + offset) = value;
}

/// <summary>The memory of all mailboxes: one memory file, mapped whole. A mailbox is given to another thread when no process maps it any more.</summary>
internal sealed unsafe class MailboxPool : IDisposable
{
    private const int Capacity = 16384;

    private readonly Stack<int> _free = [];
    private readonly int _descriptor;
    private readonly nint _base;
    private int _next;

    public MailboxPool()
    {
        _descriptor = Check(HostFile.CreateMemory("mailboxes"));
        if (HostFile.Truncate(_descriptor, (long)Capacity * StubLayout.MailboxSize) is var error && error != Errno.None)
            throw new InvalidOperationException($"the mailboxes cannot be sized: {error}");
        _base = Check(HostMemory.Map(0, (long)Capacity * StubLayout.MailboxSize, HostMemory.ProtectionRead | HostMemory.ProtectionWrite, HostMemory.MapShared | HostMemory.MapNoReserve, _descriptor, 0));
    }

    public int Descriptor => _descriptor;

    /// <summary>A cleared mailbox's number; -1 when all are in use.</summary>
    public int Take()
    {
        if (_free.TryPop(out int index))
        {
            // SAFETY: the page lies within the pool's mapping.
            new Span<byte>((void*)GetPage(index), StubLayout.MailboxSize).Clear();
            return index;
        }

        return _next < Capacity ? _next++ : -1;
    }

    public void Return(int index) => _free.Push(index);

    public nint GetPage(int index) => _base + (nint)index * StubLayout.MailboxSize;

    public void Dispose()
    {
        HostMemory.Unmap(_base, (long)Capacity * StubLayout.MailboxSize);
        HostFile.Close(_descriptor);
    }

    private static T Check<T>(Result<T> result) => result.IsOk ? result.Value : throw new InvalidOperationException($"no memory for mailboxes: {result.Error}");
}
