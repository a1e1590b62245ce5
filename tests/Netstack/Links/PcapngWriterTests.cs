using System.Buffers.Binary;
using Netstack.Links;

namespace Tests.Netstack.Links;

public sealed class PcapngWriterTests
{
    [Fact]
    public void Blocks_AreAlignedAndTellTheirLengthTwice()
    {
        MemoryStream file = new();
        PcapngWriter writer = new(file);
        int link = writer.AddInterface("eth0");
        byte[] frame = [1, 2, 3, 4, 5];
        writer.Write(link, 0x1_0000_0002, frame, outbound: true);
        ReadOnlySpan<byte> bytes = file.ToArray();
        List<uint> kinds = [];
        while (bytes.Length > 0)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(bytes[4..]);
            Assert.Equal(0, length % 4);
            Assert.Equal(length, BinaryPrimitives.ReadInt32LittleEndian(bytes[(length - 4)..]));
            kinds.Add(BinaryPrimitives.ReadUInt32LittleEndian(bytes));
            if (kinds[^1] == 6)
                Assert.Equal("00000000" + "01000000" + "02000000" + "05000000" + "05000000" + "0102030405000000" + "0200040002000000" + "00000000", Convert.ToHexString(bytes[8..(length - 4)]));
            bytes = bytes[length..];
        }

        Assert.Equal([0x0a0d0d0a, 1, 6], kinds);
    }
}
