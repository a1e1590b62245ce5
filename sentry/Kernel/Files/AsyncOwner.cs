namespace Sentry.Kernel.Files;

/// <summary>Who is signalled about a file, and how (fcntl(2): F_SETOWN, F_SETSIG, O_ASYNC).</summary>
[Savable("async-owner")]
internal sealed partial class AsyncOwner : IWaiter, IAfterLoad
{
    /// <summary>F_OWNER_* of F_SETOWN_EX.</summary>
    internal const int OfThread = 0, OfProcess = 1, OfGroup = 2;

    [Saved(1)] private FileObject _file;
    [Saved(2)] private GuestKernel _kernel;
    [Saved(3)] private int _type = OfProcess;
    [Saved(4)] private int _id;
    [Saved(5)] private int _signal;
    [Saved(6)] private uint _uid;
    [Saved(7)] private uint _effectiveUid;
    [Saved(8)] private int _descriptor;
    [Saved(9)] private bool _listens;

    internal AsyncOwner(FileObject file, Task caller)
    {
        _file = file;
        _kernel = caller.Kernel;
        Take(caller);
    }

    internal int Type => _type;

    /// <summary>0 for nobody.</summary>
    internal int Id => _id;

    /// <summary>F_GETSIG: 0 for SIGIO without details.</summary>
    internal int Signal
    {
        get => _signal;
        set => _signal = value;
    }

    /// <summary>The descriptor that signals name (si_fd).</summary>
    internal int Descriptor
    {
        get => _descriptor;
        set => _descriptor = value;
    }

    internal void SetOwner(Task caller, int type, int id)
    {
        _type = type;
        _id = id;
        Take(caller);
    }

    /// <summary>O_ASYNC: signals when the file becomes ready.</summary>
    internal void Listen(bool on)
    {
        if (on == _listens)
            return;
        _listens = on;
        if (on)
            _file.WaitQueue?.Add(this, PollEvents.ReadMask | PollEvents.WriteMask | PollEvents.Pri);
        else
            _file.WaitQueue?.Remove(this);
    }

    void IWaiter.OnWake(WaitQueue queue, PollEvents events)
    {
        PollEvents ready = _file.Poll();
        events &= ready;
        if ((events & PollEvents.In) != 0)
            Send(SignalCode.POLL_IN, (long)(ready & PollEvents.ReadMask));
        else if ((events & (PollEvents.Hup | PollEvents.Err)) != 0)
            Send(SignalCode.POLL_HUP, (long)(PollEvents.Hup | PollEvents.Err));
        else if ((events & PollEvents.Out) != 0)
            Send(SignalCode.POLL_OUT, (long)(PollEvents.WriteMask | PollEvents.WrBand));
    }

    /// <summary>send_sigio of the kernel: SIGIO without details, or the chosen signal with them.</summary>
    internal void Send(int code, long band) => Send(_signal == 0 ? SignalInfo.Kernel(Abi.Signal.SIGIO) : SignalInfo.Poll(_signal, code, band, _descriptor));

    /// <summary>Urgent data has come (socket(7)); that needs no O_ASYNC.</summary>
    internal void RaiseUrgent() => Send(SignalInfo.Kernel(Abi.Signal.SIGURG));

    private void Send(SignalInfo info)
    {
        if (_id == 0)
            return;
        if (_type == OfThread)
        {
            if (_kernel.Tasks.TryGetValue(_id, out Task? task) && Permits(task) && !SignalDelivery.IsProtected(task.Group, info.Number))
                SignalDelivery.SendToTask(task, info);
            return;
        }

        foreach (ThreadGroup group in _kernel.Processes.Values.ToArray())
        {
            if ((_type == OfProcess ? group.Pid == _id : group.ProcessGroup == _id) && group.Tasks.Count > 0 && Permits(group.Tasks[0]) && !SignalDelivery.IsProtected(group, info.Number))
                SignalDelivery.SendToProcess(group, info);
        }
    }

    private void Take(Task caller)
    {
        _uid = caller.Credentials.Uid;
        _effectiveUid = caller.Credentials.EffectiveUid;
    }

    private bool Permits(Task target)
    {
        Credentials theirs = target.Credentials;
        return _effectiveUid == 0 || _effectiveUid == theirs.SavedUid || _effectiveUid == theirs.Uid || _uid == theirs.SavedUid || _uid == theirs.Uid;
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Links && _listens)
            _file.WaitQueue?.Add(this, PollEvents.ReadMask | PollEvents.WriteMask | PollEvents.Pri);
    }
}

/// <summary>F_NOTIFY of fcntl(2): a signal when something changes in a directory.</summary>
[Savable("dnotify-watch")]
internal sealed partial class DirectoryNotify : FileWatch
{
    internal const uint MultiShot = 0x80000000, All = 0x3F;

    [Saved(1)] private FileObject _file;
    [Saved(2)] private uint _events;

    internal DirectoryNotify(InodeFile file, uint events)
        : base(file.Path, ToMask(events))
    {
        _file = file;
        _events = events;
    }

    /// <summary>DN_* that are added to those asked for before.</summary>
    internal void Add(uint events)
    {
        _events |= events;
        Mask = ToMask(_events);
    }

    internal override void OnEvent(uint mask, uint cookie, string? name)
    {
        _file.AsyncOwner?.Send(SignalCode.POLL_MSG, (long)(PollEvents.ReadMask | PollEvents.Msg));
        if ((_events & MultiShot) == 0)
            _file.StopNotify();
    }

    internal override void OnGone(uint lastEvent) => _file.StopNotify();

    private static uint ToMask(uint events)
    {
        ReadOnlySpan<uint> masks =
        [
            FileEvent.Access, FileEvent.Modify, FileEvent.Create | FileEvent.MovedTo, FileEvent.Delete | FileEvent.MovedFrom, FileEvent.Renamed, FileEvent.Attribute,
        ];
        uint mask = 0;
        for (int i = 0; i < masks.Length; i++)
            mask |= (events & (1u << i)) != 0 ? masks[i] : 0;
        return mask;
    }
}
