using System.Buffers.Binary;
using Gofer;
using Gofer.Protocol;
using Sentry.FileSystems;
using Sentry.Host;
using Sentry.Kernel.Memory;

namespace Tests.Kernel.Files;

/// <summary>A program of the base tree whose calls are counted and rewritten; the platform's part is played by a fake.</summary>
public sealed class CallSitesTests : FileTestBase, IDisposable
{
    private const int Page = 4096, TextStart = Page, TextLength = (20 * Page) - 100, TextEnd = TextStart + TextLength, Near = TextStart + 100, Far = TextStart + (19 * Page) - 50;
    private const int ReadExecute = 5, Private = 2, Shared = 1;
    private static readonly System.Threading.AsyncLocal<(string Folder, GoferClient Client)> Made = new();
    private readonly string _folder;
    private readonly GoferClient _client;

    public CallSitesTests()
        : base(static kernel => RootTree.Mount(kernel, MakeGofer()))
    {
        (_folder, _client) = Made.Value;
        Kernel.Host.FakePlatform.HasCallSites = true;
        Kernel.Kernel.UseCallSites();
    }

    [Fact]
    public void OnCall_SeldomCall_ChangesNothing()
    {
        ulong text = Map(Task);
        Call(text + Near, 30);
        Assert.Equal(Original(TextStart, TextLength), Bytes(text + TextStart, TextLength));
        Assert.False(TestKernel.ThreadOf(Task).HasMailbox);
    }

    [Fact]
    public void OnCall_FrequentCall_IsRewrittenInTheProgramsMemory()
    {
        ulong text = Map(Task);
        Call(text + Near, 40);
        Assert.Equal([0xEB, 8], Bytes(text + Near, 2));
        Assert.Equal(0xE9, Bytes(text + Near + 10, 1)[0]);
        Assert.Equal(Original(Near + 15, 5000), Bytes(text + Near + 15, 5000));
        Assert.Equal(0xCC, Bytes(Trampoline(text), 1)[0]);
        Assert.True(TestKernel.ThreadOf(Task).HasMailbox);

        // The file has not changed, nor has another program's copy.
        Task other = NewProcess();
        Assert.Equal(Original(TextStart, TextLength), Bytes(Map(other) + TextStart, TextLength, other));
    }

    [Theory]
    [InlineData(3, Private)]
    [InlineData(ReadExecute, Shared)]
    [InlineData(7, Private)]
    public void OnCall_NotPrivateText_ChangesNothing(int protection, int flags)
    {
        ulong text = MapAs(Task, protection, flags, 20 * Page);
        Call(text + Near, 40);
        Assert.Equal(Original(TextStart, TextLength), Bytes(text + TextStart, TextLength));
    }

    [Fact]
    public void OnCall_TextThatIsNotFree_ChangesNothing()
    {
        ulong text = Map(Task);
        TestKernel.ThreadOf(Task).Space.Write(text + TextEnd + 50, [1]);
        Call(text + Near, 40);
        Assert.Equal(Original(TextStart, TextLength), Bytes(text + TextStart, TextLength));
    }

    [Fact]
    public void OnCall_MoreSites_GetTrampolinesOfTheirOwn()
    {
        ulong text = Map(Task);
        Call(text + Near, 40);
        Call(text + Far, 40);
        Assert.Equal(0xEB, Bytes(text + Near, 1)[0]);
        Assert.Equal(0xEB, Bytes(text + Far, 1)[0]);
        Assert.Equal(text + Far, CallSites.ToNatural(Task, Trampoline(text) + 32));
    }

    [Fact]
    public void OnCall_SecondSiteNearby_SeesWhatTheFirstHasTaken()
    {
        Kernel.Host.FakePlatform.PaddingOffset = 30; // from the site: of both the same place, when the second is 20 bytes behind the first
        ulong text = Map(Task);
        Call(text + Near, 40);
        Kernel.Host.FakePlatform.PaddingOffset = 10;
        Call(text + Near + 20, 40);
        Assert.Equal(0xE9, Kernel.Host.FakePlatform.SeenAtPadding);
    }

    [Fact]
    public void ToNatural_KnowsTrampolinesAndJumps()
    {
        ulong text = Map(Task);
        Call(text + Near, 40);
        ulong trampoline = Trampoline(text);
        Assert.Equal(text + Near, CallSites.ToNatural(Task, trampoline));
        Assert.Equal(text + Near, CallSites.ToNatural(Task, trampoline + 7));
        Assert.Equal(text + Near, CallSites.ToNatural(Task, trampoline + 21));
        Assert.Equal(text + Near + 2, CallSites.ToNatural(Task, trampoline + 23));
        Assert.Equal(text + Near, CallSites.ToNatural(Task, text + Near + 10));
        Assert.Equal(text + Near + 1000, CallSites.ToNatural(Task, text + Near + 1000));
        Assert.Equal(17ul, CallSites.ToNatural(Task, 17));
    }

    [Fact]
    public void OnCall_ThroughTheTrampoline_GetsAMailbox()
    {
        ulong text = Map(Task);
        Call(text + Near, 40);
        Task thread = Kernel.NewThread(Task);
        Assert.False(TestKernel.ThreadOf(thread).HasMailbox);
        Call(Trampoline(text) + 21, 10, thread);
        Assert.True(TestKernel.ThreadOf(thread).HasMailbox);
    }

    [Fact]
    public void SetNatural_GivesTheTextBackAndTakesItAgain()
    {
        ulong text = Map(Task);
        Call(text + Near, 40);
        Call(text + Far, 40);
        byte[] rewritten = Bytes(text + TextStart, 20 * Page);
        CallSites.SetNatural(Kernel.Kernel, true);
        Assert.Equal(Original(TextStart, 20 * Page), Bytes(text + TextStart, 20 * Page));
        CallSites.SetNatural(Kernel.Kernel, false);
        Assert.Equal(rewritten, Bytes(text + TextStart, 20 * Page));
    }

