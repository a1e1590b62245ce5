namespace Tests.Netstack.Wire;

public sealed class AddressTests
{
    [Theory]
    [InlineData("0.0.0.0", true)]
    [InlineData("127.0.0.1", true)]
    [InlineData("192.168.1.255", true)]
    [InlineData("::", false)]
    [InlineData("::1", false)]
    [InlineData("fe80::1ff:fe23:4567:890a", false)]
    public void Parse_RoundTrips(string text, bool isV4)
    {
        InetAddress address = InetAddress.Parse(text);
        Assert.Equal(isV4, address.IsV4);
        Assert.Equal(text, address.ToString());
        Assert.Equal(address, InetAddress.FromBytes(address.ToBytes()));
    }

    [Theory]
    [InlineData("10.1.2.3", 8, "10.0.0.0")]
    [InlineData("10.1.2.3", 32, "10.1.2.3")]
    [InlineData("10.1.2.3", 0, "0.0.0.0")]
    [InlineData("2001:db8:1:2::5", 32, "2001:db8::")]
    [InlineData("2001:db8:1:2::5", 64, "2001:db8:1:2::")]
    [InlineData("2001:db8:1:2::5", 0, "::")]
    public void Network_KeepsThePrefix(string text, int prefix, string network) => Assert.Equal(network, InetAddress.Parse(text).Network(prefix).ToString());

    [Theory]
    [InlineData("127.3.2.1", "loopback")]
    [InlineData("::1", "loopback")]
    [InlineData("224.0.0.1", "multicast")]
    [InlineData("ff02::1", "multicast")]
    [InlineData("169.254.1.1", "link-local")]
    [InlineData("fe80::1", "link-local")]
    [InlineData("255.255.255.255", "broadcast")]
    [InlineData("0.0.0.0", "any")]
    [InlineData("8.8.8.8", "")]
    public void Kind_IsTold(string text, string kind)
    {
        InetAddress address = InetAddress.Parse(text);
        string told = address.IsLoopback ? "loopback" : address.IsMulticast ? "multicast" : address.IsLinkLocal ? "link-local" : address.IsBroadcast ? "broadcast" : address.IsAny ? "any" : "";
        Assert.Equal(kind, told);
    }

    [Fact]
    public void LinkLocal_IsModifiedEui64()
    {
        Assert.True(MacAddress.TryParse("52:54:00:12:34:56", out MacAddress mac));
        Assert.Equal("fe80::5054:ff:fe12:3456", mac.LinkLocal.ToString());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(1499)]
    [InlineData(65536)]
    public void Checksum_IsThatOfTheDefinition(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        ulong sum = 0;
        for (int i = 0; i < length; i++)
            sum += (ulong)bytes[i] << (i % 2 == 0 ? 8 : 0);
        while (sum >> 16 != 0)
            sum = (sum & 0xffff) + (sum >> 16);
        byte[] written = new byte[2];
        InternetChecksum.Write(written, InternetChecksum.Finish(InternetChecksum.Add(0, bytes)));
        Assert.Equal((ushort)~sum, (ushort)(written[0] << 8 | written[1]));
    }
}
