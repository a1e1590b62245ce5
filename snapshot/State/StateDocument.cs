using System.Globalization;

namespace Snapshot.State;

/// <summary>Reads any image by its own schema, with none of the program's types: for inspection, comparison and forensics.</summary>
public sealed class StateDocument
{
    private readonly MessagePackReader _input;
    private readonly StateSchema _schema;
    private readonly StateLimits _limits;
    private readonly int[] _offsets;
    private readonly Dictionary<string, int> _typesByName = [];
    private readonly Dictionary<string, WireNotation> _notations = [];

    private StateDocument(ReadOnlyMemory<byte> image, StateLimits limits)
    {
        _limits = limits;
        _input = new MessagePackReader(image);
        _schema = StateSchema.Read(_input, limits);
        for (int i = 0; i < _schema.Types.Count; i++)
            _typesByName.Add(_schema.Types[i].Name, i);
        _offsets = new int[_schema.ObjectTypes.Length];
        for (int i = 0; i < _offsets.Length; i++)
        {
            _offsets[i] = _input.Position;
            _input.Skip();
        }

        if (!_input.IsAtEnd)
            throw new InvalidImageException($"{_input.Remaining} bytes follow the kernel state");
    }

    public IReadOnlyList<StateSchemaType> Types => _schema.Types;

    public int Count => _offsets.Length;

    public IEnumerable<StateObject> Objects => Enumerable.Range(0, Count).Select(i => this[i]);

    /// <summary>An object by number; 0 is the root.</summary>
    public StateObject this[int number]
    {
        get
        {
            int type = _schema.ObjectTypes[number];
            _input.Position = _offsets[number];
            int[] chain = _schema.Chain(type);
            _input.ReadArrayHeader(chain.Length);
            var fields = new List<StateFieldValue>();
            foreach (int level in chain)
                ReadFields(_schema.Types[level], fields, _limits.MaxDepth);
            return new StateObject(number, _schema.Types[type].Name, _schema.Types[type].Version, fields);
        }
    }

    /// <exception cref="InvalidImageException">It is not an image, or is damaged.</exception>
    public static StateDocument Read(ReadOnlyMemory<byte> image, StateLimits? limits = null) => new(image, limits ?? StateLimits.Default);

    /// <summary>The type name of an object, without reading the object.</summary>
    public string TypeOf(int number) => _schema.Types[_schema.ObjectTypes[number]].Name;

    /// <summary>Writes every object as text: a line with number, type and version, then a line per field.</summary>
    public void Dump(TextWriter to)
    {
        foreach (StateObject item in Objects)
        {
            to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"#{item.Number} {item.Type} v{item.Version}"));
            foreach (StateFieldValue field in item.Fields)
                to.WriteLine($"    {(field.Type == item.Type ? "" : field.Type + ".")}{field.Name} = {field.Value}");
        }
    }

    private void ReadFields(StateSchemaType type, List<StateFieldValue> fields, int depth)
    {
        int count = _input.ReadMapHeader();
        for (int i = 0; i < count; i++)
        {
            int tag = _input.ReadInt32();
            StateField field = type.Fields.FirstOrDefault(f => f.Tag == tag);
            StateValue value = field.Name is null ? ReadUntyped(depth) : ReadValue(NotationOf(field.Wire), depth);
            fields.Add(new StateFieldValue(type.Name, tag, field.Name ?? "?", value));
        }
    }

    private WireNotation NotationOf(string wire)
    {
        if (!_notations.TryGetValue(wire, out WireNotation? notation))
            _notations.Add(wire, notation = WireNotation.Parse(wire, _limits.MaxDepth));
        return notation;
    }

    private StateValue ReadValue(WireNotation wire, int depth)
    {
        if (depth == 0)
            throw new InvalidImageException("values are nested too deeply");
        if (_input.TryReadNil())
            return new StateNull();
        switch (wire.Name)
        {
            case "ref":
                ulong number = _input.ReadUInt64();
                if (number >= (ulong)Count)
                    throw new InvalidImageException($"there is a reference to object {number} of {Count}");
                return new StateReference((int)number, TypeOf((int)number));
            case "struct":
                if (!_typesByName.TryGetValue(wire.Struct!, out int type))
                    throw new InvalidImageException($"the schema does not have type {wire.Struct}");
                var fields = new List<StateFieldValue>();
                ReadFields(_schema.Types[type], fields, depth - 1);
                return new StateStruct(wire.Struct!, fields);
            case "array":
                var items = new StateValue[_input.ReadArrayHeader()];
                for (int i = 0; i < items.Length; i++)
                    items[i] = ReadValue(wire.Inner[0], depth - 1);
                return new StateList(items);
            case "tuple":
                _input.ReadArrayHeader(wire.Inner.Count);
                return new StateList([.. wire.Inner.Select(part => ReadValue(part, depth - 1))]);
            case "map":
                var pairs = new KeyValuePair<StateValue, StateValue>[_input.ReadMapHeader()];
                for (int i = 0; i < pairs.Length; i++)
                    pairs[i] = new(ReadValue(wire.Inner[0], depth - 1), ReadValue(wire.Inner[1], depth - 1));
                return new StateMap(pairs);
            default:
                return ReadUntyped(depth);
        }
    }

    private StateValue ReadUntyped(int depth)
    {
        if (depth == 0)
            throw new InvalidImageException("values are nested too deeply");
        switch (_input.NextType)
        {
            case MessagePackType.Nil:
                _input.TryReadNil();
                return new StateNull();
            case MessagePackType.Boolean:
                return new StateScalar(_input.ReadBoolean());
            case MessagePackType.Integer:
                return new StateScalar(_input.NextIsNegative ? _input.ReadInt64() : _input.ReadUInt64());
            case MessagePackType.Float:
                return new StateScalar(_input.ReadDouble());
            case MessagePackType.Binary:
                return new StateScalar(_input.ReadBytes());
            case MessagePackType.Array:
                var items = new StateValue[_input.ReadArrayHeader()];
                for (int i = 0; i < items.Length; i++)
                    items[i] = ReadUntyped(depth - 1);
                return new StateList(items);
            case MessagePackType.Map:
                var pairs = new KeyValuePair<StateValue, StateValue>[_input.ReadMapHeader()];
                for (int i = 0; i < pairs.Length; i++)
                    pairs[i] = new(ReadUntyped(depth - 1), ReadUntyped(depth - 1));
                return new StateMap(pairs);
            default:
                return new StateScalar(_input.ReadString());
        }
    }
}
