using Tests.Netstack.Simulation;

namespace Tests.Netstack.Wire;

public sealed class Ipv6ExtensionsTests
{
    private static Ipv6Walk Walk(byte next, string hex)
    {
        byte[] packet = Frames.V6("fd00::1", "fd00::2", next, Convert.FromHexString(hex));
        return Ipv6Extensions.Walk(packet, next, Ipv6Header.Size, 6);
    }

    [Fact]
    public void Walk_NoExtension_EndsAtOnce() => Assert.Equal(new Ipv6Walk(Ipv6WalkEnd.UpperLayer, 17, 40) { NextHeaderField = 6 }, Walk(17, "0000"));

    [Fact]
    public void Walk_HopByHopDestinationRoutingUsedUp_EndsAtUpperLayer()
    {
        Ipv6Walk walk = Walk(0, "3c00050200000100" + "2b00010400000000" + "0600000000000000" + "ffff");
        Assert.Equal(new Ipv6Walk(Ipv6WalkEnd.UpperLayer, 6, 64) { NextHeaderField = 56, HasRouterAlert = true }, walk);
    }

    [Fact]
    public void Walk_Fragment_StopsThere()
    {
        Ipv6Walk walk = Walk(60, "2c00010400000000" + "1100000112345678");
        Assert.Equal(new Ipv6Walk(Ipv6WalkEnd.Fragment, 44, 48) { NextHeaderField = 40 }, walk);
    }

    [Theory]
    [InlineData(43, "0600000100000000", 0, 42, "routing type 0 with segments left")]
    [InlineData(43, "0600040100000000", 0, 42, "routing of an unknown type with segments left")]
    [InlineData(60, "0000010400000000" + "0600010400000000", 1, 40, "hop-by-hop not in front")]
    [InlineData(0, "0600800000000000", 2, 42, "unknown option, action 10")]
    public void Walk_ToBeTold_IsParameterProblem(byte next, string hex, byte code, int pointer, string why)
    {
        Ipv6Walk walk = Walk(next, hex);
        Assert.True(walk.End == Ipv6WalkEnd.ParameterProblem, why);
        Assert.Equal((code, pointer, false), (walk.Code, walk.Pointer, walk.NotIfGroup));
    }

    [Fact]
    public void Walk_UnknownOptionAction11_IsNotToldOfGroups() => Assert.True(Walk(60, "0600c20000000000").NotIfGroup);

    [Theory]
    [InlineData(60, "0600400000000000", "unknown option, action 01")]
    [InlineData(60, "0600010500000000", "option longer than its header")]
    [InlineData(60, "06000000000001", "header cut off")]
    [InlineData(60, "0601010400000000", "header longer than the packet")]
    [InlineData(44, "06000000", "fragment header cut off")]
    public void Walk_Malformed_IsDropped(byte next, string hex, string why) => Assert.True(Walk(next, hex).End == Ipv6WalkEnd.Drop, why);

    [Fact]
    public void Walk_UnknownOptionAction00_IsSkipped() => Assert.Equal(Ipv6WalkEnd.UpperLayer, Walk(60, "06003e0000000000").End);

    [Fact]
    public void Walk_TooManyHeaders_IsDropped()
    {
        string chain = string.Concat(Enumerable.Repeat("3c00010400000000", 9)) + "0600010400000000";
        Assert.Equal(Ipv6WalkEnd.Drop, Walk(60, chain).End);
    }

    [Theory]
    [InlineData(60, "1100010400000000" + "00070007", true, 17, 48)]
    [InlineData(44, "1100000012345678" + "00070007", true, 17, 48)]
    [InlineData(44, "1100000812345678" + "00070007", false, 0, 0)]
    [InlineData(60, "11ff0104", false, 0, 0)]
    public void TryFindUpperLayer_InQuotedPacket(byte next, string hex, bool found, byte protocol, int offset)
    {
        byte[] packet = Frames.V6("fd00::1", "fd00::2", next, Convert.FromHexString(hex));
        Assert.Equal(found, Ipv6Extensions.TryFindUpperLayer(packet, next, out byte foundProtocol, out int foundOffset));
        if (found)
            Assert.Equal((protocol, offset), (foundProtocol, foundOffset));
    }

    [Fact]
    public void Fragment_RoundTrips()
    {
        byte[] bytes = new byte[8];
        new Ipv6Fragment(17, 1448, true, 0xdeadbeef).WriteTo(bytes);
        Assert.Equal("110005a9deadbeef", Convert.ToHexStringLower(bytes));
        Assert.True(Ipv6Fragment.TryParse(bytes, out Ipv6Fragment parsed));
        Assert.Equal(new Ipv6Fragment(17, 1448, true, 0xdeadbeef), parsed);
    }
}
