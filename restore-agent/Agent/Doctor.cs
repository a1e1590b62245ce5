using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using RestoreAgent.Agent.Processes;
using RestoreAgent.Api;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent;

/// <summary>Looks at what the host offers: what is there, what falls back to something slower, what must be mended.</summary>
public static class Doctor
{
    private const string Ok = "ok", Fallback = "fallback", Missing = "missing";

    // The first kernel whose notification waits can be interrupted only by fatal signals once received (WAIT_KILLABLE_RECV without its races).
    private static readonly Version FixedNotification = new(6, 17), OldestKernel = new(6, 6), PageMapScan = new(6, 7);

    public static DoctorLine[] Examine(AgentFolders folders)
    {
        Version kernel = KernelVersion();
        return
        [
            Kernel(kernel),
            Namespaces(),
            Notification(kernel),
            UserFault(),
            Scan(kernel),
            ControlGroups(),
            Zstd(),
            Kvm(),
            Memory(),
            Mappings(),
            OpenFiles(),
            Program("sentry", folders.Sentry),
            Program("gofer", folders.Gofer),
            StateFolder(folders),
        ];
    }

    private static Version KernelVersion()
    {
        string release = ReadLine("/proc/sys/kernel/osrelease");
        string[] parts = release.Split('.', '-', '+');
        return parts.Length >= 2 && int.TryParse(parts[0], out int major) && int.TryParse(parts[1], out int minor) ? new Version(major, minor) : new Version(0, 0);
    }

    private static DoctorLine Kernel(Version kernel) => kernel >= OldestKernel
        ? new("kernel", Ok, ReadLine("/proc/sys/kernel/osrelease"))
        : new("kernel", Missing, $"{ReadLine("/proc/sys/kernel/osrelease")}: install Linux {OldestKernel} or newer");

    private static DoctorLine Namespaces()
    {
        const string Name = "namespaces";
        Result<SpawnedProcess> spawned = ProcessSpawner.Spawn(new SpawnOptions { Path = "/bin/true", Arguments = ["true"], Namespaces = Isolation.Sentry });
        if (spawned.IsError)
        {
            return new(Name, Missing, $"{spawned.Error}: " + (HostProcess.EffectiveUserId == 0
                ? "give this container CAP_SYS_ADMIN, or run the agent as an ordinary user with user namespaces"
                : "allow user namespaces: sysctl user.max_user_namespaces=10000 (and kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu)"));
        }

        _ = HostProcess.Wait(spawned.Value.PidFd, noHang: false);
        HostFile.Close(spawned.Value.PidFd);
        return new(Name, Ok, Isolation.Sentry.HasFlag(NamespaceFlags.User) ? "user, mount, network, ipc, uts and pid" : "mount, network, ipc, uts and pid, as root");
    }

    private static DoctorLine Notification(Version kernel)
    {
        const string Name = "seccomp notification";
        const int GetNotificationSizes = 3, GetActionAvailable = 2;
        const uint UserNotification = 0x7FC00000;
        Span<byte> sizes = stackalloc byte[8], action = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(action, UserNotification);
        if (HostProcess.Seccomp(GetActionAvailable, action) != Errno.None || HostProcess.Seccomp(GetNotificationSizes, sizes) != Errno.None)
            return new(Name, Missing, "the kernel was built without it: enable CONFIG_SECCOMP_FILTER");
        if (kernel < OldestKernel)
            return new(Name, Fallback, "no synchronous wake-up before Linux 6.6: system calls are ten times slower");
        return kernel < FixedNotification
            ? new(Name, Fallback, "WAIT_KILLABLE_RECV and SYNC_WAKE_UP; a signal may repeat a call in rare cases before Linux 6.17")
            : new(Name, Ok, "WAIT_KILLABLE_RECV, SYNC_WAKE_UP and the fixes of Linux 6.17");
    }

