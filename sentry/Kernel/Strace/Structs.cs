using System.Globalization;
using System.Text;

namespace Sentry.Kernel.Strace;

/// <summary>Structs behind pointers, as strace abbreviates them.</summary>
internal static class Structs
{
    private const int MaximumElements = 32;

    private static readonly (uint Bits, string Name)[] FileTypes =
    [
        (0xc000, "S_IFSOCK"), (0xa000, "S_IFLNK"), (0x8000, "S_IFREG"), (0x6000, "S_IFBLK"), (0x4000, "S_IFDIR"), (0x2000, "S_IFCHR"), (0x1000, "S_IFIFO"),
    ];

    /// <summary>S_IFREG|0644.</summary>
    internal static string DescribeMode(uint mode)
    {
        string? type = null;
        foreach ((uint bits, string name) in FileTypes)
        {
            if ((mode & 0xf000) == bits)
                type = name;
        }

        var text = new StringBuilder(type ?? "");
        foreach ((uint bit, string name) in ((uint, string)[])[(0x800, "S_ISUID"), (0x400, "S_ISGID"), (0x200, "S_ISVTX")])
        {
            if ((mode & bit) != 0)
                text.Append(text.Length > 0 ? "|" : "").Append(name);
        }

        string permissions = "0" + Convert.ToString(mode & 0x1ff, 8).PadLeft(2, '0');
        return text.Append(text.Length > 0 ? "|" : "").Append(permissions == "000" ? "000" : permissions).ToString();
    }

    internal static void Stat(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[144];
        if (p.TryStruct(address, bytes))
            StatFields(p, "st_", CallPrinter.UInt(bytes, 24), CallPrinter.ULong(bytes, 40), CallPrinter.Long(bytes, 48));
    }

    internal static void Statx(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[256];
        if (!p.TryStruct(address, bytes))
            return;
        p.Append("{stx_mask=").Flags(CallPrinter.UInt(bytes, 0), FlagTables.StatxMask).Append(", stx_attributes=").Hex(CallPrinter.ULong(bytes, 8))
            .Append(", stx_mode=").Append(DescribeMode(CallPrinter.UShort(bytes, 28))).Append(", stx_size=").Append(CallPrinter.ULong(bytes, 40)).Append(", ...}");
    }

    private static void StatFields(CallPrinter p, string prefix, uint mode, ulong device, long size)
    {
        p.Append("{").Append(prefix).Append("mode=").Append(DescribeMode(mode));
        if ((mode & 0xf000) is 0x2000 or 0x6000)
            p.Append(", st_rdev=makedev(").Hex((device >> 8 & 0xfff) | (device >> 32 & ~0xfffUL)).Append(", ").Hex((device & 0xff) | (device >> 12 & 0xffffff00)).Append(")");
        else
            p.Append(", ").Append(prefix).Append("size=").Append(size);
        p.Append(", ...}");
    }

    internal static void Timespec(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[16];
        if (p.TryStruct(address, bytes))
            Time(p, bytes, "tv_nsec");
    }

    /// <summary>Two timespecs of utimensat(2).</summary>
    internal static void TimespecPair(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[32];
        if (!p.TryStruct(address, bytes))
            return;
        p.Append("[");
        Stamp(p, bytes);
        p.Append(", ");
        Stamp(p, bytes[16..]);
        p.Append("]");

        static void Stamp(CallPrinter p, ReadOnlySpan<byte> bytes)
        {
            switch (CallPrinter.Long(bytes, 8))
            {
                case 0x3fffffff:
                    p.Append("UTIME_NOW");
                    break;
                case 0x3ffffffe:
                    p.Append("UTIME_OMIT");
                    break;
                default:
                    Time(p, bytes, "tv_nsec");
                    break;
            }
        }
    }

    internal static void Timeval(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[16];
        if (p.TryStruct(address, bytes))
            Time(p, bytes, "tv_usec");
    }

    internal static void Itimerval(CallPrinter p, ulong address) => Interval(p, address, "tv_usec");

    internal static void Itimerspec(CallPrinter p, ulong address) => Interval(p, address, "tv_nsec");

    private static void Interval(CallPrinter p, ulong address, string fraction)
    {
        Span<byte> bytes = stackalloc byte[32];
        if (!p.TryStruct(address, bytes))
            return;
        p.Append("{it_interval=");
        Time(p, bytes, fraction);
        p.Append(", it_value=");
        Time(p, bytes[16..], fraction);
        p.Append("}");
    }

    private static void Time(CallPrinter p, ReadOnlySpan<byte> bytes, string fraction) =>
        p.Append("{tv_sec=").Append(CallPrinter.Long(bytes, 0)).Append(", ").Append(fraction).Append("=").Append(CallPrinter.Long(bytes, 8)).Append("}");

    internal static void Rusage(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[32];
        if (!p.TryStruct(address, bytes))
            return;
        p.Append("{ru_utime=");
        Time(p, bytes, "tv_usec");
        p.Append(", ru_stime=");
        Time(p, bytes[16..], "tv_usec");
        p.Append(", ...}");
    }

