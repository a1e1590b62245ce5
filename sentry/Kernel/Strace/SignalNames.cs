using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Sentry.Kernel.Strace;

/// <summary>Names of signals (signal(7)), and of signal sets as strace writes them.</summary>
internal static class SignalNames
{
    private const int FirstRealTime = 32;

    private static readonly string[] Names =
    [
        "0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
        "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];

    /// <summary>SIGINT, SIGRT_1, or the number of what is none.</summary>
    internal static string Get(int signal) => signal is > 0 and <= 64 ? "SIG" + Short(signal) : signal.ToString(CultureInfo.InvariantCulture);

    /// <summary>[USR1 CHLD], or ~[KILL] when most are set.</summary>
    internal static string GetSet(ulong set)
    {
        var text = new StringBuilder();
        bool inverted = System.Numerics.BitOperations.PopCount(set) >= 64 * 2 / 3;
        if (inverted)
            text.Append('~');
        text.Append('[');
        bool first = true;
        for (int signal = 1; signal <= 64; signal++)
        {
            if ((set >> (signal - 1) & 1) == (inverted ? 1UL : 0UL))
                continue;
            if (!first)
                text.Append(' ');
            text.Append(Short(signal));
            first = false;
        }

        return text.Append(']').ToString();
    }

    private static string Short(int signal)
    {
        if (signal < Names.Length)
            return Names[signal];
        return signal == FirstRealTime ? "RTMIN" : "RT_" + (signal - FirstRealTime).ToString(CultureInfo.InvariantCulture);
    }
}

/// <summary>siginfo_t as strace writes it (sigaction(2)).</summary>
internal static class SignalPrinter
{
    private const int Bus = 7, Segv = 11, Chld = 17, Ill = 4, Fpe = 8, Trap = 5;

    internal static string Describe(SignalInfo info)
    {
        var text = new StringBuilder();
        text.Append("{si_signo=").Append(SignalNames.Get(info.Number)).Append(", si_code=").Append(CodeName(info.Number, info.Code));
        if (info.Error != 0)
            text.Append(", si_errno=").Append(info.Error);
        ReadOnlySpan<byte> fields = info.Fields;
        switch (info.Code)
        {
            case 0x80:
                if (info.Number is Segv or Bus)
                    text.Append(", si_addr=NULL");
                break;
            case -2:
                text.Append(", si_timerid=").Append(Int(fields, 0)).Append(", si_overrun=").Append(Int(fields, 4)).Append(", si_value=").Append(Value(fields));
                break;
            case > 0 when info.Number == Chld:
                text.Append(", si_pid=").Append(Int(fields, 0)).Append(", si_uid=").Append((uint)Int(fields, 4)).Append(", si_status=")
                    .Append(info.Code == 1 ? Int(fields, 8).ToString(CultureInfo.InvariantCulture) : SignalNames.Get(Int(fields, 8)))
                    .Append(", si_utime=").Append(Long(fields, 16)).Append(", si_stime=").Append(Long(fields, 24));
                break;
            case > 0 when info.Number is Segv or Bus or Ill or Fpe or Trap:
                ulong address = (ulong)Long(fields, 0);
                text.Append(", si_addr=").Append(address == 0 ? "NULL" : "0x" + address.ToString("x", CultureInfo.InvariantCulture));
                break;
            default:
                text.Append(", si_pid=").Append(Int(fields, 0)).Append(", si_uid=").Append((uint)Int(fields, 4));
                if (info.Code is -1 or -3 || (info.Code < 0 && Long(fields, 8) != 0))
                    text.Append(", si_value=").Append(Value(fields));
                break;
        }

        return text.Append('}').ToString();
    }

    internal static string CodeName(int signal, int code)
    {
        string? name = code switch
        {
            0 => "SI_USER",
            0x80 => "SI_KERNEL",
            -1 => "SI_QUEUE",
            -2 => "SI_TIMER",
            -3 => "SI_MESGQ",
            -4 => "SI_ASYNCIO",
            -5 => "SI_SIGIO",
            -6 => "SI_TKILL",
            _ => (signal, code) switch
            {
                (Chld, 1) => "CLD_EXITED",
                (Chld, 2) => "CLD_KILLED",
                (Chld, 3) => "CLD_DUMPED",
                (Chld, 4) => "CLD_TRAPPED",
                (Chld, 5) => "CLD_STOPPED",
                (Chld, 6) => "CLD_CONTINUED",
                (Segv, 1) => "SEGV_MAPERR",
                (Segv, 2) => "SEGV_ACCERR",
                (Bus, 1) => "BUS_ADRALN",
                (Bus, 2) => "BUS_ADRERR",
                (Ill, 1) => "ILL_ILLOPC",
                (Ill, 2) => "ILL_ILLOPN",
                (Fpe, 1) => "FPE_INTDIV",
                (Fpe, 2) => "FPE_INTOVF",
                (Fpe, 3) => "FPE_FLTDIV",
                (Trap, 1) => "TRAP_BRKPT",
                (Trap, 2) => "TRAP_TRACE",
                _ => null,
            },
        };
        return name ?? code.ToString(CultureInfo.InvariantCulture);
    }

    private static string Value(ReadOnlySpan<byte> fields) => $"{{sival_int={Int(fields, 8)}, sival_ptr=0x{Long(fields, 8):x}}}";

    private static int Int(ReadOnlySpan<byte> fields, int offset) => fields.Length >= offset + 4 ? BinaryPrimitives.ReadInt32LittleEndian(fields[offset..]) : 0;

    private static long Long(ReadOnlySpan<byte> fields, int offset) => fields.Length >= offset + 8 ? BinaryPrimitives.ReadInt64LittleEndian(fields[offset..]) : 0;
}
