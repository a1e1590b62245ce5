using System.Buffers.Binary;

namespace Sentry.Kernel.Terminals;

/// <summary>ioctl_tty(2) on both ends of a pseudoterminal. What a master is asked about settings, sizes and sessions concerns its slave.</summary>
internal static class TerminalIoctls
{
    private const int WindowSizeBytes = 8;

    internal static SyscallResult OfSlave(Task task, TerminalFile file, uint request, ulong argument)
    {
        Terminal terminal = file.Terminal;
        switch (request)
        {
            case Tio.FIONREAD:
                return PutInt(task, argument, terminal.Termios.IsCanonical && !terminal.Termios.HasLocal(Tio.EXTPROC) ? terminal.Input.LineBytes : terminal.Input.Count);
            case Tio.TIOCSCTTY:
                return TakeControl(task, file, argument == 1);
            case Tio.TIOCNOTTY:
                if (task.Group.Terminal != terminal)
                    return Errno.ENOTTY;
                Sessions.GiveUp(task.Group);
                return SyscallResult.Ok;
            case Tio.TIOCVHANGUP:
                if (!task.Credentials.Has(Capability.CAP_SYS_ADMIN))
                    return Errno.EPERM;
                terminal.HangUp();
                return SyscallResult.Ok;
            case Tio.TCXONC:
                return Sessions.Refuse(task, terminal, Signal.SIGTTOU) ?? ChangeFlow(terminal, (int)argument);
            case Tio.TCFLSH:
                return Sessions.Refuse(task, terminal, Signal.SIGTTOU) ?? Flush(terminal, (int)argument);
            case Tio.TIOCGPTPEER:
                return Errno.EIO;
            case Tio.TIOCGPTN or Tio.TIOCSPTLCK or Tio.TIOCGPTLCK or Tio.TIOCPKT or Tio.TIOCGPKT or Tio.TIOCSIG:
                return Errno.ENOTTY;
            default:
                return OfBoth(task, file, terminal, request, argument);
        }
    }

    internal static SyscallResult OfMaster(Task task, PtyMasterFile file, uint request, ulong argument)
    {
        PseudoTerminal pair = file.Pair;
        switch (request)
        {
            case Tio.FIONREAD:
                return PutInt(task, argument, pair.PeekOutput().Length);
            case Tio.TIOCGPTN:
                return PutInt(task, argument, pair.Index);
            case Tio.TIOCSPTLCK:
                if (!task.TryRead(argument, out int locked))
                    return Errno.EFAULT;
                pair.IsLocked = locked != 0;
                return SyscallResult.Ok;
            case Tio.TIOCGPTLCK:
                return PutInt(task, argument, pair.IsLocked ? 1 : 0);
            case Tio.TIOCPKT:
                if (!task.TryRead(argument, out int packets))
                    return Errno.EFAULT;
                pair.SetPacketMode(packets != 0);
                return SyscallResult.Ok;
            case Tio.TIOCGPKT:
                return PutInt(task, argument, pair.PacketMode ? 1 : 0);
            case Tio.TIOCGPTPEER:
                return OpenPeer(task, file, (OpenFlags)argument);
            case Tio.TIOCSIG:
                if ((int)argument is not (Signal.SIGINT or Signal.SIGQUIT or Signal.SIGTSTP))
                    return Errno.EINVAL;
                pair.Terminal.SignalForeground((int)argument);
                return SyscallResult.Ok;
            case Tio.TCFLSH:
                int queue = (int)argument;
                if (queue is < Tio.TCIFLUSH or > Tio.TCIOFLUSH)
                    return Errno.EINVAL;
                pair.FlushMaster(queue != Tio.TCOFLUSH, queue != Tio.TCIFLUSH);
                return SyscallResult.Ok;
            case Tio.TCXONC when (int)argument is Tio.TCOOFF or Tio.TCOON:
                pair.MasterStopped = (int)argument == Tio.TCOOFF;
                return SyscallResult.Ok;
            case Tio.TIOCSCTTY or Tio.TIOCNOTTY or Tio.TIOCVHANGUP:
                return Errno.ENOTTY;
            default:
                return OfBoth(task, file, pair.Terminal, request, argument);
        }
    }

