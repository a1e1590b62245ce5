namespace Tests.State;

public sealed class StateDocumentTests
{
    [Fact]
    public void Read_AnyImage_ShowsTypesFieldsAndValues()
    {
        StateDocument document = StateDocument.Read(StateWriter.Save(RoundTripTests.MakeEverything()));

        Assert.Equal("test-everything", document.TypeOf(0));
        StateObject root = document[0];
        Assert.Equal("true", root["Boolean"]!.ToString());
        Assert.Equal(long.MinValue, ((StateScalar)root["Long"]!).Value);
        Assert.Equal(ulong.MaxValue, ((StateScalar)root["ULong"]!).Value);
        Assert.Equal("null", root["NoText"]!.ToString());
        Assert.Equal("[[1], [], [2, 3]]", root["Jagged"]!.ToString());
        Assert.Equal("3 bytes 0001ff", root["Bytes"]!.ToString());
        Assert.Equal("{\"k\": [1, 2], \"\": []}", root["Map"]!.ToString());
        Assert.Equal("test-point (X: 3, Y: 4, Label: \"p\")", root["Point"]!.ToString());
        Assert.Equal("test-square", ((StateReference)root["Shape"]!).Type);
        Assert.Equal(document.Types.Count, document.Types.Select(t => t.Name).Distinct().Count());
    }

    [Fact]
    public void Dump_ObjectWithBaseClass_NamesBothLevels()
    {
        var text = new StringWriter();
        StateDocument.Read(StateWriter.Save(new Square(4, 5))).Dump(text);

        Assert.Equal("#0 test-square v1\n    test-shape._id = 4\n    _side = 5\n", text.ToString());
    }
}
