using System.Runtime.InteropServices;
using Sentry.Kernel.Vdso;

namespace Tests.Kernel.Vdso;

/// <summary>The host's own dynamic loader accepts the image and its functions work.</summary>
public sealed class VdsoLoaderTests : IDisposable
{
    private const long Second = 1_000_000_000;
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"vdso-{Guid.NewGuid():N}.so");
    private readonly nint _library;

    public VdsoLoaderTests()
    {
        File.WriteAllBytes(_path, VdsoImage.Create());
        _library = NativeLibrary.Load(_path);
    }

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int ClockGettime(int clock, out Timespec time);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int Gettimeofday(out Timeval time, nint zone);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate long Time(nint place);

    public void Dispose()
    {
        NativeLibrary.Free(_library);
        File.Delete(_path);
    }

    [Fact]
    public void Image_WithoutAClock_MakesTheCalls()
    {
        var clock = Get<ClockGettime>("__vdso_clock_gettime");
        long now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        Assert.Equal(0, clock(0, out Timespec time));
        Assert.InRange(time.Seconds, now - 60, now + 60);
        Assert.Equal(-22, clock(99, out _));
        Assert.Equal(0, Get<Gettimeofday>("__vdso_gettimeofday")(out Timeval day, 0));
        Assert.InRange(day.Seconds, now - 60, now + 60);
        Assert.InRange(Get<Time>("__vdso_time")(0), now - 60, now + 60);
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(5, true)]
    [InlineData(11, true)]
    [InlineData(1, false)]
    [InlineData(4, false)]
    [InlineData(6, false)]
    [InlineData(7, false)]
    public void Image_WithAClock_TellsItsTime(int clock, bool isRealtime)
    {
        // A rate of 0: the time stands still at the base.
        Fill(limit: ulong.MaxValue, rate: 0, monotonic: (77 * Second) + 123_456_789, realtime: (88 * Second) + 987_654_321);
        Assert.Equal(0, Get<ClockGettime>("clock_gettime")(clock, out Timespec time));
        Assert.Equal(isRealtime ? (88, 987_654_321) : (77, 123_456_789), (time.Seconds, time.Nanoseconds));
    }

    [Fact]
    public void Image_WithAClock_TellsSecondsAndMicroseconds()
    {
        Fill(limit: ulong.MaxValue, rate: 0, monotonic: 0, realtime: (88 * Second) + 987_654_999);
        Assert.Equal(0, Get<Gettimeofday>("gettimeofday")(out Timeval day, 0));
        Assert.Equal((88, 987_654), (day.Seconds, day.Microseconds));
        Assert.Equal(88, Get<Time>("time")(0));
    }

    [Fact]
    public void Image_WithAClock_CountsFromTheBase()
    {
        // The counter has run for longer than a second since the machine began; at 1 ns a tick that is what is seen on top of the base.
        Fill(limit: ulong.MaxValue, rate: 1ul << 32, monotonic: 0, realtime: 0);
        Assert.Equal(0, Get<ClockGettime>("clock_gettime")(1, out Timespec first));
        Assert.Equal(0, Get<ClockGettime>("clock_gettime")(1, out Timespec second));
        Assert.True(first.Seconds > 0);
        Assert.True((second.Seconds, second.Nanoseconds).CompareTo((first.Seconds, first.Nanoseconds)) >= 0);
    }

    [Fact]
    public void Image_WithAClockThatIsTooOld_MakesTheCall()
    {
        Fill(limit: 1000, rate: 1ul << 32, monotonic: 77 * Second, realtime: 88 * Second);
        Assert.Equal(0, Get<ClockGettime>("clock_gettime")(0, out Timespec time));
        Assert.True(time.Seconds > 1_500_000_000);
    }

    private T Get<T>(string name)
        where T : Delegate => Marshal.GetDelegateForFunctionPointer<T>(NativeLibrary.GetExport(_library, name));

    /// <summary>Writes the clock page as the kernel does, and makes it the one behind the loaded image.</summary>
    private void Fill(ulong limit, ulong rate, long monotonic, long realtime)
    {
        var arena = new FakeArena();
        new ClockPage(arena).Write(2, new ClockParameters(0, limit, rate, monotonic, realtime));
        nint page = (NativeLibrary.GetExport(_library, "clock_gettime") & ~4095) + 4096;
        Assert.Equal(0, MakeWritable(page, 4096, 7));
        Marshal.Copy(arena.GetSpan(0, 4096).ToArray(), 0, page, 4096);
    }

    [DllImport("libc", EntryPoint = "mprotect")]
    private static extern int MakeWritable(nint address, nint length, int protection);

    [StructLayout(LayoutKind.Sequential)]
    private struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Timeval
    {
        public long Seconds;
        public long Microseconds;
    }
}