    private static SyscallResult OfBoth(Task task, FileObject file, Terminal terminal, uint request, ulong argument)
    {
        switch (request)
        {
            case Tio.TCGETS or Tio.TCGETS2 or Tio.TCGETA or Tio.TIOCGLCKTRMIOS:
                return GetSettings(task, request == Tio.TIOCGLCKTRMIOS ? terminal.Locked : terminal.Termios, request, argument);
            case Tio.TCSETS or Tio.TCSETSW or Tio.TCSETSF or Tio.TCSETS2 or Tio.TCSETSW2 or Tio.TCSETSF2 or Tio.TCSETA or Tio.TCSETAW or Tio.TCSETAF:
                return SetSettings(task, terminal, request, argument);
            case Tio.TIOCSLCKTRMIOS:
                return Lock(task, terminal, argument);
            case Tio.TIOCGWINSZ or Tio.TIOCSWINSZ:
                return UseWindowSize(task, terminal, argument, request == Tio.TIOCSWINSZ);
            case Tio.TIOCGPGRP or Tio.TIOCGSID:
                return GetSession(task, file, terminal, argument, request == Tio.TIOCGSID);
            case Tio.TIOCSPGRP:
                return SetForeground(task, terminal, argument);
            case Tio.TIOCSTI:
                // As with dev.tty.legacy_tiocsti = 0: no one puts words into another's mouth.
                return Errno.EIO;
            case Tio.TIOCOUTQ:
                return PutInt(task, argument, 0);
            case Tio.TIOCEXCL or Tio.TIOCNXCL:
                terminal.IsExclusive = request == Tio.TIOCEXCL;
                return SyscallResult.Ok;
            case Tio.TIOCGEXCL:
                return PutInt(task, argument, terminal.IsExclusive ? 1 : 0);
            case Tio.TIOCGETD:
                return PutInt(task, argument, 0);
            case Tio.TIOCSETD:
                if (!task.TryRead(argument, out int discipline))
                    return Errno.EFAULT;
                return Sessions.Refuse(task, terminal, Signal.SIGTTOU) ?? (discipline == 0 ? SyscallResult.Ok : Errno.EINVAL);
            case Tio.TIOCGDEV:
                return PutInt(task, argument, (int)(file is PtyMasterFile ? CharacterDevices.Ptmx : terminal.Device));
            case Tio.TCSBRK or Tio.TCSBRKP or Tio.TIOCSBRK or Tio.TIOCCBRK:
                // Waiting until all is sent is over at once, as on Linux: what a pseudoterminal has put out is the master's. There is no line to break.
                return Sessions.Refuse(task, terminal, Signal.SIGTTOU) ?? SyscallResult.Ok;
            case Tio.TIOCGSOFTCAR:
                return PutInt(task, argument, 0);
            case Tio.TIOCSSOFTCAR:
                return task.TryRead(argument, out int _) ? SyscallResult.Ok : Errno.EFAULT;
            case Tio.TIOCCONS:
                return task.Credentials.Has(Capability.CAP_SYS_ADMIN) ? Errno.EBUSY : Errno.EPERM;
            case Tio.TCXONC or Tio.TCFLSH:
                return Errno.EINVAL;
            default:
                return Errno.ENOTTY;
        }
    }

    // ---- settings ------------------------------------------------------------------------------------------------

    private static SyscallResult GetSettings(Task task, Termios termios, uint request, ulong argument)
    {
        Span<byte> bytes = stackalloc byte[SizeOf(request)];
        if (request == Tio.TCGETA)
            termios.ToOldBytes(bytes);
        else
            termios.ToBytes(bytes);
        return task.Memory.TryWriteAll(argument, bytes) ? SyscallResult.Ok : Errno.EFAULT;
    }

    private static SyscallResult SetSettings(Task task, Terminal terminal, uint request, ulong argument)
    {
        if (Sessions.Refuse(task, terminal, Signal.SIGTTOU) is { } refused)
            return refused;
        Span<byte> bytes = stackalloc byte[SizeOf(request)];
        if (!task.Memory.TryReadAll(argument, bytes))
            return Errno.EFAULT;
        Termios made = bytes.Length == Termios.OldSize ? terminal.Termios.WithOldBytes(bytes) : Termios.FromBytes(bytes);
        if (request is Tio.TCSETSF or Tio.TCSETSF2 or Tio.TCSETAF)
            terminal.FlushInput();
        terminal.SetTermios(made);
        return SyscallResult.Ok;
    }

    private static SyscallResult Lock(Task task, Terminal terminal, ulong argument)
    {
        if (!task.Credentials.Has(Capability.CAP_SYS_ADMIN) && !task.Credentials.Has(Capability.CAP_CHECKPOINT_RESTORE))
            return Errno.EPERM;
        Span<byte> bytes = stackalloc byte[Termios.Size];
        if (!task.Memory.TryReadAll(argument, bytes))
            return Errno.EFAULT;
        terminal.Locked = Termios.FromBytes(bytes);
        return SyscallResult.Ok;
    }

    private static int SizeOf(uint request) => request switch
    {
        Tio.TCGETS2 or Tio.TCSETS2 or Tio.TCSETSW2 or Tio.TCSETSF2 => Termios.Size2,
        Tio.TCGETA or Tio.TCSETA or Tio.TCSETAW or Tio.TCSETAF => Termios.OldSize,
        _ => Termios.Size,
    };

