using System.Globalization;
using System.Text;

namespace Sentry.Kernel;

/// <summary>docs/syscalls.md, made from <see cref="SyscallTable"/>.</summary>
public static class SyscallDocument
{
    /// <summary>The whole file.</summary>
    public static string Render()
    {
        var counts = new int[3];
        for (int number = 0; number < Sysno.Count; number++)
        {
            if (IsNamed(number))
                counts[(int)SyscallTable.Get(number).Support]++;
        }

        var text = new StringBuilder();
        text.Append("# System calls\n\n");
        text.Append("Made from `sentry/Kernel/SyscallTable.cs`; do not edit. `UPDATE_DOCS=1 ./test Kernel` writes it anew.\n\n");
        text.Append(CultureInfo.InvariantCulture, $"Of the {counts[0] + counts[1] + counts[2]} calls of x86-64 {counts[(int)SyscallSupport.Full]} are there in full, ");
        text.Append(CultureInfo.InvariantCulture, $"{counts[(int)SyscallSupport.Partial]} in part and {counts[(int)SyscallSupport.Missing]} are missing. ");
        text.Append("A missing call returns its errno and is counted: `snapshot-rpc inspect SANDBOX` shows which a program asked for.\n\n");
        text.Append("| number | call | support | note |\n|---:|---|---|---|\n");
        for (int number = 0; number < Sysno.Count; number++)
        {
            if (!IsNamed(number))
                continue;
            SyscallEntry entry = SyscallTable.Get(number);
            string support = entry.Support switch
            {
                SyscallSupport.Full => "full",
                SyscallSupport.Partial => "partial",
                _ => "missing",
            };
            string note = entry.Support == SyscallSupport.Missing ? entry.Error.ToString() : entry.Note;
            text.Append(CultureInfo.InvariantCulture, $"| {number} | {Sysno.Name(number)} | {support} | {note} |\n");
        }

        return text.ToString();
    }

    /// <summary>Numbers 335 to 423 are not used on x86-64.</summary>
    private static bool IsNamed(int number) => !Sysno.Name(number).StartsWith("syscall_", StringComparison.Ordinal);
}
