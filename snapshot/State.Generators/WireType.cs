using System.Collections.Generic;
using System.Linq;
using Microsoft.CodeAnalysis;

namespace Snapshot.State.Generators;

internal enum WireKind
{
    Unsupported,
    Boolean,
    Signed,
    Unsigned,
    Char,
    Float,
    String,
    Bytes,
    ByteSlice,
    Array,
    List,
    Queue,
    Stack,
    HashSet,
    SortedSet,
    Dictionary,
    SortedDictionary,
    Nullable,
    Tuple,
    Record,
    Struct,
    Reference,
    AnyReference,
}

/// <summary>How a C# type is saved: its shape on the wire and what generated code needs to know of it.</summary>
internal sealed class WireType
{
    private static readonly SymbolDisplayFormat Format = SymbolDisplayFormat.FullyQualifiedFormat.WithMiscellaneousOptions(
        SymbolDisplayFormat.FullyQualifiedFormat.MiscellaneousOptions | SymbolDisplayMiscellaneousOptions.IncludeNullableReferenceTypeModifier);

    private WireType(WireKind kind, ITypeSymbol symbol, string wire)
    {
        Kind = kind;
        Wire = wire;
        Symbol = symbol;
        MayBeNull = symbol.IsReferenceType && symbol.NullableAnnotation != NullableAnnotation.NotAnnotated;
        CSharp = symbol.WithNullableAnnotation(symbol.IsReferenceType ? NullableAnnotation.NotAnnotated : symbol.NullableAnnotation).ToDisplayString(Format);
    }

    public WireKind Kind { get; }

    public ITypeSymbol Symbol { get; }

    /// <summary>The notation that the schema in an image uses.</summary>
    public string Wire { get; }

    /// <summary>The type in generated code, without the ? of a nullable reference.</summary>
    public string CSharp { get; }

    public bool MayBeNull { get; }

    public bool IsReference => Symbol.IsReferenceType;

    /// <summary>Element types; key and value of a dictionary.</summary>
    public WireType[] Inner { get; private set; } = [];

    /// <summary>Names of a record's or tuple's parts.</summary>
    public string[] Parts { get; private set; } = [];

    /// <summary>The reading method of a number, e.g. ReadInt32.</summary>
    public string Reader { get; private set; } = "";

    /// <summary>Why it cannot be saved.</summary>
    public string Reason { get; private set; } = "";

    public static WireType Of(ITypeSymbol type)
    {
        switch (type.SpecialType)
        {
            case SpecialType.System_Boolean:
                return new WireType(WireKind.Boolean, type, "bool");
            case SpecialType.System_SByte:
                return Number(WireKind.Signed, type, "i8", "ReadSByte");
            case SpecialType.System_Int16:
                return Number(WireKind.Signed, type, "i16", "ReadInt16");
            case SpecialType.System_Int32:
                return Number(WireKind.Signed, type, "i32", "ReadInt32");
            case SpecialType.System_Int64:
                return Number(WireKind.Signed, type, "i64", "ReadInt64");
            case SpecialType.System_Byte:
                return Number(WireKind.Unsigned, type, "u8", "ReadByte");
            case SpecialType.System_UInt16:
                return Number(WireKind.Unsigned, type, "u16", "ReadUInt16");
            case SpecialType.System_UInt32:
                return Number(WireKind.Unsigned, type, "u32", "ReadUInt32");
            case SpecialType.System_UInt64:
                return Number(WireKind.Unsigned, type, "u64", "ReadUInt64");
            case SpecialType.System_Char:
                return Number(WireKind.Char, type, "char", "ReadChar");
            case SpecialType.System_Single:
                return Number(WireKind.Float, type, "f32", "ReadSingle");
            case SpecialType.System_Double:
                return Number(WireKind.Float, type, "f64", "ReadDouble");
            case SpecialType.System_String:
                return new WireType(WireKind.String, type, "str");
            case SpecialType.System_Object:
                return new WireType(WireKind.AnyReference, type, "ref");
        }

        return type switch
        {
            IArrayTypeSymbol array => OfArray(array),
            INamedTypeSymbol { TypeKind: TypeKind.Enum } named => OfEnum(named),
            INamedTypeSymbol { TypeKind: TypeKind.Struct } named => OfStruct(named),
            INamedTypeSymbol { TypeKind: TypeKind.Interface, IsGenericType: false } named => new WireType(WireKind.AnyReference, named, "ref"),
            INamedTypeSymbol { TypeKind: TypeKind.Class } named => OfClass(named),
            _ => Unsupported(type, "a " + type.TypeKind.ToString().ToLowerInvariant() + " has no place in an image"),
        };
    }

    /// <summary>All savable structs in it, for the schema.</summary>
    public IEnumerable<string> Structs() => Kind == WireKind.Struct ? [CSharp] : Inner.SelectMany(i => i.Structs());

    private static WireType OfArray(IArrayTypeSymbol array)
    {
        if (!array.IsSZArray)
            return Unsupported(array, "arrays of several dimensions are not supported");
        if (array.ElementType.SpecialType == SpecialType.System_Byte)
            return new WireType(WireKind.Bytes, array, "bin");
        WireType element = Of(array.ElementType);
        return Holding(WireKind.Array, array, $"array<{element.Wire}>", element);
    }

    private static WireType OfEnum(INamedTypeSymbol type)
    {
        WireType underlying = Of(type.EnumUnderlyingType!);
        return new WireType(underlying.Kind, type, underlying.Wire) { Reader = underlying.Reader };
    }

