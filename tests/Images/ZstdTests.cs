using Snapshot.Images;

namespace Tests.Images;

public sealed class ZstdTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(100_000)]
    public void Decompress_WhatWasCompressed_IsTheSame(int length)
    {
        byte[] content = new byte[length];
        for (int i = 0; i < length; i++)
            content[i] = (byte)(i / 100);
        using Zstd.Compressor compressor = new(3);
        using Zstd.Decompressor decompressor = new();
        byte[] frame = new byte[Zstd.MaxFrameLength(length)];
        int frameLength = compressor.Compress(content, frame);
        byte[] back = new byte[length];
        Assert.Equal(length, decompressor.Decompress(frame.AsSpan(0, frameLength), back));
        Assert.Equal(content, back);
    }

    [Fact]
    public void Decompress_MoreThanTheBufferOrJunk_GivesMinusOne()
    {
        using Zstd.Compressor compressor = new(1);
        using Zstd.Decompressor decompressor = new();
        byte[] frame = new byte[Zstd.MaxFrameLength(1 << 20)];
        int length = compressor.Compress(new byte[1 << 20], frame);
        Assert.Equal(-1, decompressor.Decompress(frame.AsSpan(0, length), new byte[(1 << 20) - 1]));
        Assert.Equal(-1, decompressor.Decompress(frame.AsSpan(0, length - 1), new byte[1 << 20]));
        Assert.Equal(-1, decompressor.Decompress("no frame at all"u8, new byte[100]));
    }
}
