namespace Sentry.Kernel.Terminals;

/// <summary>Work put off until the event in hand is over.</summary>
internal interface IDeferredWork
{
    void Run();
}

/// <summary>Joins the terminal of a program that was started from outside with whoever looks at it there: none, one or several, who come and go.
/// It holds the master. What a program has put out reaches all of them before its end is reported.</summary>
[Savable("terminal-bridge")]
public sealed partial class TerminalBridge : IWaiter, IDeferredWork, IAfterLoad
{
    private const int Unit = 4096, RecentLimit = 4096;

    [Saved(1)] private GuestKernel _kernel;
    [Saved(2)] private PseudoTerminal _pair;
    [Saved(3)] private int _pid;
    [Saved(4)] private int? _waitStatus;
    [Saved(5)] private ByteQueue _recent = new();
    [Saved(6)] private int[] _modes = [];
    [NotSaved("its changes are kept in _modes")] private readonly TerminalModes _screen = new();
    [NotSaved("the new callers' come with the restore")] private readonly List<BridgeEnd> _ends = [];
    [NotSaved("nothing is put off while a checkpoint is taken")] private bool _deferred;
    [NotSaved("pumping is begun again after a restore")] private bool _pumping;

    private TerminalBridge(GuestKernel kernel, PseudoTerminal pair, int pid)
    {
        _kernel = kernel;
        _pair = pair;
        _pid = pid;
        pair.IsLocked = false;
        pair.OpenMaster();
        pair.MasterWaiters.Add(this, PollEvents.All);
        kernel.Bridges.Add(this);
    }

    public Terminal Terminal => _pair.Terminal;

    /// <summary>The program's process id.</summary>
    public int ProcessId => _pid;

    /// <summary>A new terminal for the next program, and the program's end of it; ENODEV without a devpts at /dev/pts.</summary>
    internal static Result<(TerminalBridge Bridge, FileObject File)> Create(GuestKernel kernel, uint uid, uint gid)
    {
        VfsPath root = kernel.Mounts.Root;
        if (!root.Dentry.Lookup("dev").TryGet(out Dentry? dev, out _))
            return Errno.ENODEV;
        VfsPath devices = new VfsPath(root.Mount, dev).CrossMounts();
        if (!devices.Dentry.Lookup("pts").TryGet(out Dentry? pts, out _))
            return Errno.ENODEV;
        VfsPath folder = new VfsPath(devices.Mount, pts).CrossMounts();
        if (folder.Inode.FileSystem is not PtsFileSystem fileSystem || folder.Inode is not PtsDirectory)
            return Errno.ENODEV;
        if (!fileSystem.Allocate(uid, gid).TryGet(out PseudoTerminal? pair, out Errno error))
            return error;
        TerminalBridge bridge = new(kernel, pair, kernel.PeekNextPid());
        if (!folder.Dentry.Lookup(PtsFileSystem.NameOf(pair)).TryGet(out Dentry? dentry, out error)
            || !dentry.Inode.Open(null, new VfsPath(folder.Mount, dentry), OpenFlags.ReadWrite).TryGet(out FileObject? file, out error))
        {
            bridge.Close();
            return error;
        }

        return (bridge, file);
    }

    /// <summary>Joins another end. One that reads begins with what shows where the program is, and the foreground is told to draw anew.</summary>
    public void Attach(IHostStream stream, bool reads)
    {
        BridgeEnd end = new(this, stream, reads);
        if (reads)
        {
            end.Backlog.Add(_screen.Apply());
            if (!_screen.UsesAlternateScreen)
                end.Backlog.Add(RecentLines());
        }

        _ends.Add(end);
        Defer();
    }

    /// <summary>The program has ended: its end is reported when all it put out has been taken.</summary>
    internal void OnProgramEnded(int waitStatus)
    {
        _waitStatus = waitStatus;
        Defer();
    }

    /// <summary>The master goes, and with it the terminal.</summary>
    internal void Close()
    {
        _kernel.Bridges.Remove(this);
        _pair.MasterWaiters.Remove(this);
        foreach (BridgeEnd end in _ends)
            end.Stream.Close();
        _ends.Clear();
        _pair.CloseMaster();
    }

    void IWaiter.OnWake(WaitQueue queue, PollEvents events)
    {
        if (!_pumping)
            Defer();
    }

    void IDeferredWork.Run()
    {
        _deferred = false;
        if (!_kernel.Bridges.Contains(this))
            return;
        _pumping = true;
        foreach (BridgeEnd end in _ends)
            PumpInput(end);
        PumpOutput();
        foreach (BridgeEnd end in _ends.FindAll(e => e.Gone))
            end.Stream.Close();
        _ends.RemoveAll(e => e.Gone);
        foreach (BridgeEnd end in _ends)
            end.Watch(_pair);
        _pumping = false;
        if (_waitStatus is not { } status || !_ends.TrueForAll(e => e.HasAll(_pair)))
            return;
        Close();
        _kernel.Host.OnProgramExited(_pid, status);
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Links)
        {
            _screen.Changed = _modes;
            _pair.MasterWaiters.Add(this, PollEvents.All);
        }

