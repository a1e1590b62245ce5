namespace Snapshot.State;

/// <summary>A field as the schema in an image names it.</summary>
/// <param name="Tag">Its number within its class.</param>
/// <param name="Name">Its name in the source, for people; not used for matching.</param>
/// <param name="Wire">Its shape, in the notation of docs/image-format.md.</param>
public readonly record struct StateField(int Tag, string Name, string Wire);

/// <summary>What images know about a savable class or struct. Made by generated code, once per type.</summary>
public sealed class StateType
{
    private static int s_count;

    private readonly Func<ISavable>? _factory;
    private readonly Func<StateType[]> _structs;

    /// <param name="name">Stable name.</param>
    /// <param name="version">Of the code.</param>
    /// <param name="parent">The next savable class up.</param>
    /// <param name="isStruct">Whether values are part of what holds them.</param>
    /// <param name="factory">Makes an empty object; null for structs and abstract classes.</param>
    /// <param name="fields">Those of the class itself.</param>
    /// <param name="structs">The savable structs its fields hold.</param>
    public StateType(string name, int version, StateType? parent, bool isStruct, Func<ISavable>? factory, StateField[] fields, Func<StateType[]> structs)
    {
        Name = name;
        Version = version;
        Parent = parent;
        IsStruct = isStruct;
        Fields = fields;
        Level = parent is null ? 0 : parent.Level + 1;
        Number = Interlocked.Increment(ref s_count) - 1;
        _factory = factory;
        _structs = structs;
    }

    public string Name { get; }

    public int Version { get; }

    public StateType? Parent { get; }

    public bool IsStruct { get; }

    public IReadOnlyList<StateField> Fields { get; }

    /// <summary>How many savable classes are above it.</summary>
    public int Level { get; }

    /// <summary>Unique and small within the process; never saved.</summary>
    internal int Number { get; }

    internal bool CanCreate => _factory is not null;

    internal IReadOnlyList<StateType> Structs => _structs();

    internal ISavable Create() => _factory!();
}

/// <summary>The types a program can restore, by stable name. Filled by the generated <c>SavableTypes.Register</c> of each assembly.</summary>
public sealed class SavableRegistry
{
    private readonly Dictionary<string, StateType> _types = [];

    public IReadOnlyCollection<StateType> Types => _types.Values;

    /// <summary>Adds a type; two types of one name are an error in the program.</summary>
    public void Add(StateType type)
    {
        if (!_types.TryAdd(type.Name, type) && !ReferenceEquals(_types[type.Name], type))
            throw new InvalidOperationException($"two savable types are named {type.Name}");
    }

    /// <summary>The type of a stable name, or null.</summary>
    public StateType? Find(string name) => _types.GetValueOrDefault(name);
}
