namespace Snapshot.State;

/// <summary>Restores what <see cref="StateWriter"/> saved. First all objects are made, then their fields are read, then those that ask for it
/// are woken in phases. Whatever is wrong with the image is an <see cref="InvalidImageException"/>; nothing in it chooses code to run
/// but the stable names of registered types.</summary>
public sealed class StateReader
{
    private readonly MessagePackReader _input;
    private readonly StateSchema _schema;
    private readonly StateLimits _limits;
    private readonly StateType?[] _types;
    private readonly int[]?[] _levels;
    private readonly ISavable[] _objects;
    private readonly Dictionary<StateType, int> _versions = [];
    private bool _absent;
    private int _version;
    private int _depth;

    private StateReader(ReadOnlyMemory<byte> image, SavableRegistry registry, StateLimits limits)
    {
        _limits = limits;
        _input = new MessagePackReader(image);
        _schema = StateSchema.Read(_input, limits);
        _types = new StateType?[_schema.Types.Count];
        _levels = new int[]?[_types.Length];
        for (int i = 0; i < _types.Length; i++)
            _types[i] = Match(_schema.Types[i], registry);
        _objects = new ISavable[_schema.ObjectTypes.Length];
    }

    /// <summary>Where generated code reads the values of fields.</summary>
    public MessagePackReader Input => _input;

    /// <summary>All objects of the image; the first is the root.</summary>
    public IReadOnlyList<ISavable> Objects => _objects;

    /// <summary>Reads and wakes everything; the root must be a <typeparamref name="T"/>.</summary>
    public static T Load<T>(ReadOnlyMemory<byte> image, SavableRegistry registry, IRestoreContext context)
        where T : class
    {
        StateReader reader = Read(image, registry);
        T root = reader.Root<T>();
        foreach (RestorePhase phase in (ReadOnlySpan<RestorePhase>)[RestorePhase.Host, RestorePhase.Links, RestorePhase.Activation])
            reader.RunPhase(phase, context);
        return root;
    }

    /// <summary>Makes all objects and reads their fields; no phase has been run.</summary>
    public static StateReader Read(ReadOnlyMemory<byte> image, SavableRegistry registry, StateLimits? limits = null)
    {
        var reader = new StateReader(image, registry, limits ?? StateLimits.Default);
        reader.MakeObjects();
        reader.ReadFields();
        return reader;
    }

    /// <summary>The object that was given to the writer.</summary>
    public T Root<T>()
        where T : class => _objects[0] as T ?? throw new InvalidImageException($"the root of the kernel state is a {_objects[0].StateType.Name}");

    /// <summary>Calls <see cref="IAfterLoad.AfterLoad"/> of all objects, in the order of the image. What one throws makes the image invalid.</summary>
    public void RunPhase(RestorePhase phase, IRestoreContext context)
    {
        for (int i = 0; i < _objects.Length; i++)
        {
            if (_objects[i] is not IAfterLoad target)
                continue;
            try
            {
                target.AfterLoad(phase, context);
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                throw new InvalidImageException($"object {i} ({_objects[i].StateType.Name}) does not restore in phase {phase}: {e.Message}", e);
            }
        }
    }

    /// <summary>Called by generated code at the start of a class's or struct's fields: their number.</summary>
    /// <param name="version">The version of the class in the image; 0 when the image knows no such class.</param>
    public int BeginFields(out int version)
    {
        version = _version;
        return _absent ? 0 : _input.ReadMapHeader();
    }

    /// <summary>The version of a struct in the image.</summary>
    public int VersionOf(StateType type) => _versions.GetValueOrDefault(type);

    /// <summary>A reference that cannot be null.</summary>
    public T ReadReference<T>()
        where T : class
    {
        ulong number = _input.ReadUInt64();
        if (number < (ulong)_objects.Length && _objects[number] is T target)
            return target;
        throw BadReference(number, typeof(T));
    }

    public T? ReadReferenceOrNull<T>()
        where T : class => _input.TryReadNil() ? null : ReadReference<T>();

    /// <summary>An array of a size the header reader has checked.</summary>
    public static T[] NewArray<T>(int length) => length == 0 ? [] : new T[length];

    /// <summary>Guards the stack when structs hold collections of structs.</summary>
    public void Enter()
    {
        if (++_depth > _limits.MaxDepth)
            throw new InvalidImageException("structs are nested too deeply");
    }

