namespace Snapshot.State;

/// <summary>The shape of a value, parsed from the schema's notation: an atom such as <c>i32</c>, <c>array&lt;X&gt;</c>,
/// <c>map&lt;K,V&gt;</c>, <c>tuple&lt;X,…&gt;</c>, <c>{struct}</c>, and <c>X?</c>.</summary>
internal sealed class WireNotation
{
    private WireNotation(string name, IReadOnlyList<WireNotation> inner)
    {
        Name = name;
        Inner = inner;
    }

    /// <summary>The atom, or <c>array</c>, <c>map</c>, <c>tuple</c>, <c>struct</c>.</summary>
    public string Name { get; }

    public IReadOnlyList<WireNotation> Inner { get; }

    /// <summary>The stable name when it is a struct.</summary>
    public string? Struct { get; private init; }

    public static WireNotation Parse(string text, int maxDepth)
    {
        int position = 0;
        WireNotation result = Parse(text, ref position, maxDepth);
        return position == text.Length ? result : throw Bad(text);
    }

    private static WireNotation Parse(string text, ref int position, int depth)
    {
        if (depth == 0)
            throw Bad(text);
        WireNotation result;
        if (position < text.Length && text[position] == '{')
        {
            int end = text.IndexOf('}', position);
            if (end < 0)
                throw Bad(text);
            result = new WireNotation("struct", []) { Struct = text[(position + 1)..end] };
            position = end + 1;
        }
        else
        {
            int start = position;
            while (position < text.Length && char.IsAsciiLetterOrDigit(text[position]))
                position++;
            if (start == position)
                throw Bad(text);
            string name = text[start..position];
            var inner = new List<WireNotation>();
            if (position < text.Length && text[position] == '<')
            {
                do
                {
                    position++;
                    inner.Add(Parse(text, ref position, depth - 1));
                }
                while (position < text.Length && text[position] == ',');
                if (position >= text.Length || text[position++] != '>')
                    throw Bad(text);
            }

            if ((name == "array" && inner.Count != 1) || (name == "map" && inner.Count != 2))
                throw Bad(text);
            result = new WireNotation(name, inner);
        }

        if (position < text.Length && text[position] == '?')
            position++;
        return result;
    }

    private static InvalidImageException Bad(string text) => new($"the schema has a field of type \"{(text.Length > 40 ? text[..40] : text)}\"");
}
