using static Sentry.Kernel.Strace.Arguments;

namespace Sentry.Kernel.Strace;

/// <summary>How the calls of System V IPC, POSIX message queues and pidfds are written.</summary>
internal static class IpcFormats
{
    private static readonly FlagTable Get = new("IPC_???", [(0x200, "IPC_CREAT"), (0x400, "IPC_EXCL")]);

    private static readonly FlagTable Attach = new("SHM_???", [(0x1000, "SHM_RDONLY"), (0x2000, "SHM_RND"), (0x4000, "SHM_REMAP"), (0x8000, "SHM_EXEC")]);

    private static readonly FlagTable Message = new("MSG_???", [(0x800, "IPC_NOWAIT"), (0x1000, "MSG_NOERROR"), (0x2000, "MSG_EXCEPT"), (0x4000, "MSG_COPY")]);

    private static readonly FlagTable SharedControl = Enum("SHM_???", (0, "IPC_RMID"), (1, "IPC_SET"), (2, "IPC_STAT"), (3, "IPC_INFO"), (11, "SHM_LOCK"), (12, "SHM_UNLOCK"),
        (13, "SHM_STAT"), (14, "SHM_INFO"), (15, "SHM_STAT_ANY"));

    private static readonly FlagTable MessageControl = Enum("MSG_???", (0, "IPC_RMID"), (1, "IPC_SET"), (2, "IPC_STAT"), (3, "IPC_INFO"), (11, "MSG_STAT"), (12, "MSG_INFO"),
        (13, "MSG_STAT_ANY"));

    private static readonly FlagTable SemaphoreControl = Enum("SEM_???", (0, "IPC_RMID"), (1, "IPC_SET"), (2, "IPC_STAT"), (3, "IPC_INFO"), (11, "GETPID"), (12, "GETVAL"),
        (13, "GETALL"), (14, "GETNCNT"), (15, "GETZCNT"), (16, "SETVAL"), (17, "SETALL"), (18, "SEM_STAT"), (19, "SEM_INFO"), (20, "SEM_STAT_ANY"));

    private static readonly FlagTable KcmpType = Enum("KCMP_???", (0, "KCMP_FILE"), (1, "KCMP_VM"), (2, "KCMP_FILES"), (3, "KCMP_FS"), (4, "KCMP_SIGHAND"), (5, "KCMP_IO"),
        (6, "KCMP_SYSVSEM"), (7, "KCMP_EPOLL_TFD"));

    private static readonly FlagTable PidfdOpen = new("PIDFD_???", [(0x800, "PIDFD_NONBLOCK"), (0x80, "PIDFD_THREAD")]);

    private static readonly ArgumentFormat Key = new((p, i) =>
    {
        if ((int)p[i] == 0)
            p.Append("IPC_PRIVATE");
        else
            p.Hex((uint)p[i]);
    });

    private static readonly ArgumentFormat GetFlags = new((p, i) =>
    {
        if ((p[i] & 0x600) != 0)
            p.Flags((uint)p[i] & 0xfffffe00, Get).Append("|");
        p.Octal(p[i] & 0x1ff);
    });

    internal static void Add(CallFormats.AddFormat add, CallFormats.AddFormat addHex)
    {
        add(Sysno.shmget, Key, ULong, GetFlags);
        addHex(Sysno.shmat, Int, Address, Flags(Attach));
        add(Sysno.shmdt, Address);
        add(Sysno.shmctl, Int, Flags(SharedControl), OutAddress);
        add(Sysno.semget, Key, Int, GetFlags);
        add(Sysno.semop, Int, In(Operations(2)), ULong);
        add(Sysno.semtimedop, Int, In(Operations(2)), ULong, In(Structs.Timespec));
        add(Sysno.semctl, Int, Int, Flags(SemaphoreControl), Hex);
        add(Sysno.msgget, Key, GetFlags);
        add(Sysno.msgsnd, Int, Address, ULong, Flags(Message));
        add(Sysno.msgrcv, Int, OutAddress, ULong, Long, Flags(Message));
        add(Sysno.msgctl, Int, Flags(MessageControl), OutAddress);
        add(Sysno.mq_open, Text, Flags(FlagTables.Open), CreateMode(1), Address);
        add(Sysno.mq_unlink, Text);
        add(Sysno.mq_timedsend, Fd, DataIn(2), ULong, UInt, In(Structs.Timespec));
        add(Sysno.mq_timedreceive, Fd, DataOut, ULong, IntOut, In(Structs.Timespec));
        add(Sysno.mq_notify, Fd, Address);
        add(Sysno.mq_getsetattr, Fd, Address, OutAddress);
        add(Sysno.pidfd_open, Int, Flags(PidfdOpen));
        add(Sysno.pidfd_getfd, Fd, Int, Hex);
        add(Sysno.pidfd_send_signal, Fd, SignalNumber, Address, Hex);
        add(Sysno.kcmp, Int, Int, Flags(KcmpType), ULong, ULong);
    }

    /// <summary>An array of struct sembuf; argument <paramref name="countIndex"/> is its length.</summary>
    private static Action<CallPrinter, ulong> Operations(int countIndex) => (p, address) =>
    {
        ulong count = Math.Min(p[countIndex], 16);
        p.Append("[");
        for (ulong i = 0; i < count; i++)
        {
            if (!p.Task.TryRead(address + (i * 6), out ushort number) || !p.Task.TryRead(address + (i * 6) + 2, out short change) || !p.Task.TryRead(address + (i * 6) + 4, out ushort flags))
                break;
            p.Append(i > 0 ? ", {" : "{").Append((long)number).Append(", ").Append((long)change).Append(", ").Hex(flags).Append("}");
        }

        p.Append(count < p[countIndex] ? ", ...]" : "]");
    };

    private static FlagTable Enum(string unknown, params (ulong, string)[] names) => FlagTables.Enum(unknown, names);
}
