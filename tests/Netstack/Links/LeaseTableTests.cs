using Netstack.Links;

namespace Tests.Netstack.Links;

public sealed class LeaseTableTests
{
    private static readonly Subnet V4 = new(InetAddress.Parse("10.64.3.0"), 24), V6 = new(InetAddress.Parse("fd00:1::"), 64);
    private static readonly InetAddress Gateway = V4.Host(1);

    private readonly LeaseTable _table = new("blue", V4, V6, [Gateway]);

    [Fact]
    public void Choose_GivesFreeAddressesOfBothKinds()
    {
        (InetAddress first, InetAddress firstV6) = _table.Choose(InetAddress.AnyV6, InetAddress.AnyV6);
        Claim("a", 1, first, firstV6, 1);
        (InetAddress second, _) = _table.Choose(InetAddress.AnyV6, InetAddress.AnyV6);
        Assert.Equal(("10.64.3.10", "fd00:1::a", "10.64.3.11"), (first.ToString(), firstV6.ToString(), second.ToString()));
    }

    [Fact]
    public void Claim_SecondCopyWhileTheFirstLives_IsRefusedInOneLine()
    {
        Claim("a", 2, V4.Host(10), V6.Host(10), 1);
        LeaseRefusedException refused = Assert.Throws<LeaseRefusedException>(() => Claim("a", 2, V4.Host(10), V6.Host(10), 1));
        Assert.Contains("another copy", refused.Message);
        Assert.Contains("--new-identity", refused.Message);
        Assert.Single(refused.Message.Split('\n'));
    }

    [Theory]
    [InlineData("a", 3, true, true)]
    [InlineData("a", 2, true, false)]
    [InlineData("b", 3, true, false)]
    [InlineData("a", 3, false, false)]
    public void Claim_OfAnAddressInUse_OnlyALaterGenerationTakesAYieldingOne(string lineage, int generation, bool yielding, bool granted)
    {
        Lease first = Claim("a", 2, V4.Host(10), V6.Host(10), 1);
        first.IsYielding = yielding;
        if (granted)
            Assert.Same(first, _table.Claim(Identity(lineage, generation, V4.Host(10), V6.Host(10), 1), "second", new object()).Replaced);
        else
            Assert.Throws<LeaseRefusedException>(() => Claim(lineage, generation, V4.Host(10), V6.Host(10), 1));
    }

    [Fact]
    public void Claim_SameMacWithAnotherAddress_IsRefused()
    {
        Claim("a", 1, V4.Host(10), V6.Host(10), 1);
        Assert.Throws<LeaseRefusedException>(() => Claim("b", 1, V4.Host(11), V6.Host(11), 1));
    }

    [Theory]
    [InlineData("10.64.4.10")]
    [InlineData("10.64.3.1")]
    [InlineData("10.64.3.0")]
    [InlineData("10.64.3.255")]
    public void Claim_AddressThatIsNotForSandboxes_IsRefused(string address) =>
        Assert.Throws<LeaseRefusedException>(() => Claim("a", 1, InetAddress.Parse(address), InetAddress.AnyV6, 1));

    [Fact]
    public void Release_FreesTheAddress()
    {
        _table.Release(Claim("a", 1, V4.Host(10), V6.Host(10), 1));
        Claim("b", 1, V4.Host(10), V6.Host(10), 1);
    }

    [Fact]
    public void Choose_NoAddressLeft_IsRefused()
    {
        LeaseTable small = new("small", new Subnet(InetAddress.Parse("10.0.0.0"), 30), V6, [InetAddress.Parse("10.0.0.1")]);
        (InetAddress address, InetAddress v6) = small.Choose(InetAddress.AnyV6, InetAddress.AnyV6);
        small.Claim(Identity("a", 1, address, v6, 1), "a", new object());
        Assert.Equal("10.0.0.2", address.ToString());
        Assert.Throws<LeaseRefusedException>(() => small.Choose(InetAddress.AnyV6, InetAddress.AnyV6));
    }

    [Fact]
    public void OfName_IsTheSameEverywhereAndPrivate()
    {
        Assert.Equal("10.114.147.0/24", Subnet.OfName("blue", 0).ToString());
        Assert.NotEqual(Subnet.OfName("blue", 0), Subnet.OfName("blue", 1));
        Assert.NotEqual(Subnet.OfName("blue", 0), Subnet.OfName("green", 0));
        Subnet dealt = new(InetAddress.Parse("10.64.0.0"), 10);
        for (int i = 0; i < 1000; i++)
            Assert.True(dealt.Contains(Subnet.OfName($"net{i}", i).Network));
    }

    [Theory]
    [InlineData("10.0.0.2/24", true)]
    [InlineData("10.0.0.0/24", false)]
    [InlineData("10.0.0.255/24", false)]
    [InlineData("10.0.0.1/31", true)]
    [InlineData("10.0.0.2/33", false)]
    [InlineData("10.0.0.2", false)]
    [InlineData("127.0.0.1/8", false)]
    [InlineData("224.0.0.1/24", false)]
    [InlineData("fd00::2/64", true)]
    [InlineData("fd00::/64", false)]
    [InlineData("::1/128", false)]
    [InlineData("fd00::2/129", false)]
    [InlineData("x/24", false)]
    [InlineData("10.0.0.2/+4", false)]
    public void TryParse_Cidr(string text, bool valid) => Assert.Equal(valid, InterfaceCidr.TryParse(text, out _));

    private Lease Claim(string lineage, int generation, InetAddress address, InetAddress addressV6, ulong mac) =>
        _table.Claim(Identity(lineage, generation, address, addressV6, mac), lineage, new object()).Lease;

    private static LinkIdentity Identity(string lineage, int generation, InetAddress address, InetAddress addressV6, ulong mac) =>
        new(lineage, generation, new MacAddress(0x02_00_00_00_00_00 | mac), address, addressV6);
}
