using Netstack.Links;

namespace Tests.Netstack.Links;

public sealed class ConflictProbeTests
{
    private static readonly MacAddress Asker = new(0x02_00_00_00_00_01), Holder = new(0x02_00_00_00_00_02);
    private static readonly InetAddress V4 = InetAddress.Parse("10.0.0.5"), V6 = InetAddress.Parse("fd00::5");

    [Fact]
    public void Build_Arp_IsAProbeOfRfc5227()
    {
        string frame = Convert.ToHexString(new ConflictProbe(Asker, V4).Build().AsSpan(10)).ToLowerInvariant();
        Assert.Equal("ffffffffffff" + "020000000001" + "0806" + "0001080006040001" + "020000000001" + "00000000" + "000000000000" + "0a000005", frame);
    }

    [Fact]
    public void Build_Solicitation_HasARightChecksum()
    {
        byte[] frame = new ConflictProbe(Asker, V6).Build();
        ReadOnlySpan<byte> icmp = frame.AsSpan(10 + 14 + 40);
        ulong sum = InternetChecksum.PseudoHeader(InetAddress.AnyV6, V6.SolicitedNode, 58, icmp.Length);
        Assert.Equal(0, InternetChecksum.Finish(InternetChecksum.Add(sum, icmp)));
        Assert.Equal("3333ff000005", Convert.ToHexString(frame.AsSpan(10, 6)).ToLowerInvariant());
    }

    [Fact]
    public void IsAnswer_ReplyOfTheHolder()
    {
        ConflictProbe probe = new(Asker, V4);
        Assert.True(probe.IsAnswer(Frames.Arp(Holder, Asker, 2, V4, InetAddress.AnyV4), out MacAddress holder));
        Assert.Equal(Holder, holder);
        Assert.True(new ConflictProbe(Asker, V6).IsAnswer(Frames.Advertisement(Holder, Asker, V6, V6), out _));
    }

    [Fact]
    public void IsAnswer_AnythingElse_IsNone()
    {
        ConflictProbe probe = new(Asker, V4);
        Assert.False(probe.IsAnswer(probe.Build(), out _));
        Assert.False(probe.IsAnswer(Frames.Arp(Holder, Asker, 2, InetAddress.Parse("10.0.0.6"), InetAddress.AnyV4), out _));
        Assert.False(probe.IsAnswer(Frames.Arp(Holder, MacAddress.Broadcast, 1, V4, InetAddress.Parse("10.0.0.6")), out _));
        Assert.False(probe.IsAnswer(Frames.Ipv4(Holder, Asker, V4), out _));
        Random random = new(3);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] bytes = new byte[random.Next(100)];
            random.NextBytes(bytes);
            Assert.False(probe.IsAnswer(bytes, out _));
        }
    }
}
