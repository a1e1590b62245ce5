namespace Sentry.Kernel.Terminals;

/// <summary>A terminal as programs have it: the slave side of a pseudoterminal (pty(7)), with its settings, its input and output, and the session
/// that it controls.</summary>
[Savable("terminal")]
public sealed partial class Terminal
{
    [Saved(1)] private GuestKernel _kernel;
    [Saved(2)] private PseudoTerminal _pair;
    [Saved(3)] private Termios _termios = new();
    [Saved(4)] private Termios _locked = Termios.Unlocked();
    [Saved(5)] private WindowSize _windowSize;
    [Saved(6)] private TerminalInput _input = new();
    [Saved(7)] private TerminalOutput _output = new();
    [Saved(8)] private LineDiscipline _discipline;
    [Saved(9)] private int _session;
    [Saved(10)] private int _foreground;
    [Saved(11)] private bool _stoppedByCall;
    [Saved(12)] private bool _exclusive;
    [Saved(13)] private int _hangUps;
    [Saved(14)] private long _received;
    [NotSaved("waiters register again when their call is tried again")] private readonly WaitQueue _waiters = new();

    internal Terminal(GuestKernel kernel, PseudoTerminal pair)
    {
        _kernel = kernel;
        _pair = pair;
        _discipline = new LineDiscipline(this);
    }

    public GuestKernel Kernel => _kernel;

    /// <summary>The number in /dev/pts/N.</summary>
    public int Index => _pair.Index;

    /// <summary>The device number that /proc/PID/stat shows (tty_nr).</summary>
    public ulong Device => _pair.Node.SpecialDevice;

    public Termios Termios => _termios;

    /// <summary>The session that it controls, 0 for none.</summary>
    public int Session
    {
        get => _session;
        internal set => _session = value;
    }

    /// <summary>The process group that may read, and that its keys signal; 0 for none.</summary>
    public int Foreground
    {
        get => _foreground;
        internal set => _foreground = value;
    }

    public WindowSize WindowSize => _windowSize;

    internal PseudoTerminal Pair => _pair;

    internal TerminalInput Input => _input;

    internal TerminalOutput Output => _output;

    internal LineDiscipline Discipline => _discipline;

    internal WaitQueue Waiters => _waiters;

    internal Termios Locked
    {
        get => _locked;
        set => _locked = value;
    }

    /// <summary>TIOCEXCL.</summary>
    internal bool IsExclusive
    {
        get => _exclusive;
        set => _exclusive = value;
    }

    /// <summary>How often it was hung up: descriptions opened before the last time are dead.</summary>
    internal int HangUps => _hangUps;

    /// <summary>Guest monotonic time of the last input, for VTIME.</summary>
    internal long LastReceived => _received;

    /// <summary>Whether a read could return something. <paramref name="whole"/>: as poll(2) asks, VMIN bytes at least when there is no VTIME.</summary>
    internal bool CanRead(bool whole)
    {
        if (_termios.IsCanonical && !_termios.HasLocal(Tio.EXTPROC))
            return _input.HasLine;
        int needed = whole && _termios[Tio.VTIME] == 0 && _termios[Tio.VMIN] > 0 ? _termios[Tio.VMIN] : 1;
        return _input.Count >= needed;
    }

    // ---- the two directions --------------------------------------------------------------------------------------