    private static DoctorLine UserFault()
    {
        const int CloseOnExec = 0x80000, UserModeOnly = 1;
        long descriptor = HostSyscall.Call(Sysno.userfaultfd, CloseOnExec | UserModeOnly);
        if (descriptor < 0)
            return new("userfaultfd", Fallback, $"{HostSyscall.ErrorOf(descriptor)}: memory is restored from local files only");
        HostFile.Close((int)descriptor);
        return new("userfaultfd", Ok, "user mode");
    }

    private static DoctorLine Scan(Version kernel)
    {
        const string Name = "PAGEMAP_SCAN";
        return kernel >= PageMapScan ? new(Name, Ok, "in this kernel") : new(Name, Fallback, "since Linux 6.7; checkpoints read the slower /proc/PID/pagemap");
    }

    private static DoctorLine ControlGroups() => File.Exists("/sys/fs/cgroup/cgroup.controllers")
        ? new("cgroups", Ok, "version 2")
        : new("cgroups", Fallback, Directory.Exists("/sys/fs/cgroup/memory") ? "version 1: sandboxes have no limits of their own" : "not mounted: sandboxes have no limits of their own");

    private static DoctorLine Zstd()
    {
        if (!NativeLibrary.TryLoad("libzstd.so.1", out nint library))
            return new("libzstd.so.1", Missing, "apt-get install libzstd1");
        NativeLibrary.Free(library);
        return new("libzstd.so.1", Ok, "found");
    }

    private static DoctorLine Kvm()
    {
        const int ReadWrite = 2;
        Result<int> opened = HostFile.Open("/dev/kvm", ReadWrite | HostFile.OCloexec);
        if (opened.IsError)
            return new("/dev/kvm", Fallback, $"{opened.Error}: not needed, the platform is notify");
        HostFile.Close(opened.Value);
        return new("/dev/kvm", Ok, "usable");
    }

    private static DoctorLine Memory()
    {
        const long Little = 512;
        long available = File.ReadLines("/proc/meminfo").Where(l => l.StartsWith("MemAvailable:", StringComparison.Ordinal))
            .Select(l => long.Parse(l.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) >> 10).FirstOrDefault();
        return available >= Little ? new("memory", Ok, $"{available} MiB available") : new("memory", Fallback, $"only {available} MiB available");
    }

    private static DoctorLine Mappings()
    {
        const int Plenty = 65530;
        return int.TryParse(ReadLine("/proc/sys/vm/max_map_count"), out int count) && count >= Plenty
            ? new("mappings", Ok, $"{count} a process")
            : new("mappings", Fallback, $"{count} a process: programs with many mappings need sysctl vm.max_map_count={Plenty}");
    }

    private static DoctorLine OpenFiles()
    {
        const int NumberOfFiles = 7;
        const ulong Plenty = 4096;
        Result<(ulong Soft, ulong Hard)> limit = HostProcess.GetLimit(NumberOfFiles);
        return limit.IsOk && limit.Value.Hard >= Plenty
            ? new("open files", Ok, $"{limit.Value.Soft}, at most {limit.Value.Hard}")
            : new("open files", Fallback, "fewer than 4096: many sandboxes need a higher ulimit -n");
    }

    private static DoctorLine Program(string name, string path) => File.Exists(path) ? new(name, Ok, path) : new(name, Missing, $"{path} is not there: build it with eng/build");

    private static DoctorLine StateFolder(AgentFolders folders)
    {
        const long Little = 1 << 30;
        DriveInfo drive = new(folders.State);
        string what = $"{folders.State} on {drive.DriveFormat}, {drive.AvailableFreeSpace >> 20} MiB free";
        if (drive.DriveFormat == "tmpfs")
            return new("state folder", Fallback, what + ": images in memory fault slower and cost memory; set SNAPSHOT_STATE_DIR to a disk");
        return drive.AvailableFreeSpace >= Little ? new("state folder", Ok, what) : new("state folder", Fallback, what + ": little room for snapshots");
    }

    private static string ReadLine(string path) => File.Exists(path) ? File.ReadLines(path).FirstOrDefault() ?? "" : "";
}
