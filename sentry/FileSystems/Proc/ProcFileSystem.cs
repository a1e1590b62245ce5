using System.Text;

namespace Sentry.FileSystems.Proc;

/// <summary>procfs (proc(5)): processes and the kernel as files. Nothing in it is state of its own but the boot id and what was written to
/// settings; entries are made when they are looked up.</summary>
[Savable("procfs")]
public sealed partial class ProcFileSystem : FileSystem
{
    [Saved(1)] private Dentry _root;
    [Saved(2)] private string _bootId;
    [Saved(3)] private PidNamespace _pids;

    public ProcFileSystem(GuestKernel kernel, PidNamespace? pids = null)
        : base(kernel, "proc")
    {
        _pids = pids ?? kernel.Namespaces.PidForChildren;
        // Below lie the numbers of entries that follow from process ids, see NumberOf.
        SetFirstInode(1UL << 62);
        _bootId = NewUuid();
        _root = new Dentry(new ProcRoot(this));
    }

    public Dentry Root => _root;

    /// <summary>Whose processes it shows: of who mounted it.</summary>
    public PidNamespace Pids => _pids;

    /// <summary>/proc/sys/kernel/random/boot_id.</summary>
    public string BootId => _bootId;

    public override string TypeName => "proc";

    public override FileSystemStatus GetStatus() => new(0x9fa0, 4096, 0, 0, 0, 0, 255);

    /// <summary>A random UUID of version 4 (RFC 4122 §4.4).</summary>
    public string NewUuid()
    {
        Span<byte> bytes = stackalloc byte[16];
        Kernel.Host.FillRandom(bytes);
        bytes[6] = (byte)((bytes[6] & 0x0f) | 0x40);
        bytes[8] = (byte)((bytes[8] & 0x3f) | 0x80);
        var text = new StringBuilder(36);
        for (int i = 0; i < bytes.Length; i++)
        {
            if (i is 4 or 6 or 8 or 10)
                text.Append('-');
            text.Append(bytes[i].ToString("x2", System.Globalization.CultureInfo.InvariantCulture));
        }

        return text.ToString();
    }

    /// <summary>The inode number of an entry of a process or thread: the same at every look-up, so that programs that compare device and inode
    /// (find, tar) recognise it.</summary>
    /// <param name="id">Process or thread id.</param>
    /// <param name="isThread">Below /proc/PID/task.</param>
    /// <param name="entry">Which entry; below 2^20.</param>
    internal static ulong NumberOf(int id, bool isThread, int entry) => ((isThread ? 1UL : 0) << 60) | ((ulong)(uint)id << 24) | (uint)entry;
}

/// <summary>A file about the whole kernel; its name in <see cref="SystemFiles"/> says what it tells.</summary>
[Savable("proc-system-file")]
internal sealed partial class ProcSystemFile : SyntheticInode
{
    [Saved(1)] private string _name;

    internal ProcSystemFile(ProcFileSystem fileSystem, string name, uint permissions = 0x124)
        : base(fileSystem, permissions)
    {
        _name = name;
    }

    public override Result<string> Generate(Task? caller) => SystemFiles.Generate((ProcFileSystem)FileSystem, caller, _name);
}

/// <summary>A setting below /proc/sys: keeps what was written and shows it again; few of them do anything.</summary>
[Savable("proc-sysctl")]
internal sealed partial class ProcSysctl : SyntheticInode
{
    [Saved(1)] private string _name;
    [Saved(2)] private string? _written;

    internal ProcSysctl(ProcFileSystem fileSystem, string name, bool writable)
        : base(fileSystem, writable ? 0x1A4u : 0x124u)
    {
        _name = name;
    }

    public override Result<string> Generate(Task? caller)
    {
        if (IpcSettings.Get(caller?.Ipc ?? FileSystem.Kernel.Ipc, _name) is { } value)
            return value + "\n";
        if (KernelSettings.Get(FileSystem.Kernel, _name) is { } number)
            return number + "\n";
        UtsNamespace names = caller?.Namespaces.Uts ?? FileSystem.Kernel.Namespaces.Uts;
        if (_name is "kernel/hostname" or "kernel/domainname")
            return (_name == "kernel/hostname" ? names.HostName : names.DomainName) + "\n";
        return _written ?? Sysctls.Generate((ProcFileSystem)FileSystem, _name) + "\n";
    }

    public override Result<long> Accept(Task caller, string text, long offset)
    {
        string value = text.TrimEnd('\n', '\0');
        bool ofKernel = KernelSettings.Get(FileSystem.Kernel, _name) is not null;
        if (ofKernel || IpcSettings.Get(caller.Ipc, _name) is not null)
        {
            Errno error = ofKernel ? KernelSettings.Set(caller, _name, value) : IpcSettings.Set(caller.Ipc, _name, value);
            return error == Errno.None ? text.Length : error;
        }

        switch (_name)
        {
            case "kernel/hostname":
                caller.Namespaces.Uts.HostName = value[..Math.Min(64, value.Length)];
                break;
            case "kernel/domainname":
                caller.Namespaces.Uts.DomainName = value[..Math.Min(64, value.Length)];
                break;
            default:
                _written = value + "\n";
                break;
        }

        return text.Length;
    }
}

/// <summary>A symbolic link with a text that never changes.</summary>
[Savable("proc-fixed-link")]
internal sealed partial class ProcFixedLink : SyntheticLink
{
    [Saved(1)] private string _target;

    internal ProcFixedLink(FileSystem fileSystem, string target)
        : base(fileSystem)
    {
        _target = target;
    }

    public override Result<string> ReadLink(Task? caller) => _target;
}

/// <summary>/proc/self and /proc/thread-self: lead to whoever asks.</summary>
[Savable("proc-self-link")]
internal sealed partial class ProcSelfLink : SyntheticLink
{
    [Saved(1)] private bool _thread;

    internal ProcSelfLink(FileSystem fileSystem, bool thread)
        : base(fileSystem)
    {
        _thread = thread;
    }

    public override Result<string> ReadLink(Task? caller)
    {
        PidNamespace pids = ((ProcFileSystem)FileSystem).Pids;
        if (caller is null || pids.ToLocal(caller.Tid) == 0)
            return Errno.ENOENT;
        return _thread ? $"{pids.ToLocal(caller.Group.Pid)}/task/{pids.ToLocal(caller.Tid)}" : $"{pids.ToLocal(caller.Group.Pid)}";
    }
}
