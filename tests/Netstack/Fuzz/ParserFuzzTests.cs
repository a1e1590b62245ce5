using System.Diagnostics;
using Tests.Netstack.Simulation;

namespace Tests.Netstack.Fuzz;

/// <summary>No bytes make a parser throw, and what it took it writes back so that it reads it again the same.</summary>
public sealed class ParserFuzzTests
{
    private const int Moment = 20_000;

    private static readonly Dictionary<string, Action<byte[]>> Parsers = new()
    {
        ["ethernet"] = bytes => EthernetHeader.TryParse(bytes, out _),
        ["arp"] = bytes =>
        {
            if (!ArpPacket.TryParse(bytes, out ArpPacket arp))
                return;
            byte[] again = new byte[ArpPacket.Size];
            arp.WriteTo(again);
            Assert.True(ArpPacket.TryParse(again, out ArpPacket same) && same == arp);
        },
        ["ipv4"] = bytes =>
        {
            if (Ipv4Header.TryParse(bytes, bytes.Length, out Ipv4Header header))
            {
                byte[] options = bytes[20..header.HeaderLength];
                Ipv4Options.Check(options, out int wrong);
                Assert.InRange(wrong, 0, 60);
                Ipv4Options.HasRouterAlert(options);
                byte[] again = new byte[header.HeaderLength];
                header.WriteTo(again, options);
                Assert.True(Ipv4Header.TryParseQuoted(again, out Ipv4Header same) && same == header);
                Assert.True(Ipv4Header.IsChecksumRight(again, again.Length));
                Ipv4Options.KeepCopied(options);
            }

            Ipv4Header.TryParseQuoted(bytes, out _);
        },
        ["ipv6"] = bytes =>
        {
            if (Ipv6Header.TryParse(bytes, bytes.Length, out Ipv6Header header))
            {
                Ipv6Walk walk = Ipv6Extensions.Walk(bytes, header.NextHeader, Ipv6Header.Size, 6);
                Assert.InRange(walk.Offset, 40, bytes.Length);
                Assert.InRange(walk.Pointer, 0, bytes.Length - 1);
                if (walk.End == Ipv6WalkEnd.Fragment)
                    Assert.True(Ipv6Fragment.TryParse(bytes.AsSpan(walk.Offset), out _));
                byte[] again = new byte[40];
                header.WriteTo(again);
                Assert.True(Ipv6Header.TryParseQuoted(again, out Ipv6Header same) && same == header);
            }

            if (Ipv6Header.TryParseQuoted(bytes, out header) && Ipv6Extensions.TryFindUpperLayer(bytes, header.NextHeader, out _, out int offset))
                Assert.InRange(offset, 40, bytes.Length);
        },
        ["udp"] = bytes => UdpHeader.TryParse(bytes, out _),
        ["tcp"] = bytes =>
        {
            if (!TcpHeader.TryRead(bytes, out TcpHeader header))
                return;
            Assert.InRange(header.Length, TcpHeader.MinLength, Math.Min(bytes.Length, TcpHeader.MaxLength));
            TcpHeaderOptions.Read(bytes.AsSpan(TcpHeader.MinLength..header.Length), header.Has(TcpFlags.Syn), out TcpHeaderOptions options);
            byte[] again = new byte[options.Length(header.Has(TcpFlags.Syn))];
            options.Write(again, header.Has(TcpFlags.Syn));
            TcpHeaderOptions.Read(again, header.Has(TcpFlags.Syn), out TcpHeaderOptions same);
            Assert.Equal((options.Mss, options.HasTimestamp, options.TimestampValue, options.BlockCount), (same.Mss, same.HasTimestamp, same.TimestampValue, same.BlockCount));
        },
        ["icmp"] = bytes => IcmpHeader.TryParse(bytes, out _),
        ["neighbour"] = bytes =>
        {
            if (!NeighbourMessage.TryParse(bytes, out NeighbourMessage message))
                return;
            byte[] again = new byte[message.Size];
            message.WriteTo(again);
            Assert.True(NeighbourMessage.TryParse(again, out NeighbourMessage same) && same == message);
        },
        ["solicitation"] = bytes =>
        {
            if (!RouterSolicitation.TryParse(bytes, out RouterSolicitation message))
                return;
            byte[] again = new byte[message.Size];
            message.WriteTo(again);
            Assert.True(RouterSolicitation.TryParse(again, out RouterSolicitation same) && same == message);
        },
        ["router"] = bytes =>
        {
            if (RouterAdvertisement.TryParse(bytes, out RouterAdvertisement? advertisement))
                Assert.InRange(advertisement!.Prefixes.Count, 0, 16);
        },
        ["igmp"] = bytes =>
        {
            if (GroupQuery.TryParseIgmp(bytes, out GroupQuery query))
                Assert.InRange(query.MaxResponse, 0, 4_000_000);
        },
        ["mld"] = bytes =>
        {
            if (GroupQuery.TryParseMld(bytes, out GroupQuery query))
                Assert.InRange(query.MaxResponse, 0, 9_000_000);
        },
        ["virtio"] = bytes => VirtioNetHeader.TryParse(bytes, out _),
        ["filter"] = bytes => ClassicFilter.TryDecode(bytes, out _),
    };

