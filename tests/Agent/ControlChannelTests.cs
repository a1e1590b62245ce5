using System.Buffers.Binary;
using System.Text;
using Sentry.Control;
using Sentry.Host;

namespace Tests.Agent;

public sealed class ControlChannelTests
{
    [Fact]
    public void Send_RequestWithDescriptors_ArrivesWhole()
    {
        (UnixChannel a, UnixChannel b) = UnixChannel.CreatePair().Value;
        using ControlChannel first = new(a), second = new(b);
        (int read, int write) = HostFile.Pipe().Value;

        first.Send(new ExecRequest { Id = 7, Program = new ProgramSpec { Arguments = ["sh", "-c", "echo ä"], Environment = ["A=b"] } }, read, write);
        ControlMessage? message = second.ReceiveFrame(out int[] descriptors);

        ExecRequest request = Assert.IsType<ExecRequest>(message);
        Assert.Equal(7, request.Id);
        Assert.Equal(["sh", "-c", "echo ä"], request.Program.Arguments);
        Assert.Equal(2, descriptors.Length);
        HostFile.Write(descriptors[1], "x"u8);
        byte[] buffer = new byte[4];
        Assert.Equal(1, HostFile.Read(read, buffer).Value);
        foreach (int descriptor in (int[])[read, write, .. descriptors])
            HostFile.Close(descriptor);
    }

    [Fact]
    public void Send_LargeReply_ArrivesWhole()
    {
        (UnixChannel a, UnixChannel b) = UnixChannel.CreatePair().Value;
        using ControlChannel first = new(a), second = new(b);
        Reply reply = new() { Id = 1, BaseFiles = [.. Enumerable.Range(0, 20_000).Select(i => new BaseFile { Path = $"/usr/lib/{i}", Size = i })] };
        Thread sender = new(() => first.Send(reply));
        sender.Start();

        Reply got = Assert.IsType<Reply>(second.ReceiveFrame(out _));

        sender.Join();
        Assert.Equal(20_000, got.BaseFiles.Length);
    }

    [Fact]
    public void ReceiveFrame_PeerClosed_ReturnsNull()
    {
        (UnixChannel a, UnixChannel b) = UnixChannel.CreatePair().Value;
        using ControlChannel second = new(b);
        a.Dispose();
        Assert.Null(second.ReceiveFrame(out int[] descriptors));
        Assert.Empty(descriptors);
    }

    [Theory]
    [InlineData(-1, "")]
    [InlineData(0, "")]
    [InlineData(1 << 30, "")]
    [InlineData(4, "null")]
    [InlineData(9, "{\"id\":1}x")]
    [InlineData(18, "{\"kind\":\"nothing\"}")]
    [InlineData(40, "{\"kind\":\"inspect\"")]
    [InlineData(35, "{\"kind\":\"inspect\",\"Descriptors\":1}  ")]
    public void ReceiveFrame_NoMessage_IsRefused(int length, string body)
    {
        (UnixChannel a, UnixChannel b) = UnixChannel.CreatePair().Value;
        using ControlChannel second = new(b);
        byte[] frame = [0, 0, 0, 0, .. Encoding.UTF8.GetBytes(body)];
        BinaryPrimitives.WriteInt32LittleEndian(frame, length);
        a.Send(frame);
        a.Dispose();
        Assert.Throws<FrameException>(() => second.ReceiveFrame(out _));
    }
}
