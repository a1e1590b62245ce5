using System.Globalization;

namespace Sentry.FileSystems.Proc;

/// <summary>The root of procfs: fixed entries and a directory for each process. As on Linux a thread id is found as well, but not listed.</summary>
[Savable("proc-root")]
internal sealed partial class ProcRoot : SyntheticDirectory
{
    /// <summary>Positions of processes in the directory begin here.</summary>
    private const long FirstProcess = 1 << 16;

    [Saved(1)] private StaticDirectory _fixed;

    internal ProcRoot(ProcFileSystem fileSystem)
        : base(fileSystem, 0x16D, 0, 0)
    {
        _fixed = new StaticDirectory(fileSystem);
        _fixed.Add("self", new ProcSelfLink(fileSystem, thread: false));
        _fixed.Add("thread-self", new ProcSelfLink(fileSystem, thread: true));
        StaticDirectory? below = null;
        foreach (string name in SystemFiles.Names)
        {
            string[] parts = name.Split('/');
            if (parts.Length == 2 && !_fixed.Lookup(parts[0]).IsOk)
                _fixed.Add(parts[0], below = new StaticDirectory(fileSystem));
            (parts.Length == 2 ? below! : _fixed).Add(parts[^1], new ProcSystemFile(fileSystem, name));
        }

        _fixed.Add("mounts", new ProcFixedLink(fileSystem, "self/mounts"));
        _fixed.Add("net", new ProcFixedLink(fileSystem, "self/net"));
        _fixed.Add("sys", Sysctls.CreateTree(fileSystem));
    }

    public override uint LinkCount => 2 + (uint)FileSystem.Kernel.Processes.Count;

    public override Result<Inode> Lookup(string name)
    {
        if (name.Length > 0 && char.IsAsciiDigit(name[0]))
        {
            if (!TryParseId(name, out int pid))
                return Errno.ENOENT;
            GuestKernel kernel = FileSystem.Kernel;
            pid = ((ProcFileSystem)FileSystem).Pids.ToKernel(pid);
            if (!kernel.Processes.TryGetValue(pid, out ThreadGroup? group))
                group = kernel.Tasks.TryGetValue(pid, out Task? task) ? task.Group : null;
            return group is null ? Errno.ENOENT : new ProcessDirectory((ProcFileSystem)FileSystem, group, null);
        }

        return _fixed.Lookup(name);
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        if (position < FirstProcess)
        {
            var counted = new CountingReader(reader);
            Errno error = _fixed.ReadDirectory(caller, position, counted);
            if (error != Errno.None || counted.Full)
                return error;
            position = FirstProcess;
        }

        PidNamespace pids = ((ProcFileSystem)FileSystem).Pids;
        IEnumerable<int> numbers = FileSystem.Kernel.Processes.Keys;
        if (!pids.IsFirst)
            numbers = numbers.Select(pids.ToLocal).Where(static n => n > 0).Order();
        foreach (int pid in numbers)
        {
            if (FirstProcess + pid < position)
                continue;
            if (!reader.Add(pid.ToString(CultureInfo.InvariantCulture), ProcFileSystem.NumberOf(pids.ToKernel(pid), false, 0), S.IFDIR, FirstProcess + pid + 1))
                break;
        }

        return Errno.None;
    }

    /// <summary>Decimal without leading zeros.</summary>
    internal static bool TryParseId(string name, out int id) =>
        int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out id) && (name.Length == 1 || name[0] != '0');

    /// <summary>Tells whether the reader had no more room.</summary>
    private sealed class CountingReader(IDirectoryReader inner) : IDirectoryReader
    {
        internal bool Full { get; private set; }

        public bool Add(string name, ulong inode, uint mode, long next)
        {
            Full = !inner.Add(name, inode, mode, next);
            return !Full;
        }
    }
}
