using Sentry.Host;
using Sentry.Kernel;
using Sentry.Kernel.Time;
using Sentry.Platform;

namespace Sentry.Main;

/// <summary>The kernel's world outside.</summary>
internal sealed class MainHost(IPlatform platform, MainClock clock, MainArena arena, FlightRecorder recorder, Sandbox sandbox) : IKernelHost
{
    public IPlatform Platform => platform;

    public IHostClock Clock => clock;

    public IFileArena Arena => arena;

    public void FillRandom(Span<byte> destination) => HostEvents.FillRandom(destination);

    public void BeginCall(int pid, int tid, int number, in SyscallArgs args, string name) => recorder.Begin(pid, tid, number, args, name);

    public void EndCall() => recorder.End();

    public void Log(string message) => Console.Error.WriteLine($"sentry: {message}");

    public void OnProgramExited(int pid, int waitStatus) => sandbox.OnProgramExited(pid, waitStatus);

    public void RunAside(IHostWork work) => sandbox.RunAside(work);

    public void OnSavePoint() => sandbox.OnSavePoint();
}
