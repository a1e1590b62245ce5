namespace Sentry.Kernel.Terminals;

/// <summary>How far a read with VTIME has come: how many bytes it has seen arrive.</summary>
[Savable("terminal-read")]
internal sealed partial class TerminalRead : CallState
{
    [Saved(1)] internal int Seen;

    internal TerminalRead()
    {
    }
}

/// <summary>An open terminal: /dev/pts/N, or /dev/tty and /dev/console where they lead to one.</summary>
[Savable("terminal-file")]
public sealed partial class TerminalFile : InodeFile
{
    private const int Unit = 4096;
    private const long TenthOfSecond = 100_000_000, TimeStampUnit = 8_000_000_000;

    [Saved(1)] private Terminal _terminal;
    [Saved(2)] private int _hangUps;
    [Saved(3)] private bool _isConsole;

    internal TerminalFile(in VfsPath path, Terminal terminal, OpenFlags flags, bool isConsole = false)
        : base(path, flags)
    {
        _terminal = terminal;
        _hangUps = terminal.HangUps;
        _isConsole = isConsole;
        terminal.Pair.OpenSlave();
    }

    internal override bool RaisesSignals => true;

    public Terminal Terminal => _terminal;

    internal bool IsHungUp => _hangUps != _terminal.HangUps;

    public override WaitQueue? WaitQueue => _terminal.Waiters;

    public override bool WritesInFull => true;

    public override Errno Sync() => Errno.EINVAL;

    public override PollEvents Poll()
    {
        if (IsHungUp)
            return PollEvents.ReadMask | PollEvents.WriteMask | PollEvents.Err | PollEvents.Hup;
        PollEvents events = _terminal.CanRead(whole: true) ? PollEvents.ReadMask : PollEvents.None;
        return _terminal.Output.Room > 0 ? events | PollEvents.WriteMask : events;
    }

    public override SyscallResult? CheckUse(Task caller, bool write)
    {
        if (IsHungUp || (write && !_terminal.Termios.HasLocal(Tio.TOSTOP)) || (!write && _isConsole))
            return null;
        return Sessions.Refuse(caller, _terminal, write ? Signal.SIGTTOU : Signal.SIGTTIN);
    }

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        if (IsHungUp || destination.Length == 0)
            return 0;
        Termios termios = _terminal.Termios;
        bool canonical = termios.IsCanonical && !termios.HasLocal(Tio.EXTPROC);
        int limit = (int)Math.Min(destination.Length, TerminalInput.Capacity);
        if (canonical ? !_terminal.CanRead(whole: false) : !IsReadComplete(caller, limit))
            return Errno.EAGAIN;
        int moved = canonical ? _terminal.Input.ReadLine(destination, limit) : _terminal.Input.Read(destination, 0, limit);
        if (moved < 0)
            return Errno.EFAULT;
        _terminal.Pair.Deliver();
        Touch(read: true);
        return moved;
    }

    public override SyscallResult WaitToRead(Task task, bool dontWait)
    {
        if (dontWait || IsNonBlocking)
            return Errno.EAGAIN;
        task.WaitOn(_terminal.Waiters, PollEvents.ReadMask);
        Termios termios = _terminal.Termios;
        if (!termios.IsCanonical && termios[Tio.VTIME] > 0)
            SetDeadline(task.Call, termios[Tio.VTIME] * TenthOfSecond, termios[Tio.VMIN] == 0);
        return task.Block(InterruptMode.Restart);
    }

    public override Result<long> Write(Task caller, in UserBuffer source)
    {
        if (IsHungUp)
            return Errno.EIO;
        if (source.Length == 0)
            return 0;
        if (_terminal.Output.Room == 0)
            return Errno.EAGAIN;
        byte[] buffer = new byte[Math.Min(source.Length, Unit)];
        int count = source.CopyIn(buffer);
        if (count == 0)
            return Errno.EFAULT;
        int taken = _terminal.Write(buffer.AsSpan(0, count));
        Touch(read: false);
        return taken == 0 ? Errno.EAGAIN : taken;
    }

    public override SyscallResult Ioctl(Task caller, uint request, ulong argument) =>
        IsHungUp ? request == Tio.TIOCSPGRP ? Errno.ENOTTY : Errno.EIO : TerminalIoctls.OfSlave(caller, this, request, argument);

    public override Result<FileStatus> GetStatus()
    {
        Result<FileStatus> status = base.GetStatus();
        return status.IsOk ? status.Value with { BlockSize = 1024 } : status;
    }

    protected override void OnRelease()
    {
        base.OnRelease();
        _terminal.Pair.CloseSlave(_hangUps);
    }

    // termios(3), "Canonical and noncanonical mode": MIN and TIME.
    private bool IsReadComplete(Task caller, int limit)
    {
        int available = _terminal.Input.Count, minimum = _terminal.Termios[Tio.VMIN];
        bool timedOut = caller.CurrentCall is { TimedOut: true };
        if (available == 0)
            return minimum == 0 && (timedOut || _terminal.Termios[Tio.VTIME] == 0);
        return available >= Math.Min(minimum, limit) || timedOut || IsNonBlocking;
    }

    private void SetDeadline(CallContext call, long time, bool fromStart)
    {
        long now = _terminal.Kernel.Clock.Monotonic;
        int available = _terminal.Input.Count;
        if (fromStart)
        {
            call.SetTimeoutOnce(now, time);
        }
        else if (available > 0)
        {
            // Between bytes: each one that comes begins the time anew.
            TerminalRead state = call.State as TerminalRead ?? new TerminalRead();
            if (state.Seen != available)
                call.Deadline = now + time;
            state.Seen = available;
            call.State = state;
        }
    }

    // Linux keeps these times to eight seconds, so that they do not tell how fast someone types.
    private void Touch(bool read)
    {
        long now = Inode.FileSystem.Now / TimeStampUnit * TimeStampUnit;
        if (read)
            Inode.AccessTime = now;
        else
            Inode.ModifyTime = now;
    }
}

