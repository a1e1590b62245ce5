namespace Sentry.Kernel.Terminals;

/// <summary>What job control says to a process that wants to use a terminal.</summary>
internal enum JobAccess
{
    Granted,

    /// <summary>EIO: no one would ever continue it.</summary>
    Refused,

    /// <summary>Its process group has been sent SIGTTIN or SIGTTOU; the call is made again when it goes on.</summary>
    Stopped,
}

/// <summary>Sessions and their controlling terminals (credentials(7), ioctl_tty(2) "Controlling terminal").</summary>
internal static class Sessions
{
    internal static bool IsLeader(ThreadGroup group) => group.Session == group.Pid;

    /// <summary>Makes a terminal the controlling one of a session leader.</summary>
    internal static void SetControlling(ThreadGroup leader, Terminal terminal)
    {
        leader.Terminal = terminal;
        leader.OldForeground = 0;
        terminal.Session = leader.Session;
        terminal.Foreground = leader.ProcessGroup;
    }

    /// <summary>Opening a terminal makes it the controlling one of a session leader that has none, if it is nobody else's (open(2), O_NOCTTY).</summary>
    internal static void OnOpen(ThreadGroup group, Terminal terminal, OpenFlags flags)
    {
        if ((flags & OpenFlags.NoCtty) == 0 && (flags & OpenFlags.AccessMode) != OpenFlags.WriteOnly && IsLeader(group) && group.Terminal is null && terminal.Session == 0)
            SetControlling(group, terminal);
    }

    /// <summary>Whether a process may read from (SIGTTIN) or change (SIGTTOU) a terminal: it may unless it is in the background of it.</summary>
    internal static JobAccess Check(Task task, Terminal terminal, int signal)
    {
        ThreadGroup group = task.Group;
        if (group.Terminal != terminal || terminal.Foreground == 0 || terminal.Foreground == group.ProcessGroup)
            return JobAccess.Granted;
        if (Signal.Has(task.Signals.Mask, signal) || group.Actions[signal].IsIgnored)
            return signal == Signal.SIGTTIN ? JobAccess.Refused : JobAccess.Granted;
        if (SignalDelivery.IsOrphaned(task.Kernel, group.ProcessGroup, group.Session))
            return JobAccess.Refused;
        SignalDelivery.SendToProcessGroup(task.Kernel, group.ProcessGroup, SignalInfo.Kernel(signal));
        return JobAccess.Stopped;
    }

    /// <summary>As <see cref="Check"/>, as the outcome of a call; null when it may go on.</summary>
    internal static SyscallResult? Refuse(Task task, Terminal terminal, int signal) => Check(task, terminal, signal) switch
    {
        JobAccess.Granted => null,
        JobAccess.Refused => Errno.EIO,
        _ => task.Block(InterruptMode.Restart),
    };

    /// <summary>TIOCNOTTY: the caller gives its terminal up; a leader for its whole session, whose foreground gets SIGHUP and SIGCONT.</summary>
    internal static void GiveUp(ThreadGroup group)
    {
        if (IsLeader(group))
            Disassociate(group, exits: false);
        group.Terminal = null;
    }

    /// <summary>A session leader exits: its terminal is free, and the foreground gets SIGHUP.</summary>
    internal static void OnExit(ThreadGroup group)
    {
        if (IsLeader(group))
            Disassociate(group, exits: true);
    }

    /// <summary>A terminal was hung up: its session has none any more, and the leader is told.</summary>
    internal static void LoseTerminal(Terminal terminal)
    {
        GuestKernel kernel = terminal.Kernel;
        if (terminal.Session != 0)
        {
            foreach (ThreadGroup group in kernel.Processes.Values)
            {
                if (group.Terminal != terminal)
                    continue;
                group.Terminal = null;
                if (!IsLeader(group))
                    continue;
                group.OldForeground = terminal.Foreground;
                SignalDelivery.SendToProcess(group, SignalInfo.Kernel(Signal.SIGHUP));
                SignalDelivery.SendToProcess(group, SignalInfo.Kernel(Signal.SIGCONT));
            }
        }

        terminal.Session = terminal.Foreground = 0;
    }

    /// <summary>Takes a terminal from its session (TIOCSCTTY with force).</summary>
    internal static void Free(Terminal terminal)
    {
        foreach (ThreadGroup group in terminal.Kernel.Processes.Values)
        {
            if (group.Terminal == terminal)
                group.Terminal = null;
        }

        terminal.Session = terminal.Foreground = 0;
    }

    private static void Disassociate(ThreadGroup leader, bool exits)
    {
        GuestKernel kernel = leader.Kernel;
        if (leader.Terminal is { } terminal)
        {
            if (terminal.Foreground > 0)
            {
                SignalDelivery.SendToProcessGroup(kernel, terminal.Foreground, SignalInfo.Kernel(Signal.SIGHUP));
                if (!exits)
                    SignalDelivery.SendToProcessGroup(kernel, terminal.Foreground, SignalInfo.Kernel(Signal.SIGCONT));
            }

            leader.OldForeground = 0;
            Free(terminal);
        }
        else if (exits && leader.OldForeground > 0)
        {
            // The terminal was hung up before: now those who were in its foreground hear of it.
            SignalDelivery.SendToProcessGroup(kernel, leader.OldForeground, SignalInfo.Kernel(Signal.SIGHUP));
            SignalDelivery.SendToProcessGroup(kernel, leader.OldForeground, SignalInfo.Kernel(Signal.SIGCONT));
        }
    }
}
