namespace Sentry.Kernel.Sockets.Netlink;

/// <summary>What an attribute holds.</summary>
internal enum AttributeKind : byte
{
    /// <summary>Bytes, at least so many.</summary>
    Unspecified,

    U8,
    U16,
    U32,
    U64,

    /// <summary>Text, with or without its NUL, at most so long.</summary>
    Text,

    /// <summary>Bytes, at most so many; 0 for any number.</summary>
    Binary,

    /// <summary>Bytes, exactly so many.</summary>
    Exact,

    Nested,

    Flag,

    /// <summary>Not to be given at all.</summary>
    Reject,
}

/// <summary>What one attribute of a request must look like.</summary>
internal readonly record struct AttributeRule(int Type, AttributeKind Kind, int Length = 0);

/// <summary>The attributes that a kind of request knows, by their numbers.</summary>
internal sealed class AttributePolicy
{
    private readonly AttributeRule?[] _rules;

    /// <param name="max">The highest number that is known.</param>
    internal AttributePolicy(int max, params AttributeRule[] rules)
    {
        _rules = new AttributeRule?[max + 1];
        foreach (AttributeRule rule in rules)
            _rules[rule.Type] = rule;
    }

    internal int Max => _rules.Length - 1;

    /// <summary>Whether a value fits its rule: ERANGE and EINVAL as Linux says them.</summary>
    internal Errno Check(int type, ReadOnlySpan<byte> value, bool strict)
    {
        if (_rules[type] is not { } rule)
            return Errno.None;
        int length = value.Length;
        switch (rule.Kind)
        {
            case AttributeKind.U8:
                return CheckNumber(length, 1, strict);
            case AttributeKind.U16:
                return CheckNumber(length, 2, strict);
            case AttributeKind.U32:
                return CheckNumber(length, 4, strict);
            case AttributeKind.U64:
                return CheckNumber(length, 8, strict);
            case AttributeKind.Text:
                if (length < 1)
                    return Errno.ERANGE;
                if (value[^1] == 0)
                    length--;
                return length > rule.Length ? Errno.ERANGE : Errno.None;
            case AttributeKind.Binary:
                return rule.Length > 0 && length > rule.Length ? Errno.ERANGE : Errno.None;
            case AttributeKind.Exact:
                return length == rule.Length ? Errno.None : Errno.EINVAL;
            case AttributeKind.Nested:
                return length is > 0 and < NetlinkLayout.Attribute ? Errno.ERANGE : Errno.None;
            case AttributeKind.Flag:
                return length > 0 ? Errno.ERANGE : Errno.None;
            case AttributeKind.Reject:
                return Errno.EINVAL;
            default:
                return length < rule.Length ? Errno.ERANGE : Errno.None;
        }
    }

    private static Errno CheckNumber(int length, int size, bool strict)
    {
        if (length < size)
            return Errno.ERANGE;
        return strict && length != size ? Errno.EINVAL : Errno.None;
    }
}