    internal static void Sigaction(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[32];
        if (!p.TryStruct(address, bytes))
            return;
        ulong handler = CallPrinter.ULong(bytes, 0), flags = CallPrinter.ULong(bytes, 8);
        p.Append((flags & 4) != 0 && handler > 1 ? "{sa_sigaction=" : "{sa_handler=");
        if (handler <= 1)
            p.Append(handler == 0 ? "SIG_DFL" : "SIG_IGN");
        else
            p.Hex(handler);
        p.Append(", sa_mask=").Append(SignalNames.GetSet(CallPrinter.ULong(bytes, 24))).Append(", sa_flags=").Flags(flags, FlagTables.SignalAction);
        if ((flags & 0x4000000) != 0)
            p.Append(", sa_restorer=").Address(CallPrinter.ULong(bytes, 16));
        p.Append("}");
    }

    internal static void SignalStack(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[24];
        if (!p.TryStruct(address, bytes))
            return;
        int flags = CallPrinter.Int(bytes, 8);
        p.Append("{ss_sp=").Address(CallPrinter.ULong(bytes, 0)).Append(", ss_flags=")
            .Append(flags switch { 0 => "0", 1 => "SS_ONSTACK", 2 => "SS_DISABLE", _ => flags.ToString(CultureInfo.InvariantCulture) })
            .Append(", ss_size=").Append(CallPrinter.Long(bytes, 16)).Append("}");
    }

    /// <summary>What poll is asked: the array on entry.</summary>
    internal static readonly ArgumentFormat PollIn = new((p, i) =>
    {
        int count = (int)Math.Min(p[i + 1], MaximumElements);
        Span<byte> bytes = stackalloc byte[8];
        p.Append("[");
        for (int n = 0; n < count; n++)
        {
            if (n > 0)
                p.Append(", ");
            if (!p.TryStruct(p[i] + ((ulong)n * 8), bytes))
                break;
            int fd = CallPrinter.Int(bytes, 0);
            p.Append("{fd=").Append((long)fd);
            if (fd >= 0)
                p.Append(", events=").Flags(CallPrinter.UShort(bytes, 4), FlagTables.Poll);
            p.Append("}");
        }

        p.Append((ulong)count < p[i + 1] ? ", ...]" : "]");
    });

    /// <summary>What poll answers: those with events, or Timeout.</summary>
    internal static string? PollRemark(CallPrinter p)
    {
        if (p.Result.Value == 0)
            return "Timeout";
        var inner = new CallPrinter(p.Task, p.Args);
        Span<byte> bytes = stackalloc byte[8];
        long shown = 0;
        for (ulong n = 0; n < p.Args.A1 && shown < p.Result.Value && shown < MaximumElements; n++)
        {
            if (p.Task.Memory.Read(p.Args.A0 + (n * 8), bytes) < 8)
                break;
            if (CallPrinter.UShort(bytes, 6) == 0)
                continue;
            inner.Append(shown++ > 0 ? ", " : "").Append("{fd=").Append((long)CallPrinter.Int(bytes, 0)).Append(", revents=").Flags(CallPrinter.UShort(bytes, 6), FlagTables.Poll).Append("}");
        }

        return "[" + inner + "]";
    }

    internal static void EpollEvent(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[12];
        if (!p.TryStruct(address, bytes))
            return;
        ulong data = CallPrinter.ULong(bytes, 4);
        p.Append("{events=").Flags(CallPrinter.UInt(bytes, 0), FlagTables.Epoll).Append(", data={u32=").Append((ulong)(uint)data).Append(", u64=").Append(data).Append("}}");
    }

    /// <summary>The events that epoll_wait answers.</summary>
    internal static readonly ArgumentFormat EpollEvents = new((p, i) =>
    {
        if (p.Result.IsError)
        {
            p.Address(p[i]);
            return;
        }

        p.Append("[");
        for (long n = 0; n < p.Result.Value; n++)
        {
            if (n > 0)
                p.Append(", ");
            if (n == MaximumElements)
            {
                p.Append("...");
                break;
            }

            EpollEvent(p, p[i] + ((ulong)n * 12));
        }

        p.Append("]");
    }, OnExit: true);

    /// <summary>An iovec array; of the bytes as many as have been or will be moved.</summary>
    internal static ArgumentFormat IoVectors(bool outgoing) => new((p, i) =>
    {
        if (!outgoing && p.Result.IsError)
            p.Address(p[i]);
        else
            IoVectorArray(p, p[i], p[i + 1], outgoing ? long.MaxValue : p.Result.Value);
    }, OnExit: !outgoing);

