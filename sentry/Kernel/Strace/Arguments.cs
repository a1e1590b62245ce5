namespace Sentry.Kernel.Strace;

/// <summary>The kinds of arguments that calls have: the words of the table in <see cref="CallFormats"/>.</summary>
internal static class Arguments
{
    private const long InfiniteLimit = -1;

    internal static readonly ArgumentFormat Int = new((p, i) => p.Append((long)(int)p[i]));
    internal static readonly ArgumentFormat UInt = new((p, i) => p.Append((long)(uint)p[i]));
    internal static readonly ArgumentFormat Long = new((p, i) => p.Append((long)p[i]));
    internal static readonly ArgumentFormat ULong = new((p, i) => p.Append(p[i]));
    internal static readonly ArgumentFormat Hex = new((p, i) => p.Hex(p[i]));
    internal static readonly ArgumentFormat Address = new((p, i) => p.Address(p[i]));
    internal static readonly ArgumentFormat OutAddress = new((p, i) => p.Address(p[i]), OnExit: true);
    internal static readonly ArgumentFormat Id = new((p, i) => p.Append((int)p[i] == -1 ? -1L : (uint)p[i]));
    internal static readonly ArgumentFormat Fd = Int;
    internal static readonly ArgumentFormat DirFd = new((p, i) =>
    {
        if ((int)p[i] == -100)
            p.Append("AT_FDCWD");
        else
            p.Append((long)(int)p[i]);
    });

    internal static readonly ArgumentFormat PathName = new((p, i) => p.Path(p[i]));
    internal static readonly ArgumentFormat Text = new((p, i) => p.String(p[i]));
    internal static readonly ArgumentFormat Mode = new((p, i) => p.Octal(p[i] & 0xffff));
    internal static readonly ArgumentFormat NodeMode = new((p, i) => p.Append(Structs.DescribeMode((uint)p[i])));
    internal static readonly ArgumentFormat SignalNumber = new((p, i) => p.Append(SignalNames.Get((int)p[i])));
    internal static readonly ArgumentFormat MilliTimeout = Int;

    /// <summary>The mode of open, there only when a file may be made.</summary>
    internal static ArgumentFormat CreateMode(int flagsIndex) =>
        new((p, i) => p.Octal(p[i] & 0xffff), Condition: p => (p[flagsIndex] & 0x40) != 0 || (p[flagsIndex] & 0x410000) == 0x410000);

    internal static ArgumentFormat Flags(FlagTable table) => new((p, i) => p.Flags((uint)p[i], table));

    internal static ArgumentFormat Flags64(FlagTable table) => new((p, i) => p.Flags(p[i], table));

    /// <summary>Bytes that go in, as many as another argument says.</summary>
    internal static ArgumentFormat DataIn(int lengthIndex) => new((p, i) => p.Data(p[i], (long)p[lengthIndex]));

    /// <summary>Bytes that come out, as many as the call answers.</summary>
    internal static readonly ArgumentFormat DataOut = new((p, i) =>
    {
        if (p.Result.IsError)
            p.Address(p[i]);
        else
            p.Data(p[i], p.Result.Value);
    }, OnExit: true);

    /// <summary>What sendto sends, with its length in the next argument: messages of netlink decoded, else bytes.</summary>
    internal static readonly ArgumentFormat MessageIn = new((p, i) =>
    {
        if (!NetlinkPrinter.TryPrint(p, (int)p[0], p[i], (long)p[i + 1]))
            p.Data(p[i], (long)p[i + 1]);
    });

    /// <summary>What recvfrom received.</summary>
    internal static readonly ArgumentFormat MessageOut = new((p, i) =>
    {
        if (p.Result.IsError)
            p.Address(p[i]);
        else if (!NetlinkPrinter.TryPrint(p, (int)p[0], p[i], Math.Min(p.Result.Value, (long)p[i + 1])))
            p.Data(p[i], Math.Min(p.Result.Value, (long)p[i + 1]));
    }, OnExit: true);

    /// <summary>Bytes that come out and are no text, as \x1f\x00.</summary>
    internal static readonly ArgumentFormat BytesOut = new((p, i) =>
    {
        if (p.Result.IsError)
            p.Address(p[i]);
        else
            p.HexData(p[i], p.Result.Value);
    }, OnExit: true);

    /// <summary>A string that comes out.</summary>
    internal static readonly ArgumentFormat TextOut = new((p, i) =>
    {
        if (p.Result.IsError)
            p.Address(p[i]);
        else
            p.Path(p[i]);
    }, OnExit: true);

    /// <summary>Something behind a pointer that is there on entry.</summary>
    internal static ArgumentFormat In(Action<CallPrinter, ulong> print) => new((p, i) => print(p, p[i]));

