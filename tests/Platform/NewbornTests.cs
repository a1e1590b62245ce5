using System.Diagnostics;
using Sentry.Abi;
using Sentry.Platform;

namespace Tests.Platform;

/// <summary>Host processes that are killed after they were cloned and before they have reported. The code of a stub is changed for that, so that its copies end
/// themselves where they would report.</summary>
public sealed class NewbornTests
{
    private const int FirstSeconds = 25; // less than the patience with one that does not answer

    // mov edi, 1; mov esi, 9; mov eax, prctl: the first call of a newborn. Instead: mov edi, 9; mov eax, exit_group; syscall.
    private static readonly byte[] _begins = [0xBF, 1, 0, 0, 0, 0xBE, 9, 0, 0, 0, 0xB8, 157, 0, 0, 0];
    private static readonly byte[] _ends = [0xBF, 9, 0, 0, 0, 0xB8, 231, 0, 0, 0, 0x0F, 0x05, 0x90, 0x90, 0x90];

    [Fact]
    public void Fork_ChildIsKilledBeforeItReports_IsAChildThatWasKilled()
    {
        using TestKernel kernel = new();
        Stopwatch time = Stopwatch.StartNew();
        kernel.Start("deadforks", "10");
        Replace(NotifyPlatformTests.Stubs()[1], _begins, _ends);
        kernel.Platform.Run(kernel, kernel.Lock);
        Assert.Equal(0, kernel.First.Status);
        Assert.Equal(Enumerable.Repeat("it was killed before it began", 20), kernel.Lost);
        Assert.InRange(time.Elapsed.TotalSeconds, 0, FirstSeconds);
    }

    [Fact]
    public void CreateProcess_CopiesAreKilledBeforeTheyReport_FailsAndWorksAfterwards()
    {
        using TestKernel kernel = new();
        int zygote = Assert.Single(NotifyPlatformTests.Stubs());
        Stopwatch time = Stopwatch.StartNew();
        Replace(zygote, _begins, _ends);
        Assert.Equal(Errno.EAGAIN, kernel.Platform.CreateProcess().Error);
        Assert.InRange(time.Elapsed.TotalSeconds, 0, FirstSeconds);
        Replace(zygote, _ends, _begins);
        Assert.Equal(0, kernel.Run("fork", "5"));
        Assert.Empty(kernel.Lost);
        string name = File.ReadAllText($"/proc/{zygote}/comm");
        Assert.NotEmpty(Children(name));
        kernel.Dispose();
        Assert.Empty(Children(name));
    }

    [Fact]
    public void Freeze_CopiesAreKilledBeforeTheyReport_FailsAndLeavesTheGuestAlone()
    {
        using RunningKernel run = new("frozen");
        run.Do(() =>
        {
            IGuestThread thread = run.Kernel.First.Threads[0];
            int stub = NotifyPlatformTests.Stubs()[1];
            thread.Stop();
            Replace(stub, _begins, _ends);
            Assert.Equal(Errno.EAGAIN, thread.AddressSpace.Freeze(thread).Error);
            Replace(stub, _ends, _begins);
            thread.AddressSpace.Freeze(thread).Value.Dispose();
            thread.Resume();
            run.Kernel.Hook = (t, call) =>
            {
                if (call.Number == 3000)
                    t.Return(1);
                return call.Number == 3000;
            };
        });
        run.Join();
        Assert.Empty(run.Kernel.Lost);
    }

    /// <summary>Those that have ended and have not been reaped too.</summary>
    private static List<string> Children(string name) => [.. Directory.GetDirectories("/proc/self/task")
        .SelectMany(t => File.ReadAllText(t + "/children").Split(' ', StringSplitOptions.RemoveEmptyEntries))
        .Where(c => File.ReadAllText($"/proc/{c}/comm") == name)];

    private static void Replace(int stub, byte[] old, byte[] now)
    {
        const long Code = 0x7FFE_0000_0000;
        using FileStream memory = new($"/proc/{stub}/mem", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        byte[] page = new byte[4096];
        memory.Seek(Code, SeekOrigin.Begin);
        memory.ReadExactly(page);
        int at = page.AsSpan().IndexOf(old);
        Assert.True(at >= 0);
        memory.Seek(Code + at, SeekOrigin.Begin);
        memory.Write(now);
    }
}
