using Sentry.FileSystems;
using Sentry.Kernel.Limits;
using Tests.Kernel.Files;

namespace Tests.Kernel.Tasks;

/// <summary>The limits of a sandbox: tasks, memory, and what guests are told of them.</summary>
public sealed class SandboxLimitTests : FileTestBase
{
    private const long Megabyte = 1 << 20, Second = 1_000_000_000;

    private static void Use(Task task, long bytes) => TestKernel.ThreadOf(task).Space.ResidentBytes = bytes;

    private void Limit(long memory = 0, int tasks = 0, int cpus = 0)
    {
        SandboxLimits limits = Kernel.Kernel.Limits;
        (limits.Memory, limits.Tasks, limits.Cpus) = (memory, tasks, cpus);
        Kernel.Kernel.ApplyLimits();
    }

    private static bool IsKilled(Task task) => task.Group.WaitStatus is not null || task.Group.Tasks.TrueForAll(static t => t.Signals.Pending.Has(Signal.SIGKILL)) || task.Group.Pending.Has(Signal.SIGKILL);

    [Fact]
    public void Fork_AtTheLimit_IsEagain()
    {
        Limit(tasks: 2);
        NewProcess();
        Assert.Equal(Fail(Errno.EAGAIN), Call(Sysno.fork));
        Assert.Equal(Fail(Errno.EAGAIN), Call(Sysno.clone, 17, 0, 0, 0, 0));
    }

    [Fact]
    public void Memory_BeyondTheLimit_KillsTheLargest()
    {
        Task small = NewProcess(), large = NewProcess();
        Limit(memory: 100 * Megabyte);
        Use(small, 30 * Megabyte);
        Use(large, 60 * Megabyte);
        Kernel.Advance(Second);
        Assert.Equal(0, Kernel.Kernel.Limits.Kills);
        Use(large, 80 * Megabyte);
        Kernel.Advance(Second);
        Assert.Equal(1, Kernel.Kernel.Limits.Kills);
        Assert.True(IsKilled(large));
        Assert.False(IsKilled(small));
    }

    [Fact]
    public void Memory_OomScoreAdjustment_MovesTheChoice()
    {
        Task small = NewProcess(), large = NewProcess();
        large.Group.OomScoreAdjustment = -1000;
        small.Group.OomScoreAdjustment = 100;
        Limit(memory: 100 * Megabyte);
        Use(Task, 35 * Megabyte);
        Use(small, 30 * Megabyte);
        Use(large, 60 * Megabyte);
        Kernel.Advance(Second);
        Assert.True(IsKilled(small));
        Assert.False(IsKilled(large) || IsKilled(Task));
    }

    [Fact]
    public void Memory_OfFiles_Counts()
    {
        Limit(memory: 8 * Megabyte);
        Use(Task, 5 * Megabyte);
        Kernel.Advance(Second);
        Assert.Equal(0, Kernel.Kernel.Limits.Kills);
        int fd = Open("/tmp/f", ReadWrite | Create);
        Assert.Equal(0, Call(Sysno.fallocate, fd, 0, 0, 4 * Megabyte));
        Kernel.Advance(Second);
        Assert.Equal(1, Kernel.Kernel.Limits.Kills);
    }

    [Fact]
    public void Guests_AreToldOfTheLimits()
    {
        Limit(64 * Megabyte, 50, 1);
        Use(Task, 4 * Megabyte);
        Assert.Equal($"{64 * Megabyte}\n", ReadFile("/sys/fs/cgroup/memory.max"));
        Assert.Equal("50\n", ReadFile("/sys/fs/cgroup/pids.max"));
        Assert.Equal("100000 100000\n", ReadFile("/sys/fs/cgroup/cpu.max"));
        Assert.Equal($"{4 * Megabyte}\n", ReadFile("/sys/fs/cgroup/memory.current"));
        Assert.Contains("MemTotal:          65536 kB\n", ReadFile("/proc/meminfo"));
        Assert.Contains("MemAvailable:      61440 kB\n", ReadFile("/proc/meminfo"));
        Assert.DoesNotContain("processor\t: 1\n", ReadFile("/proc/cpuinfo"));
        ulong info = Kernel.Allocate(112);
        Assert.Equal(0, Call(Sysno.sysinfo, info));
        Assert.True(Task.TryRead(info + 32, out long total));
        Assert.True(Task.TryRead(info + 40, out long free));
        Assert.Equal((64 * Megabyte, 60 * Megabyte), (total, free));
    }

    [Fact]
    public void RlimitAs_BoundsEveryMapping_AndRlimitDataWritableOnes()
    {
        const int readOnly = 1, readWrite = 3, anonymousPrivate = 0x22, mayMove = 1;
        Task.Group.Limits[ResourceLimits.Data] = new ResourceLimit { Soft = 2 << 20, Hard = ulong.MaxValue };
        long first = Call(Sysno.mmap, 0, 1 << 20, readWrite, anonymousPrivate, -1L, 0);
        Assert.True(first > 0);
        Assert.Equal(Fail(Errno.ENOMEM), Call(Sysno.mmap, 0, 2 << 20, readWrite, anonymousPrivate, -1L, 0));
        Assert.Equal(Fail(Errno.ENOMEM), Call(Sysno.mremap, first, 1 << 20, 4 << 20, mayMove));
        Assert.True(Call(Sysno.mmap, 0, 2 << 20, readOnly, anonymousPrivate, -1L, 0) > 0);
        Task.Group.Limits[ResourceLimits.As] = new ResourceLimit { Soft = 4 << 20, Hard = ulong.MaxValue };
        Assert.Equal(Fail(Errno.ENOMEM), Call(Sysno.mmap, 0, 2 << 20, readOnly, anonymousPrivate, -1L, 0));
    }

    [Fact]
    public void WithoutLimits_NothingIsBounded()
    {
        Assert.Equal("max\n", ReadFile("/sys/fs/cgroup/memory.max"));
        Assert.Equal("max\n", ReadFile("/sys/fs/cgroup/pids.max"));
        Assert.Equal("max 100000\n", ReadFile("/sys/fs/cgroup/cpu.max"));
    }
}
