using Tests.Netstack.Simulation;

namespace Tests.Netstack.Links;

public sealed class PcapWriterTests
{
    [Fact]
    public void Write_FileHeaderAndRecords_AreThoseOfTheFormat()
    {
        using var stream = new MemoryStream();
        var writer = new PcapWriter(stream);
        writer.Write(1_700_000_000_123_456_789, [1, 2, 3]);
        writer.Flush();
        Assert.Equal("4d3cb2a1" + "02000400" + "00000000" + "00000000" + "00000400" + "01000000"
            + "00f15365" + "15cd5b07" + "03000000" + "03000000" + "010203", Convert.ToHexStringLower(stream.ToArray()));
    }

    [Theory]
    [InlineData(5)]
    [InlineData(60)]
    [InlineData(120)]
    [InlineData(1000)]
    public void Write_PacketOfPieces_IsCutToTheSnapLength(int snap)
    {
        byte[] data = Sockets.Pattern(150);
        Packet packet = Packet.Create(50);
        data.AsSpan(0, 50).CopyTo(packet.Append(50));
        packet.Append(data.AsMemory(50, 50));
        packet.Append(data.AsMemory(100, 50));
        using var whole = new MemoryStream();
        using var pieces = new MemoryStream();
        new PcapWriter(whole, snap).Write(5, data);
        new PcapWriter(pieces, snap).Write(5, packet);
        Assert.Equal(whole.ToArray(), pieces.ToArray());
        Assert.Equal(24 + 16 + Math.Min(snap, 150), pieces.Length);
        Assert.Equal(150, BitConverter.ToInt32(pieces.ToArray(), 36));
    }
}
