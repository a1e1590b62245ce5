using System.Globalization;
using System.Text;

namespace Snapshot.State;

/// <summary>A value of an image as a reader sees it that knows only the image's own schema.</summary>
public abstract record StateValue
{
    /// <summary>Short text on one line; long collections are cut.</summary>
    public sealed override string ToString()
    {
        var text = new StringBuilder();
        Append(text);
        return text.ToString();
    }

    internal abstract void Append(StringBuilder text);

    private protected static void AppendAll<T>(StringBuilder text, char open, char close, IReadOnlyList<T> items, Action<T> append)
    {
        const int limit = 64;
        text.Append(open);
        for (int i = 0; i < items.Count && i < limit; i++)
        {
            if (i > 0)
                text.Append(", ");
            append(items[i]);
        }

        if (items.Count > limit)
            text.Append(CultureInfo.InvariantCulture, $", … {items.Count} in all");
        text.Append(close);
    }
}

/// <summary>Null.</summary>
public sealed record StateNull : StateValue
{
    internal override void Append(StringBuilder text) => text.Append("null");
}

/// <summary>A bool, long, ulong, double, string or byte[].</summary>
public sealed record StateScalar(object Value) : StateValue
{
    internal override void Append(StringBuilder text)
    {
        switch (Value)
        {
            case bool value:
                text.Append(value ? "true" : "false");
                break;
            case string value:
                AppendString(text, value);
                break;
            case byte[] value:
                text.Append(CultureInfo.InvariantCulture, $"{value.Length} bytes {Convert.ToHexStringLower(value.AsSpan(0, Math.Min(32, value.Length)))}");
                if (value.Length > 32)
                    text.Append('…');
                break;
            default:
                text.Append(CultureInfo.InvariantCulture, $"{Value}");
                break;
        }
    }

    private static void AppendString(StringBuilder text, string value)
    {
        text.Append('"');
        foreach (char c in value.AsSpan(0, Math.Min(value.Length, 256)))
        {
            if (c is '"' or '\\')
                text.Append('\\').Append(c);
            else if (c is < ' ' or (>= '\x7f' and < '\xa0') or (>= '\ud800' and <= '\udfff'))
                text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                text.Append(c);
        }

        text.Append(value.Length > 256 ? "…\"" : "\"");
    }
}

/// <summary>Another object of the image.</summary>
public sealed record StateReference(int Number, string Type) : StateValue
{
    internal override void Append(StringBuilder text) => text.Append(CultureInfo.InvariantCulture, $"#{Number} {Type}");
}

/// <summary>An array, list, queue, stack, set or tuple.</summary>
public sealed record StateList(IReadOnlyList<StateValue> Items) : StateValue
{
    internal override void Append(StringBuilder text) => AppendAll(text, '[', ']', Items, item => item.Append(text));
}

/// <summary>A dictionary.</summary>
public sealed record StateMap(IReadOnlyList<KeyValuePair<StateValue, StateValue>> Pairs) : StateValue
{
    internal override void Append(StringBuilder text) => AppendAll(text, '{', '}', Pairs, pair =>
    {
        pair.Key.Append(text);
        text.Append(": ");
        pair.Value.Append(text);
    });
}

/// <summary>A savable struct.</summary>
public sealed record StateStruct(string Type, IReadOnlyList<StateFieldValue> Fields) : StateValue
{
    internal override void Append(StringBuilder text)
    {
        text.Append(Type).Append(' ');
        AppendAll(text, '(', ')', Fields, field =>
        {
            text.Append(field.Name).Append(": ");
            field.Value.Append(text);
        });
    }
}

/// <summary>A field with its value.</summary>
/// <param name="Type">Stable name of the class of the hierarchy that has the field.</param>
/// <param name="Tag">Its number there.</param>
/// <param name="Name">Its name in the schema; "?" when the schema does not know the tag.</param>
/// <param name="Value">What it holds.</param>
public sealed record StateFieldValue(string Type, int Tag, string Name, StateValue Value);

/// <summary>An object with all its fields, those of the topmost class first.</summary>
public sealed record StateObject(int Number, string Type, int Version, IReadOnlyList<StateFieldValue> Fields)
{
    /// <summary>The value of the field of a name, or null.</summary>
    public StateValue? this[string name] => Fields.LastOrDefault(f => f.Name == name)?.Value;
}
