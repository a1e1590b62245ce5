using System.Runtime.InteropServices;
using Sentry.Kernel.Vdso;

namespace Tests.Kernel.Vdso;

/// <summary>The host's own dynamic loader accepts the image and its functions work.</summary>
public sealed class VdsoLoaderTests
{
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int ClockGettime(int clock, out Timespec time);

    [StructLayout(LayoutKind.Sequential)]
    private struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    [Fact]
    public void Image_LoadedAsALibrary_TellsTheTime()
    {
        string path = Path.Combine(Path.GetTempPath(), $"vdso-{Environment.ProcessId}.so");
        File.WriteAllBytes(path, VdsoImage.Create());
        try
        {
            nint library = NativeLibrary.Load(path);
            var function = Marshal.GetDelegateForFunctionPointer<ClockGettime>(NativeLibrary.GetExport(library, "__vdso_clock_gettime"));
            Assert.Equal(0, function(0, out Timespec time));
            Assert.InRange(time.Seconds, DateTimeOffset.UtcNow.ToUnixTimeSeconds() - 60, DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 60);
            Assert.Equal(-22, function(99, out _));
        }
        finally
        {
            File.Delete(path);
        }
    }
}