    public void Leave() => _depth--;

    /// <summary>Called by generated code when a field that cannot be null was not in the image.</summary>
    public static void ThrowMissing(string type, string field) => throw new InvalidImageException($"{field} of {type} is missing");

    /// <summary>Called by generated code for the second of two equal keys.</summary>
    public static void ThrowDuplicate() => throw new InvalidImageException("a set or dictionary has the same key twice");

    private static bool IsInteger(string wire) => wire is "i8" or "i16" or "i32" or "i64" or "u8" or "u16" or "u32" or "u64" or "char";

    private StateType? Match(StateSchemaType image, SavableRegistry registry)
    {
        StateType? type = registry.Find(image.Name);
        if (type is null)
            return null;
        if (type.IsStruct != image.IsStruct)
            throw new InvalidImageException($"type {image.Name} is a {(image.IsStruct ? "struct" : "class")} in the image and not here");
        if (image.Version > type.Version || image.Version < 1)
            throw new InvalidImageException($"the image is of a newer release: it has version {image.Version} of {image.Name}, this program knows {type.Version}");
        foreach (StateField field in type.Fields)
        {
            foreach (StateField saved in image.Fields)
            {
                if (saved.Tag == field.Tag && saved.Wire != field.Wire && !(IsInteger(saved.Wire) && IsInteger(field.Wire)))
                    throw new InvalidImageException($"{field.Name} of {image.Name} is {saved.Wire} in the image and {field.Wire} here");
            }
        }

        _versions[type] = image.Version;
        return type;
    }

    private void MakeObjects()
    {
        for (int i = 0; i < _objects.Length; i++)
        {
            int index = _schema.ObjectTypes[i];
            if (_types[index] is not { CanCreate: true } type)
                throw new InvalidImageException($"object {i} is of type {_schema.Types[index].Name}, which this program does not know");
            _objects[i] = type.Create();
        }
    }

    private void ReadFields()
    {
        int i = 0;
        try
        {
            for (; i < _objects.Length; i++)
                ReadObject(_objects[i], _schema.ObjectTypes[i]);
        }
        catch (InvalidImageException e)
        {
            throw new InvalidImageException($"object {i} ({_objects[i].StateType.Name}): {e.Message}", e);
        }

        if (!_input.IsAtEnd)
            throw new InvalidImageException($"{_input.Remaining} bytes follow the kernel state");
    }

    /// <summary>Classes that the image has and the program has not are passed over; those that only the program has keep their initial values.</summary>
    private void ReadObject(ISavable target, int typeIndex)
    {
        int[] chain = _schema.Chain(typeIndex);
        int[] levels = _levels[typeIndex] ??= Levels(target.StateType, chain);
        _input.ReadArrayHeader(chain.Length);
        int next = 0;
        for (int i = 0; i < chain.Length; i++)
        {
            int level = levels[i];
            if (level < 0)
            {
                _input.Skip();
                continue;
            }

            LoadAbsent(target, next, level);
            _version = _schema.Types[chain[i]].Version;
            target.LoadState(this, level);
            next = level + 1;
        }

        LoadAbsent(target, next, target.StateType.Level + 1);
    }

    private void LoadAbsent(ISavable target, int from, int to)
    {
        if (from >= to)
            return;
        _absent = true;
        _version = 0;
        for (int level = from; level < to; level++)
            target.LoadState(this, level);
        _absent = false;
    }

    private int[] Levels(StateType type, int[] chain)
    {
        int[] levels = new int[chain.Length];
        int last = -1;
        for (int i = 0; i < chain.Length; i++)
        {
            levels[i] = -1;
            for (StateType? mine = type; mine is not null; mine = mine.Parent)
            {
                if (ReferenceEquals(_types[chain[i]], mine))
                    levels[i] = mine.Level;
            }

            if (levels[i] >= 0 && levels[i] <= last)
                throw new InvalidImageException($"the base classes of {type.Name} are in another order in the image");
            last = Math.Max(last, levels[i]);
        }

        return levels;
    }

    private InvalidImageException BadReference(ulong number, Type wanted) => new(number >= (ulong)_objects.Length
        ? $"there is a reference to object {number} of {_objects.Length}"
        : $"a reference to object {number} meets a {_objects[number].StateType.Name} instead of a {wanted.Name}");
}
