using System.Diagnostics;

namespace Tests.State;

public sealed class RoundTripTests
{
    public static Everything MakeEverything()
    {
        var a = new Node(1);
        var b = new Node(2) { Next = a };
        a.Next = b;
        var everything = new Everything
        {
            Boolean = true,
            SByte = -128,
            Short = short.MinValue,
            Int = int.MinValue,
            Long = long.MinValue,
            Byte = 255,
            UShort = ushort.MaxValue,
            UInt = uint.MaxValue,
            ULong = ulong.MaxValue,
            Float = 1.5f,
            Double = double.NegativeInfinity,
            Char = '\uffff',
            Colour = Colour.Green,
            Text = new string([.. Enumerable.Range(0, 256).Select(i => (char)i)]),
            NoText = null,
            Bytes = [0, 1, 255],
            Ints = [-1, 0, 127, 128, 65536, int.MaxValue],
            Jagged = [[1], [], [2, 3]],
            Strings = ["x", null, "", "\ud800lone", new string('é', 40), new string('z', 70000)],
            Nodes = [a, b, a],
            Queue = new([1, 2, 3]),
            Stack = new(["bottom", "top"]),
            Set = [a, b],
            Sorted = [5, -5],
            Map = new() { ["k"] = [1, 2], [""] = [] },
            Index = new() { [9] = a, [3] = b },
            Maybe = 0,
            MaybePoint = new Point(1, 2),
            Tuple = (4, null, b),
            Point = new Point(3, 4) { Label = "p", Cached = 9 },
            Points = [default, new Point(5, -6)],
            Shape = new Square(11, 5),
            Any = a,
            Plain = new Plain(6, "plain"),
            Tree = new Tree { Value = 1, Children = [new Tree { Value = 2 }, new Tree { Value = 3, Children = [new Tree()] }] },
            Grid = new() { [(1, 2)] = new Point(1, 2) },
            Shapes = [new Named(1) { Name = "named" }, new DoublyNamed(2) { Name = "first", Second = "second" }],
            Init = 17,
            Slots = [null, new Square(1, 1)],
            Links = new() { [a] = b, [b] = null },
            Slice = new byte[] { 1, 2, 3, 4 }.AsMemory(1, 2),
            Slices = [default, new byte[] { 5, 6 }.AsMemory(1)],
        };
        everything.Mark("marked");
        return everything;
    }

    [Fact]
    public void RoundTrip_EverySupportedType_ComesBack()
    {
        Everything was = MakeEverything();
        Everything now = Context.RoundTrip(was);

        Assert.Equal((was.Boolean, was.SByte, was.Short, was.Int, was.Long), (now.Boolean, now.SByte, now.Short, now.Int, now.Long));
        Assert.Equal((was.Byte, was.UShort, was.UInt, was.ULong), (now.Byte, now.UShort, now.UInt, now.ULong));
        Assert.Equal((was.Float, was.Double, was.Char, was.Colour), (now.Float, now.Double, now.Char, now.Colour));
        Assert.Equal(was.Text, now.Text);
        Assert.Null(now.NoText);
        Assert.Equal(was.Bytes, now.Bytes);
        Assert.Equal(was.Ints, now.Ints);
        Assert.Equal(was.Jagged, now.Jagged);
        Assert.Equal(was.Strings, now.Strings);
        Assert.Equal(was.Queue, now.Queue);
        Assert.Equal("top", now.Stack.Pop());
        Assert.Equal("bottom", now.Stack.Pop());
        Assert.Equal(was.Sorted, now.Sorted);
        Assert.Equal(was.Map["k"], now.Map["k"]);
        Assert.Empty(now.Map[""]);
        Assert.Equal([3, 9], now.Index.Keys);
        Assert.Equal((was.Maybe, was.Plain, was.Init, was.Marked), (now.Maybe, now.Plain, now.Init, now.Marked));
        Assert.Equal(2, now.MaybePoint!.Value.Y);
        Assert.Equal((3, 4L, "p", 0), (now.Point.X, now.Point.Y, now.Point.Label, now.Point.Cached));
        Assert.Equal(-6, now.Points[1].Y);
        Assert.Equal(25, now.Shape!.Area);
        Assert.Equal(3, now.Tree.Children![1].Value);
        Assert.Equal(1, now.Grid[(1, 2)].X);
        Assert.Equal("named", ((Named)now.Shapes[0]).Name);
        Assert.Equal(("first", "second", 2), (((DoublyNamed)now.Shapes[1]).Name, ((DoublyNamed)now.Shapes[1]).Second, now.Shapes[1].Id));
        Assert.Equal([2, 3], now.Slice.ToArray());
        Assert.Equal([0, 1], now.Slices!.Select(s => s.Length));
        Assert.Equal([6], now.Slices![1].ToArray());
        Assert.Null(now.Slots[0]);
        Assert.IsType<Square>(now.Slots[1]);
    }

