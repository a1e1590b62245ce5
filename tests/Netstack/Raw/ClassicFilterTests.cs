using System.Buffers.Binary;
using Tests.Netstack.Simulation;

namespace Tests.Netstack.Raw;

internal static class Filters
{
    public static byte[] Program(params (int Code, int True, int False, uint K)[] instructions)
    {
        byte[] program = new byte[8 * instructions.Length];
        for (int i = 0; i < instructions.Length; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(program.AsSpan(8 * i), (ushort)instructions[i].Code);
            program[(8 * i) + 2] = (byte)instructions[i].True;
            program[(8 * i) + 3] = (byte)instructions[i].False;
            BinaryPrimitives.WriteUInt32LittleEndian(program.AsSpan((8 * i) + 4), instructions[i].K);
        }

        return program;
    }
}

public sealed class ClassicFilterTests : IDisposable
{
    private readonly SimNetwork _net = new(name: nameof(ClassicFilterTests));
    private readonly NetworkStack _stack;

    public ClassicFilterTests() => _stack = _net.AddHost("host").Stack;

    public void Dispose() => _net.Dispose();

    private uint Run(byte[] frame, params (int Code, int True, int False, uint K)[] instructions)
    {
        Assert.True(ClassicFilter.TryDecode(Filters.Program(instructions), out ClassicFilter? filter));
        Packet packet = Packet.Received(frame, 0, Math.Min(frame.Length, 20));
        if (frame.Length > 20)
            packet.Append(frame.AsMemory(20));
        packet.LinkOffset = 0;
        packet.NetworkOffset = 14;
        packet.Protocol = 0x0800;
        packet.Type = PacketType.Outgoing;
        packet.Interface = _stack.Loopback;
        return filter.Run(packet, 0, _stack);
    }

    private uint Value(params (int Code, int True, int False, uint K)[] instructions) =>
        Run([.. Enumerable.Range(0, 64).Select(i => (byte)i)], [.. instructions, (0x16, 0, 0, 0)]);

    [Theory]
    [InlineData(0x20, 4, 0x04050607)]
    [InlineData(0x28, 4, 0x0405)]
    [InlineData(0x30, 4, 0x04)]
    [InlineData(0x20, 18, 0x12131415)]
    [InlineData(0x20, 40, 0x28292a2b)]
    [InlineData(0x28, 62, 0x3e3f)]
    public void Load_FromHeadAcrossAndPieces(int code, uint offset, uint value) => Assert.Equal(value, Value((code, 0, 0, offset)));

    [Theory]
    [InlineData(0x20, 61)]
    [InlineData(0x30, 64)]
    [InlineData(0x20, 0x7fffffff)]
    [InlineData(0x20, 0x80000000)]
    public void Load_BeyondTheEnd_RefusesThePacket(int code, uint offset) => Assert.Equal(0u, Value((code, 0, 0, offset)));

    [Theory]
    [InlineData(0xfff00001, 0x0f)]
    [InlineData(0xffe00001, 0x01)]
    [InlineData(0xfff00032, 0)]
    public void Load_RelativeToNetworkAndLinkHeader(uint offset, uint value) => Assert.Equal(value, Value((0x30, 0, 0, offset)));

    [Theory]
    [InlineData(0xfffff000, 0x0800)]
    [InlineData(0xfffff004, 4)]
    [InlineData(0xfffff008, 1)]
    [InlineData(0xfffff01c, 772)]
    [InlineData(0xfffff030, 0)]
    [InlineData(0xfffff034, 14)]
    public void Load_Ancillary(uint offset, uint value) => Assert.Equal(value, Value((0x28, 0, 0, offset)));

    [Fact]
    public void Index_IndirectAndHeaderLength()
    {
        Assert.Equal(0x12u, Value((0x01, 0, 0, 8), (0x50, 0, 0, 10)));
        Assert.Equal(20u, Value((0xb1, 0, 0, 5), (0x87, 0, 0, 0)));
        Assert.Equal(64u, Value((0x80, 0, 0, 0)));
        Assert.Equal(64u, Value((0x81, 0, 0, 0), (0x87, 0, 0, 0)));
    }

    [Theory]
    [InlineData(0x04, 7, 5, 12)]
    [InlineData(0x14, 7, 5, 2)]
    [InlineData(0x24, 7, 5, 35)]
    [InlineData(0x34, 7, 5, 1)]
    [InlineData(0x44, 6, 5, 7)]
    [InlineData(0x54, 6, 5, 4)]
    [InlineData(0x64, 1, 31, 0x80000000)]
    [InlineData(0x74, 0x80000000, 31, 1)]
    [InlineData(0x94, 7, 5, 2)]
    [InlineData(0xa4, 6, 5, 3)]
    public void Arithmetic_WithConstantAndRegister(int code, uint a, uint k, uint result)
    {
        Assert.Equal(result, Value((0x00, 0, 0, a), (code, 0, 0, k)));
        Assert.Equal(result, Value((0x00, 0, 0, a), (0x01, 0, 0, k), (code | 8, 0, 0, 0)));
    }

    [Theory]
    [InlineData(0x3c)]
    [InlineData(0x9c)]
    public void Arithmetic_DivisionByRegisterZero_RefusesThePacket(int code) => Assert.Equal(0u, Value((0x00, 0, 0, 7), (0x01, 0, 0, 0), (code, 0, 0, 0)));

    [Fact]
    public void Arithmetic_Negation() => Assert.Equal(uint.MaxValue, Value((0x00, 0, 0, 1), (0x84, 0, 0, 0)));

