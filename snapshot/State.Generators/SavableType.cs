using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Snapshot.State.Generators;

/// <summary>A saved field as generated code sees it.</summary>
internal sealed class SavedField
{
    public SavedField(int tag, string name, WireType type, string? backingField)
    {
        Tag = tag;
        Name = name;
        Type = type;
        BackingField = backingField;
    }

    public int Tag { get; }

    /// <summary>Of the field or property.</summary>
    public string Name { get; }

    public WireType Type { get; }

    /// <summary>The field to be set through an accessor, when plain assignment is not allowed.</summary>
    public string? BackingField { get; }
}

/// <summary>A type with [Savable], its saved fields, and whatever is wrong with it. The generator and the analyzer share it.</summary>
internal sealed class SavableType
{
    public const string AttributeName = "Snapshot.State.SavableAttribute";

    private readonly List<Diagnostic> _problems = [];
    private readonly List<SavedField> _fields = [];

    private SavableType(INamedTypeSymbol symbol, AttributeData attribute)
    {
        Symbol = symbol;
        Name = NameOf(attribute);
        Version = attribute.NamedArguments.FirstOrDefault(a => a.Key == "Version").Value.Value as int? ?? 1;
    }

    public INamedTypeSymbol Symbol { get; }

    public string Name { get; }

    public int Version { get; }

    public INamedTypeSymbol? Parent { get; private set; }

    /// <summary>Savable classes above.</summary>
    public int Level { get; private set; }

    public IReadOnlyList<SavedField> Fields => _fields;

    public IReadOnlyList<Diagnostic> Problems => _problems;

    /// <summary>Whether code can be generated at all.</summary>
    public bool CanGenerate { get; private set; } = true;

    /// <summary>The types of a record's primary constructor, which the restore constructor must call; null when there is none.</summary>
    public string[]? PrimaryParameters { get; private set; }

    public bool HasRequiredMembers { get; private set; }

    public static AttributeData? Attribute(INamedTypeSymbol type) =>
        type.OriginalDefinition.GetAttributes().FirstOrDefault(a => a.AttributeClass?.ToDisplayString() == AttributeName);

    public static string NameOf(AttributeData attribute) => attribute.ConstructorArguments.FirstOrDefault().Value as string ?? "";

    public static SavableType? Of(INamedTypeSymbol symbol, CancellationToken cancel)
    {
        if (Attribute(symbol) is not { } attribute)
            return null;
        var type = new SavableType(symbol, attribute);
        type.CheckDeclaration(cancel);
        type.CheckBase();
        type.CollectFields();
        return type;
    }

    private static Location LocationOf(ISymbol symbol) => symbol.Locations.FirstOrDefault() ?? Location.None;

    private static AttributeData? Marked(ISymbol? symbol, string name) =>
        symbol?.GetAttributes().FirstOrDefault(a => a.AttributeClass is { } c && c.Name == name && c.ContainingNamespace.ToDisplayString() == "Snapshot.State");