    /// <summary>Something behind a pointer that the call fills in; the bare address when it failed.</summary>
    internal static ArgumentFormat Out(Action<CallPrinter, ulong> print) => new((p, i) =>
    {
        if (p.Result.IsError || p[i] == 0)
            p.Address(p[i]);
        else
            print(p, p[i]);
    }, OnExit: true);

    /// <summary>argv of execve.</summary>
    internal static readonly ArgumentFormat StringArray = new((p, i) =>
    {
        if (p[i] == 0)
        {
            p.Append("NULL");
            return;
        }

        p.Append("[");
        for (int n = 0; ; n++)
        {
            if (!p.Task.TryRead(p[i] + ((ulong)n * 8), out ulong address))
            {
                p.Append(n > 0 ? ", ..." : "...").Hex(p[i]);
                break;
            }

            if (address == 0)
                break;
            if (n > 0)
                p.Append(", ");
            if (n == 32)
            {
                p.Append("...");
                break;
            }

            p.String(address);
        }

        p.Append("]");
    });

    /// <summary>envp of execve, which is only counted.</summary>
    internal static readonly ArgumentFormat EnvironmentCount = new((p, i) =>
    {
        p.Address(p[i]);
        if (p[i] == 0)
            return;
        int count = 0;
        while (count < 4096 && p.Task.TryRead(p[i] + ((ulong)count * 8), out ulong address) && address != 0)
            count++;
        p.Append(" /* ").Append((long)count).Append(count == 1 ? " var */" : " vars */");
    });

    /// <summary>Two descriptors that come out.</summary>
    internal static readonly ArgumentFormat FdPair = Out(static (p, address) =>
    {
        Span<byte> pair = stackalloc byte[8];
        if (p.TryStruct(address, pair))
            p.Append("[").Append((long)CallPrinter.Int(pair, 0)).Append(", ").Append((long)CallPrinter.Int(pair, 4)).Append("]");
    });

    /// <summary>An int behind a pointer, [n].</summary>
    internal static void IntCell(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[4];
        if (p.TryStruct(address, bytes))
            p.Append("[").Append((long)CallPrinter.Int(bytes, 0)).Append("]");
    }

    /// <summary>A long behind a pointer, [n].</summary>
    internal static void LongCell(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[8];
        if (p.TryStruct(address, bytes))
            p.Append("[").Append(CallPrinter.Long(bytes, 0)).Append("]");
    }

    internal static readonly ArgumentFormat IntOut = Out(IntCell);

    internal static readonly ArgumentFormat SignalSetIn = In(SignalSet);

    internal static readonly ArgumentFormat SignalSetOut = Out(SignalSet);

    internal static void SignalSet(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[8];
        if (p.TryStruct(address, bytes))
            p.Append(SignalNames.GetSet(CallPrinter.ULong(bytes, 0)));
    }

    /// <summary>One rlimit; multiples of 1024 as strace shows them.</summary>
    internal static void Limit(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[16];
        if (!p.TryStruct(address, bytes))
            return;
        p.Append("{rlim_cur=");
        One(p, CallPrinter.Long(bytes, 0));
        p.Append(", rlim_max=");
        One(p, CallPrinter.Long(bytes, 8));
        p.Append("}");

        static void One(CallPrinter p, long value)
        {
            if (value == InfiniteLimit)
                p.Append("RLIM64_INFINITY");
            else if (value > 1024 && value % 1024 == 0)
                p.Append(value / 1024).Append("*1024");
            else
                p.Append((ulong)value);
        }
    }

    /// <summary>The wait status of a child, shown when there was one.</summary>
    internal static readonly ArgumentFormat WaitStatus = new((p, i) =>
    {
        if (p.Result.Value <= 0 || p[i] == 0 || !p.Task.TryRead(p[i], out int status))
        {
            p.Address(p[i]);
            return;
        }

        int signal = status & 0x7f;
        if (status == 0xffff)
            p.Append("[{WIFCONTINUED(s)}]");
        else if ((status & 0xff) == 0x7f)
            p.Append("[{WIFSTOPPED(s) && WSTOPSIG(s) == ").Append(SignalNames.Get(status >> 8 & 0xff)).Append("}]");
        else if (signal == 0)
            p.Append("[{WIFEXITED(s) && WEXITSTATUS(s) == ").Append((long)(status >> 8 & 0xff)).Append("}]");
        else
            p.Append("[{WIFSIGNALED(s) && WTERMSIG(s) == ").Append(SignalNames.Get(signal)).Append((status & 0x80) != 0 ? " && WCOREDUMP(s)}]" : "}]");
    }, OnExit: true);
}
