using Tests.Kernel.Fakes;

namespace Tests.Kernel.Memory;

/// <summary>Threads change their memory on the host each for itself, when they run again: a place that one has freed and not yet unmapped there must
/// not be given to another, whose mapping would go with it.</summary>
public sealed class PlacementTests
{
    private const ulong Length = 0x10000, ReadWrite = 3, PrivateAnonymous = 0x22;

    private readonly TestKernel _kernel = new();
    private readonly Task _one;
    private readonly Task _other;

    public PlacementTests()
    {
        _one = _kernel.NewProcess();
        _other = _kernel.NewThread(_one);
        _one.Memory.AddUser();
    }

    private ulong Map(Task task, ulong hint = 0) => (ulong)_kernel.Do(task, Sysno.mmap, hint, Length, ReadWrite, PrivateAnonymous, ulong.MaxValue, 0);

    [Fact]
    public void Freed_OtherThreadMaps_GetsAnotherPlace()
    {
        ulong place = Map(_one);
        Assert.Equal(0, _kernel.Do(_one, Sysno.munmap, place, Length));
        Assert.NotEqual(place, Map(_other));
        Assert.NotEqual(place, Map(_other, place));
    }

    [Fact]
    public void Freed_SameThreadMaps_GetsThePlace()
    {
        ulong place = Map(_one);
        Assert.Equal(0, _kernel.Do(_one, Sysno.munmap, place, Length));
        Assert.Equal(place, Map(_one));
    }

    [Fact]
    public void Freed_ThreadHasRunSince_OtherGetsThePlace()
    {
        ulong place = Map(_one);
        Assert.Equal(0, _kernel.Do(_one, Sysno.munmap, place, Length));
        TestKernel.ThreadOf(_one).State = GuestThreadState.InSyscall;
        Assert.Equal(place, Map(_other));
    }

    [Fact]
    public void Moved_OtherThreadMaps_GetsAnotherPlace()
    {
        const ulong mayMove = 1;
        ulong place = Map(_one), above = place;
        Assert.NotEqual(0ul, above);
        ulong moved = (ulong)_kernel.Do(_one, Sysno.mremap, place, Length, Length * 4, mayMove, 0);
        Assert.NotEqual(place, moved);
        ulong found = Map(_other);
        Assert.True(found + Length <= place || found >= place + Length, $"{found:x} lies in what was moved away from {place:x}");
    }
}