    internal static void IoVectorArray(CallPrinter p, ulong address, ulong count, long bytesLeft)
    {
        if (address == 0)
        {
            p.Append("NULL");
            return;
        }

        Span<byte> bytes = stackalloc byte[16];
        p.Append("[");
        for (ulong n = 0; n < count; n++)
        {
            if (n > 0)
                p.Append(", ");
            if (n == MaximumElements)
            {
                p.Append("...");
                break;
            }

            if (!p.TryStruct(address + (n * 16), bytes))
                break;
            long length = CallPrinter.Long(bytes, 8), shown = Math.Min(length, bytesLeft);
            p.Append("{iov_base=");
            if (!NetlinkPrinter.TryPrint(p, (int)p[0], CallPrinter.ULong(bytes, 0), shown))
                p.Data(CallPrinter.ULong(bytes, 0), shown);
            p.Append(", iov_len=").Append(length).Append("}");
            bytesLeft -= shown;
        }

        p.Append("]");
    }

    internal static void CloneArguments(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[64];
        if (!p.TryStruct(address, bytes))
            return;
        ulong flags = CallPrinter.ULong(bytes, 0);
        p.Append("{flags=").Flags(flags, FlagTables.Clone);
        if ((flags & 0x1000000) != 0 || (flags & 0x200000) != 0)
            p.Append(", child_tid=").Address(CallPrinter.ULong(bytes, 16));
        if ((flags & 0x100000) != 0)
            p.Append(", parent_tid=").Address(CallPrinter.ULong(bytes, 24));
        ulong signal = CallPrinter.ULong(bytes, 32);
        p.Append(", exit_signal=").Append(signal == 0 ? "0" : SignalNames.Get((int)signal)).Append(", stack=").Address(CallPrinter.ULong(bytes, 40))
            .Append(", stack_size=").Hex(CallPrinter.ULong(bytes, 48));
        if ((flags & 0x80000) != 0)
            p.Append(", tls=").Hex(CallPrinter.ULong(bytes, 56));
        p.Append("}");
    }

    internal static void OpenHow(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[24];
        if (!p.TryStruct(address, bytes))
            return;
        p.Append("{flags=").Flags(CallPrinter.ULong(bytes, 0), FlagTables.Open);
        if (CallPrinter.ULong(bytes, 8) != 0)
            p.Append(", mode=").Octal(CallPrinter.ULong(bytes, 8));
        p.Append(", resolve=").Hex(CallPrinter.ULong(bytes, 16)).Append("}");
    }

    internal static void FileLock(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[32];
        if (!p.TryStruct(address, bytes))
            return;
        p.Append("{l_type=").Flags(CallPrinter.UShort(bytes, 0), FlagTables.LockType).Append(", l_whence=").Flags(CallPrinter.UShort(bytes, 2), FlagTables.Seek)
            .Append(", l_start=").Append(CallPrinter.Long(bytes, 8)).Append(", l_len=").Append(CallPrinter.Long(bytes, 16)).Append("}");
    }

    internal static void Uname(CallPrinter p, ulong address)
    {
        p.Append("{sysname=").String(address).Append(", nodename=").String(address + 65).Append(", ...}");
    }

    internal static void WindowSize(CallPrinter p, ulong address)
    {
        Span<byte> bytes = stackalloc byte[8];
        if (p.TryStruct(address, bytes))
        {
            p.Append("{ws_row=").Append((long)CallPrinter.UShort(bytes, 0)).Append(", ws_col=").Append((long)CallPrinter.UShort(bytes, 2))
                .Append(", ws_xpixel=").Append((long)CallPrinter.UShort(bytes, 4)).Append(", ws_ypixel=").Append((long)CallPrinter.UShort(bytes, 6)).Append("}");
        }
    }

    /// <summary>siginfo_t of waitid(2) and rt_sigtimedwait(2).</summary>
    internal static void SignalInformation(CallPrinter p, ulong address)
    {
        byte[] bytes = new byte[128];
        if (!p.TryStruct(address, bytes))
            return;
        if (CallPrinter.Int(bytes, 0) == 0)
            p.Append("{}");
        else
            p.Append(SignalPrinter.Describe(new SignalInfo { Number = CallPrinter.Int(bytes, 0), Error = CallPrinter.Int(bytes, 4), Code = CallPrinter.Int(bytes, 8), Fields = bytes[16..] }));
    }

    /// <summary>A descriptor set of select(2), [3 5].</summary>
    internal static ArgumentFormat DescriptorSet { get; } = new((p, i) =>
    {
        int count = (int)Math.Clamp((long)(int)p[0], 0, 1024);
        byte[] bytes = new byte[(count + 63) / 64 * 8];
        if (p[i] == 0 || p.Task.Memory.Read(p[i], bytes) < bytes.Length)
        {
            p.Address(p[i]);
            return;
        }

        p.Append("[");
        bool first = true;
        for (int fd = 0; fd < count; fd++)
        {
            if ((bytes[fd / 8] >> (fd % 8) & 1) == 0)
                continue;
            p.Append(first ? "" : " ").Append((long)fd);
            first = false;
        }

        p.Append("]");
    });
}
