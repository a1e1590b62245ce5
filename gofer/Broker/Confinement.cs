using Sentry.Abi;
using Sentry.Host;

namespace Broker;

/// <summary>Takes from the process everything but making and binding sockets: no files, no rights but the low ports, a short list of system calls.</summary>
internal static class Confinement
{
    private const int CapNetBindService = 10, DropBounding = 24, Detach = 2;

    public static Errno Enter()
    {
        Errno error = LeaveFiles();
        if (error != Errno.None)
            return error;
        for (int capability = 0; capability < 64; capability++)
        {
            if (capability != CapNetBindService && HostProcess.Prctl(DropBounding, capability).IsError)
                break;
        }

        ulong kept = HostProcess.EffectiveUserId == 0 ? 1ul << CapNetBindService : 0;
        _ = HostProcess.SetCapabilities(kept, kept, 0);

        // A thread of the runtime that is still starting when the filter comes into force would end the process.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        _ = HostProcess.SetDumpable(false);
        error = HostProcess.SetNoNewPrivileges();
        return error != Errno.None ? error : new SeccompFilter()
            .AllowWith(Sysno.socket, HostSockets.Inet, HostSockets.Inet6)
            .Allow(Sysno.recvmsg, Sysno.sendmsg, Sysno.bind, Sysno.close)
            .AllowRuntime()
            .Install();
    }

    /// <summary>Makes an empty, read-only file system the root.</summary>
    private static Errno LeaveFiles()
    {
        Errno error = HostNamespaces.Mount("none", "/", null, HostNamespaces.MountRecursive | HostNamespaces.MountPrivate);
        if (error == Errno.None)
            error = HostNamespaces.Mount("tmpfs", "/tmp", "tmpfs", HostNamespaces.MountNoSuid | HostNamespaces.MountNoDev | HostNamespaces.MountNoExec | HostNamespaces.MountReadOnly, "size=4k,mode=555");
        if (error == Errno.None)
            error = HostFile.ChangeDirectory("/tmp");
        if (error == Errno.None)
            error = HostNamespaces.PivotRoot(".", ".");
        if (error == Errno.None)
            error = HostNamespaces.Unmount(".", Detach);
        return error != Errno.None ? error : HostFile.ChangeDirectory("/");
    }
}
