namespace Sentry.Kernel.Files;

/// <summary>Which stream of which program started from outside: how a restored file finds the new caller's end.</summary>
[Savable("stream-identity")]
public partial struct StreamIdentity
{
    /// <summary>The program's process id.</summary>
    [Saved(1)] public int ProcessId;

    /// <summary>0 standard input, 1 output, 2 error.</summary>
    [Saved(2)] public int Index;

    public StreamIdentity(int processId, int index)
    {
        ProcessId = processId;
        Index = index;
    }
}

/// <summary>The streams a restored sandbox is given; a service of <see cref="IRestoreContext"/>.</summary>
public interface IDonatedStreams
{
    /// <summary>The stream in that place; null when its end is gone.</summary>
    IHostStream? Find(StreamIdentity identity);

    /// <summary>Who looks at the terminal of a program; null when nobody does.</summary>
    IHostStream? FindTerminal(int pid);

    /// <summary>Where what a program's terminal shows is logged; null for nowhere.</summary>
    IHostStream? FindLog(int pid);
}

/// <summary>A standard stream of a program started from outside, shown to the guest as a pipe. After a restore it leads to the new caller; when there
/// is none it reads as the end of file and fails with EPIPE.</summary>
[Savable("host-stream")]
public sealed partial class HostStreamFile : FileObject, IHostStreamWatcher, IAfterLoad
{
    private const int Unit = 65536;

    [NotSaved("the new caller's")] private IHostStream? _stream;
    [NotSaved("waiters register when their call is tried again")] private readonly WaitQueue _waiters = new();
    [Saved(1)] private StreamIdentity _identity;
    [Saved(2)] private ulong _inode;
    [Saved(3)] private GuestKernel _kernel;

    internal override bool RaisesSignals => true;

    public HostStreamFile(GuestKernel kernel, IHostStream stream, StreamIdentity identity)
        : base(identity.Index == 0 ? OpenFlags.ReadOnly : OpenFlags.WriteOnly)
    {
        _kernel = kernel;
        _stream = stream;
        _identity = identity;
        _inode = kernel.NewAnonymousInode();
    }

    public override WaitQueue WaitQueue => _waiters;

    public override bool WritesInFull => true;

    public override string Describe() => $"pipe:[{_inode}]";

    /// <summary>/dev/stdin and its kin: the host end can't be opened again, so it is shared.</summary>
    public override Result<FileObject> Reopen(Task caller, OpenFlags flags)
    {
        OpenFlags access = flags & OpenFlags.AccessMode;
        return (access == OpenFlags.ReadOnly || CanWrite) && (access == OpenFlags.WriteOnly || CanRead) ? this : Errno.EACCES;
    }

    public override PollEvents Poll()
    {
        if (_stream is null)
            return CanRead ? PollEvents.In | PollEvents.RdNorm | PollEvents.Hup : PollEvents.Out | PollEvents.WrNorm | PollEvents.Err;
        PollEvents wanted = CanRead ? PollEvents.In | PollEvents.RdNorm : PollEvents.Out | PollEvents.WrNorm;
        PollEvents ready = _stream.Poll() & (wanted | PollEvents.Err | PollEvents.Hup);
        if ((ready & wanted) == 0)
            _stream.Watch(this, wanted);
        return ready;
    }

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        if (_stream is null || destination.Length == 0)
            return 0;
        byte[] buffer = new byte[Math.Min(destination.Length, Unit)];
        Result<int> got = _stream.Read(buffer);
        if (got.IsError)
        {
            if (got.Error == Errno.EAGAIN)
                _stream.Watch(this, PollEvents.In);
            return got.Error;
        }

        int copied = destination.CopyOut(buffer.AsSpan(0, got.Value));
        return copied == 0 && got.Value > 0 ? Errno.EFAULT : copied;
    }

    public override Result<long> Write(Task caller, in UserBuffer source)
    {
        if (_stream is null)
            return Errno.EPIPE;
        byte[] buffer = new byte[Math.Min(source.Length, Unit)];
        int count = source.CopyIn(buffer);
        if (count == 0)
            return source.Length == 0 ? 0 : Errno.EFAULT;
        int done = 0;
        while (done < count)
        {
            Result<int> put = _stream.Write(buffer.AsSpan(done, count - done));
            if (put.IsError)
            {
                if (done > 0)
                    break;
                if (put.Error == Errno.EAGAIN)
                    _stream.Watch(this, PollEvents.Out);
                return put.Error;
            }

            done += put.Value;
        }

        return done;
    }

    public override Result<FileStatus> GetStatus() =>
        new FileStatus { Device = 13, Inode = _inode, Mode = 0x1180, LinkCount = 1, BlockSize = 4096, AccessTime = _kernel.Clock.Realtime, ModifyTime = _kernel.Clock.Realtime, ChangeTime = _kernel.Clock.Realtime };

    void IHostStreamWatcher.OnReady(PollEvents events) => _waiters.Wake(events | PollEvents.RdNorm | PollEvents.WrNorm);

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Host)
            _stream = context.Get<IDonatedStreams>().Find(_identity);
    }

    protected override void OnRelease()
    {
        _stream?.Close();
        _stream = null;
    }
}