    [Fact]
    public void SetNatural_TextThatTheProgramChanged_StaysAsItMadeIt()
    {
        ulong text = Map(Task);
        Call(text + Near, 40);
        TestKernel.ThreadOf(Task).Space.Write(text + Near, [0xCC]);
        CallSites.SetNatural(Kernel.Kernel, true);
        Assert.Equal([0xCC, 8], Bytes(text + Near, 2));
    }

    [Fact]
    public void SetNatural_OtherFileMappedThere_IsLeftAlone()
    {
        ulong text = Map(Task);
        Call(text + Near, 40);
        Assert.Equal(0, Kernel.Do(Task, Sysno.munmap, text + TextStart, 20 * Page));
        byte[] rewritten = Bytes(text + TextStart, 20 * Page);
        Assert.Equal(text + TextStart, MapAs(Task, ReadExecute, Private, 20 * Page, text + TextStart) + TextStart);
        TestKernel.ThreadOf(Task).Space.Write(text + TextStart, rewritten);
        CallSites.SetNatural(Kernel.Kernel, true);
        Assert.Equal(rewritten, Bytes(text + TextStart, 20 * Page));
        Assert.Equal(Trampoline(text) + 3, CallSites.ToNatural(Task, Trampoline(text) + 3));
    }

    [Fact]
    public void TurnOff_GivesCallInstructionsBackForGood()
    {
        ulong text = Map(Task);
        Call(text + Near, 40);
        CallSites.TurnOff(Task);
        Assert.Equal(Original(Near, 2), Bytes(text + Near, 2));
        Assert.Equal(0xE9, Bytes(text + Near + 10, 1)[0]); // a thread may be there
        Assert.Equal(text + Near, CallSites.ToNatural(Task, Trampoline(text)));
        Call(text + Far, 40);
        Assert.Equal(Original(Far, 2), Bytes(text + Far, 2));
    }

    [Fact]
    public void Fork_ChildHasItsOwnAccount()
    {
        ulong text = Map(Task);
        Call(text + Near, 40);
        MemoryManager copy = Task.Memory.Copy(new FakeAddressSpace());
        Assert.NotNull(copy.Patches);
        Assert.NotSame(Task.Memory.Patches, copy.Patches);
        Assert.True(copy.Patches.IsTrampoline(Trampoline(text), copy));
    }

    public void Dispose()
    {
        _client.Dispose();
        System.IO.Directory.Delete(_folder, true);
    }

    private static ulong Trampoline(ulong text) => text + ((TextEnd + 15) & ~15);

    private byte[] Original(int offset, int length) => File.ReadAllBytes(_folder + "/program").AsSpan(offset, length).ToArray();

    private byte[] Bytes(ulong address, int length, Task? task = null)
    {
        byte[] bytes = new byte[length];
        Assert.Equal(length, TestKernel.ThreadOf(task ?? Task).Space.Read(address, bytes));
        return bytes;
    }

    private void Call(ulong site, int times, Task? task = null)
    {
        for (int i = 0; i < times; i++)
            Kernel.Kernel.CallSites!.OnCall(task ?? Task, Sysno.getpid, site + 2);
    }

    private ulong Map(Task task) => MapAs(task, ReadExecute, Private, 20 * Page);

    /// <summary>The address at which the file's first byte would be.</summary>
    private ulong MapAs(Task task, int protection, int flags, int length, ulong wanted = 0)
    {
        long fd = Kernel.Do(task, Sysno.open, Kernel.PutString(task, "/program"), 0, 0);
        Assert.True(fd >= 0);
        long address = Kernel.Do(task, Sysno.mmap, wanted, (ulong)length, (ulong)protection, (ulong)flags, (ulong)fd, TextStart);
        Assert.True(address > 0);
        TestKernel.ThreadOf(task).Space.Map((ulong)address, (ulong)length);
        TestKernel.ThreadOf(task).Space.Write((ulong)address, Original(TextStart, length));
        return (ulong)address - TextStart;
    }

    private static GoferClient MakeGofer()
    {
        string folder = System.IO.Directory.CreateTempSubdirectory("call-sites-test").FullName;
        File.WriteAllBytes(folder + "/program", MakeProgram());
        (UnixChannel first, UnixChannel second) = UnixChannel.CreatePair().Value;
        var server = new TreeServer(second.Detach(), HostFile.Open(folder, 0x200000 | 0x10000 | HostFile.OCloexec).Value, 64);
        new System.Threading.Thread(() =>
        {
            server.Run();
            server.Dispose();
        }).Start();
        var client = new GoferClient(first.Detach());
        Made.Value = (folder, client);
        return client;
    }

    // An ELF header, one executable segment whose last page is not full, one segment of data behind it.
    private static byte[] MakeProgram()
    {
        byte[] file = new byte[22 * Page];
        for (int i = TextStart; i < TextEnd; i++)
            file[i] = (byte)(1 + (i % 100));
        ReadOnlySpan<byte> magic = [0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        magic.CopyTo(file);
        BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(32), 64);
        BinaryPrimitives.WriteInt16LittleEndian(file.AsSpan(54), 56);
        BinaryPrimitives.WriteInt16LittleEndian(file.AsSpan(56), 2);
        Segment(64, 5, TextStart, TextLength);
        Segment(120, 6, 21 * Page, Page);
        return file;

        void Segment(int at, int flags, long offset, long length)
        {
            BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(at), 1);
            BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(at + 4), flags);
            BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(at + 8), offset);
            BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(at + 32), length);
        }
    }
}
