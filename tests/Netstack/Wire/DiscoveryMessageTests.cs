using Tests.Netstack.Simulation;

namespace Tests.Netstack.Wire;

public sealed class DiscoveryMessageTests
{
    [Fact]
    public void Solicitation_RoundTrips()
    {
        var message = new NeighbourMessage(false, InetAddress.Parse("fe80::1"), new MacAddress(0x0a0b0c0d0e0f)) { Nonce = 0x112233445566 };
        byte[] bytes = new byte[message.Size];
        message.WriteTo(bytes);

        Assert.Equal("8700000000000000fe80000000000000000000000000000101010a0b0c0d0e0f0e01112233445566", Convert.ToHexStringLower(bytes));
        Assert.True(NeighbourMessage.TryParse(bytes, out NeighbourMessage parsed));
        Assert.Equal(message, parsed);
    }

    [Fact]
    public void Advertisement_RoundTripsWithFlags()
    {
        var message = new NeighbourMessage(true, InetAddress.Parse("fe80::1"), new MacAddress(7)) { IsRouter = true, IsSolicited = true, IsOverride = true };
        byte[] bytes = new byte[message.Size];
        message.WriteTo(bytes);

        Assert.Equal(0xe0, bytes[4]);
        Assert.True(NeighbourMessage.TryParse(bytes, out NeighbourMessage parsed));
        Assert.Equal(message, parsed);
    }

    [Theory]
    [InlineData("8701000000000000fe800000000000000000000000000001", "code")]
    [InlineData("8700000000000000ff020000000000000000000000000001", "multicast target")]
    [InlineData("8700000000000000fe800000000000000000000000000001" + "0100000000000000", "option of length 0")]
    [InlineData("8700000000000000fe800000000000000000000000000001" + "0102000000000000", "option beyond the end")]
    [InlineData("8700000000000000fe8000000000000000000000000000", "too short")]
    public void Neighbour_Malformed_IsRefused(string hex, string why) => Assert.False(NeighbourMessage.TryParse(Convert.FromHexString(hex), out _), why);

    [Theory]
    [InlineData("8500000000000000", false)]
    [InlineData("850000000000000001010a0b0c0d0e0f", true)]
    public void RouterSolicitation_RoundTrips(string hex, bool hasAddress)
    {
        byte[] bytes = Convert.FromHexString(hex);
        Assert.True(RouterSolicitation.TryParse(bytes, out RouterSolicitation message));
        Assert.Equal(hasAddress ? new MacAddress(0x0a0b0c0d0e0f) : null, message.LinkAddress);
        byte[] again = new byte[message.Size];
        message.WriteTo(again);
        Assert.Equal(bytes, again);
        Assert.False(RouterSolicitation.TryParse([.. bytes, 1], out _));
    }

    [Fact]
    public void RouterAdvertisement_WithOptions_IsRead()
    {
        byte[] bytes = Convert.FromHexString("8600000040c007080000000000000000" + "01010a0b0c0d0e0f" + "05010000000005dc"
            + "030440c0" + "00278d00" + "00093a80" + "00000000" + "20010db8000000000000000000000000");

        Assert.True(RouterAdvertisement.TryParse(bytes, out RouterAdvertisement? advertisement));

        Assert.Equal((64, 1800, 1500), (advertisement!.HopLimit, advertisement.RouterLifetime, advertisement.Mtu));
        Assert.Equal(new MacAddress(0x0a0b0c0d0e0f), advertisement.LinkAddress);
        Assert.Equal(new AdvertisedPrefix(InetAddress.Parse("2001:db8::"), 64, true, true, 2592000, 604800), Assert.Single(advertisement.Prefixes));
    }

    [Theory]
    [InlineData("1164ee9b00000000", 2, 10000)]
    [InlineData("1100eeff00000000", 1, 10000)]
    [InlineData("1132ec1e00000000" + "027d0000", 3, 5000)]
    public void IgmpQuery_VersionAndResponseTime(string hex, int version, int response)
    {
        Assert.True(GroupQuery.TryParseIgmp(Convert.FromHexString(hex), out GroupQuery query));
        Assert.Equal((version, response), (query.Version, query.MaxResponse));
    }

    [Fact]
    public void IgmpQuery_OfNoGroupAddress_IsRefused() => Assert.False(GroupQuery.TryParseIgmp(Convert.FromHexString("116400000000009b"), out _));

    [Fact]
    public void IgmpQuery_CodeWithExponent_IsExpanded()
    {
        // 0x8f: mantissa 15, exponent 0: (15 | 16) << 3 tenths of a second.
        Assert.True(GroupQuery.TryParseIgmp(Convert.FromHexString("118f000000000000" + "00000000"), out GroupQuery query));
        Assert.Equal(24800, query.MaxResponse);
    }

    [Fact]
    public void MldQuery_CodeWithExponent_IsExpanded()
    {
        byte[] bytes = new byte[28];
        bytes[0] = Icmpv6Type.ListenerQuery;
        bytes[4] = 0x90;
        Assert.True(GroupQuery.TryParseMld(bytes, out GroupQuery query));
        Assert.Equal((2, 0x1000 << 4), (query.Version, query.MaxResponse));
        Assert.True(GroupQuery.TryParseMld(bytes.AsSpan(0, 24), out query));
        Assert.Equal(1, query.Version);
    }

    [Fact]
    public void IgmpV3Report_HasRecordsAndChecksum()
    {
        GroupRecord[] records = [new(GroupRecordType.ToExclude, InetAddress.Parse("239.1.2.3")), new(GroupRecordType.AllowNew, InetAddress.Parse("232.1.1.1"), [InetAddress.Parse("10.0.0.1")])];
        byte[] bytes = new byte[GroupReports.SizeOf(records)];
        GroupReports.Write(bytes, records);

        Assert.Equal(0, InternetChecksum.Finish(InternetChecksum.Add(0, bytes)));
        bytes.AsSpan(2, 2).Clear();
        Assert.Equal("2200000000000002" + "04000000ef010203" + "05000001e80101010a000001", Convert.ToHexStringLower(bytes));
    }

    [Fact]
    public void MldV2Report_HasRecords()
    {
        GroupRecord[] records = [new(GroupRecordType.IsExclude, InetAddress.Parse("ff05::2"))];
        byte[] bytes = new byte[GroupReports.SizeOf(records)];
        GroupReports.Write(bytes, records);
        Assert.Equal("8f00000000000001" + "02000000ff050000000000000000000000000002", Convert.ToHexStringLower(bytes));
    }
}
