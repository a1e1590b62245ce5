using Gofer.Protocol;
using Sentry.Abi;
using Sentry.Host;

namespace Tests.Gofer;

public sealed class TreeServerTests : IDisposable
{
    private readonly ServedTree _tree = new();

    private GoferClient Client => _tree.Client;

    public void Dispose() => _tree.Dispose();

    [Fact]
    public void Lookup_File_TellsItsAttributes()
    {
        _tree.WriteFile("file", "12345");
        FoundNode found = Client.Lookup(GoferLimits.RootHandle, "file").Value;
        Assert.Equal(5, found.Attributes.Size);
        Assert.Equal(S.IFREG, found.Attributes.Mode & S.IFMT);
        Assert.Equal(0u, found.Handle);
        Assert.Equal(Errno.ENOENT, Client.Lookup(GoferLimits.RootHandle, "none").Error);
        Assert.Equal(Errno.ESTALE, Client.Lookup(77, "file").Error);
    }

    [Fact]
    public void Lookup_Directory_GivesAHandle()
    {
        _tree.WriteFile("a/b/file", "x");
        FoundNode a = Client.Lookup(GoferLimits.RootHandle, "a").Value;
        FoundNode b = Client.Lookup(a.Handle, "b").Value;
        Assert.True(Client.Lookup(b.Handle, "file").IsOk);
        Assert.Equal(Errno.None, Client.Forget([a.Handle]));
        Assert.Equal(Errno.ESTALE, Client.Lookup(a.Handle, "b").Error);
        Assert.True(Client.Lookup(b.Handle, "file").IsOk);
    }

    [Theory]
    [InlineData("..")]
    [InlineData(".")]
    [InlineData("/")]
    [InlineData("/etc")]
    [InlineData("a/..")]
    [InlineData("../etc")]
    [InlineData("a\0b")]
    public void Names_ThatAreNoEntries_AreRefused(string name)
    {
        _tree.WriteFile("a/b", "x");
        Assert.Equal(Errno.EINVAL, Client.Lookup(GoferLimits.RootHandle, name).Error);
        Assert.Equal(Errno.EINVAL, Client.Open(GoferLimits.RootHandle, name).Error);
        FoundNode a = Client.Lookup(GoferLimits.RootHandle, "a").Value;
        Assert.Equal(Errno.EINVAL, Client.Lookup(a.Handle, name).Error);
    }

    [Fact]
    public void Symlinks_AreToldAndNeverFollowed()
    {
        File.CreateSymbolicLink(_tree.PathOf("out"), "/etc");
        File.CreateSymbolicLink(_tree.PathOf("passwd"), "/etc/passwd");
        FoundNode found = Client.Lookup(GoferLimits.RootHandle, "out").Value;
        Assert.Equal("/etc", found.Link);
        Assert.Equal(0u, found.Handle);
        Assert.Equal(Errno.EACCES, Client.Open(GoferLimits.RootHandle, "passwd").Error);
    }

    [Fact]
    public void Open_OnlyRegularFiles()
    {
        _tree.WriteFile("file", "content");
        Directory.CreateDirectory(_tree.PathOf("dir"));
        Assert.Equal(Errno.None, HostFile.MakeNodeAt(HostFile.AtFdCwd, _tree.PathOf("fifo"), (int)S.IFIFO | 0x1B6, 0));
        using DonatedFile file = Client.Open(GoferLimits.RootHandle, "file").Value;
        var bytes = new byte[16];
        Assert.Equal(5, file.ReadAt(bytes, 2).Value);
        Assert.Equal("ntent", System.Text.Encoding.ASCII.GetString(bytes, 0, 5));
        Assert.Equal(Errno.EBADF, HostFile.WriteAt(file.Descriptor, bytes, 0).Error);
        Assert.Equal(Errno.EACCES, Client.Open(GoferLimits.RootHandle, "dir").Error);
        Assert.Equal(Errno.EACCES, Client.Open(GoferLimits.RootHandle, "fifo").Error);
    }

    [Fact]
    public void ReadDirectory_Large_ComesInParts()
    {
        Directory.CreateDirectory(_tree.PathOf("many"));
        for (int i = 0; i < 3000; i++)
            File.WriteAllText(_tree.PathOf($"many/file{i}"), "");
        File.CreateSymbolicLink(_tree.PathOf("many/link"), "target");
        uint handle = Client.Lookup(GoferLimits.RootHandle, "many").Value.Handle;
        var entries = new List<NodeEntry>();
        ulong cursor = 0;
        int parts = 0;
        bool end;
        do
        {
            end = Client.ReadDirectory(handle, ref cursor, entries).Value;
            parts++;
        }
        while (!end);

        Assert.True(parts > 1);
        Assert.Equal(3001, entries.Select(e => e.Name).Distinct().Count());
        Assert.Equal(3001, entries.Count);
        Assert.Equal("target", entries.Single(e => e.Name == "link").Link);
    }

    [Fact]
    public void Handles_AreBounded()
    {
        using var small = new ServedTree(4);
        for (int i = 0; i < 6; i++)
            Directory.CreateDirectory(small.PathOf($"d{i}"));
        Result<FoundNode> last = default;
        for (int i = 0; i < 6 && !last.IsError; i++)
            last = small.Client.Lookup(GoferLimits.RootHandle, $"d{i}");
        Assert.Equal(Errno.ENFILE, last.Error);
        Assert.True(small.Client.StatFs().IsOk);
    }

    [Theory]
    [InlineData(new byte[] { 0, 0, 0, 0 })]
    [InlineData(new byte[] { 255, 255, 255, 127 })]
    [InlineData(new byte[] { 1, 0, 0, 0, 99 })]
    [InlineData(new byte[] { 3, 0, 0, 0, 1, 1, 0 })]
    [InlineData(new byte[] { 9, 0, 0, 0, 1, 1, 0, 0, 0, 255, 255, 65, 65 })]
    [InlineData(new byte[] { 5, 0, 0, 0, 4, 255, 255, 255, 255 })]
    public void Nonsense_EndsTheServer(byte[] bytes)
    {
        Assert.Equal(bytes.Length, HostFile.Write(_tree.Raw, bytes).Value);
        _tree.Stop();
        Assert.False(_tree.PeerWasSound);
    }

    [Fact]
    public void RandomFrames_NeverBreakTheServerButByLeaving()
    {
        var random = new Random(7);
        for (int round = 0; round < 30; round++)
        {
            using var tree = new ServedTree();
            tree.WriteFile("a/file", "x");
            var bytes = new byte[random.Next(1, 60)];
            random.NextBytes(bytes);
            BitConverter.TryWriteBytes(bytes, (ushort)Math.Max(1, bytes.Length - 4));
            HostFile.Write(tree.Raw, bytes);
            tree.Stop();
        }
    }

    [Fact]
    public void PeerGone_EndsTheServer()
    {
        _tree.Stop();
        Assert.True(_tree.PeerWasSound);
    }
}
