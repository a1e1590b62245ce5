using Tests.Netstack.Simulation;

namespace Tests.Netstack.Wire;

public sealed class HeaderTests
{
    [Fact]
    public void Ethernet_Plain_RoundTrips()
    {
        byte[] frame = Frames.Ethernet(new MacAddress(0x0102030405_06), new MacAddress(0xa0b0c0d0e0_f0), EtherType.Ipv6, [9]);

        Assert.True(EthernetHeader.TryParse(frame, out EthernetHeader header));

        Assert.Equal(new EthernetHeader(new MacAddress(0x0102030405_06), new MacAddress(0xa0b0c0d0e0_f0), EtherType.Ipv6), header);
        Assert.Equal(14, header.Length);
        Assert.Equal("010203040506a0b0c0d0e0f086dd09", Convert.ToHexStringLower(frame));
    }

    [Fact]
    public void Ethernet_Tagged_GivesInnerTypeAndVlan()
    {
        byte[] frame = Convert.FromHexString("010203040506a0b0c0d0e0f08100600508004500");

        Assert.True(EthernetHeader.TryParse(frame, out EthernetHeader header));

        Assert.True(header.IsTagged);
        Assert.Equal((EtherType.Ipv4, 5, 18), (header.Type, header.VlanId, header.Length));
        Assert.False(EthernetHeader.TryParse(frame.AsSpan(0, 17), out _));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(13)]
    public void Ethernet_TooShort_IsRefused(int length) => Assert.False(EthernetHeader.TryParse(new byte[length], out _));

    [Fact]
    public void Arp_RoundTrips()
    {
        var arp = new ArpPacket(ArpPacket.Reply, new MacAddress(1), InetAddress.Parse("10.0.0.1"), new MacAddress(2), InetAddress.Parse("10.0.0.2"));
        byte[] bytes = new byte[ArpPacket.Size];
        arp.WriteTo(bytes);

        Assert.Equal("0001080006040002" + "000000000001" + "0a000001" + "000000000002" + "0a000002", Convert.ToHexStringLower(bytes));
        Assert.True(ArpPacket.TryParse(bytes, out ArpPacket parsed));
        Assert.Equal(arp, parsed);
    }

    [Theory]
    [InlineData(1, 7)]
    [InlineData(2, 9)]
    [InlineData(4, 8)]
    [InlineData(5, 16)]
    public void Arp_OtherHardwareProtocolOrLength_IsRefused(int offset, byte value)
    {
        byte[] bytes = Frames.Arp(1, default, "1.2.3.4", default, "1.2.3.5");
        bytes[offset] = value;
        Assert.False(ArpPacket.TryParse(bytes, out _));
        Assert.False(ArpPacket.TryParse(bytes.AsSpan(0, 27), out _));
    }

    [Fact]
    public void Ipv4_RoundTrips()
    {
        byte[] packet = Frames.V4("1.2.3.4", "5.6.7.8", 17, new byte[100], ttl: 3, id: 0xabcd, offset: 1480, more: true, df: true, options: [1, 1, 1, 0], tos: 0x2e);

        Assert.True(Ipv4Header.TryParse(packet, packet.Length, out Ipv4Header header));

        Assert.Equal((24, 124, (ushort)0xabcd, 1480), (header.HeaderLength, header.TotalLength, header.Identification, header.FragmentOffset));
        Assert.Equal((true, true, (byte)3, (byte)17, (byte)0x2e), (header.MoreFragments, header.DontFragment, header.TimeToLive, header.Protocol, header.TypeOfService));
        Assert.Equal(("1.2.3.4", "5.6.7.8"), (header.Source.ToString(), header.Destination.ToString()));
        Assert.True(Ipv4Header.IsChecksumRight(packet, 24));
        packet[8]++;
        Assert.False(Ipv4Header.IsChecksumRight(packet, 24));
    }

    [Theory]
    [InlineData(0, 0x65, "version")]
    [InlineData(0, 0x44, "header shorter than 20")]
    [InlineData(0, 0x4f, "header longer than the packet")]
    [InlineData(3, 19, "total shorter than the header")]
    [InlineData(3, 41, "total longer than the packet")]
    public void Ipv4_Malformed_IsRefused(int offset, byte value, string why)
    {
        byte[] packet = Frames.V4("1.2.3.4", "5.6.7.8", 17, new byte[20]);
        packet[offset] = value;
        Assert.False(Ipv4Header.TryParse(packet, packet.Length, out _), why);
    }

    [Theory]
    [InlineData("01010000", Ipv4OptionsVerdict.Fine, 0)]
    [InlineData("0707040000000001", Ipv4OptionsVerdict.Fine, 0)]
    [InlineData("8307040a000002", Ipv4OptionsVerdict.SourceRouted, 20)]
    [InlineData("8907040a000002", Ipv4OptionsVerdict.SourceRouted, 20)]
    [InlineData("0701", Ipv4OptionsVerdict.Malformed, 21)]
    [InlineData("07", Ipv4OptionsVerdict.Malformed, 20)]
    [InlineData("0107ff04", Ipv4OptionsVerdict.Malformed, 22)]
    [InlineData("07070300000000", Ipv4OptionsVerdict.Malformed, 22)]
    [InlineData("4404040000000000", Ipv4OptionsVerdict.Malformed, 22)]
    [InlineData("00ffffff", Ipv4OptionsVerdict.Fine, 0)]
    public void Ipv4Options_Check_FindsWhatIsWrongAndWhere(string hex, Ipv4OptionsVerdict verdict, int offset)
    {
        Assert.Equal(verdict, Ipv4Options.Check(Convert.FromHexString(hex), out int wrong));
        Assert.Equal(offset, wrong);
    }

