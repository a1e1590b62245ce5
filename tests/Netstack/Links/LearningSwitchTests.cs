using Netstack.Links;

namespace Tests.Netstack.Links;

public sealed class LearningSwitchTests
{
    private static readonly MacAddress MacA = new(0x02_00_00_00_00_0a), MacB = new(0x02_00_00_00_00_0b), MacC = new(0x02_00_00_00_00_0c);
    private static readonly InetAddress AddressA = InetAddress.Parse("10.64.0.10"), AddressB = InetAddress.Parse("10.64.0.11");

    private readonly LearningSwitch _switch = new();
    private readonly Sink _a = new(), _b = new(), _c = new();
    private readonly SwitchPort _portA, _portB, _portC;

    public LearningSwitchTests() => (_portA, _portB, _portC) = (_switch.Add("a", _a), _switch.Add("b", _b), _switch.Add("c", _c));

    [Fact]
    public void Forward_UnknownDestination_GoesEverywhereElse()
    {
        _switch.Forward(_portA, Frames.Ipv4(MacA, MacB, AddressA), 0);
        Assert.Equal((0, 1, 1), (_a.Count, _b.Count, _c.Count));
    }

    [Fact]
    public void Forward_LearnedDestination_GoesThereOnly()
    {
        _switch.Forward(_portB, Frames.Ipv4(MacB, MacAddress.Broadcast, AddressB), 0);
        _switch.Forward(_portA, Frames.Ipv4(MacA, MacB, AddressA), 0);
        Assert.Equal((1, 1, 1), (_a.Count, _b.Count, _c.Count));
    }

    [Fact]
    public void Forward_DestinationLearnedTooLongAgo_GoesEverywhereElse()
    {
        _switch.Forward(_portB, Frames.Ipv4(MacB, MacA, AddressB), 0);
        _switch.Forward(_portA, Frames.Ipv4(MacA, MacB, AddressA), LearningSwitch.Ageing + 1);
        Assert.Equal((1, 1, 2), (_a.Count, _b.Count, _c.Count));
    }

    [Fact]
    public void Forward_ToOwnPort_IsDropped()
    {
        _switch.Forward(_portA, Frames.Ipv4(MacA, MacAddress.Broadcast, AddressA), 0);
        _switch.Forward(_portA, Frames.Ipv4(MacC, MacA, AddressB), 0);
        Assert.Equal((0, 1, 1), (_a.Count, _b.Count, _c.Count));
    }

    [Fact]
    public void Forward_LongFrame_ArrivesWholeWithItsHeader()
    {
        byte[] frame = Frames.Ipv4(MacA, MacB, AddressA, 65000);
        new VirtioNetHeader(VirtioNetHeader.NeedsChecksum, VirtioNetHeader.SegmentTcpV4, 54, 1448, 34, 16).WriteTo(frame);
        _switch.Forward(_portA, frame, 0);
        Assert.Equal(frame, _b.Last);
    }

    [Fact]
    public void Forward_OwnedMacFromAnotherPort_IsRefused()
    {
        Assert.True(_switch.Own(_portA, MacA));
        Assert.False(_switch.Own(_portB, MacA));
        _switch.Forward(_portB, Frames.Ipv4(MacA, MacC, AddressB), 0);
        Assert.Equal((0, 0, 1L), (_a.Count, _c.Count, _portB.Refused));

        // Nor has it drawn the traffic to itself.
        _switch.Forward(_portC, Frames.Ipv4(MacC, MacA, InetAddress.Parse("10.64.0.12")), 0);
        Assert.Equal((1, 0), (_a.Count, _b.Count));
    }

    [Theory]
    [InlineData("ip")]
    [InlineData("arp")]
    [InlineData("ipv6")]
    [InlineData("advertisement")]
    public void Forward_OwnedAddressClaimedByAnotherPort_IsRefused(string how)
    {
        InetAddress v6 = InetAddress.Parse("fd00::10");
        Assert.True(_switch.Own(_portA, AddressA));
        Assert.True(_switch.Own(_portA, v6));
        byte[] frame = how switch
        {
            "ip" => Frames.Ipv4(MacB, MacC, AddressA),
            "arp" => Frames.Arp(MacB, MacAddress.Broadcast, 1, AddressA, AddressB),
            "ipv6" => Frames.Ipv6(MacB, MacC, v6),
            _ => Frames.Advertisement(MacB, MacC, InetAddress.Parse("fe80::1"), v6),
        };
        _switch.Forward(_portB, frame, 0);
        Assert.Equal((0, 1L), (_c.Count, _portB.Refused));
        _switch.Forward(_portA, frame, 0);
        Assert.Equal(1, _c.Count);
    }

    [Fact]
    public void Remove_FreesWhatThePortOwned()
    {
        _switch.Own(_portA, MacA);
        _switch.Own(_portA, AddressA);
        _switch.Remove(_portA);
        Assert.True(_switch.Own(_portB, MacA));
        Assert.True(_switch.Own(_portB, AddressA));
        _switch.Forward(_portC, Frames.Ipv4(MacC, MacAddress.Broadcast, InetAddress.Parse("10.64.0.12")), 0);
        Assert.Equal((0, 1), (_a.Count, _b.Count));
    }

    [Fact]
    public void Forward_ManyInventedSources_KeepsTheTableSmallAndForwarding()
    {
        for (uint i = 0; i < 100_000; i++)
            _switch.Forward(_portA, Frames.Ipv4(new MacAddress(0x02_01_00_00_00_00UL | i), MacB, AddressA), i);
        _switch.Forward(_portB, Frames.Ipv4(MacB, new MacAddress(0x02_01_00_00_00_00UL | 99_999), AddressB), 100_000);
        Assert.Equal((1, 100_000, 100_000), (_a.Count, _b.Count, _c.Count));
    }

    [Fact]
    public void Forward_AnyBytes_NeverThrows()
    {
        Random random = new(1);
        for (int i = 0; i < 50_000; i++)
        {
            byte[] frame = new byte[random.Next(120)];
            random.NextBytes(frame);
            if (frame.Length > 23)
                (frame[22], frame[23]) = random.Next(4) switch { 0 => ((byte)0x08, (byte)0), 1 => ((byte)0x08, (byte)6), 2 => ((byte)0x86, (byte)0xdd), _ => (frame[22], frame[23]) };
            _switch.Forward(_portA, frame, i);
        }
    }

    private sealed class Sink : IFrameSink
    {
        public int Count { get; private set; }

        public byte[] Last { get; private set; } = [];

        public void Deliver(ReadOnlySpan<byte> frame)
        {
            Count++;
            Last = frame.ToArray();
        }
    }
}
