using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;

namespace Snapshot.State.Generators;

/// <summary>Makes forgotten state a build error.</summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class SavableAnalyzer : DiagnosticAnalyzer
{
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } =
    [
        Diagnostics.Unmarked, Diagnostics.DuplicateTag, Diagnostics.DuplicateName, Diagnostics.NotPartial, Diagnostics.ReadOnly, Diagnostics.Unsupported,
        Diagnostics.BaseNotSavable, Diagnostics.DerivedNotSavable, Diagnostics.Misplaced, Diagnostics.PrimaryConstructor, Diagnostics.BadName,
        Diagnostics.NullAfterRestore,
    ];

    public override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.EnableConcurrentExecution();
        context.RegisterCompilationStartAction(start =>
        {
            var names = new ConcurrentBag<SavableType>();
            start.RegisterSymbolAction(symbol => Check(symbol, names), SymbolKind.NamedType);
            start.RegisterCompilationEndAction(end => CheckNames(end, names));
        });
    }

    private static void Check(SymbolAnalysisContext context, ConcurrentBag<SavableType> names)
    {
        var symbol = (INamedTypeSymbol)context.Symbol;
        if (symbol.TypeKind is not (TypeKind.Class or TypeKind.Struct))
            return;
        if (SavableType.Of(symbol, context.CancellationToken) is { } type)
        {
            names.Add(type);
            foreach (Diagnostic problem in type.Problems)
                context.ReportDiagnostic(problem);
            return;
        }

        for (INamedTypeSymbol? parent = symbol.BaseType; parent is not null; parent = parent.BaseType)
        {
            if (SavableType.Attribute(parent) is null)
                continue;
            context.ReportDiagnostic(Diagnostic.Create(Diagnostics.DerivedNotSavable, symbol.Locations.FirstOrDefault(), symbol.Name, parent.Name));
            break;
        }

        foreach (ISymbol member in symbol.GetMembers())
        {
            foreach (AttributeData attribute in member.GetAttributes())
            {
                if (attribute.AttributeClass?.ToDisplayString() is "Snapshot.State.SavedAttribute" or "Snapshot.State.NotSavedAttribute")
                    context.ReportDiagnostic(Diagnostic.Create(Diagnostics.Misplaced, member.Locations.FirstOrDefault(), member.Name, "its attribute"));
            }
        }
    }

    private static void CheckNames(CompilationAnalysisContext context, IEnumerable<SavableType> types)
    {
        foreach (IGrouping<string, SavableType> same in types.GroupBy(t => t.Name))
        {
            SavableType[] ordered = [.. same.OrderBy(t => t.Symbol.ToDisplayString(), System.StringComparer.Ordinal)];
            foreach (SavableType second in ordered.Skip(1))
                context.ReportDiagnostic(Diagnostic.Create(Diagnostics.DuplicateName, second.Symbol.Locations.FirstOrDefault(), second.Name, second.Symbol.Name, ordered[0].Symbol.Name));
        }
    }
}
