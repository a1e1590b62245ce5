using System.Runtime.InteropServices;
using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Platform.Notify;

/// <summary>A signal whose handler does nothing: it ends a thread's blocking call with EINTR. Installed past the runtime, which would restart calls.</summary>
internal static unsafe class KickSignal
{
    /// <summary>A real-time signal that neither libc (32, 33) nor the runtime (34) uses.</summary>
    private const int Number = 44;

    private const ulong HasRestorer = 0x0400_0000;

    // handler: ret; restorer at 16: mov eax, 15 (rt_sigreturn); syscall
    private static ReadOnlySpan<byte> Code => [0xC3, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xB8, 0x0F, 0, 0, 0, 0x0F, 0x05];

    private static readonly bool _installed = Install();

    public static void Prepare()
    {
        if (!_installed)
            throw new InvalidOperationException("the kick signal could not be installed");
    }

    public static void Send(int threadId) => HostProcess.KillThread(HostProcess.ProcessId, threadId, Number);

    private static bool Install()
    {
        ulong code = (ulong)ExecutableCode.Map(Code);
        ulong* action = stackalloc ulong[4] { code, HasRestorer, code + 16, 0 };
        return HostSyscall.Call(Sysno.rt_sigaction, Number, (long)action, 0, 8) == 0;
    }
}
