using System.Globalization;
using System.Text;

namespace Sentry.Kernel.Strace;

/// <summary>Names of the bits (or of the values) of an argument, in strace's order.</summary>
/// <param name="unknown">What strace says of unknown bits, e.g. <c>O_???</c>.</param>
/// <param name="names">The names; one of several bits stands before its parts.</param>
/// <param name="mask">The low bits that are one value and not flags (the access mode of open), 0 for none.</param>
/// <param name="isEnum">The whole argument is one value.</param>
internal sealed class FlagTable(string unknown, (ulong Value, string Name)[] names, ulong mask = 0, bool isEnum = false)
{
    internal string Describe(ulong value)
    {
        if (isEnum)
        {
            foreach ((ulong known, string name) in names)
            {
                if (known == value)
                    return name;
            }

            return Hex(value) + " /* " + unknown + " */";
        }

        var text = new StringBuilder();
        ulong rest = value;
        if (mask != 0)
        {
            foreach ((ulong known, string name) in names)
            {
                if ((known & ~mask) == 0 && known == (value & mask))
                {
                    text.Append(name);
                    rest &= ~mask;
                    break;
                }
            }
        }

        foreach ((ulong known, string name) in names)
        {
            if (known == 0 || (known & ~mask) == 0 || (rest & known) != known)
                continue;
            if (text.Length > 0)
                text.Append('|');
            text.Append(name);
            rest &= ~known;
        }

        if (rest == 0 && text.Length > 0)
            return text.ToString();
        if (value == 0)
        {
            foreach ((ulong known, string name) in names)
            {
                if (known == 0)
                    return name;
            }

            return "0";
        }

        return text.Length == 0 ? Hex(value) + " /* " + unknown + " */" : text + "|" + Hex(rest);
    }

    private static string Hex(ulong value) => value == 0 ? "0" : "0x" + value.ToString("x", CultureInfo.InvariantCulture);
}