    private static SyscallResult UseWindowSize(Task task, Terminal terminal, ulong argument, bool set)
    {
        Span<byte> bytes = stackalloc byte[WindowSizeBytes];
        if (set)
        {
            if (!task.Memory.TryReadAll(argument, bytes))
                return Errno.EFAULT;
            terminal.SetWindowSize(new WindowSize
            {
                Rows = BinaryPrimitives.ReadUInt16LittleEndian(bytes),
                Columns = BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]),
                PixelWidth = BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]),
                PixelHeight = BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]),
            });
            return SyscallResult.Ok;
        }

        WindowSize size = terminal.WindowSize;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, size.Rows);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[2..], size.Columns);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[4..], size.PixelWidth);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[6..], size.PixelHeight);
        return task.Memory.TryWriteAll(argument, bytes) ? SyscallResult.Ok : Errno.EFAULT;
    }

    // ---- flow ----------------------------------------------------------------------------------------------------

    private static SyscallResult ChangeFlow(Terminal terminal, int action)
    {
        switch (action)
        {
            case Tio.TCOOFF:
                terminal.Suspend();
                return SyscallResult.Ok;
            case Tio.TCOON:
                terminal.Continue();
                return SyscallResult.Ok;
            case Tio.TCIOFF or Tio.TCION:
                byte c = terminal.Termios[action == Tio.TCIOFF ? Tio.VSTOP : Tio.VSTART];
                if (c == 0)
                    return SyscallResult.Ok;
                terminal.Output.Send(c);
                terminal.Pair.WakeMaster(PollEvents.ReadMask);
                return SyscallResult.Ok;
            default:
                return Errno.EINVAL;
        }
    }

    private static SyscallResult Flush(Terminal terminal, int queue)
    {
        if (queue is < Tio.TCIFLUSH or > Tio.TCIOFLUSH)
            return Errno.EINVAL;
        if (queue != Tio.TCOFLUSH)
        {
            terminal.FlushInput();
            terminal.Pair.Deliver();
        }

        if (queue != Tio.TCIFLUSH)
            terminal.FlushSettledOutput();
        return SyscallResult.Ok;
    }

    // ---- sessions ------------------------------------------------------------------------------------------------

    /// <summary>TIOCSCTTY.</summary>
    private static SyscallResult TakeControl(Task task, TerminalFile file, bool force)
    {
        ThreadGroup group = task.Group;
        Terminal terminal = file.Terminal;
        bool leads = Sessions.IsLeader(group), privileged = task.Credentials.Has(Capability.CAP_SYS_ADMIN);
        if (leads && terminal.Session == group.Session)
            return SyscallResult.Ok;
        if (!leads || group.Terminal is not null || (terminal.Session != 0 && !(force && privileged)) || (!file.CanRead && !privileged))
            return Errno.EPERM;
        if (terminal.Session != 0)
            Sessions.Free(terminal);
        Sessions.SetControlling(group, terminal);
        return SyscallResult.Ok;
    }

    /// <summary>TIOCGPGRP and TIOCGSID: through the slave only those whose terminal it is may ask.</summary>
    private static SyscallResult GetSession(Task task, FileObject file, Terminal terminal, ulong argument, bool session)
    {
        if ((file is TerminalFile && task.Group.Terminal != terminal) || (session && terminal.Session == 0))
            return Errno.ENOTTY;
        return PutInt(task, argument, task.PidNamespace.ToLocal(session ? terminal.Session : terminal.Foreground));
    }

    private static SyscallResult SetForeground(Task task, Terminal terminal, ulong argument)
    {
        switch (Sessions.Check(task, terminal, Signal.SIGTTOU))
        {
            case JobAccess.Refused:
                return Errno.ENOTTY;
            case JobAccess.Stopped:
                return task.Block(InterruptMode.Restart);
        }

        ThreadGroup group = task.Group;
        if (!task.TryRead(argument, out int processGroup))
            return Errno.EFAULT;
        if (processGroup < 0)
            return Errno.EINVAL;
        if (group.Terminal != terminal || terminal.Session != group.Session)
            return Errno.ENOTTY;
        processGroup = task.PidNamespace.ToKernel(processGroup);
        ThreadGroup? member = null;
        foreach (ThreadGroup other in task.Kernel.Processes.Values)
        {
            if (other.ProcessGroup == processGroup)
                member = other;
        }

        if (member is null)
            return Errno.ESRCH;
        if (member.Session != group.Session)
            return Errno.EPERM;
        terminal.Foreground = processGroup;
        return SyscallResult.Ok;
    }

    /// <summary>TIOCGPTPEER: the slave without a path that another mount namespace might lead elsewhere.</summary>
    private static SyscallResult OpenPeer(Task task, PtyMasterFile master, OpenFlags flags)
    {
        if (!master.PtsRoot.Dentry.Lookup(PtsFileSystem.NameOf(master.Pair)).TryGet(out Dentry? dentry, out Errno error)
            || !dentry.Inode.Open(task, new VfsPath(master.PtsRoot.Mount, dentry), (flags & ~OpenFlags.CloseOnExec) | OpenFlags.LargeFile).TryGet(out FileObject? slave, out error))
            return error;
        return task.AddFile(slave, (flags & OpenFlags.CloseOnExec) != 0);
    }

    private static SyscallResult PutInt(Task task, ulong address, int value) => task.TryWrite(address, value) ? SyscallResult.Ok : Errno.EFAULT;
}