    public static TheoryData<string> Names => [.. Parsers.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Parse_AnyBytes_NeverThrows(string name)
    {
        int seed = Mutator.Seed;
        var mutator = new Mutator(seed);
        List<byte[]> frames = Mutator.Corpus("frames.txt");

        // Whatever follows the Ethernet header, and the same without its IP header.
        List<byte[]> seeds = name == "ethernet" ? frames : [.. frames.Select(f => f[14..]), .. frames.Where(f => f.Length > 34).Select(f => f[34..]), .. frames.Where(f => f.Length > 54).Select(f => f[54..])];
        Action<byte[]> parse = Parsers[name];
        byte[] bytes = [];
        Stopwatch watch = Stopwatch.StartNew();
        int rounds = 0;
        try
        {
            while (Mutator.GoesOn(ref rounds, Moment, watch))
            {
                bytes = mutator.Mutate(seeds[mutator.Random.Next(seeds.Count)], seeds);
                parse(bytes);
            }
        }
        catch (Exception e)
        {
            Assert.Fail($"{name}, seed {seed}, round {rounds}: {Convert.ToHexStringLower(bytes)}\n{e}");
        }
    }

    /// <summary>Programs that are valid end, whatever the packet.</summary>
    [Fact]
    public void Filter_ValidPrograms_EndOnAnyPacket()
    {
        var mutator = new Mutator(Mutator.Seed);
        using var net = new SimNetwork();
        NetworkStack stack = net.AddHost("host").Stack;
        int[] codes = [0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x00, 0x01, 0x60, 0x61, 0x80, 0x81, 0xb1, 0x02, 0x03, 0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x06, 0x16, 0x07, 0x87,
            0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0x84, 0x94, 0x9c, 0xa4, 0xac];
        int valid = 0, rounds = 0;
        Stopwatch watch = Stopwatch.StartNew();
        while (Mutator.GoesOn(ref rounds, Moment, watch))
        {
            var instructions = new (int, int, int, uint)[mutator.Random.Next(1, 12)];
            for (int i = 0; i < instructions.Length; i++)
            {
                uint k = mutator.Random.Next(4) switch
                {
                    0 => (uint)mutator.Random.Next(16),
                    1 => 0xfffff000 + (4 * (uint)mutator.Random.Next(17)),
                    2 => 0xffe00000 + (uint)mutator.Random.Next(0x200000),
                    _ => (uint)mutator.Random.NextInt64(uint.MaxValue + 1L),
                };
                instructions[i] = (codes[mutator.Random.Next(codes.Length)], mutator.Random.Next(4), mutator.Random.Next(4), k);
            }

            instructions[^1] = (mutator.Random.Next(2) == 0 ? 0x06 : 0x16, 0, 0, 7);
            if (!ClassicFilter.TryDecode(Raw.Filters.Program(instructions), out ClassicFilter? filter))
                continue;
            valid++;
            byte[] bytes = new byte[mutator.Random.Next(100)];
            mutator.Random.NextBytes(bytes);
            Packet packet = Packet.Received(bytes, 0, bytes.Length / 2);
            packet.Append(bytes.AsMemory(bytes.Length / 2));
            packet.LinkOffset = 0;
            packet.NetworkOffset = mutator.Random.Next(2) == 0 ? 14 : -1;
            filter.Run(packet, 0, stack);
        }

        Assert.True(valid > 50, $"{valid} of {rounds}");
    }
}
