using Sentry.Abi;
using Sentry.Kernel;
using Sentry.Kernel.Seccomp;

namespace Tests.Kernel.Host;

/// <summary>The filters of our own processes, run by the interpreter of the guests' filters.</summary>
public sealed class SeccompFilterTests
{
    private const uint Pass = 0x7FFF0000, Error = 0x00050000;
    private const ulong Thread = 0x3D0F00, Fork = 0x1200011;

    private static readonly ulong[] Program = new Sentry.Host.SeccompFilter()
        .Allow(Sysno.ioctl).AllowWith(Sysno.prctl, 15, 16).AllowThreads().Allow(Sysno.read).ToProgram();

    [Theory]
    [InlineData(Sysno.ioctl, 0, Pass)]
    [InlineData(Sysno.read, 7, Pass)]
    [InlineData(Sysno.prctl, 16, Pass)]
    [InlineData(Sysno.prctl, 17, Error | (uint)Errno.EPERM)]
    [InlineData(Sysno.clone, Thread, Pass)]
    [InlineData(Sysno.clone, Fork, Error | (uint)Errno.EPERM)]
    [InlineData(Sysno.clone3, 0, Error | (uint)Errno.ENOSYS)]
    [InlineData(Sysno.execve, 0, Error | (uint)Errno.EPERM)]
    [InlineData(Sysno.write, 0, Error | (uint)Errno.EPERM)]
    public void Call_IsDecidedByTheList(int number, ulong firstArgument, uint action)
    {
        Assert.True(FilterProgram.IsSound(Program));
        Span<uint> data = stackalloc uint[CallData.Words];
        new CallData(number, 0, new SyscallArgs(firstArgument, 0, 0, 0, 0, 0)).WriteTo(data);
        Assert.Equal(action, FilterProgram.Run(Program, data));
    }
}
