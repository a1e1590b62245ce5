using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Main;

/// <summary>What the sentry takes from itself before it meets a guest: the host's files and its privileges.</summary>
internal static class Isolation
{
    private const int LimitNoFile = 7, DetachMount = 2;

    /// <summary>Raises the descriptor limit to what the host allows: donated files, streams, stubs.</summary>
    public static void RaiseLimits()
    {
        if (HostProcess.GetLimit(LimitNoFile) is { IsOk: true } limit)
            HostProcess.SetLimit(LimitNoFile, limit.Value.Hard, limit.Value.Hard);
    }

    /// <summary>As process 1 of its own pid and mount namespaces: replaces the file tree by an empty one that holds only /proc of this pid namespace.</summary>
    public static void EmptyFileTree()
    {
        if (HostProcess.ProcessId != 1)
            return;
        Require.Ok(HostNamespaces.Mount("none", "/", null, HostNamespaces.MountRecursive | HostNamespaces.MountPrivate), "make mounts private");
        Require.Ok(HostNamespaces.Mount("tmpfs", "/tmp", "tmpfs", HostNamespaces.MountNoSuid | HostNamespaces.MountNoDev, "size=64k,mode=755"), "mount an empty root");
        Require.Ok(HostFile.MakeDirectoryAt(HostFile.AtFdCwd, "/tmp/proc", 0x16d), "make /proc");
        Require.Ok(HostNamespaces.Mount("proc", "/tmp/proc", "proc", HostNamespaces.MountNoSuid | HostNamespaces.MountNoDev | HostNamespaces.MountNoExec), "mount /proc");
        Require.Ok(HostFile.ChangeDirectory("/tmp"), "enter the empty root");
        Require.Ok(HostNamespaces.PivotRoot(".", "."), "switch to the empty root");
        Require.Ok(HostNamespaces.Unmount(".", DetachMount), "leave the host's files");
        Require.Ok(HostFile.ChangeDirectory("/"), "enter the empty root");
        Errno readOnly = HostNamespaces.Mount("none", "/", null, HostNamespaces.MountRemount | HostNamespaces.MountReadOnly | HostNamespaces.MountNoSuid | HostNamespaces.MountNoDev);
        Require.Ok(readOnly, "make the empty root read-only");
    }

    /// <summary>Gives up every capability for good.</summary>
    public static void DropPrivileges()
    {
        Require.Ok(HostProcess.SetNoNewPrivileges(), "set no_new_privs");
        Require.Ok(HostProcess.DropAllCapabilities(), "drop capabilities");
    }
}
