using System.Runtime.InteropServices;
using Sentry.Abi;

namespace Sentry.Platform.Notify;

/// <summary>What a thread is to do before it runs guest code again: the kernel's queued changes of memory, the operations made of them, and
/// which of those are in its slot, so that calls from the stub's page can be told from a guest's.</summary>
internal sealed class StubBatch
{
    private readonly List<MemoryOperation> _queue = [];
    private readonly List<StubOperation> _operations = [];
    private int _next;
    private StubOperation[] _expected = [];
    private (int Descriptor, int Slot, int Index)? _mailbox;
    private int _expectedCount;
    private int _written; // operations in the slot

    public bool HasQueued => _queue.Count > 0 || _mailbox is not null;

    /// <summary>Whether operations are left that have not been written into the slot.</summary>
    public bool HasMore => _next < _operations.Count;

    /// <summary>Whether what is left fits into the slot at once.</summary>
    public bool FitsInOne => _operations.Count - _next <= StubLayout.MaxOperations;

    /// <summary>Whether one more would fit with all of them.</summary>
    public bool HasRoomInOne => _operations.Count < StubLayout.MaxOperations;

    /// <summary>Whether a batch may be running.</summary>
    public bool IsExpected => _expectedCount > 0;

    /// <summary>The thread's state has tile registers, for which the host makes room only when asked.</summary>
    public bool NeedsTiles { get; set; }

    public void Queue(in MemoryOperation operation) => _queue.Add(operation);

    public void ClearQueue() => _queue.Clear();

    /// <summary>Adds the mapping of a mailbox for the thread of a slot.</summary>
    public void MapMailbox(int descriptor, int slot, int index) => _mailbox = (descriptor, slot, index);

    public void Begin(params ReadOnlySpan<StubOperation> operations)
    {
        _operations.Clear();
        _next = 0;
        _operations.AddRange(operations);
    }

    public void Add(in StubOperation operation) => _operations.Add(operation);

    public void ForgetExpected() => _expectedCount = 0;

    /// <summary>Whether the queue says just what the intercepted call itself would do, with arguments that are all values.</summary>
    public bool IsTheCallItself(in Notification call)
    {
        if (_queue.Count != 1 || NeedsTiles || _mailbox is not null)
            return false;
        MemoryOperation operation = _queue[0];
        ulong length = (call.A1 + 4095) & ~4095ul;
        if (operation.Address != call.A0 || operation.Length != length)
            return false;
        return (operation.Kind, call.Number) switch
        {
            (MemoryOperationKind.Unmap, Sysno.munmap) => true,
            (MemoryOperationKind.Protect, Sysno.mprotect) => (ulong)operation.Protection == call.A2,
            (MemoryOperationKind.Advise, Sysno.madvise) => (ulong)operation.Advice == call.A2,
            _ => false,
        };
    }

    /// <summary>Makes operations of the queue. Descriptors are installed in the process that made the notification, and closed at the end.</summary>
    public Errno Build(Listener listener, ulong notificationId)
    {
        Begin();
        if (NeedsTiles)
        {
            NeedsTiles = false;
            _operations.Add(new StubOperation(Sysno.arch_prctl, 0x1023, 18, 0, 0, 0, 0)); // ARCH_REQ_XCOMP_PERM, tile data
            _operations.Add(new StubOperation(StubLayout.TouchTiles, 0, 0, 0, 0, 0, 0));
        }

        Errno error = Errno.None;
        if (_mailbox is { } mailbox)
        {
            _mailbox = null;
            Result<int> added = listener.AddDescriptor(notificationId, mailbox.Descriptor);
            if (added.IsError)
                return added.Error;
            _operations.Add(StubOperation.MapMailbox(added.Value, mailbox.Slot, mailbox.Index));
            _operations.Add(StubOperation.DontFork(mailbox.Slot));
            _operations.Add(StubOperation.Close(added.Value));
        }

        if (_queue.Count == 0)
            return Errno.None;
        Dictionary<int, int>? installed = null;
        foreach (MemoryOperation operation in _queue)
        {
            int source = operation.Source.HostDescriptor, own = -1;
            if (operation.Kind == MemoryOperationKind.Map && source >= 0 && !(installed ??= []).TryGetValue(source, out own))
            {
                Result<int> added = listener.AddDescriptor(notificationId, source);
                if (added.IsError)
                {
                    error = added.Error;
                    break;
                }

                installed[source] = own = added.Value;
            }

            _operations.Add(StubOperation.For(operation, own));
        }

        _queue.Clear();
        if (installed is not null)
        {
            foreach (int own in installed.Values)
                _operations.Add(StubOperation.Close(own));
        }

        return error;
    }

    /// <summary>Writes the next operations into the slot: how many. With <paramref name="autoReturn"/> the last part returns by itself.</summary>
    public int Write(int process, ulong slot, bool prefilled, ulong autoReturn)
    {
        int count = Math.Min(_operations.Count - _next, StubLayout.MaxOperations);
        ReadOnlySpan<StubOperation> part = CollectionsMarshal.AsSpan(_operations).Slice(_next, count);
        _next += count;
        if (_expected.Length < count)
            _expected = new StubOperation[Math.Max(count, 8)];
        part.CopyTo(_expected);
        _expectedCount = _written = count;
        bool last = _next == _operations.Count;
        Span<ulong> header = [prefilled ? (ulong)count : 0, last ? autoReturn : 0];
        bool written = GuestMemory.Write(process, slot + StubLayout.AtPrefilled, MemoryMarshal.AsBytes(header)) == 16
            && GuestMemory.Write(process, slot + StubLayout.AtOperations, MemoryMarshal.AsBytes(part)) == count * StubLayout.OperationSize;
        return written ? count : 0;
    }

    /// <summary>What the last of the operations in the slot has returned, 0 before that.</summary>
    public long ReadLastResult(int process, ulong slot) =>
        _written > 0 && GuestMemory.TryRead64(process, slot + StubLayout.AtOperations + (ulong)(_written - 1) * StubLayout.OperationSize + StubLayout.OperationResult, out ulong result)
            ? (long)result
            : 0;

    /// <summary>Whether a call from the stub's page is one that the sentry ordered; each may be made once.</summary>
    public bool TakeExpected(in Notification call)
    {
        for (int i = 0; i < _expectedCount; i++)
        {
            if (!_expected[i].Matches(call))
                continue;
            _expected[i] = new StubOperation(ulong.MaxValue, 0, 0, 0, 0, 0, 0);
            return true;
        }

        return false;
    }
}
