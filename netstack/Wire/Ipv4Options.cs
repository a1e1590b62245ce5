namespace Netstack.Wire;

/// <summary>What a look at the options of an IPv4 header found.</summary>
public enum Ipv4OptionsVerdict
{
    Fine,

    /// <summary>Malformed: answered with "parameter problem" that points at the byte.</summary>
    Malformed,

    /// <summary>Loose or strict source route (RFC 7126 section 4.3: refused).</summary>
    SourceRouted,
}

/// <summary>Options of IPv4 (RFC 791 section 3.1).</summary>
public static class Ipv4Options
{
    public const byte End = 0, NoOperation = 1, RecordRoute = 7, Timestamp = 68, LooseSourceRoute = 131, StrictSourceRoute = 137, RouterAlert = 148;

    /// <summary>The bit of options that each fragment carries.</summary>
    public const byte CopiedBit = 0x80;

    /// <summary>Walks the options of a header.</summary>
    /// <param name="options">From the end of the fixed header to the end of the whole.</param>
    /// <param name="offset">Of a malformed option: where in the IPv4 header it is wrong.</param>
    public static Ipv4OptionsVerdict Check(ReadOnlySpan<byte> options, out int offset)
    {
        for (int i = 0; i < options.Length;)
        {
            offset = Ipv4Header.Size + i;
            byte type = options[i];
            if (type == End)
                break;
            if (type == NoOperation)
            {
                i++;
                continue;
            }

            if (i + 1 >= options.Length)
                return Ipv4OptionsVerdict.Malformed;
            int length = options[i + 1];
            if (length < 2 || i + length > options.Length)
            {
                offset++;
                return Ipv4OptionsVerdict.Malformed;
            }

            if (type is LooseSourceRoute or StrictSourceRoute)
                return Ipv4OptionsVerdict.SourceRouted;
            if (type is RecordRoute && (length < 3 || options[i + 2] < 4))
            {
                offset += 2;
                return Ipv4OptionsVerdict.Malformed;
            }

            if (type is Timestamp && (length < 4 || options[i + 2] < 5))
            {
                offset += 2;
                return Ipv4OptionsVerdict.Malformed;
            }

            i += length;
        }

        offset = 0;
        return Ipv4OptionsVerdict.Fine;
    }

    /// <summary>Whether the options ask routers to look (RFC 2113).</summary>
    public static bool HasRouterAlert(ReadOnlySpan<byte> options)
    {
        for (int i = 0; i < options.Length;)
        {
            byte type = options[i];
            if (type == RouterAlert)
                return true;
            if (type == End)
                return false;
            if (type == NoOperation)
                i++;
            else if (i + 1 < options.Length && options[i + 1] >= 2)
                i += options[i + 1];
            else
                return false;
        }

        return false;
    }

    /// <summary>The options that fragments after the first carry: those with the copied bit, the others as no-operations.</summary>
    /// <param name="options">Options that <see cref="Check"/> found fine; changed in place.</param>
    public static void KeepCopied(Span<byte> options)
    {
        for (int i = 0; i < options.Length;)
        {
            byte type = options[i];
            if (type == End)
                return;
            if (type == NoOperation)
            {
                i++;
                continue;
            }

            if (i + 1 >= options.Length || options[i + 1] < 2 || i + options[i + 1] > options.Length)
                return;
            int length = options[i + 1];
            if ((type & CopiedBit) == 0)
                options.Slice(i, length).Fill(NoOperation);
            i += length;
        }
    }
}
