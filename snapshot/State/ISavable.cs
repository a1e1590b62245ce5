namespace Snapshot.State;

/// <summary>Implemented by generated code, never by hand: the way from an object to its codec.</summary>
public interface ISavable
{
    /// <summary>What images say about the object's class.</summary>
    StateType StateType { get; }

    /// <summary>For the writer.</summary>
    ref SaveMark SaveMark { get; }

    /// <summary>Writes the fields, one map per savable class from the root of the hierarchy down.</summary>
    void SaveState(StateWriter writer);

    /// <summary>Reads the fields of one class of the hierarchy.</summary>
    /// <param name="reader">Positioned at the class's map.</param>
    /// <param name="level">0 for the topmost savable class.</param>
    void LoadState(StateReader reader, int level);
}

/// <summary>The save that last met an object, and the number it gave it. All marks are equal, so that records are compared by their own fields.</summary>
public struct SaveMark : IEquatable<SaveMark>
{
    internal int Save;
    internal int Number;

    public readonly bool Equals(SaveMark other) => true;

    public override readonly bool Equals(object? obj) => obj is SaveMark;

    public override readonly int GetHashCode() => 0;
}

/// <summary>Selects the generated constructor that makes an empty object to be filled from an image; it runs field initializers and nothing else.</summary>
public readonly struct RestoreTag;

/// <summary>What may be in an image before its reader gives up. An image is signed, so these guard against faults rather than bound an attack.</summary>
public sealed record StateLimits
{
    public static StateLimits Default { get; } = new();

    /// <summary>Objects in one image.</summary>
    public int MaxObjects { get; init; } = 16 << 20;

    /// <summary>Types in one image's schema.</summary>
    public int MaxTypes { get; init; } = 4096;

    /// <summary>Bytes of one image.</summary>
    public int MaxBytes { get; init; } = 1 << 30;

    /// <summary>Structs within structs, and values within values for readers that know no types.</summary>
    public int MaxDepth { get; init; } = 64;
}
