using Microsoft.CodeAnalysis;

namespace Snapshot.State.Generators;

/// <summary>What is wrong with a savable type. All are errors: state that is forgotten shows only when a sandbox is restored.</summary>
internal static class Diagnostics
{
    public static readonly DiagnosticDescriptor Unmarked = Error("SNAP001", "Field is neither saved nor not saved",
        "'{0}' of savable type '{1}' needs [Saved(tag)] or [NotSaved(\"why\")]");

    public static readonly DiagnosticDescriptor DuplicateTag = Error("SNAP002", "Tag is used twice", "tag {0} of '{1}' is used by '{2}' already");

    public static readonly DiagnosticDescriptor DuplicateName = Error("SNAP003", "Stable name is used twice",
        "the name \"{0}\" of '{1}' is that of '{2}' already", WellKnownDiagnosticTags.CompilationEnd);

    public static readonly DiagnosticDescriptor NotPartial = Error("SNAP004", "Savable type cannot be completed",
        "savable type '{0}' {1}");

    public static readonly DiagnosticDescriptor ReadOnly = Error("SNAP005", "Saved field is read-only",
        "'{0}' is saved and cannot be assigned after construction; drop readonly or give the property an init accessor");

    public static readonly DiagnosticDescriptor Unsupported = Error("SNAP006", "Saved field has a type that cannot be saved", "'{0}' cannot be saved: {1}");

    public static readonly DiagnosticDescriptor BaseNotSavable = Error("SNAP007", "Base class has state that is not saved",
        "base class '{0}' of savable class '{1}' may have fields and is not savable");

    public static readonly DiagnosticDescriptor DerivedNotSavable = Error("SNAP008", "Class derived from a savable class is not savable",
        "'{0}' is derived from savable class '{1}' and needs [Savable] itself");

    public static readonly DiagnosticDescriptor Misplaced = Error("SNAP009", "Attribute has no effect",
        "'{0}' is no instance field or auto-property of a savable type, so {1} has no effect");

    public static readonly DiagnosticDescriptor PrimaryConstructor = Error("SNAP010", "Savable type has a primary constructor",
        "the parameters of the primary constructor of '{0}' may become fields that nobody saves; declare fields and a constructor");

    public static readonly DiagnosticDescriptor BadName = Error("SNAP011", "Stable name is not usable",
        "\"{0}\" is no stable name; use lower-case letters, digits and - . / _");

    public static readonly DiagnosticDescriptor NullAfterRestore = Error("SNAP012", "Field would be null after a restore",
        "'{0}' is not saved and cannot be null, but a restore runs no constructor; give it an initializer or have '{1}' implement IAfterLoad");

    private static DiagnosticDescriptor Error(string id, string title, string message, params string[] tags) =>
        new(id, title, message, "Snapshot.State", DiagnosticSeverity.Error, isEnabledByDefault: true, customTags: tags);
}
