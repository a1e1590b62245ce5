using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Snapshot.State.Generators;

namespace Tests.State;

public sealed class AnalyzerTests
{
    private static readonly MetadataReference[] References =
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(':')
            .Where(path => Path.GetFileName(path) is "System.Runtime.dll" or "System.Private.CoreLib.dll" or "System.Collections.dll" or "Snapshot.State.dll")
            .Select(path => MetadataReference.CreateFromFile(path)),
    ];

    /// <summary>The ids that building the source with the generator and the analyzer reports.</summary>
    private static string[] Check(string source)
    {
        Compilation compilation = CSharpCompilation.Create("Checked",
            [CSharpSyntaxTree.ParseText("using System.Collections.Generic; using Snapshot.State;\n" + source, new CSharpParseOptions(LanguageVersion.CSharp13))],
            References, new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: NullableContextOptions.Enable));
        CSharpGeneratorDriver.Create([new SavableGenerator().AsSourceGenerator()], parseOptions: new CSharpParseOptions(LanguageVersion.CSharp13))
            .RunGeneratorsAndUpdateCompilation(compilation, out compilation, out _);
        ImmutableArray<Diagnostic> found = compilation.WithAnalyzers([new SavableAnalyzer()]).GetAllDiagnosticsAsync().Result;
        return [.. found.Where(d => d.Severity == DiagnosticSeverity.Error).Select(d => d.Id).Order()];
    }

    [Fact]
    public void AllMarked_NoError() => Assert.Empty(Check("""
        [Savable("a")] public abstract partial class A { [Saved(1)] private int _x; [NotSaved("why")] private readonly object _y = new(); public static int S; const int C = 1; }
        [Savable("b")] public sealed partial class B : A { [Saved(1)] public string? P { get; init; } public int Computed => 3; [Saved(2)] public required string R { get; set; } }
        [Savable("c")] internal partial record class C([property: Saved(1)] int X) { }
        [Savable("d")] public readonly partial record struct D([property: Saved(1)] int X);
        public partial class Outer { [Savable("e")] internal sealed partial class E { [Saved(1)] internal List<D?> Ds = []; } }
        """));

    [Theory]
    [InlineData("int _x;")]
    [InlineData("public int X { get; set; }")]
    [InlineData("[Saved(1), NotSaved(\"both\")] int _x;")]
    public void FieldWithoutMark_Snap001(string field) => Assert.Contains("SNAP001", Check($"[Savable(\"a\")] public partial class A {{ {field} }}"));

    [Fact]
    public void SameTagTwice_Snap002() => Assert.Equal(["SNAP002"], Check("[Savable(\"a\")] public partial class A { [Saved(1)] int _x; [Saved(1)] int _y; }"));

    [Fact]
    public void SameNameTwice_Snap003() => Assert.Equal(["SNAP003"], Check("[Savable(\"a\")] public partial class A; [Savable(\"a\")] public partial class B;"));

    [Theory]
    [InlineData("[Savable(\"a\")] public class A;")]
    [InlineData("public class Outer { [Savable(\"a\")] public partial class A; }")]
    [InlineData("public partial class Outer { [Savable(\"a\")] private partial class A; }")]
    [InlineData("[Savable(\"a\")] public partial class A<T>;")]
    public void NotCompletable_Snap004(string source) => Assert.Equal(["SNAP004"], Check(source));

    [Theory]
    [InlineData("[Saved(1)] readonly int _x = 1;")]
    [InlineData("[Saved(1)] public int X { get; }")]
    public void ReadOnly_Snap005(string field) => Assert.Equal(["SNAP005"], Check($"[Savable(\"a\")] public partial class A {{ {field} }}"));

    [Theory]
    [InlineData("System.Action")]
    [InlineData("nint")]
    [InlineData("int[,]")]
    [InlineData("List<System.Action>")]
    [InlineData("System.Text.StringBuilder")]
    [InlineData("System.DateTime")]
    [InlineData("SortedSet<A>")]
    [InlineData("LinkedList<int>")]
    public void TypeThatCannotBeSaved_Snap006(string type) => Assert.Equal(["SNAP006"], Check($"[Savable(\"a\")] public partial class A {{ [Saved(1)] {type}? _x; }}"));

    [Fact]
    public void Event_Snap006() => Assert.Equal(["SNAP006"], Check("[Savable(\"a\")] public partial class A { public event System.Action? E; }").Distinct());

    [Fact]
    public void BaseWithFields_Snap007() => Assert.Equal(["SNAP007"], Check("public class B { int _x; } [Savable(\"a\")] public partial class A : B;"));

    [Fact]
    public void DerivedWithoutMark_Snap008() => Assert.Equal(["SNAP008"], Check("[Savable(\"a\")] public partial class A; public class B : A;"));

    [Theory]
    [InlineData("[Savable(\"a\")] public partial class A { [Saved(1)] static int s; }")]
    [InlineData("[Savable(\"a\")] public partial class A { [Saved(1)] int P => 1; }")]
    [InlineData("public class A { [Saved(1)] int _x; }")]
    public void AttributeWithoutEffect_Snap009(string source) => Assert.Equal(["SNAP009"], Check(source));

    [Fact]
    public void PrimaryConstructor_Snap010() => Assert.Contains("SNAP010", Check("[Savable(\"a\")] public partial class A(int x) { public int Get() => x; }"));

    [Theory]
    [InlineData("")]
    [InlineData("Upper")]
    [InlineData("with space")]
    public void UnusableName_Snap011(string name) => Assert.Equal(["SNAP011"], Check($"[Savable(\"{name}\")] public partial class A;"));

    [Theory]
    [InlineData("A", "private readonly object _x; public A(object x) => _x = x;", true)]
    [InlineData("A", "private object? _x;", false)]
    [InlineData("A", "private object _x = null!;", false)]
    [InlineData("A : IAfterLoad", "private object _x; public A(object x) => _x = x; public void AfterLoad(RestorePhase phase, IRestoreContext context) { }", false)]
    public void NotSavedWithoutInitializer_Snap012(string type, string members, bool reported) =>
        Assert.Equal(reported ? ["SNAP012"] : [], Check($"[Savable(\"a\")] public partial class {type} {{ [NotSaved(\"why\")] {members} }}"));
}