    [Fact]
    public void RoundTrip_SharedObjects_StayOneObject()
    {
        Everything now = Context.RoundTrip(MakeEverything());

        Node a = now.Nodes[0];
        Assert.Same(a, now.Nodes[2]);
        Assert.Same(a, now.Any);
        Assert.Same(a, now.Index[9]);
        Assert.Same(now.Nodes[1], a.Next);
        Assert.Same(a, a.Next!.Next);
        Assert.Same(now.Nodes[1], now.Tuple.C);
        Assert.Contains(a, now.Set);
        Assert.Same(now.Nodes[1], now.Links[a]);
    }

    [Fact]
    public void RoundTrip_NotSavedFields_KeepTheirInitializers()
    {
        Node now = Context.RoundTrip(new Node(3));

        Assert.Equal([7], now.Initialized);
        Assert.Equal(0, now.FromConstructor);
    }

    [Fact]
    public void RoundTrip_ChainOfMillionObjects_NeedsNoStack()
    {
        var first = new Node(0);
        Node last = first;
        for (int i = 1; i < 1_000_000; i++)
            last = last.Next = new Node(i);

        Node now = Context.RoundTrip(first);

        int count = 1;
        for (; now.Next is not null; now = now.Next)
            count++;
        Assert.Equal(1_000_000, count);
        Assert.Equal(999_999, now.Value);
    }

    [Fact]
    public void RoundTrip_Record_IsEqualToItsOriginal()
    {
        var pair = new Pair(1, "two");

        Assert.Equal(pair, Context.RoundTrip(pair));
        Assert.Equal(pair, pair with { });
    }

    [Fact]
    public void Save_SameGraphTwice_GivesSameBytes() => Assert.Equal(StateWriter.Save(MakeEverything()), StateWriter.Save(MakeEverything()));

    [Fact]
    public void Save_NullInFieldThatCannotBe_NamesTheField()
    {
        var e = Assert.Throws<InvalidOperationException>(() => StateWriter.Save(new Everything { Text = null! }));
        Assert.Contains("Text of test-everything", e.Message);
    }

    [Fact]
    public void Save_NullInListThatCannotHoldIt_Throws() =>
        Assert.Throws<InvalidOperationException>(() => StateWriter.Save(new Everything { Nodes = [null!] }));

    [Fact]
    public void Save_InterfaceFieldWithObjectThatIsNotSavable_Throws() =>
        Assert.Throws<InvalidOperationException>(() => StateWriter.Save(new Everything { Any = "text" }));

    [Fact]
    public void Save_HundredThousandObjects_IsFast()
    {
        var root = new Everything();
        for (int i = 0; i < 100_000; i++)
            root.Nodes.Add(new Node(i) { Other = root.Nodes.Count > 0 ? root.Nodes[i / 2] : null });
        StateWriter.Save(root);
        long start = Stopwatch.GetTimestamp();
        byte[] image = StateWriter.Save(root);
        TimeSpan save = Stopwatch.GetElapsedTime(start);
        start = Stopwatch.GetTimestamp();
        StateReader.Read(image, Context.Registry);
        TimeSpan load = Stopwatch.GetElapsedTime(start);

        Assert.True(save < TimeSpan.FromSeconds(1) && load < TimeSpan.FromSeconds(1), $"save {save}, load {load}");
    }
}