    private void CheckDeclaration(CancellationToken cancel)
    {
        if (Name.Length == 0 || !Name.All(c => c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-' or '.' or '/' or '_'))
            Report(Diagnostics.BadName, Symbol, Name);
        for (INamedTypeSymbol? type = Symbol; type is not null; type = type.ContainingType)
        {
            if (!type.DeclaringSyntaxReferences.Any(r => r.GetSyntax(cancel) is TypeDeclarationSyntax t && t.Modifiers.Any(SyntaxKind.PartialKeyword)))
                Stop(type.Equals(Symbol, SymbolEqualityComparer.Default) ? "must be partial" : $"is in '{type.Name}', which must be partial");
            if (type.IsGenericType)
                Stop("must not be generic");
            if (type.DeclaredAccessibility is Accessibility.Private or Accessibility.Protected or Accessibility.ProtectedAndInternal)
                Stop("must be visible in its assembly (internal) so that it can be registered");
        }

        if (Symbol.IsStatic || Symbol.IsRefLikeType)
            Stop("must not be static or a ref struct");

        foreach (TypeDeclarationSyntax declaration in Symbol.DeclaringSyntaxReferences.Select(r => r.GetSyntax(cancel)).OfType<TypeDeclarationSyntax>())
        {
            if (declaration.ParameterList is not { Parameters.Count: > 0 } parameters)
                continue;
            if (Symbol.IsRecord && (Symbol.TypeKind == TypeKind.Struct || Symbol.BaseType?.SpecialType == SpecialType.System_Object))
            {
                PrimaryParameters = Symbol.InstanceConstructors.First(c => c.DeclaringSyntaxReferences.Any(r => r.GetSyntax(cancel) == declaration))
                    .Parameters.Select(p => p.Type.ToDisplayString(SymbolDisplayFormat.FullyQualifiedFormat)).ToArray();
                continue;
            }

            Report(Diagnostics.PrimaryConstructor, Symbol, Symbol.Name);
            CanGenerate = false;
        }
    }

    private void CheckBase()
    {
        for (INamedTypeSymbol? type = Symbol.BaseType; type is { SpecialType: SpecialType.None }; type = type.BaseType)
        {
            HasRequiredMembers |= type.GetMembers().Any(m => m is IFieldSymbol { IsRequired: true } or IPropertySymbol { IsRequired: true });
            if (Attribute(type) is not null)
            {
                Parent ??= type;
                Level++;
            }
            else if (type.Locations.All(l => !l.IsInSource) || type.GetMembers().Any(m => m is IFieldSymbol { IsStatic: false }))
            {
                Report(Diagnostics.BaseNotSavable, Symbol, type.Name, Symbol.Name);
            }
        }
    }

    private void CollectFields()
    {
        var tags = new Dictionary<int, string>();
        foreach (ISymbol member in Symbol.GetMembers())
        {
            if (member is IFieldSymbol { IsRequired: true } or IPropertySymbol { IsRequired: true })
                HasRequiredMembers = true;
            switch (member)
            {
                case IFieldSymbol { IsStatic: false } field:
                    CollectField(field, tags);
                    break;
                case IEventSymbol { IsStatic: false } e when e.DeclaringSyntaxReferences.Any(r => r.GetSyntax() is VariableDeclaratorSyntax):
                    Report(Diagnostics.Unsupported, e, e.Name, "an event holds delegates");
                    break;
                case IFieldSymbol or IPropertySymbol when Mark(member) is { } mark && !HasBackingField(member):
                    Report(Diagnostics.Misplaced, member, member.Name, $"[{mark}]");
                    break;
            }
        }

        _fields.Sort((a, b) => a.Tag.CompareTo(b.Tag));
    }

    private static string? Mark(ISymbol member) => Marked(member, "SavedAttribute") is not null ? "Saved" : Marked(member, "NotSavedAttribute") is not null ? "NotSaved" : null;

    private bool HasBackingField(ISymbol member) => member is IPropertySymbol { IsStatic: false }
        && Symbol.GetMembers().Any(m => m is IFieldSymbol field && SymbolEqualityComparer.Default.Equals(field.AssociatedSymbol, member));

    private void CollectField(IFieldSymbol field, Dictionary<int, string> tags)
    {
        var property = field.AssociatedSymbol as IPropertySymbol;
        ISymbol named = (ISymbol?)property ?? field;
        AttributeData? saved = Marked(field, "SavedAttribute") ?? Marked(property, "SavedAttribute");
        bool notSaved = Marked(field, "NotSavedAttribute") is not null || Marked(property, "NotSavedAttribute") is not null;
        if (saved is not null == notSaved)
        {
            Report(Diagnostics.Unmarked, named, named.Name, Symbol.Name);
            return;
        }

        if (saved is null)
        {
            if (Symbol.TypeKind == TypeKind.Class && field.Type.IsReferenceType && field.NullableAnnotation == NullableAnnotation.NotAnnotated
                && !HasInitializer(named) && !Symbol.AllInterfaces.Any(i => i.ToDisplayString() == "Snapshot.State.IAfterLoad"))
                Report(Diagnostics.NullAfterRestore, named, named.Name, Symbol.Name);
            return;
        }

        int tag = saved.ConstructorArguments.FirstOrDefault().Value as int? ?? 0;
        if (tags.TryGetValue(tag, out string? other))
        {
            Report(Diagnostics.DuplicateTag, named, tag, Symbol.Name, other);
            return;
        }

        tags.Add(tag, named.Name);
        bool isStruct = Symbol.TypeKind == TypeKind.Struct;
        if (property is null ? field.IsReadOnly && !isStruct : property.SetMethod is null && !isStruct)
        {
            Report(Diagnostics.ReadOnly, named, named.Name);
            return;
        }

        WireType type = WireType.Of(field.Type);
        if (type.Kind == WireKind.Unsupported)
        {
            Report(Diagnostics.Unsupported, named, named.Name, type.Reason);
            return;
        }

        bool assignable = property is null ? !field.IsReadOnly : property.SetMethod is { IsInitOnly: false };
        _fields.Add(new SavedField(tag, named.Name, type, assignable ? null : field.Name));
    }

    private static bool HasInitializer(ISymbol member) => member.DeclaringSyntaxReferences.Any(r =>
        r.GetSyntax() is VariableDeclaratorSyntax { Initializer: not null } or PropertyDeclarationSyntax { Initializer: not null });

    private void Stop(string why)
    {
        Report(Diagnostics.NotPartial, Symbol, Symbol.Name, why);
        CanGenerate = false;
    }

    private void Report(DiagnosticDescriptor descriptor, ISymbol symbol, params object[] arguments) =>
        _problems.Add(Diagnostic.Create(descriptor, LocationOf(symbol), arguments));
}