    private static WireType OfStruct(INamedTypeSymbol type)
    {
        if (type.OriginalDefinition.SpecialType == SpecialType.System_Nullable_T)
        {
            WireType value = Of(type.TypeArguments[0]);
            return Holding(WireKind.Nullable, type, value.Wire + "?", value);
        }

        if (type.IsTupleType)
        {
            WireType[] parts = [.. type.TupleElements.Select(e => Of(e.Type))];
            WireType tuple = Holding(WireKind.Tuple, type, $"tuple<{string.Join(",", parts.Select(p => p.Wire))}>", parts);
            tuple.Parts = [.. type.TupleElements.Select(e => e.Name)];
            return tuple;
        }

        if (type is { Name: "ReadOnlyMemory", TypeArguments.Length: 1 } && type.ContainingNamespace.ToDisplayString() == "System"
            && type.TypeArguments[0].SpecialType == SpecialType.System_Byte)
            return new WireType(WireKind.ByteSlice, type, "bin");

        if (SavableType.Attribute(type) is { } attribute)
            return new WireType(WireKind.Struct, type, "{" + SavableType.NameOf(attribute) + "}");

        if (type.IsRecord && PositionalConstructor(type) is { } constructor)
        {
            WireType[] parts = [.. constructor.Parameters.Select(p => Of(p.Type))];
            WireType record = Holding(WireKind.Record, type, $"tuple<{string.Join(",", parts.Select(p => p.Wire))}>", parts);
            record.Parts = [.. constructor.Parameters.Select(p => p.Name)];
            return record;
        }

        return Unsupported(type, $"struct '{type.Name}' is not [Savable]");
    }

    private static WireType OfClass(INamedTypeSymbol type)
    {
        if (SavableType.Attribute(type) is not null)
            return new WireType(WireKind.Reference, type, "ref");
        WireKind kind = type.ContainingNamespace?.ToDisplayString() != "System.Collections.Generic" ? WireKind.Unsupported : type.Name switch
        {
            "List" => WireKind.List,
            "Queue" => WireKind.Queue,
            "Stack" => WireKind.Stack,
            "HashSet" => WireKind.HashSet,
            "SortedSet" => WireKind.SortedSet,
            "Dictionary" => WireKind.Dictionary,
            "SortedDictionary" => WireKind.SortedDictionary,
            _ => WireKind.Unsupported,
        };
        if (kind == WireKind.Unsupported)
            return Unsupported(type, $"class '{type.Name}' is not [Savable]");

        WireType[] inner = [.. type.TypeArguments.Select(Of)];
        if (kind is WireKind.HashSet or WireKind.SortedSet or WireKind.Dictionary or WireKind.SortedDictionary
            && KeyProblem(inner[0], kind is WireKind.SortedSet or WireKind.SortedDictionary) is { } problem)
            return Unsupported(type, problem);
        return Holding(kind, type, inner.Length == 2 ? $"map<{inner[0].Wire},{inner[1].Wire}>" : $"array<{inner[0].Wire}>", inner);
    }

    /// <summary>Keys are put in before the fields of the objects they refer to have been read.</summary>
    private static string? KeyProblem(WireType key, bool sorted)
    {
        switch (key.Kind)
        {
            case WireKind.Boolean or WireKind.Signed or WireKind.Unsigned or WireKind.Char or WireKind.Float or WireKind.String:
                return null;
            case WireKind.Tuple or WireKind.Nullable:
                return key.Inner.Select(i => KeyProblem(i, sorted)).FirstOrDefault(p => p is not null);
            case WireKind.Struct or WireKind.Record when !sorted:
                return null;
            case WireKind.Reference when !sorted:
                for (INamedTypeSymbol? type = key.Symbol as INamedTypeSymbol; type is { SpecialType: SpecialType.None }; type = type.BaseType)
                {
                    if (type.IsRecord || type.GetMembers("GetHashCode").Any(m => m is IMethodSymbol { Parameters.Length: 0 }))
                        return $"'{key.Symbol.Name}' has a hash code of its own, which is not known when keys are read";
                }

                return null;
            case WireKind.AnyReference when !sorted:
                return null;
            default:
                return $"'{key.Symbol.Name}' cannot be a {(sorted ? "sorted " : "")}key";
        }
    }

    private static IMethodSymbol? PositionalConstructor(INamedTypeSymbol type) => type.InstanceConstructors.FirstOrDefault(c =>
        c.Parameters.Length > 0 && c.DeclaredAccessibility == Accessibility.Public
        && c.Parameters.All(p => type.GetMembers(p.Name).Any(m => m is IPropertySymbol property && SymbolEqualityComparer.Default.Equals(property.Type, p.Type))));

    private static WireType Number(WireKind kind, ITypeSymbol type, string wire, string reader) => new(kind, type, wire) { Reader = reader };

    private static WireType Holding(WireKind kind, ITypeSymbol type, string wire, params WireType[] inner)
    {
        WireType? wrong = inner.FirstOrDefault(i => i.Kind == WireKind.Unsupported);
        return wrong is null ? new WireType(kind, type, wire) { Inner = inner } : Unsupported(type, wrong.Reason);
    }

    private static WireType Unsupported(ITypeSymbol type, string reason) => new(WireKind.Unsupported, type, "") { Reason = reason };
}
