using System.Buffers;

namespace Snapshot.State;

/// <summary>Saves a graph of savable objects (docs/image-format.md, "Kernel state"). Each object is written once and referred to by number,
/// so cycles are nothing special; a list of what is still to be written takes the place of recursion.</summary>
public sealed class StateWriter
{
    internal const string Magic = "snapshot-state";
    internal const int FormatVersion = 1;

    private static int s_saves;

    private readonly int _save = Interlocked.Increment(ref s_saves);
    private readonly MessagePackWriter _output = new(64 << 10);
    private readonly List<ISavable> _objects = [];
    private readonly List<StateType> _types = [];
    private readonly List<int> _objectTypes = [];
    private int[] _indexOfType = new int[64];
    private int _depth;

    private StateWriter()
    {
    }

    /// <summary>Where generated code writes the values of fields.</summary>
    public MessagePackWriter Output => _output;

    /// <summary>The state of everything that can be reached from <paramref name="root"/>. Nothing in it may change meanwhile.</summary>
    /// <exception cref="InvalidOperationException">A bug in the program: null where a field cannot be null, an object that is not savable.</exception>
    public static byte[] Save(ISavable root)
    {
        var writer = new StateWriter();
        MessagePackWriter head = writer.WriteAll(root);
        byte[] image = new byte[head.Length + writer._output.Length];
        head.Written.CopyTo(image);
        writer._output.Written.CopyTo(image.AsSpan(head.Length));
        return image;
    }

    public static void Save(ISavable root, IBufferWriter<byte> destination)
    {
        var writer = new StateWriter();
        MessagePackWriter head = writer.WriteAll(root);
        destination.Write(head.Written);
        destination.Write(writer._output.Written);
    }

    /// <summary>Writes a reference that cannot be null.</summary>
    public void WriteReference(ISavable target)
    {
        if (target is null)
            throw new InvalidOperationException("a collection that is to be saved holds null where its type says it cannot");
        _output.Write((ulong)NumberOf(target));
    }

    public void WriteReferenceOrNull(ISavable? target)
    {
        if (target is null)
            _output.WriteNil();
        else
            _output.Write((ulong)NumberOf(target));
    }

    /// <summary>For fields whose type is an interface: what they hold must be savable.</summary>
    public void WriteAny(object? target)
    {
        if (target is not null and not ISavable)
            throw new InvalidOperationException($"{target.GetType()} is to be saved and is not savable");
        WriteReferenceOrNull((ISavable?)target);
    }

    /// <summary>Guards the stack when structs hold collections of structs.</summary>
    public void Enter()
    {
        if (++_depth > StateLimits.Default.MaxDepth)
            throw new InvalidOperationException("structs are nested too deeply to be saved");
    }

    public void Leave() => _depth--;

    /// <summary>Called by generated code for a field that is null and must not be.</summary>
    public static void ThrowNull(string type, string field) =>
        throw new InvalidOperationException($"{field} of {type} is null where its type says it cannot, so it would not restore");

    private MessagePackWriter WriteAll(ISavable root)
    {
        ArgumentNullException.ThrowIfNull(root);
        NumberOf(root);
        for (int i = 0; i < _objects.Count; i++)
        {
            ISavable target = _objects[i];
            StateType type = target.StateType;
            if (!type.CanCreate)
                throw new InvalidOperationException($"{target.GetType()} is to be saved and is not savable, only its base class {type.Name}");
            _objectTypes.Add(IndexOf(type));
            _output.WriteArrayHeader(type.Level + 1);
            target.SaveState(this);
        }

        return MakeHead();
    }

    private MessagePackWriter MakeHead()
    {
        var head = new MessagePackWriter(16 << 10);
        head.WriteArrayHeader(5);
        head.Write(Magic);
        head.Write((long)FormatVersion);
        head.WriteArrayHeader(_types.Count);
        foreach (StateType type in _types)
        {
            head.WriteArrayHeader(5);
            head.Write(type.Name);
            head.Write((long)type.Version);
            head.Write(type.IsStruct);
            if (type.Parent is null)
                head.WriteNil();
            else
                head.Write((long)IndexOf(type.Parent));
            head.WriteArrayHeader(type.Fields.Count);
            foreach (StateField field in type.Fields)
            {
                head.WriteArrayHeader(3);
                head.Write((long)field.Tag);
                head.Write(field.Name);
                head.Write(field.Wire);
            }
        }

        head.WriteArrayHeader(_objectTypes.Count);
        foreach (int type in _objectTypes)
            head.Write((long)type);
        head.WriteArrayHeader(_objects.Count);
        return head;
    }

    private int IndexOf(StateType type)
    {
        int number = type.Number;
        if (number < _indexOfType.Length && _indexOfType[number] != 0)
            return _indexOfType[number] - 1;
        if (type.Parent is not null)
            IndexOf(type.Parent);
        if (number >= _indexOfType.Length)
            Array.Resize(ref _indexOfType, Math.Max(number + 1, 2 * _indexOfType.Length));
        int index = _types.Count;
        _types.Add(type);
        _indexOfType[number] = index + 1;
        foreach (StateType inner in type.Structs)
            IndexOf(inner);
        return index;
    }

    /// <summary>Objects carry their number themselves, under the number of the save it belongs to: a table would take most of a save's time.</summary>
    private int NumberOf(ISavable target)
    {
        ref SaveMark mark = ref target.SaveMark;
        if (mark.Save == _save)
            return mark.Number;
        int number = _objects.Count;
        _objects.Add(target);
        mark.Save = _save;
        mark.Number = number;
        return number;
    }
}
