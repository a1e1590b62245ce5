namespace Tests.State;

public sealed class HostileImageTests
{
    private static readonly byte[] Image = StateWriter.Save(Small());

    private static Everything Small()
    {
        Everything everything = RoundTripTests.MakeEverything();
        everything.Strings = ["x", null, "\udc00"];
        return everything;
    }

    private static void Try(byte[] image)
    {
        try
        {
            StateReader.Load<Everything>(image, Context.Registry, new Context());
        }
        catch (InvalidImageException e)
        {
            Assert.DoesNotContain('\n', e.Message);
        }

        try
        {
            StateDocument.Read(image).Dump(TextWriter.Null);
        }
        catch (InvalidImageException)
        {
        }
    }

    [Fact]
    public void Load_BytesFlipped_SucceedsOrIsInvalidImage()
    {
        var random = new Random(1);
        for (int i = 0; i < 4000; i++)
        {
            byte[] image = (byte[])Image.Clone();
            for (int flips = random.Next(1, 4); flips > 0; flips--)
                image[random.Next(image.Length)] = (byte)random.Next(256);
            Try(image);
        }
    }

    [Fact]
    public void Load_Truncated_IsInvalidImage()
    {
        for (int length = 0; length < Image.Length; length++)
        {
            byte[] image = Image[..length];
            Assert.Throws<InvalidImageException>(() => StateReader.Read(image, Context.Registry));
            Assert.Throws<InvalidImageException>(() => StateDocument.Read(image));
        }
    }

    [Fact]
    public void Load_BytesAppended_IsInvalidImage() => Assert.Throws<InvalidImageException>(() => StateReader.Read((byte[])[.. Image, 0xc0], Context.Registry));

    [Fact]
    public void Load_Spliced_SucceedsOrIsInvalidImage()
    {
        var random = new Random(2);
        for (int i = 0; i < 1000; i++)
        {
            int from = random.Next(Image.Length), to = random.Next(Image.Length), length = random.Next(64);
            byte[] image = [.. Image[..to], .. Image[from..Math.Min(Image.Length, from + length)], .. Image[Math.Min(Image.Length, to + random.Next(64))..]];
            Try(image);
        }
    }

    [Theory]
    [InlineData(new byte[] { 0xdd, 0x7f, 0xff, 0xff, 0xff })]
    [InlineData(new byte[] { 0xdd, 0xff, 0xff, 0xff, 0xff })]
    [InlineData(new byte[] { 0xdc, 0xff, 0xff })]
    public void ReadArrayHeader_MoreThanBytesLeft_IsInvalidImage(byte[] bytes) => Assert.Throws<InvalidImageException>(() => new MessagePackReader(bytes).ReadArrayHeader());

    [Theory]
    [InlineData(new byte[] { 0xdf, 0x7f, 0xff, 0xff, 0xff })]
    [InlineData(new byte[] { 0x81, 0xc0 })]
    public void ReadMapHeader_MoreThanBytesLeft_IsInvalidImage(byte[] bytes) => Assert.Throws<InvalidImageException>(() => new MessagePackReader(bytes).ReadMapHeader());

    [Fact]
    public void Skip_DeeplyNested_NeedsNoStack()
    {
        byte[] bytes = new byte[1_000_001];
        Array.Fill(bytes, (byte)0x91);
        bytes[^1] = 0xc0;
        var reader = new MessagePackReader(bytes);
        reader.Skip();
        Assert.True(reader.IsAtEnd);
    }

    [Fact]
    public void Load_StructsNestedTooDeeply_IsInvalidImage()
    {
        var tree = new Tree { Value = 1 };
        for (int i = 0; i < 60; i++)
            tree = new Tree { Children = [tree] };
        byte[] image = StateWriter.Save(new Everything { Tree = tree });
        StateReader.Read(image, Context.Registry);
        Assert.Throws<InvalidImageException>(() => StateReader.Read(image, Context.Registry, new StateLimits { MaxDepth = 16 }));
        for (int i = 0; i < 10; i++)
            tree = new Tree { Children = [tree] };
        Assert.Throws<InvalidOperationException>(() => StateWriter.Save(new Everything { Tree = tree }));
    }

    [Fact]
    public void Load_MoreObjectsThanLimit_IsInvalidImage() =>
        Assert.Throws<InvalidImageException>(() => StateReader.Read(Image, Context.Registry, new StateLimits { MaxObjects = 2 }));

    [Fact]
    public void Load_ReferenceToWrongType_IsInvalidImage()
    {
        // Swaps every 1 and 2 in turn, among them the references to a Square and a Node.
        byte[] image = StateWriter.Save(new Everything { Shape = new Square(1, 1), Any = new Node(5) });
        byte[] wrong = (byte[])image.Clone();
        int changed = 0;
        for (int i = 0; i < image.Length; i++)
        {
            if (image[i] is not (1 or 2))
                continue;
            wrong[i] = (byte)(3 - image[i]);
            Try(wrong);
            wrong[i] = image[i];
            changed++;
        }

        Assert.True(changed > 2);
    }
}
