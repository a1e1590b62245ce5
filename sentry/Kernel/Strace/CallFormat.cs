using System.Globalization;

namespace Sentry.Kernel.Strace;

/// <summary>Writes argument <paramref name="index"/> of a call.</summary>
internal delegate void ArgumentPrinter(CallPrinter printer, int index);

/// <summary>One argument: how it is written, whether only after the call (the call fills it in), under what condition at all, and which
/// register it is when its place in the text is another.</summary>
internal sealed record ArgumentFormat(ArgumentPrinter Print, bool OnExit = false, Func<CallPrinter, bool>? Condition = null, int Index = -1);

/// <summary>How a result is written.</summary>
internal enum ResultFormat
{
    Decimal,
    Hexadecimal,
    Octal,
}

/// <summary>How a call is written.</summary>
internal sealed class CallFormat(string name, ArgumentFormat[] arguments)
{
    internal string Name { get; } = name;

    internal ArgumentFormat[] Arguments { get; } = arguments;

    internal ResultFormat Result { get; init; }

    /// <summary>What follows a good result, in parentheses; null for nothing.</summary>
    internal Func<CallPrinter, string?>? Remark { get; init; }

    /// <summary>exit, exit_group.</summary>
    internal bool NeverReturns { get; init; }

    internal string Describe(SyscallResult result, CallPrinter printer)
    {
        if (!result.IsValue)
            return NeverReturns ? "?" : "0";
        if (result.IsError)
        {
            var error = (Errno)(-result.Value);
            return $"-1 {error} ({ErrnoText.Get((int)error)})";
        }

        string value = Result switch
        {
            ResultFormat.Hexadecimal => result.Value == 0 ? "0" : "0x" + result.Value.ToString("x", CultureInfo.InvariantCulture),
            ResultFormat.Octal => "0" + Convert.ToString(result.Value, 8),
            _ => result.Value.ToString(CultureInfo.InvariantCulture),
        };
        string? remark = Remark?.Invoke(printer);
        return remark is null ? value : $"{value} ({remark})";
    }
}
