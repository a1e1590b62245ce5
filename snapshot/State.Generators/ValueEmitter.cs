using System.Linq;

namespace Snapshot.State.Generators;

/// <summary>Writes the code that saves or loads one value, collections as loops in place.</summary>
internal static class ValueEmitter
{
    private const string State = "global::Snapshot.State.";

    /// <summary>Code that writes the value of an expression, which it evaluates once or which has no effects.</summary>
    public static void Write(CodeText code, WireType type, string value)
    {
        switch (type.Kind)
        {
            case WireKind.Boolean or WireKind.Float or WireKind.String or WireKind.Bytes:
                code.Line($"output.Write({value});");
                break;
            case WireKind.ByteSlice:
                code.Line($"output.Write({value}.Span);");
                break;
            case WireKind.Signed:
                code.Line($"output.Write((long){value});");
                break;
            case WireKind.Unsigned or WireKind.Char:
                code.Line($"output.Write((ulong){value});");
                break;
            case WireKind.Struct:
                code.Line($"{type.CSharp}.__Save(writer, {value});");
                break;
            case WireKind.Reference:
                code.Line($"writer.WriteReferenceOrNull({value});");
                break;
            case WireKind.AnyReference:
                code.Line($"writer.WriteAny({value});");
                break;
            case WireKind.Nullable:
                string maybe = code.Local("maybe");
                code.Line($"var {maybe} = {value};");
                code.Open($"if ({maybe}.HasValue)");
                Write(code, type.Inner[0], maybe + ".GetValueOrDefault()");
                code.Close().Open("else").Line("output.WriteNil();").Close();
                break;
            case WireKind.Tuple or WireKind.Record:
                string whole = code.Local("parts");
                code.Line($"var {whole} = {value};");
                code.Line($"output.WriteArrayHeader({type.Inner.Length});");
                for (int i = 0; i < type.Inner.Length; i++)
                    Write(code, type.Inner[i], $"{whole}.{type.Parts[i]}");
                break;
            default:
                WriteCollection(code, type, value);
                break;
        }
    }

    /// <summary>Code that reads a value; the result is an expression to be evaluated once. When strict, nil is refused where the type cannot be
    /// null; elements of arrays and fields of structs have defaults that are null.</summary>
    public static string Read(CodeText code, WireType type, bool strict)
    {
        bool maybeNull = type.MayBeNull || !strict;
        string forgive = type.MayBeNull ? "" : "!";
        switch (type.Kind)
        {
            case WireKind.Boolean:
                return "input.ReadBoolean()";
            case WireKind.Signed or WireKind.Unsigned or WireKind.Char or WireKind.Float:
                return $"({type.CSharp})input.{type.Reader}()";
            case WireKind.String:
                return maybeNull ? "input.ReadStringOrNull()" + forgive : "input.ReadString()";
            case WireKind.Bytes:
                return maybeNull ? "input.ReadBytesOrNull()" + forgive : "input.ReadBytes()";
            case WireKind.ByteSlice:
                return "(global::System.ReadOnlyMemory<byte>)input.ReadBytes()";
            case WireKind.Struct:
                return $"{type.CSharp}.__Load(reader)";
            case WireKind.Reference or WireKind.AnyReference:
                return maybeNull ? $"reader.ReadReferenceOrNull<{type.CSharp}>()" + forgive : $"reader.ReadReference<{type.CSharp}>()";
            case WireKind.Nullable:
                string maybe = code.Local("maybe");
                code.Line($"{type.CSharp} {maybe} = null;");
                code.Open("if (!input.TryReadNil())");
                string value = Read(code, type.Inner[0], strict);
                code.Line($"{maybe} = {value};");
                code.Close();
                return maybe;
            case WireKind.Tuple or WireKind.Record:
                code.Line($"input.ReadArrayHeader({type.Inner.Length});");
                string[] parts = [.. type.Inner.Select(_ => code.Local("part"))];
                for (int i = 0; i < parts.Length; i++)
                {
                    string part = Read(code, type.Inner[i], strict: false);
                    code.Line($"var {parts[i]} = {part};");
                }

                string list = string.Join(", ", parts);
                return type.Kind == WireKind.Tuple ? $"({list})" : $"new {type.CSharp}({list})";
            default:
                return ReadCollection(code, type, maybeNull);
        }
    }

