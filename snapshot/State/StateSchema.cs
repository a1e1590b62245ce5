namespace Snapshot.State;

/// <summary>A type as an image describes it.</summary>
/// <param name="Name">Stable name.</param>
/// <param name="Version">Of the code that made the image.</param>
/// <param name="IsStruct">Whether its values are written where they are held.</param>
/// <param name="Parent">Index of the next savable class up, always below the type's own; -1 for none.</param>
/// <param name="Fields">Those of the class itself.</param>
public sealed record StateSchemaType(string Name, int Version, bool IsStruct, int Parent, IReadOnlyList<StateField> Fields);

/// <summary>The part of an image before its objects: what it is, and what it is made of.</summary>
internal sealed class StateSchema
{
    private readonly List<StateSchemaType> _types = [];
    private readonly List<int[]> _chains = [];

    private StateSchema(int[] objectTypes) => ObjectTypes = objectTypes;

    public IReadOnlyList<StateSchemaType> Types => _types;

    /// <summary>For each object, the index of its type.</summary>
    public int[] ObjectTypes { get; private set; }

    /// <summary>The savable classes of a type, from the root of its hierarchy down.</summary>
    public int[] Chain(int type) => _chains[type];

    /// <summary>Reads up to the first object.</summary>
    public static StateSchema Read(MessagePackReader input, StateLimits limits)
    {
        if (input.Remaining > limits.MaxBytes)
            throw new InvalidImageException($"the kernel state has {input.Remaining} bytes, more than the limit of {limits.MaxBytes}");
        if (input.Remaining == 0 || input.NextType != MessagePackType.Array || input.ReadArrayHeader() != 5
            || input.NextType != MessagePackType.String || input.ReadString() != StateWriter.Magic)
            throw new InvalidImageException("this is not the state of a kernel");
        int format = input.ReadInt32();
        if (format != StateWriter.FormatVersion)
            throw new InvalidImageException($"the kernel state has format {format}; this program reads {StateWriter.FormatVersion}");

        var schema = new StateSchema([]);
        schema.ReadTypes(input, limits);
        int objects = input.ReadArrayHeader();
        if (objects == 0 || objects > limits.MaxObjects)
            throw new InvalidImageException($"the kernel state has {objects} objects; 1 to {limits.MaxObjects} can be read");
        int[] types = new int[objects];
        for (int i = 0; i < objects; i++)
        {
            int type = input.ReadInt32();
            if ((uint)type >= (uint)schema._types.Count || schema._types[type].IsStruct)
                throw new InvalidImageException($"object {i} is of type {type}, which is no class of the schema");
            types[i] = type;
        }

        schema.ObjectTypes = types;
        input.ReadArrayHeader(objects);
        return schema;
    }

    private void ReadTypes(MessagePackReader input, StateLimits limits)
    {
        int count = input.ReadArrayHeader();
        if (count > limits.MaxTypes)
            throw new InvalidImageException($"the kernel state has {count} types, more than the limit of {limits.MaxTypes}");
        var names = new HashSet<string>();
        for (int i = 0; i < count; i++)
        {
            input.ReadArrayHeader(5);
            string name = input.ReadString();
            int version = input.ReadInt32();
            bool isStruct = input.ReadBoolean();
            int parent = input.TryReadNil() ? -1 : input.ReadInt32();
            if (parent < -1 || parent >= i || (parent >= 0 && (isStruct || _types[parent].IsStruct)))
                throw new InvalidImageException($"type {name} has type {parent} as its base");
            if (!names.Add(name))
                throw new InvalidImageException($"type {name} is there twice");
            var fields = new StateField[input.ReadArrayHeader()];
            for (int f = 0; f < fields.Length; f++)
            {
                input.ReadArrayHeader(3);
                fields[f] = new StateField(input.ReadInt32(), input.ReadString(), input.ReadString());
            }

            _types.Add(new StateSchemaType(name, version, isStruct, parent, fields));
            int[] chain = parent < 0 ? [i] : [.. _chains[parent], i];
            if (chain.Length > limits.MaxDepth)
                throw new InvalidImageException($"type {name} is derived too often");
            _chains.Add(chain);
        }
    }
}
