using System.Text;

namespace Snapshot.State.Generators;

/// <summary>Indented source text, and names for its local variables.</summary>
internal sealed class CodeText
{
    private readonly StringBuilder _text = new();
    private int _depth;
    private int _locals;

    public CodeText Line(string line)
    {
        if (line.Length > 0)
            _text.Append(' ', 4 * _depth).Append(line);
        _text.Append('\n');
        return this;
    }

    public CodeText Open(string line)
    {
        Line(line).Line("{");
        _depth++;
        return this;
    }

    public CodeText Close()
    {
        _depth--;
        return Line("}");
    }

    /// <summary>A name no other local has.</summary>
    public string Local(string stem) => stem + ++_locals;

    public override string ToString() => _text.ToString();
}
