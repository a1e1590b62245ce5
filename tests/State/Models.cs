namespace Tests.State;

public enum Colour : byte
{
    Red = 1,
    Green = 200,
}

public interface IShape
{
    int Area { get; }
}

public readonly record struct Plain(int A, string? B);

[Savable("test-point")]
public partial struct Point
{
    [Saved(1)] public int X;
    [Saved(2)] public readonly long Y;
    [Saved(3)] public string? Label { get; init; }

    [NotSaved("a cache")] public int Cached;

    public Point(int x, long y)
    {
        X = x;
        Y = y;
    }
}

[Savable("test-record")]
public sealed partial record class Pair([property: Saved(1)] int First, [property: Saved(2)] string Second);

[Savable("test-tree")]
public partial struct Tree
{
    [Saved(1)] public int Value;
    [Saved(2)] public List<Tree>? Children;
}

[Savable("test-node")]
public sealed partial class Node
{
    [Saved(1)] public Node? Next;
    [Saved(2)] public Node? Other;
    [Saved(3)] public int Value;
    [NotSaved("made by its initializer")] public readonly List<int> Initialized = [7];
    [NotSaved("set by a constructor only")] public int FromConstructor;

    public Node(int value)
    {
        Value = value;
        FromConstructor = 1;
    }
}

[Savable("test-shape")]
public abstract partial class Shape : IShape
{
    [Saved(1)] private int _id;

    protected Shape(int id) => _id = id;

    public int Id => _id;

    public abstract int Area { get; }
}

[Savable("test-square")]
public sealed partial class Square : Shape
{
    [Saved(1)] private int _side;

    public Square(int id, int side)
        : base(id) => _side = side;

    public override int Area => _side * _side;
}

[Savable("test-named-square")]
public partial class Named : Shape
{
    [Saved(1)] public string Name { get; set; } = "initial";

    public Named(int id)
        : base(id)
    {
    }

    public override int Area => 0;
}

[Savable("test-doubly-named")]
public sealed partial class DoublyNamed : Named
{
    [Saved(1)] public required string Second { get; init; }

    public DoublyNamed(int id)
        : base(id)
    {
    }
}

[Savable("test-everything")]
public sealed partial class Everything
{
    [Saved(1)] public bool Boolean;
    [Saved(2)] public sbyte SByte;
    [Saved(3)] public short Short;
    [Saved(4)] public int Int;
    [Saved(5)] public long Long;
    [Saved(6)] public byte Byte;
    [Saved(7)] public ushort UShort;
    [Saved(8)] public uint UInt;
    [Saved(9)] public ulong ULong;
    [Saved(10)] public float Float;
    [Saved(11)] public double Double;
    [Saved(12)] public char Char;
    [Saved(13)] public Colour Colour;
    [Saved(14)] public string Text = "";
    [Saved(15)] public string? NoText = "initial";
    [Saved(16)] public byte[] Bytes = [];
    [Saved(17)] public int[]? Ints;
    [Saved(18)] public int[][] Jagged = [];
    [Saved(19)] public string?[] Strings = [];
    [Saved(20)] public List<Node> Nodes = [];
    [Saved(21)] public Queue<int> Queue = new();
    [Saved(22)] public Stack<string> Stack = new();
    [Saved(23)] public HashSet<Node> Set = [];
    [Saved(24)] public SortedSet<long> Sorted = [];
    [Saved(25)] public Dictionary<string, List<int>> Map = [];
    [Saved(26)] public SortedDictionary<int, Node> Index = [];
    [Saved(27)] public int? Maybe;
    [Saved(28)] public Point? MaybePoint;
    [Saved(29)] public (int A, string? B, Node? C) Tuple;
    [Saved(30)] public Point Point;
    [Saved(31)] public Point[] Points = [];
    [Saved(32)] public IShape? Shape;
    [Saved(33)] public object? Any;
    [Saved(34)] public Plain Plain;
    [Saved(35)] public Tree Tree;
    [Saved(36)] public Dictionary<(int, int), Point> Grid = [];
    [Saved(37)] public List<Shape> Shapes = [];
    [Saved(38)] public int Init { get; init; }

    [field: Saved(39)] public string Marked { get; private set; } = "";

    [Saved(40)] public Shape?[] Slots = new Shape?[2];
    [Saved(41)] public Dictionary<Node, Node?> Links = [];
    [Saved(42)] public ReadOnlyMemory<byte> Slice;
    [Saved(43)] public List<ReadOnlyMemory<byte>>? Slices;

    public Everything()
    {
    }

    public void Mark(string value) => Marked = value;
}

[Savable("test-woken")]
public sealed partial class Woken : IAfterLoad
{
    [Saved(1)] public Woken? Next;
    [Saved(2)] public bool Fails;
    [NotSaved("what the test looks at")] public List<RestorePhase> Phases = [];

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (Fails)
            throw new InvalidOperationException("two\nlines");
        Phases.Add(phase);
        context.Get<List<Woken>>().Add(this);
    }
}

/// <summary>What a later release of "test-old" would be.</summary>
[Savable("test-migrated", Version = 3)]
public sealed partial class Migrated
{
    [Saved(1)] public long Value;
    [Saved(3, Since = 2)] public int Added = 42;
    [Saved(4, Since = 3)] public string Text;
    [NotSaved("what the test looks at")] public int From = -1;

    public Migrated(string text) => Text = text;

    partial void OnMigrate(int fromVersion)
    {
        From = fromVersion;
        Text ??= "migrated";
    }
}

[Savable("test-restored-base")]
public partial class LateBase
{
    [Saved(1)] public int InBase = 5;
}

[Savable("test-with-late-base")]
public sealed partial class WithLateBase : LateBase
{
    [Saved(1)] public int Own;
}

public sealed class Context(params object[] services) : IRestoreContext
{
    public static SavableRegistry Registry { get; } = MakeRegistry();

    public T Get<T>()
        where T : class => services.OfType<T>().First();

    private static SavableRegistry MakeRegistry()
    {
        var registry = new SavableRegistry();
        SavableTypes.Register(registry);
        return registry;
    }

    public static T RoundTrip<T>(T root)
        where T : class, ISavable => StateReader.Load<T>(StateWriter.Save(root), Registry, new Context());
}