    /// <summary>Gives bytes from the other end to the line discipline; the number taken.</summary>
    internal int Receive(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > 0)
            _received = _kernel.Clock.Monotonic;
        _output.Settle();
        int taken = _discipline.Receive(bytes);
        MoveEcho();
        return taken;
    }

    /// <summary>Takes what fits of a program's output; the number of its bytes taken.</summary>
    internal int Write(ReadOnlySpan<byte> bytes)
    {
        _output.Settle();
        int taken = _output.Write(bytes, _termios);
        if (_output.Queue.Count > 0)
            _pair.WakeMaster(PollEvents.ReadMask);
        return taken;
    }

    internal void WakeReaders() => _waiters.Wake(PollEvents.ReadMask);

    // ---- flow and flushing ---------------------------------------------------------------------------------------

    /// <summary>VSTOP.</summary>
    internal void StopOutput()
    {
        if (_output.IsStopped)
            return;
        _output.IsStopped = true;
        _pair.Announce(Tio.TIOCPKT_STOP, Tio.TIOCPKT_START);
    }

    /// <summary>VSTART, unless a call stopped it.</summary>
    internal void StartOutput()
    {
        if (!_output.IsStopped || _stoppedByCall)
            return;
        _output.IsStopped = false;
        _pair.Announce(Tio.TIOCPKT_START, Tio.TIOCPKT_STOP);
        _waiters.Wake(PollEvents.WriteMask);
    }

    /// <summary>tcflush(3) TCOFLUSH: by a call, when what was put out before has settled.</summary>
    internal void FlushSettledOutput()
    {
        _output.Settle();
        FlushOutput();
    }

    /// <summary>tcflow(3) TCOOFF.</summary>
    internal void Suspend()
    {
        if (_stoppedByCall)
            return;
        _stoppedByCall = true;
        StopOutput();
    }

    /// <summary>TCOON.</summary>
    internal void Continue()
    {
        if (!_stoppedByCall)
            return;
        _stoppedByCall = false;
        StartOutput();
        MoveEcho();
    }

    internal void FlushInput()
    {
        _input.Clear();
        _discipline.Reset();
        _pair.Announce(Tio.TIOCPKT_FLUSHREAD, 0);
    }

    internal void FlushOutput()
    {
        _output.Flush();
        _pair.Announce(Tio.TIOCPKT_FLUSHWRITE, 0);
        _waiters.Wake(PollEvents.WriteMask);
    }

    // ---- settings ------------------------------------------------------------------------------------------------

    /// <summary>tcsetattr(3). A pseudoterminal has eight bits and no parity, whatever is asked for.</summary>
    internal void SetTermios(Termios termios)
    {
        Termios old = _termios;
        termios.KeepLocked(old, _locked);
        termios.Control = (termios.Control & ~(Tio.CSIZE | Tio.PARENB)) | Tio.CS8 | Tio.CREAD;
        _termios = termios;
        AnnounceSettings(old);
        if (((old.Local ^ termios.Local) & (Tio.ICANON | Tio.EXTPROC)) != 0)
        {
            _input.ChangeMode(termios.IsCanonical);
            _discipline.Reset();
        }

        if (old.HasInput(Tio.IXON) && !termios.HasInput(Tio.IXON))
            StartOutput();
        MoveEcho();
        _pair.Deliver();
        _waiters.Wake();
    }

    /// <summary>TIOCSWINSZ: the foreground hears of a change (SIGWINCH).</summary>
    public void SetWindowSize(WindowSize size)
    {
        if (size == _windowSize)
            return;
        _windowSize = size;
        SignalForeground(Signal.SIGWINCH);
    }

    /// <summary>Sends a signal to the foreground process group, as the keyboard does.</summary>
    public void SignalForeground(int signal)
    {
        if (_foreground > 0)
            SignalDelivery.SendToProcessGroup(_kernel, _foreground, SignalInfo.Kernel(signal));
    }

    // ---- end -----------------------------------------------------------------------------------------------------

    /// <summary>The line is gone (vhangup(2), or the master was closed): open descriptions are dead, the session loses its terminal and its
    /// leader gets SIGHUP and SIGCONT.</summary>
    internal void HangUp()
    {
        _hangUps++;
        Sessions.LoseTerminal(this);
        _input.Clear();
        _output.Clear();
        _output.IsStopped = _stoppedByCall = false;
        _discipline.Reset();
        _termios = new Termios();
        _pair.OnHungUp();
        _waiters.Wake();
    }

    private void MoveEcho()
    {
        _output.MoveEcho();
        if (_output.Queue.Count > 0)
            _pair.WakeMaster(PollEvents.ReadMask);
    }

    // A master in packet mode learns of ^S and ^Q coming into or out of use, and of every change with EXTPROC.
    private void AnnounceSettings(Termios old)
    {
        static bool Flow(Termios t) => t.HasInput(Tio.IXON) && t[Tio.VSTOP] == 0x13 && t[Tio.VSTART] == 0x11;
        if (Flow(old) != Flow(_termios))
        {
            if (Flow(_termios))
                _pair.Announce(Tio.TIOCPKT_DOSTOP, Tio.TIOCPKT_NOSTOP);
            else
                _pair.Announce(Tio.TIOCPKT_NOSTOP, Tio.TIOCPKT_DOSTOP);
        }

        if (old.HasLocal(Tio.EXTPROC) || _termios.HasLocal(Tio.EXTPROC))
            _pair.Announce(Tio.TIOCPKT_IOCTL, 0);
    }
}