        if (phase != RestorePhase.Activation)
            return;
        var donated = context.Get<IDonatedStreams>();
        if (donated.FindLog(_pid) is { } log)
            Attach(log, reads: false);
        if (donated.FindTerminal(_pid) is { } caller)
            Attach(caller, reads: true);
        Defer();
    }

    internal void Defer()
    {
        if (_deferred)
            return;
        _deferred = true;
        _kernel.Defer(this);
    }

    private void PumpInput(BridgeEnd end)
    {
        if (!end.Reads || end.InputOver || end.Gone)
            return;
        byte[] buffer = new byte[Unit];
        while (_pair.MasterRoom > 0)
        {
            Result<int> got = end.Stream.Read(buffer.AsSpan(0, Math.Min(Unit, _pair.MasterRoom)));
            if (got.Error == Errno.EAGAIN)
                return;
            if (got.IsError)
            {
                end.Gone = true;
                return;
            }

            if (got.Value == 0)
            {
                // Only its sending side may be closed: then it still wants the output.
                end.InputOver = true;
                return;
            }

            _pair.Send(buffer.AsSpan(0, got.Value));
        }
    }

    /// <summary>Gives each end what it has not had, and drops what all have; the slowest sets the pace, as a terminal does.</summary>
    private void PumpOutput()
    {
        for (; ; )
        {
            int count = _pair.PeekOutput().Length;
            foreach (BridgeEnd end in _ends)
                end.Send(_pair);
            int taken = count;
            foreach (BridgeEnd end in _ends)
            {
                if (!end.Gone)
                    taken = Math.Min(taken, end.Sent);
            }

            if (taken == 0)
                return;
            Remember(_pair.PeekOutput()[..taken]);
            _pair.TakeOutput(taken);
            foreach (BridgeEnd end in _ends)
                end.Sent -= taken;
        }
    }

    private void Remember(ReadOnlySpan<byte> output)
    {
        _screen.Follow(output);
        _modes = _screen.Changed;
        _recent.Add(output[^Math.Min(output.Length, RecentLimit)..]);
        if (_recent.Count > RecentLimit)
            _recent.Drop(_recent.Count - RecentLimit);
    }

    /// <summary>The last lines of output, whole ones.</summary>
    private ReadOnlySpan<byte> RecentLines()
    {
        ReadOnlySpan<byte> recent = _recent.Peek();
        return recent.Length < RecentLimit ? recent : recent[(recent.IndexOf((byte)'\n') + 1)..];
    }
}

/// <summary>Someone who looks at a terminal from outside; a log is one that only takes.</summary>
internal sealed class BridgeEnd(TerminalBridge bridge, IHostStream stream, bool reads) : IHostStreamWatcher
{
    internal IHostStream Stream => stream;

    internal bool Reads => reads;

    /// <summary>What it gets before anything else.</summary>
    internal ByteQueue Backlog { get; } = new();

    /// <summary>Bytes at the front of the terminal's output that it has had.</summary>
    internal int Sent { get; set; }

    /// <summary>Nothing more will come from it.</summary>
    internal bool InputOver { get; set; }

    internal bool Gone { get; set; }

    internal bool HasAll(PseudoTerminal pair) => Gone || (Backlog.Count == 0 && Sent >= pair.PeekOutput().Length);

    internal void Send(PseudoTerminal pair)
    {
        while (!Gone && Backlog.Count > 0)
        {
            int put = Write(Backlog.Peek());
            if (put == 0)
                return;
            Backlog.Drop(put);
        }

        // What was put out may have been flushed meanwhile.
        Sent = Math.Min(Sent, pair.PeekOutput().Length);
        while (!Gone && Sent < pair.PeekOutput().Length)
        {
            int put = Write(pair.PeekOutput()[Sent..]);
            if (put == 0)
                return;
            Sent += put;
        }
    }

    internal void Watch(PseudoTerminal pair)
    {
        PollEvents events = reads && !InputOver && pair.MasterRoom > 0 ? PollEvents.In : PollEvents.None;
        stream.Watch(this, HasAll(pair) ? events : events | PollEvents.Out);
    }

    void IHostStreamWatcher.OnReady(PollEvents events)
    {
        if ((events & (PollEvents.Hup | PollEvents.Err)) != 0 && (events & PollEvents.In) == 0)
            Gone = true;
        bridge.Defer();
    }

    private int Write(ReadOnlySpan<byte> bytes)
    {
        Result<int> put = stream.Write(bytes);
        if (put.IsOk)
            return put.Value;
        Gone = put.Error != Errno.EAGAIN;
        return 0;
    }
}