    [Fact]
    public void Ipv4Options_KeepCopied_BlanksTheOthers()
    {
        byte[] options = Convert.FromHexString("0703049404000001");
        Ipv4Options.KeepCopied(options);
        Assert.Equal("0101019404000001", Convert.ToHexStringLower(options));
        Assert.True(Ipv4Options.HasRouterAlert(options));
    }

    [Fact]
    public void Ipv6_RoundTrips()
    {
        var header = new Ipv6Header
        {
            TrafficClass = 0xb8,
            FlowLabel = 0xfedcb,
            PayloadLength = 5,
            NextHeader = 17,
            HopLimit = 9,
            Source = InetAddress.Parse("fe80::1"),
            Destination = InetAddress.Parse("2001:db8::2"),
        };
        byte[] bytes = new byte[45];
        header.WriteTo(bytes);

        Assert.Equal("6b8fedcb", Convert.ToHexStringLower(bytes.AsSpan(0, 4)));
        Assert.True(Ipv6Header.TryParse(bytes, 45, out Ipv6Header parsed));
        Assert.Equal(header, parsed);
        Assert.False(Ipv6Header.TryParse(bytes, 44, out _));
        bytes[0] = 0x45;
        Assert.False(Ipv6Header.TryParse(bytes, 45, out _));
    }

    [Fact]
    public void Udp_RoundTrips()
    {
        byte[] bytes = Frames.Udp("1.1.1.1", 53, "2.2.2.2", 54321, [1, 2, 3]);

        Assert.True(UdpHeader.TryParse(bytes, out UdpHeader header));

        Assert.Equal(new UdpHeader(53, 54321, 11, true), header);
        Assert.False(UdpHeader.TryParse(bytes.AsSpan(0, 7), out _));
    }

    [Fact]
    public void VirtioNet_RoundTrips()
    {
        var header = new VirtioNetHeader(1, VirtioNetHeader.SegmentTcpV6 | VirtioNetHeader.SegmentEcn, 74, 1440, 54, 16);
        byte[] bytes = new byte[VirtioNetHeader.Size];
        header.WriteTo(bytes);

        Assert.Equal("01844a00a00536001000", Convert.ToHexStringLower(bytes));
        Assert.True(VirtioNetHeader.TryParse(bytes, out VirtioNetHeader parsed));
        Assert.Equal(header, parsed);
        Assert.False(VirtioNetHeader.TryParse(bytes.AsSpan(1), out _));
    }

    [Theory]
    [InlineData(0, 0x726fdb47dd0e0e31)]
    [InlineData(15, 0xa129ca6149be45e5)]
    public void SipHash_ReferenceVectors(int length, ulong expected)
    {
        byte[] key = [.. Enumerable.Range(0, 16).Select(i => (byte)i)];
        Assert.Equal(expected, SipHash.Hash(key, key.AsSpan(0, length)));
    }

    [Fact]
    public void SipHash_OfAddresses_IsThatOfTheirBytes()
    {
        byte[] key = Sockets.Pattern(16), bytes = Sockets.Pattern(40, 1);
        InetAddress first = new(BitConverter.ToUInt64(bytes, 0), BitConverter.ToUInt64(bytes, 8)), second = new(BitConverter.ToUInt64(bytes, 16), BitConverter.ToUInt64(bytes, 24));
        Assert.Equal(SipHash.Hash(key, bytes), SipHash.Hash(key, first, second, BitConverter.ToUInt64(bytes, 32)));
    }

    [Fact]
    public void Packet_SumOverOddPieces_IsThatOfTheWhole()
    {
        byte[] data = Sockets.Pattern(501);
        Packet packet = Packet.Create(7);
        data.AsSpan(0, 7).CopyTo(packet.Append(7));
        packet.Append(data.AsMemory(7, 3));
        packet.Append(data.AsMemory(10, 91));
        packet.Append(data.AsMemory(101, 400));

        Assert.Equal(data, packet.ToArray());
        for (int offset = 0; offset < 500; offset++)
            Assert.Equal(InternetChecksum.Fold(InternetChecksum.Add(0, data.AsSpan(offset))), InternetChecksum.Fold(packet.Sum(offset)));
    }

    [Fact]
    public void Packet_TrimAndFlatten_KeepTheBytes()
    {
        byte[] data = Sockets.Pattern(100);
        for (int length = 0; length <= 100; length++)
        {
            Packet packet = Packet.Create(10);
            data.AsSpan(0, 10).CopyTo(packet.Append(10));
            packet.Append(data.AsMemory(10, 40));
            packet.Append(data.AsMemory(50, 50));
            packet.Trim(length);
            Assert.Equal(data[..length], packet.ToArray());
            packet.Flatten();
            Assert.Equal(data[..length], packet.Head.ToArray());
        }
    }

    [Fact]
    public void Packet_PrependBeyondItsRoom_KeepsOffsets()
    {
        Packet packet = Packet.Received([1, 2, 3, 4], 1, 3);
        packet.NetworkOffset = 1;
        packet.TransportOffset = 2;
        packet.Prepend(14).Fill(9);
        Assert.Equal([9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 2, 3, 4], packet.ToArray());
        Assert.Equal((2, 3), (packet.Buffer[packet.NetworkOffset], packet.Buffer[packet.TransportOffset]));
    }
}
