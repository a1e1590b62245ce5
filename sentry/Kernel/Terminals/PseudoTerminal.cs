namespace Sentry.Kernel.Terminals;

/// <summary>A pair of master and slave (pty(7)): what programs see as a <see cref="Terminals.Terminal"/>, and what a terminal emulator has in hand.</summary>
[Savable("pseudoterminal")]
public sealed partial class PseudoTerminal
{
    /// <summary>What the master may write ahead of what the line discipline has taken.</summary>
    private const int UndeliveredLimit = 8192;

    [Saved(1)] private PtsFileSystem _fileSystem;
    [Saved(2)] private int _index;
    [Saved(3)] private Terminal _terminal;
    [Saved(4)] private PtsNode _node;
    [Saved(5)] private ByteQueue _undelivered = new();
    [Saved(6)] private int _masters;
    [Saved(7)] private int _slaves;
    [Saved(8)] private bool _slaveClosed;
    [Saved(9)] private bool _isLocked = true;
    [Saved(10)] private bool _packetMode;
    [Saved(11)] private byte _packetStatus;
    [Saved(12)] private bool _masterStopped;
    [Saved(13)] private bool _masterClosed;
    [NotSaved("waiters register again when their call is tried again")] private readonly WaitQueue _masterWaiters = new();

    internal PseudoTerminal(PtsFileSystem fileSystem, int index, uint uid, uint gid)
    {
        _fileSystem = fileSystem;
        _index = index;
        _terminal = new Terminal(fileSystem.Kernel, this);
        _node = new PtsNode(fileSystem, this, uid, gid);
    }

    public Terminal Terminal => _terminal;

    internal PtsFileSystem FileSystem => _fileSystem;

    internal int Index => _index;

    /// <summary>What is at /dev/pts/N.</summary>
    internal PtsNode Node => _node;

    internal WaitQueue MasterWaiters => _masterWaiters;

    /// <summary>No slave can be opened until the master has unlocked it (unlockpt(3)).</summary>
    internal bool IsLocked
    {
        get => _isLocked;
        set => _isLocked = value;
    }

    internal bool PacketMode => _packetMode;

    /// <summary>The master's own flow control (tcflow(3) on it).</summary>
    internal bool MasterStopped
    {
        get => _masterStopped;
        set
        {
            _masterStopped = value;
            if (!value)
                WakeMaster(PollEvents.WriteMask);
        }
    }

    /// <summary>Whether the master has been closed; the pair is dead then.</summary>
    internal bool IsMasterClosed => _masterClosed;

    /// <summary>The last slave was closed, and none has been opened since; before the first open there is still someone to come.</summary>
    internal bool IsSlaveClosed => _slaveClosed;

    // ---- the master's side ---------------------------------------------------------------------------------------

    /// <summary>Bytes that the master can write.</summary>
    internal int MasterRoom => _masterStopped ? 0 : UndeliveredLimit - _undelivered.Count;

    /// <summary>Takes what fits of what the master sends; the number of bytes taken.</summary>
    internal int Send(ReadOnlySpan<byte> bytes)
    {
        int count = Math.Min(bytes.Length, MasterRoom);
        if (count == 0)
            return 0;
        int direct = _undelivered.Count == 0 ? _terminal.Receive(bytes[..count]) : 0;
        _undelivered.Add(bytes[direct..count]);
        return count;
    }

    /// <summary>Hands on what the line discipline had no room for.</summary>
    internal void Deliver()
    {
        if (_undelivered.Count == 0)
            return;
        int taken = _terminal.Receive(_undelivered.Peek());
        _undelivered.Drop(taken);
        if (taken > 0)
            WakeMaster(PollEvents.WriteMask);
    }

    /// <summary>What the terminal has put out, the oldest first.</summary>
    internal ReadOnlySpan<byte> PeekOutput() => _terminal.Output.Queue.Peek();

    /// <summary>Removes output that the master has; writers who wait for room go on.</summary>
    internal void TakeOutput(int count)
    {
        _terminal.Output.Queue.Drop(count);
        _terminal.Output.MoveEcho();
        if (_terminal.Output.Room > 0)
            _terminal.Waiters.Wake(PollEvents.WriteMask);
    }

    /// <summary>The master's tcflush(3): of what was sent to it, of what it has sent.</summary>
    internal void FlushMaster(bool input, bool output)
    {
        if (input)
            TakeOutput(_terminal.Output.Queue.Count);
        if (output)
        {
            _undelivered.Clear();
            WakeMaster(PollEvents.WriteMask);
        }
    }

    internal void WakeMaster(PollEvents events) => _masterWaiters.Wake(events);

    // ---- packet mode ---------------------------------------------------------------------------------------------

    /// <summary>TIOCPKT.</summary>
    internal void SetPacketMode(bool on)
    {
        if (on && !_packetMode)
            _packetStatus = 0;
        _packetMode = on;
    }

    internal bool HasPacketStatus => _packetMode && _packetStatus != 0;

    internal byte TakePacketStatus()
    {
        byte status = _packetStatus;
        _packetStatus = 0;
        return status;
    }

    /// <summary>Tells a master in packet mode what has happened; <paramref name="instead"/> is no longer true.</summary>
    internal void Announce(byte status, byte instead)
    {
        if (!_packetMode)
            return;
        _packetStatus = (byte)((_packetStatus & ~instead) | status);
        WakeMaster(PollEvents.ReadMask | PollEvents.Pri);
    }

    // ---- coming and going ----------------------------------------------------------------------------------------

    internal void OpenMaster() => _masters++;

    internal void CloseMaster()
    {
        if (--_masters > 0 || _masterClosed)
            return;
        _masterClosed = true;
        _fileSystem.Remove(this);
        _terminal.HangUp();
    }

    internal void OpenSlave()
    {
        _slaves++;
        _slaveClosed = false;
    }

    /// <param name="hangUps">As it was when the description was opened: one that was hung up has been counted off already.</param>
    internal void CloseSlave(int hangUps)
    {
        if (hangUps != _terminal.HangUps || --_slaves > 0)
            return;
        _slaveClosed = true;
        _packetMode = false;
        WakeMaster(PollEvents.All);
    }

    internal void OnHungUp()
    {
        _undelivered.Clear();
        if (_slaves > 0)
            _slaveClosed = true;
        _slaves = 0;
        WakeMaster(PollEvents.All);
    }
}
