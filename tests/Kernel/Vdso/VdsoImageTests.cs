using System.Buffers.Binary;
using System.Text;
using Sentry.Kernel.Vdso;

namespace Tests.Kernel.Vdso;

/// <summary>The image is read the way C libraries read it: program headers, dynamic section, hash table, versions.</summary>
public sealed class VdsoImageTests
{
    private readonly byte[] _image = VdsoImage.Create();

    [Fact]
    public void Create_IsWholePages() => Assert.Equal(0, _image.Length % 4096);

    [Theory]
    [InlineData("__vdso_clock_gettime", 228)]
    [InlineData("clock_gettime", 228)]
    [InlineData("__vdso_gettimeofday", 96)]
    [InlineData("__vdso_time", 201)]
    [InlineData("__vdso_getcpu", 309)]
    [InlineData("__vdso_clock_getres", 229)]
    public void Lookup_FindsAFunctionThatCanMakeTheCall(string name, int call)
    {
        (int entry, int length) = Lookup(name);
        Assert.NotEqual(0, entry);
        Assert.Equal([0xf3, 0x0f, 0x1e, 0xfa], _image[entry..(entry + 4)]); // endbr64
        byte[] number = BitConverter.GetBytes(call);
        Assert.Equal([0xb8, .. number, 0x0f, 0x05, 0xc3], _image[(entry + length - 8)..(entry + length)]); // mov $call, %eax; syscall; ret
    }

    [Fact]
    public void Image_LeavesAPageForTheClock()
    {
        Assert.Equal(4096, BitConverter.ToInt64(_image, 64 + 32));
        Assert.Equal(8192, BitConverter.ToInt64(_image, 64 + 40));
    }

    [Fact]
    public void Lookup_OfAnUnknownName_FindsNothing() => Assert.Equal((0, 0), Lookup("__vdso_nothing"));

    private long Dynamic(long tag)
    {
        long offset = BitConverter.ToInt64(_image, 64 + 56 + 8);
        for (int at = (int)offset; ; at += 16)
        {
            long found = BitConverter.ToInt64(_image, at);
            if (found == tag)
                return BitConverter.ToInt64(_image, at + 8);
            Assert.NotEqual(0, found);
        }
    }

    private (int Entry, int Length) Lookup(string name)
    {
        int hash = (int)Dynamic(4), strings = (int)Dynamic(5), symbols = (int)Dynamic(6), versions = (int)Dynamic(0x6ffffff0);
        int buckets = BitConverter.ToInt32(_image, hash);
        uint h = 0;
        foreach (char c in name)
        {
            h = (h << 4) + c;
            h ^= (h & 0xf0000000) >> 24;
            h &= 0x0fffffff;
        }

        int index = BitConverter.ToInt32(_image, hash + 8 + ((int)(h % (uint)buckets) * 4));
        for (; index != 0; index = BitConverter.ToInt32(_image, hash + 8 + ((buckets + index) * 4)))
        {
            int symbol = symbols + (index * 24);
            if (Text(strings + BitConverter.ToInt32(_image, symbol)) != name)
                continue;
            Assert.Equal("LINUX_2.6", VersionName(BitConverter.ToUInt16(_image, versions + (index * 2)), strings));
            return ((int)BitConverter.ToInt64(_image, symbol + 8), (int)BitConverter.ToInt64(_image, symbol + 16));
        }

        return (0, 0);
    }

    private string VersionName(ushort version, int strings)
    {
        int definition = (int)Dynamic(0x6ffffffc);
        while (BitConverter.ToUInt16(_image, definition + 4) != version)
        {
            int next = BitConverter.ToInt32(_image, definition + 16);
            Assert.NotEqual(0, next);
            definition += next;
        }

        int auxiliary = definition + BitConverter.ToInt32(_image, definition + 12);
        return Text(strings + BitConverter.ToInt32(_image, auxiliary));
    }

    private string Text(int offset) => Encoding.ASCII.GetString(_image, offset, Array.IndexOf(_image, (byte)0, offset) - offset);
}
