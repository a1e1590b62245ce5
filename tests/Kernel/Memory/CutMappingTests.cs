using Tests.Kernel.Files;

namespace Tests.Kernel.Memory;

/// <summary>Truncating a file takes its pages from those who map it, on the host as well.</summary>
public sealed class CutMappingTests : FileTestBase
{
    private const int Page = 4096, ReadWriteProtection = 3, Private = 2;

    private (ulong Address, int Fd) MapFile(Task task, string path)
    {
        int fd = (int)CallAs(task, Sysno.openat, AT.FDCWD, path, ReadWrite);
        return ((ulong)CallAs(task, Sysno.mmap, 0, 4 * Page, ReadWriteProtection, Private, fd, 0), fd);
    }

    private static IEnumerable<MemoryOperation> Closed(Task task) =>
        TestKernel.ThreadOf(task).Operations.Where(o => o.Kind == MemoryOperationKind.Map && o.Protection == MemoryProtection.None);

    [Fact]
    public void Truncate_MappedByTwo_BothLosePagesBehindTheEnd()
    {
        WriteFile("/f", "x");
        Assert.Equal(0, Call(Sysno.truncate, "/f", 4 * Page));
        Task other = NewProcess();
        (ulong own, int fd) = MapFile(Task, "/f");
        (ulong others, _) = MapFile(other, "/f");
        Assert.Empty(Closed(Task));
        Assert.Equal(0, Call(Sysno.ftruncate, fd, Page + 1));
        Assert.Equal((own + (2 * Page), 2 * Page), Assert.Single(Closed(Task).Select(o => (o.Address, (int)o.Length))));
        Assert.Equal((others + (2 * Page), 2 * Page), Assert.Single(Closed(other).Select(o => (o.Address, (int)o.Length))));
    }

    [Fact]
    public void Protect_BehindTheEnd_StaysClosed()
    {
        WriteFile("/f", "x");
        (ulong address, _) = MapFile(Task, "/f");
        Assert.Equal(0, Call(Sysno.mprotect, address, 4 * Page, ReadWriteProtection));
        MemoryOperation last = TestKernel.ThreadOf(Task).Operations[^1];
        Assert.Equal((MemoryOperationKind.Protect, address + Page, MemoryProtection.None), (last.Kind, last.Address, last.Protection));
    }
}
