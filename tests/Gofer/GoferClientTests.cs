using Gofer.Protocol;
using Sentry.Abi;
using Sentry.Host;

namespace Tests.Gofer;

/// <summary>A gofer that was taken over answers what it likes: the sentry must get errors, not trouble.</summary>
public sealed class GoferClientTests : IDisposable
{
    private readonly UnixChannel _gofer;
    private readonly GoferClient _client;

    public GoferClientTests()
    {
        (UnixChannel mine, UnixChannel theirs) = UnixChannel.CreatePair().Value;
        _gofer = theirs;
        _client = new GoferClient(mine.Detach());
    }

    public void Dispose()
    {
        _client.Dispose();
        _gofer.Dispose();
    }

    private void Prepare(byte[] frame, params int[] descriptors) => Assert.Equal(Errno.None, _gofer.Send(frame, descriptors));

    [Fact]
    public void Reply_TooShort_IsEioForGood()
    {
        Prepare([5, 0, 0, 0, 0, 0, 0, 0, 1]);
        Assert.Equal(Errno.EIO, _client.Lookup(1, "x").Error);
        Assert.Equal(Errno.EIO, _client.StatFs().Error);
    }

    [Fact]
    public void Reply_WithStrayDescriptor_IsEio()
    {
        (int read, int write) = HostFile.Pipe().Value;
        Prepare([4, 0, 0, 0, 2, 0, 0, 0], read);
        Assert.Equal(Errno.EIO, _client.Lookup(1, "x").Error);
        HostFile.Close(read);
        Assert.Equal(Errno.EPIPE, HostFile.Write(write, "x"u8).Error);
        HostFile.Close(write);
    }

    [Fact]
    public void Reply_OpenWithoutDescriptor_IsEio()
    {
        var frame = new byte[4 + 4 + NodeAttributes.WireSize];
        BitConverter.TryWriteBytes(frame, frame.Length - 4);
        Prepare(frame);
        Assert.Equal(Errno.EIO, _client.Open(1, "x").Error);
    }

    [Fact]
    public void Reply_EntryNamedDotDot_IsEio()
    {
        var buffer = new byte[512];
        var writer = new FrameWriter(buffer);
        writer.U32(0);
        writer.U64(1);
        writer.U8(1);
        writer.U32(1);
        writer.Text("..");
        writer.Attributes(default);
        writer.Text("");
        Prepare(writer.Finish().ToArray());
        ulong cursor = 0;
        Assert.Equal(Errno.EIO, _client.ReadDirectory(1, ref cursor, []).Error);
    }

    [Fact]
    public void Peer_Gone_IsEio()
    {
        _gofer.Dispose();
        Assert.Equal(Errno.EIO, _client.Lookup(1, "x").Error);
    }
}