/// <summary>The other end of a terminal: an open /dev/ptmx.</summary>
[Savable("pty-master-file")]
public sealed partial class PtyMasterFile : InodeFile
{
    private const int Unit = 4096;

    [Saved(1)] private PseudoTerminal _pair;
    [Saved(2)] private VfsPath _root;

    /// <param name="root">The devpts that it belongs to, as the opener sees it.</param>
    internal PtyMasterFile(in VfsPath path, in VfsPath root, PseudoTerminal pair, OpenFlags flags)
        : base(path, flags)
    {
        _pair = pair;
        _root = root;
        pair.OpenMaster();
    }

    internal override bool RaisesSignals => true;

    public PseudoTerminal Pair => _pair;

    internal VfsPath PtsRoot => _root;

    public override WaitQueue? WaitQueue => _pair.MasterWaiters;

    public override bool WritesInFull => true;

    public override Errno Sync() => Errno.EINVAL;

    public override PollEvents Poll()
    {
        PollEvents events = PollEvents.None;
        if (_pair.PeekOutput().Length > 0)
            events |= PollEvents.ReadMask;
        if (_pair.HasPacketStatus)
            events |= PollEvents.ReadMask | PollEvents.Pri;
        if (_pair.IsSlaveClosed)
            events |= PollEvents.Hup;
        return _pair.MasterRoom > 0 ? events | PollEvents.WriteMask : events;
    }

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        if (destination.Length == 0)
            return 0;
        if (_pair.HasPacketStatus)
            return destination.CopyOut([_pair.TakePacketStatus()]) == 1 ? 1L : Errno.EFAULT;
        ReadOnlySpan<byte> output = _pair.PeekOutput();
        if (output.Length == 0)
            return _pair.IsSlaveClosed ? Errno.EIO : Errno.EAGAIN;
        int status = _pair.PacketMode ? 1 : 0;
        if (status == 1 && destination.CopyOut([Tio.TIOCPKT_DATA]) != 1)
            return Errno.EFAULT;
        int count = (int)Math.Min(output.Length, destination.Length - status), moved = destination.CopyOut(output[..count], status);
        if (moved < count)
            return Errno.EFAULT;
        _pair.TakeOutput(moved);
        return moved + status;
    }

    public override Result<long> Write(Task caller, in UserBuffer source)
    {
        if (source.Length == 0)
            return 0;
        byte[] buffer = new byte[Math.Min(source.Length, Unit)];
        if (_pair.MasterRoom == 0)
            return Errno.EAGAIN;
        int count = source.CopyIn(buffer);
        return count == 0 ? Errno.EFAULT : _pair.Send(buffer.AsSpan(0, count));
    }

    public override SyscallResult Ioctl(Task caller, uint request, ulong argument) => TerminalIoctls.OfMaster(caller, this, request, argument);

    protected override void OnRelease()
    {
        base.OnRelease();
        _pair.CloseMaster();
    }
}