    [Theory]
    [InlineData(0x15, 5, 5, true)]
    [InlineData(0x15, 5, 6, false)]
    [InlineData(0x25, 6, 5, true)]
    [InlineData(0x25, 5, 5, false)]
    [InlineData(0x35, 5, 5, true)]
    [InlineData(0x45, 6, 4, true)]
    [InlineData(0x45, 6, 1, false)]
    public void Jump_OnCondition(int code, uint a, uint k, bool taken)
    {
        uint expected = taken ? 1u : 2u;
        Assert.Equal(expected, Run(new byte[20], (0x00, 0, 0, a), (code, 0, 1, k), (0x06, 0, 0, 1), (0x06, 0, 0, 2)));
        Assert.Equal(expected, Run(new byte[20], (0x00, 0, 0, a), (0x01, 0, 0, k), (code | 8, 0, 1, 0), (0x06, 0, 0, 1), (0x06, 0, 0, 2)));
        Assert.Equal(2u, Run(new byte[20], (0x05, 0, 0, 1), (0x06, 0, 0, 1), (0x06, 0, 0, 2)));
    }

    [Fact]
    public void Memory_KeepsWords() => Assert.Equal(12u, Value((0x00, 0, 0, 5), (0x02, 0, 0, 15), (0x01, 0, 0, 7), (0x03, 0, 0, 0), (0x60, 0, 0, 15), (0x61, 0, 0, 0), (0x0c, 0, 0, 0)));

    [Theory]
    [InlineData("no return at the end", 0x00, 0, 0, 0u)]
    [InlineData("jump beyond the end", 0x05, 0, 0, 1u)]
    [InlineData("conditional jump beyond the end", 0x15, 1, 0, 1u)]
    [InlineData("unknown code", 0xff, 0, 0, 0u)]
    [InlineData("division by constant zero", 0x34, 0, 0, 0u)]
    [InlineData("shift by 32", 0x64, 0, 0, 32u)]
    [InlineData("memory word 16", 0x02, 0, 0, 16u)]
    [InlineData("load of a word not stored", 0x60, 0, 0, 1u)]
    [InlineData("unknown ancillary value", 0x20, 0, 0, 0xfffff002u)]
    [InlineData("negation by register", 0x8c, 0, 0, 0u)]
    public void Decode_InvalidProgram_IsRefused(string why, int code, int t, int f, uint k)
    {
        byte[] program = code == 0 ? Filters.Program((code, t, f, k)) : Filters.Program((code, t, f, k), (0x06, 0, 0, 0));
        Assert.False(ClassicFilter.TryDecode(program, out _), why);
    }

    [Fact]
    public void Decode_WordStoredOnOneWayOnly_IsRefused() => Assert.False(ClassicFilter.TryDecode(
        Filters.Program((0x00, 0, 0, 1), (0x15, 0, 1, 1), (0x02, 0, 0, 3), (0x60, 0, 0, 3), (0x16, 0, 0, 0)), out _));

    [Fact]
    public void Decode_TooLongOrEmpty_IsRefused()
    {
        Assert.False(ClassicFilter.TryDecode([], out _));
        Assert.False(ClassicFilter.TryDecode(Filters.Program([.. Enumerable.Repeat((0x06, 0, 0, 0u), 4097)]), out _));
        Assert.True(ClassicFilter.TryDecode(Filters.Program([.. Enumerable.Repeat((0x06, 0, 0, 0u), 4096)]), out _));
    }

    /// <summary>What `tcpdump -dd -y EN10MB 'udp port 53 or arp'` prints.</summary>
    [Fact]
    public void Run_ProgramOfTcpdump_FindsUdpPort53()
    {
        (int, int, int, uint)[] program =
        [
            (0x28, 0, 0, 0x0000000c), (0x15, 0, 6, 0x000086dd), (0x30, 0, 0, 0x00000014), (0x15, 0, 14, 0x00000011), (0x28, 0, 0, 0x00000036), (0x15, 13, 0, 0x00000035),
            (0x28, 0, 0, 0x00000038), (0x15, 11, 10, 0x00000035), (0x15, 0, 8, 0x00000800), (0x30, 0, 0, 0x00000017), (0x15, 0, 7, 0x00000011), (0x28, 0, 0, 0x00000014),
            (0x45, 5, 0, 0x00001fff), (0xb1, 0, 0, 0x0000000e), (0x48, 0, 0, 0x0000000e), (0x15, 3, 0, 0x00000035), (0x48, 0, 0, 0x00000010), (0x15, 1, 0, 0x00000035),
            (0x06, 0, 0, 0x00000000), (0x06, 0, 0, 0x00040000),
        ];
        byte[] Datagram(ushort port) => Frames.Ethernet(new MacAddress(2), new MacAddress(4), EtherType.Ipv4, Frames.V4("1.2.3.4", "5.6.7.8", 17, Frames.Udp("1.2.3.4", 9, "5.6.7.8", port, [1, 2, 3])));
        Assert.Equal(0x40000u, Run(Datagram(53), program));
        Assert.Equal(0u, Run(Datagram(54), program));
        byte[] six = Frames.Ethernet(new MacAddress(2), new MacAddress(4), EtherType.Ipv6, Frames.V6("fd00::1", "fd00::2", 17, Frames.Udp("fd00::1", 53, "fd00::2", 9, [1])));
        Assert.Equal(0x40000u, Run(six, program));
    }
}
