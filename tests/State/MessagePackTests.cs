namespace Tests.State;

public sealed class MessagePackTests
{
    /// <summary>Borders of every form in the MessagePack specification.</summary>
    [Theory]
    [InlineData(0, "00")]
    [InlineData(127, "7f")]
    [InlineData(128, "cc80")]
    [InlineData(256, "cd0100")]
    [InlineData(65536, "ce00010000")]
    [InlineData(4294967296, "cf0000000100000000")]
    [InlineData(-1, "ff")]
    [InlineData(-32, "e0")]
    [InlineData(-33, "d0df")]
    [InlineData(-129, "d1ff7f")]
    [InlineData(-32769, "d2ffff7fff")]
    [InlineData(-2147483649, "d3ffffffff7fffffff")]
    public void Write_Integer_TakesShortestForm(long value, string hex)
    {
        var writer = new MessagePackWriter(1);
        writer.Write(value);

        Assert.Equal(hex, Convert.ToHexStringLower(writer.Written));
        Assert.Equal(value, new MessagePackReader(writer.Written.ToArray()).ReadInt64());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(65535)]
    [InlineData(65536)]
    public void Write_StringOfAnyLength_ComesBack(int length)
    {
        foreach (char c in "aé\ud800")
        {
            var writer = new MessagePackWriter(1);
            writer.Write(new string(c, length));
            var reader = new MessagePackReader(writer.Written.ToArray());
            Assert.Equal(new string(c, length), reader.ReadString());
            Assert.True(reader.IsAtEnd);
            reader = new MessagePackReader(writer.Written.ToArray());
            reader.Skip();
            Assert.True(reader.IsAtEnd);
        }
    }

    [Fact]
    public void Read_NumberOutOfRange_IsInvalidImage()
    {
        var writer = new MessagePackWriter();
        writer.Write(ulong.MaxValue);
        byte[] bytes = writer.Written.ToArray();
        Assert.Throws<InvalidImageException>(() => new MessagePackReader(bytes).ReadInt64());
        Assert.Throws<InvalidImageException>(() => new MessagePackReader(bytes).ReadInt32());
        Assert.Throws<InvalidImageException>(() => new MessagePackReader([0xff]).ReadUInt64());
        Assert.Throws<InvalidImageException>(() => new MessagePackReader([0xcd, 1, 0]).ReadByte());
    }

    [Fact]
    public void ReadString_InvalidUtf8_IsInvalidImage() => Assert.Throws<InvalidImageException>(() => new MessagePackReader([0xa2, 0xc3, 0x28]).ReadString());
}
