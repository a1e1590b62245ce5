namespace Tests.State;

public sealed class RestoreTests
{
    /// <summary>An image of one object, by hand.</summary>
    private static byte[] Image(Action<MessagePackWriter> schema, int type, Action<MessagePackWriter> body)
    {
        var w = new MessagePackWriter();
        w.WriteArrayHeader(5);
        w.Write("snapshot-state");
        w.Write(1L);
        schema(w);
        w.WriteArrayHeader(1);
        w.Write((long)type);
        w.WriteArrayHeader(1);
        body(w);
        return w.Written.ToArray();
    }

    private static void Type(MessagePackWriter w, string name, int version, int parent, params (int Tag, string Name, string Wire)[] fields)
    {
        w.WriteArrayHeader(5);
        w.Write(name);
        w.Write((long)version);
        w.Write(false);
        if (parent < 0)
            w.WriteNil();
        else
            w.Write((long)parent);
        w.WriteArrayHeader(fields.Length);
        foreach ((int tag, string fieldName, string wire) in fields)
        {
            w.WriteArrayHeader(3);
            w.Write((long)tag);
            w.Write(fieldName);
            w.Write(wire);
        }
    }

    private static byte[] Old(int version, params (int Tag, string Wire, Action<MessagePackWriter> Value)[] fields) => Image(
        w =>
        {
            w.WriteArrayHeader(1);
            Type(w, "test-migrated", version, -1, [.. fields.Select(f => (f.Tag, "f" + f.Tag, f.Wire))]);
        },
        0,
        w =>
        {
            w.WriteArrayHeader(1);
            w.WriteMapHeader(fields.Length);
            foreach ((int tag, _, Action<MessagePackWriter> value) in fields)
            {
                w.Write((long)tag);
                value(w);
            }
        });

    [Fact]
    public void Load_OlderVersion_KeepsInitialValuesAndMigrates()
    {
        Migrated now = StateReader.Load<Migrated>(Old(1, (1, "i32", w => w.Write(5L))), Context.Registry, new Context());

        Assert.Equal((5L, 42, "migrated", 1), (now.Value, now.Added, now.Text, now.From));
    }

    [Fact]
    public void Load_SameVersion_DoesNotMigrate() => Assert.Equal(-1, Context.RoundTrip(new Migrated("x")).From);

    [Fact]
    public void Load_UnknownTag_IsSkipped()
    {
        byte[] image = Old(2, (1, "i64", w => w.Write(5L)), (2, "array<map<i32,str>>", w =>
        {
            w.WriteArrayHeader(2);
            w.WriteMapHeader(1);
            w.Write(1L);
            w.Write("one");
            w.WriteNil();
        }
        ), (3, "i32", w => w.Write(6L)));

        Assert.Equal(6, StateReader.Load<Migrated>(image, Context.Registry, new Context()).Added);
    }

    [Fact]
    public void Load_NewerVersion_IsRefused()
    {
        var e = Assert.Throws<InvalidImageException>(() => StateReader.Read(Old(4), Context.Registry));
        Assert.Contains("newer release", e.Message);
    }

    [Fact]
    public void Load_FieldOfOtherType_IsRefused()
    {
        var e = Assert.Throws<InvalidImageException>(() => StateReader.Read(Old(1, (1, "str", w => w.Write("x"))), Context.Registry));
        Assert.Contains("is str in the image and i64 here", e.Message);
    }

    [Fact]
    public void Load_RequiredFieldMissing_IsRefused()
    {
        var e = Assert.Throws<InvalidImageException>(() => StateReader.Read(Old(3, (1, "i64", w => w.Write(1L))), Context.Registry));
        Assert.Contains("Text of test-migrated is missing", e.Message);
    }