    private static void WriteCollection(CodeText code, WireType type, string value)
    {
        string all = code.Local("all");
        string one = code.Local("one");
        code.Line($"var {all} = {value};");
        code.Open($"if ({all} is null)").Line("output.WriteNil();").Close();
        code.Open("else");
        string count = type.Kind == WireKind.Array ? "Length" : "Count";
        bool isMap = type.Kind is WireKind.Dictionary or WireKind.SortedDictionary;
        code.Line($"output.{(isMap ? "WriteMapHeader" : "WriteArrayHeader")}({all}.{count});");
        code.Open($"foreach (var {one} in {all})");
        if (isMap)
        {
            WriteElement(code, type.Inner[0], one + ".Key");
            WriteElement(code, type.Inner[1], one + ".Value");
        }
        else if (type.Kind == WireKind.Array)
        {
            Write(code, type.Inner[0], one);
        }
        else
        {
            WriteElement(code, type.Inner[0], one);
        }

        code.Close();
        code.Close();
    }

    private static void WriteElement(CodeText code, WireType type, string value)
    {
        if (type.Kind == WireKind.Reference && !type.MayBeNull)
            code.Line($"writer.WriteReference({value});");
        else
            Write(code, type, value);
    }

    private static string ReadCollection(CodeText code, WireType type, bool maybeNull)
    {
        string all = code.Local("all");
        if (maybeNull)
        {
            code.Line($"{type.CSharp}? {all} = null;");
            code.Open("if (!input.TryReadNil())");
            Fill(code, type, all, $"{all} =");
            code.Close();
            return type.MayBeNull ? all : all + "!";
        }

        Fill(code, type, all, $"{type.CSharp} {all} =");
        return all;
    }

    private static void Fill(CodeText code, WireType type, string all, string assign)
    {
        string count = code.Local("count");
        string index = code.Local("i");
        bool isMap = type.Kind is WireKind.Dictionary or WireKind.SortedDictionary;
        code.Line($"int {count} = input.{(isMap ? "ReadMapHeader" : "ReadArrayHeader")}();");
        string room = type.Kind is WireKind.SortedSet or WireKind.SortedDictionary ? "" : count;
        code.Line(type.Kind == WireKind.Array
            ? $"{assign} {State}StateReader.NewArray<{type.Inner[0].CSharp}{(type.Inner[0].MayBeNull ? "?" : "")}>({count});"
            : $"{assign} new {type.CSharp}({room});");
        string reversed = "";
        if (type.Kind == WireKind.Stack)
        {
            // Enumeration begins at the top, so what is read first is pushed last.
            reversed = code.Local("reversed");
            code.Line($"var {reversed} = {State}StateReader.NewArray<{type.Inner[0].CSharp}{(type.Inner[0].MayBeNull ? "?" : "")}>({count});");
        }

        code.Open($"for (int {index} = 0; {index} < {count}; {index}++)");
        string first = Read(code, type.Inner[0], strict: type.Kind != WireKind.Array);
        switch (type.Kind)
        {
            case WireKind.Array:
                code.Line($"{all}[{index}] = {first};");
                break;
            case WireKind.List:
                code.Line($"{all}.Add({first});");
                break;
            case WireKind.Queue:
                code.Line($"{all}.Enqueue({first});");
                break;
            case WireKind.Stack:
                code.Line($"{reversed}[{count} - 1 - {index}] = {first};");
                break;
            case WireKind.HashSet or WireKind.SortedSet:
                code.Line($"if (!{all}.Add({first})) {State}StateReader.ThrowDuplicate();");
                break;
            default:
                string key = code.Local("key");
                code.Line($"var {key} = {first};");
                string second = Read(code, type.Inner[1], strict: true);
                string item = code.Local("item");
                code.Line($"var {item} = {second};");
                code.Line($"if ({all}.ContainsKey({key})) {State}StateReader.ThrowDuplicate();");
                code.Line($"{all}.Add({key}, {item});");
                break;
        }

        code.Close();
        if (type.Kind == WireKind.Stack)
            code.Line($"foreach (var {reversed}Item in {reversed}) {all}.Push({reversed}Item);");
    }
}
