namespace Sentry.Kernel.Events;

/// <summary>A finished operation (struct io_event).</summary>
[Savable("aio-event")]
internal partial struct AioEvent
{
    [Saved(1)] public ulong Data;

    /// <summary>The guest address of its iocb.</summary>
    [Saved(2)] public ulong Control;

    [Saved(3)] public long Result;
}

/// <summary>An operation of a context that cannot be finished yet: tried again when its file may be ready.</summary>
[Savable("aio-request")]
internal sealed partial class AioRequest : IWaiter, IAfterLoad
{
    [Saved(1)] public AioContext Context;
    [Saved(2)] public FileObject File;

    /// <summary>For whom it is done: limits and signals are the submitter's.</summary>
    [Saved(3)] public Task Submitter;
    [Saved(4)] public MemoryManager Memory;
    [Saved(5)] public int Operation;
    [Saved(6)] public ulong Buffer;
    [Saved(7)] public ulong Length;
    [Saved(8)] public long Offset;
    [Saved(9)] public ulong Data;
    [Saved(10)] public ulong Control;
    [Saved(11)] public EventFile? Notify;
    [Saved(12)] public bool IsDone;
    [NotSaved("tried again after a restore")] private bool _posted;
    [NotSaved("begun anew after a restore")] private HostSync? _sync;

    internal const int Read = 0, Write = 1, Sync = 2, DataSync = 3, Poll = 5, NoOperation = 6, ReadVector = 7, WriteVector = 8;

    internal AioRequest(AioContext context, FileObject file, Task submitter)
    {
        Context = context;
        File = file;
        Submitter = submitter;
        Memory = submitter.Memory;
    }

    /// <summary>One try: the result, or null when it must wait.</summary>
    internal long? Try()
    {
        switch (Operation)
        {
            case NoOperation:
                return 0;
            case Sync or DataSync when File.Sync() is var refused && refused != Errno.None:
                return -(long)refused;
            case Sync or DataSync when _sync is null && File.StartSync(Operation == DataSync) is { } begun:
                _sync = begun.Begin(Submitter.Kernel);
                _sync.Waiters.Add(this, PollEvents.All);
                return null;
            case Sync or DataSync:
                return _sync is null or { IsDone: true } ? -(long)(_sync?.Error ?? Errno.None) : null;
            case Poll:
                PollEvents ready = File.Poll() & ((PollEvents)(uint)Buffer | PollEvents.Err | PollEvents.Hup);
                return ready == 0 ? null : (long)ready;
        }

        UserBuffer buffer;
        if (Operation is ReadVector or WriteVector)
        {
            Result<IoVector[]> vectors = MemorySyscalls.ReadVectors(Memory, Buffer, Length);
            if (vectors.IsError)
                return -(long)vectors.Error;
            buffer = new UserBuffer(Memory, vectors.Value);
        }
        else
        {
            buffer = new UserBuffer(Memory, Buffer, Math.Min(Length, ReadWriteSyscalls.MaxCount));
        }

        bool reads = Operation is Read or ReadVector;
        Result<long> moved = reads ? File.ReadAt(Submitter, buffer, Offset) : File.WriteAt(Submitter, buffer, Offset);
        if (moved.Error == Errno.ESPIPE)
            moved = reads ? File.Read(Submitter, buffer) : File.Write(Submitter, buffer);
        if (moved.Error == Errno.EAGAIN && File.WaitQueue is not null && !File.IsNonBlocking)
            return null;
        if (moved.IsOk && !reads && HostSync.AfterWrite(File) is var unsynced && unsynced != Errno.None)
            return -(long)unsynced;
        return moved.IsOk ? moved.Value : -(long)moved.Error;
    }

    internal void Wait() => File.WaitQueue?.Add(this, Operation switch
    {
        Poll => (PollEvents)(uint)Buffer,
        Read or ReadVector => PollEvents.ReadMask,
        _ => PollEvents.WriteMask,
    });

    /// <summary>It is over, one way or another.</summary>
    internal void End()
    {
        IsDone = true;
        File.WaitQueue?.Remove(this);
        _sync?.Waiters.Remove(this);
        File.Release();
        Notify?.Release();
    }

    void IWaiter.OnWake(WaitQueue queue, PollEvents events) => Post();

    /// <summary>A waiter may not change what woke it: the try comes after the event in hand.</summary>
    private void Post()
    {
        if (_posted || IsDone)
            return;
        _posted = true;
        Submitter.Kernel.Host.Platform.Post(Retry);
    }

    private void Retry()
    {
        _posted = false;
        if (!IsDone && Try() is { } result)
            Context.Complete(this, result);
        Submitter.Kernel.Dispatcher.RunReady();
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase != RestorePhase.Activation || IsDone)
            return;
        Wait();
        Post();
    }
}

/// <summary>A context of io_setup(2). Operations on files are done at once, as Linux does most; those that must wait keep their place.</summary>
[Savable("aio-context")]
internal sealed partial class AioContext
{
    [Saved(1)] private uint _limit;
    [Saved(2)] private Queue<AioEvent> _events = new();
    [Saved(3)] private List<AioRequest> _waiting = [];
    [Saved(4)] private bool _destroyed;
    [NotSaved("waiters register again when their call is tried again")] private readonly WaitQueue _waiters = new();

    internal AioContext(uint limit) => _limit = limit;

    internal uint Limit => _limit;

    internal bool IsDestroyed => _destroyed;

    /// <summary>No room for another operation until events are fetched.</summary>
    internal bool IsFull => _events.Count + _waiting.Count >= _limit * 2;

    internal int EventCount => _events.Count;

    internal WaitQueue Waiters => _waiters;

    internal void Start(AioRequest request)
    {
        request.File.AddReference();
        request.Notify?.AddReference();
        if (request.Try() is { } result)
        {
            Complete(request, result);
            return;
        }

        _waiting.Add(request);
        request.Wait();
    }

    internal void Complete(AioRequest request, long result)
    {
        _waiting.Remove(request);
        _events.Enqueue(new AioEvent { Data = request.Data, Control = request.Control, Result = result });
        request.Notify?.Signal();
        request.End();
        _waiters.Wake();
    }

    internal bool TryTake(out AioEvent taken) => _events.TryDequeue(out taken);

    internal AioRequest? FindWaiting(ulong control) => _waiting.Find(request => request.Control == control);

    /// <summary>io_destroy(2) and the end of the address space: what waits is given up.</summary>
    internal void Destroy()
    {
        _destroyed = true;
        foreach (AioRequest request in _waiting)
            request.End();
        _waiting.Clear();
        _events.Clear();
        _waiters.Wake();
    }
}
