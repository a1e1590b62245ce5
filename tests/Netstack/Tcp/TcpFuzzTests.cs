using System.Buffers.Binary;
using Tests.Netstack.Simulation;

namespace Tests.Netstack.Tcp;

/// <summary>Hostile segments: nothing crashes, nothing goes backwards, and who cannot see the connection cannot end it.</summary>
public sealed class TcpFuzzTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void BlindSegments_NeitherResetNorInject(int seed)
    {
        using var pair = new TcpPair(seed);
        var random = new Random(seed);
        InetAddress source = InetAddress.Parse(pair.AddressA);
        uint next = pair.Server.Rcv.Nxt;
        for (int i = 0; i < 20_000; i++)
        {
            // The attacker knows addresses and ports, and guesses numbers everywhere but in the one place that counts.
            uint seq = (uint)random.NextInt64(1L << 32);
            if (seq == next)
                continue;
            uint ack = (uint)random.NextInt64(1L << 32);
            if (TcpSequence.Between(ack, pair.Server.Snd.Una - pair.Server.Snd.MaxWindow, pair.Server.Snd.Nxt) && TcpSequence.Between(seq, next - 100, next + pair.Server.Rcv.Window))
                continue;
            TcpListenTests.Inject(pair.B, (TcpFlags)random.Next(256), source, pair.Client.LocalPort, TcpPair.Port, seq, ack, random.Next(3) == 0 ? random.Next(100) : 0);
            if (i % 100 == 0)
                pair.Net.RunFor(10 * SimNetwork.Millisecond);
        }

        Assert.Equal(TcpState.Established, pair.Server.State);
        Assert.Equal(TcpState.Established, pair.Client.State);
        Assert.Equal(next, pair.Server.Rcv.Nxt);
        Assert.Equal(0, pair.Server.Available);
        TcpTransferTests.Exchange(pair, 100_000);
    }

    [Fact]
    public void Challenges_AreFew()
    {
        using var pair = new TcpPair();
        pair.Wire.Log = [];
        InetAddress source = InetAddress.Parse(pair.AddressA);
        for (uint i = 1; i <= 1000; i++)
        {
            TcpListenTests.Inject(pair.B, TcpFlags.Rst, source, pair.Client.LocalPort, TcpPair.Port, pair.Server.Rcv.Nxt + i, 0);
            pair.Net.RunFor(SimNetwork.Millisecond);
        }

        Assert.InRange(pair.B.Stack.Counters.ChallengeAcks, 1, 3);
        Assert.Equal(TcpState.Established, pair.Server.State);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    [InlineData(14)]
    [InlineData(15)]
    public void HostilePeer_KeepsInvariants(int seed)
    {
        // More of them where there is time.
        int more = Environment.GetEnvironmentVariable("SNAPSHOT_TEST_LONG") is { Length: > 0 } ? 50 : 1;
        for (int i = 0; i < more; i++)
            Torment(seed + (100 * i));
    }

    private static void Torment(int seed)
    {
        using var pair = new TcpPair(seed, settings: s => s.Settings.Ecn = 1);
        var random = new Random(seed);
        TcpEndpoint e = pair.Server;
        pair.B.Send(e, new byte[200_000]);
        InetAddress source = InetAddress.Parse(pair.AddressA);
        NetworkInterface link = pair.B.Stack.FindInterface("eth0")!;
        pair.Wire.Filter = _ => false;
        uint received = e.Rcv.Nxt, acked = e.Snd.Una, edge = e.Rcv.Nxt + e.Rcv.Left;
        for (int i = 0; i < 20_000 && e.State != TcpState.Closed; i++)
        {
            byte[] frame = MakeSegment(random, e, link, source);
            Packet packet = Packet.Received(frame, 0, frame.Length);
            packet.Checksum = ChecksumState.Verified;
            packet.SegmentSize = random.Next(4) == 0 ? random.Next(1, 1500) : 0;
            pair.B.Do(stack => stack.Receive(link, packet, stack.Now));
            Check(e, ref received, ref acked, ref edge);
            if (random.Next(3) == 0)
            {
                pair.Net.RunFor(random.Next(1, 50) * SimNetwork.Millisecond);
                Check(e, ref received, ref acked, ref edge);
            }

            switch (random.Next(60))
            {
                case 0:
                    pair.B.Read(e, random.Next(5000));
                    break;
                case < 6:
                    pair.B.Send(e, new byte[random.Next(60_000)], (TcpSendFlags)random.Next(8));
                    break;
                case 6:
                    pair.B.SaveAndRestore();
                    link = pair.B.Stack.FindInterface("eth0")!;
                    if (pair.B.Stack.Tcp.Endpoints.FirstOrDefault(x => x.RemotePort == pair.Client.LocalPort) is not { State: not TcpState.TimeWait } found)
                        return;
                    e = found;
                    break;
                case 7:
                    pair.B.Do(_ => e.GetInfo());
                    break;
            }
        }
    }

    [Fact]
    public void Options_OfAnyBytes_AreRead()
    {
        var random = new Random(5);
        byte[] bytes = new byte[40];
        for (int i = 0; i < 200_000; i++)
        {
            int length = random.Next(41);
            random.NextBytes(bytes);
            for (int j = 0; j < length; j++)
            {
                if (random.Next(3) == 0)
                    bytes[j] = (byte)random.Next(12);
            }

            TcpHeaderOptions.Read(bytes.AsSpan(0, length), random.Next(2) == 0, out TcpHeaderOptions parsed);
            Assert.InRange(parsed.BlockCount, 0, 4);
            Assert.InRange(parsed.WindowScale, 0, 14);
        }
    }

    [Fact]
    public void Options_RoundTrip()
    {
        foreach (bool isSyn in new[] { false, true })
        {
            for (int blocks = 0; blocks <= (isSyn ? 0 : 3); blocks++)
            {
                var options = new TcpHeaderOptions { HasTimestamp = true, TimestampValue = 1, TimestampEcho = 2, BlockCount = blocks };
                for (int i = 0; i < blocks; i++)
                    options.Blocks[i] = new SackBlock((uint)i, (uint)(i + 100));
                if (isSyn)
                {
                    options.Mss = 1460;
                    options.HasWindowScale = options.SackPermitted = true;
                    options.WindowScale = 7;
                }

                byte[] bytes = new byte[options.Length(isSyn)];
                options.Write(bytes, isSyn);
                Assert.Equal(0, bytes.Length % 4);
                TcpHeaderOptions.Read(bytes, isSyn, out TcpHeaderOptions read);
                Assert.Equal((options.Mss, options.HasWindowScale, options.WindowScale, options.SackPermitted), (read.Mss, read.HasWindowScale, read.WindowScale, read.SackPermitted));
                Assert.Equal((true, 1u, 2u, blocks), (read.HasTimestamp, read.TimestampValue, read.TimestampEcho, read.BlockCount));
                for (int i = 0; i < blocks; i++)
                    Assert.Equal(options.Blocks[i], read.Blocks[i]);
            }
        }
    }

    private static void Check(TcpEndpoint e, ref uint received, ref uint acked, ref uint edge)
    {
        if (e.State == TcpState.Closed)
            return;
        Assert.False(TcpSequence.Before(e.Rcv.Nxt, received), "what was received goes back");
        Assert.False(TcpSequence.Before(e.Snd.Una, acked), "what was acknowledged goes back");
        Assert.False(TcpSequence.Before(e.Rcv.Wup + e.Rcv.Window, edge), "the window shrinks");
        Assert.False(TcpSequence.After(e.Snd.Una, e.Snd.Nxt));
        Assert.False(TcpSequence.After(e.Snd.Nxt, e.Snd.WriteSeq));
        received = e.Rcv.Nxt;
        acked = e.Snd.Una;
        edge = e.Rcv.Wup + e.Rcv.Window;
        Assert.True(e.Cong.Window > 0 || e.Snd.PacketsOut > 0);
        Assert.True(e.Snd.PacketsOut >= 0 && e.Snd.SackedOut >= 0 && e.Snd.LostOut >= 0 && e.Snd.RetransOut >= 0, $"{e.Snd.PacketsOut} {e.Snd.SackedOut} {e.Snd.LostOut} {e.Snd.RetransOut}");
        Assert.True(e.Snd.SackedOut + e.Snd.LostOut <= e.Snd.PacketsOut, $"{e.Snd.SackedOut} sacked and {e.Snd.LostOut} lost of {e.Snd.PacketsOut}");
        int count = 0, sacked = 0, lost = 0, retransmitted = 0, queued = 0;
        for (int i = 0; i < (e.SendQueue?.Count ?? 0); i++)
        {
            TcpSegment segment = e.SendQueue![i];
            queued += segment.Length + TcpConstants.SegmentOverhead;
            if (i >= e.SendQueue.SentCount)
                continue;
            count += segment.Count;
            sacked += segment.Is(TcpMarks.Sacked) ? segment.Count : 0;
            lost += segment.Is(TcpMarks.Lost) ? segment.Count : 0;
            retransmitted += segment.Is(TcpMarks.Retransmitted) ? segment.Count : 0;
        }

        Assert.Equal((count, lost, retransmitted, queued), (e.Snd.PacketsOut, e.Snd.LostOut, e.Snd.RetransOut, e.Snd.Queued));
        if (e.Ext.Sack)
            Assert.Equal(sacked, e.Snd.SackedOut);
        Assert.Equal((int)(e.Rcv.Nxt - e.Rcv.Copied) - (e.IsDone ? 1 : 0), e.ReceiveQueue?.Length ?? 0);
        Assert.True(TcpReceiveWindow.Used(e) <= e.Options.ReceiveBuffer, "the receive buffer is over its limit");
    }

    private static byte[] MakeSegment(Random random, TcpEndpoint e, NetworkInterface link, InetAddress source)
    {
        int length = random.Next(3) == 0 ? 0 : random.Next(1460);
        uint seq = random.Next(4) switch
        {
            0 => e.Rcv.Nxt,
            1 => e.Rcv.Nxt + (uint)random.Next(-3000, 3000),
            2 => e.Rcv.Nxt + (uint)random.Next(0, (int)e.Rcv.Left + 100),
            _ => (uint)random.NextInt64(1L << 32),
        };
        uint ack = random.Next(16) switch
        {
            0 => (uint)random.NextInt64(1L << 32),
            1 => e.Snd.Una + (uint)random.Next(-1000, (int)(e.Snd.Nxt - e.Snd.Una) + 2),
            < 5 => e.Snd.Una + (uint)Math.Min(random.Next(5000), (int)(e.Snd.Nxt - e.Snd.Una)),
            _ => e.Snd.Una,
        };
        TcpFlags flags = TcpFlags.Ack | (TcpFlags)(random.Next(256) & random.Next(256));
        if (seq == e.Rcv.Nxt || random.Next(10) > 0)
            flags &= ~TcpFlags.Rst;
        if (random.Next(2000) > 0)
            flags &= ~TcpFlags.Fin;
        var options = new TcpHeaderOptions { HasTimestamp = random.Next(5) > 0, TimestampValue = e.Ext.Recent + (uint)random.Next(-2, 3), TimestampEcho = (uint)random.Next(), BlockCount = random.Next(4) };
        for (int i = 0; i < options.BlockCount; i++)
        {
            uint start = e.Snd.Una + (uint)random.Next(-2000, 60_000);
            options.Blocks[i] = new SackBlock(start, start + (uint)random.Next(-100, 20_000));
        }

        int optionLength = options.Length(false);
        byte[] frame = new byte[EthernetHeader.Size + 40 + optionLength + length];
        random.NextBytes(frame);
        EthernetHeader.Write(frame, link.Mac, new MacAddress(0x02_00_00_00_99_99), EtherType.Ipv4);
        new Ipv4Header
        {
            HeaderLength = 20, TotalLength = frame.Length - EthernetHeader.Size, TimeToLive = 64, Protocol = IpProtocol.Tcp, Source = source, Destination = e.LocalAddress, TypeOfService = (byte)random.Next(4),
        }.WriteTo(frame.AsSpan(EthernetHeader.Size));
        Span<byte> tcp = frame.AsSpan(EthernetHeader.Size + 20);
        new TcpHeader
        {
            SourcePort = e.RemotePort, DestinationPort = e.LocalPort, Sequence = seq, Acknowledgment = ack, Flags = flags, Window = (ushort)(random.Next(8) == 0 ? random.Next(600) : random.Next(65536)),
            UrgentPointer = (ushort)random.Next(2000), Length = 20 + optionLength,
        }.Write(tcp);
        options.Write(tcp[20..], false);
        return frame;
    }
}