    [Fact]
    public void Load_BaseClassThatImageDoesNotKnow_KeepsItsInitialValues()
    {
        byte[] image = Image(
            w =>
            {
                w.WriteArrayHeader(1);
                Type(w, "test-with-late-base", 1, -1, (1, "Own", "i32"));
            },
            0,
            w =>
            {
                w.WriteArrayHeader(1);
                w.WriteMapHeader(1);
                w.Write(1L);
                w.Write(8L);
            });

        WithLateBase now = StateReader.Load<WithLateBase>(image, Context.Registry, new Context());
        Assert.Equal((8, 5), (now.Own, now.InBase));
    }

    [Fact]
    public void Load_BaseClassThatProgramDoesNotKnow_IsSkipped()
    {
        byte[] image = Image(
            w =>
            {
                w.WriteArrayHeader(2);
                Type(w, "gone", 9, -1, (1, "Gone", "str"));
                Type(w, "test-restored-base", 1, 0, (1, "InBase", "i32"));
            },
            1,
            w =>
            {
                w.WriteArrayHeader(2);
                w.WriteMapHeader(1);
                w.Write(1L);
                w.Write("x");
                w.WriteMapHeader(1);
                w.Write(1L);
                w.Write(6L);
            });

        Assert.Equal(6, StateReader.Load<LateBase>(image, Context.Registry, new Context()).InBase);
    }

    [Fact]
    public void Load_UnknownType_IsRefused()
    {
        byte[] image = Image(
            w =>
            {
                w.WriteArrayHeader(1);
                Type(w, "never", 1, -1);
            },
            0,
            w =>
            {
                w.WriteArrayHeader(1);
                w.WriteMapHeader(0);
            });

        var e = Assert.Throws<InvalidImageException>(() => StateReader.Read(image, Context.Registry));
        Assert.Equal("object 0 is of type never, which this program does not know", e.Message);
    }

    [Fact]
    public void Load_RootOfOtherType_IsRefused() =>
        Assert.Throws<InvalidImageException>(() => StateReader.Load<Everything>(StateWriter.Save(new Node(1)), Context.Registry, new Context()));

    [Fact]
    public void Load_Phases_RunOverAllObjectsInOrder()
    {
        var order = new List<Woken>();
        Woken now = StateReader.Load<Woken>(StateWriter.Save(new Woken { Next = new Woken() }), Context.Registry, new Context(order));

        Assert.Equal([RestorePhase.Host, RestorePhase.Links, RestorePhase.Activation], now.Phases);
        Assert.Equal([now, now.Next!, now, now.Next!, now, now.Next!], order);
    }

    [Fact]
    public void Load_AfterLoadThrows_IsInvalidImageOnOneLine()
    {
        byte[] image = StateWriter.Save(new Woken { Fails = true });
        var e = Assert.Throws<InvalidImageException>(() => StateReader.Load<Woken>(image, Context.Registry, new Context()));
        Assert.DoesNotContain('\n', e.Message);
    }

    [Fact]
    public void Register_TwoTypesOfOneName_Throws()
    {
        var registry = new SavableRegistry();
        registry.Add(new StateType("x", 1, null, true, null, [], () => []));
        Assert.Throws<InvalidOperationException>(() => registry.Add(new StateType("x", 1, null, true, null, [], () => [])));
    }

    /// <summary>The image in golden/ was written by the first release and is never made anew: what it holds restores for ever.</summary>
    [Fact]
    public void Load_GoldenImage_ComesBack()
    {
        byte[] image = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "golden", "everything-1.state"));
        Everything now = StateReader.Load<Everything>(image, Context.Registry, new Context());

        Assert.Equal((true, long.MinValue, ulong.MaxValue, Colour.Green, "marked"), (now.Boolean, now.Long, now.ULong, now.Colour, now.Marked));
        Assert.Equal(256, now.Text.Length);
        Assert.Same(now.Nodes[0], now.Nodes[1].Next);
        Assert.Equal("\ud800lone", now.Strings[3]);
        Assert.Equal(3, now.Tree.Children![1].Value);
        Assert.Equal("second", ((DoublyNamed)now.Shapes[1]).Second);
        Assert.Equal([3, 9], now.Index.Keys);
        Assert.Equal("top", now.Stack.Peek());
    }
}
