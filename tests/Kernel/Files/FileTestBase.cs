using Sentry.FileSystems;

namespace Tests.Kernel.Files;

/// <summary>A kernel with a root file system and one process in it, and the file calls as methods: a value, or -errno.</summary>
public abstract class FileTestBase
{
    protected const int ReadOnly = 0, WriteOnly = 1, ReadWrite = 2, Create = 0x40, Exclusive = 0x80, Truncate = 0x200, Append = 0x400, NonBlock = 0x800,
        Directory = 0x10000, NoFollow = 0x20000, CloseOnExec = 0x80000, PathOnly = 0x200000, TmpFile = 0x410000;

    private protected readonly TestKernel Kernel = new();
    private protected readonly Task Task;

    protected FileTestBase()
        : this(static kernel => RootTree.Mount(kernel, null))
    {
    }

    private protected FileTestBase(Action<GuestKernel> mount)
    {
        mount(Kernel.Kernel);
        Task = NewProcess();
    }

    private protected Task NewProcess()
    {
        Task task = Kernel.NewProcess();
        task.Fs = new FsContext(Kernel.Kernel.Mounts.Root);
        return task;
    }

    private protected static long Fail(Errno error) => -(long)error;

    private protected long Call(int number, params object[] args) => CallAs(Task, number, args);

    /// <summary>Strings are put into guest memory first.</summary>
    private protected long CallAs(Task task, int number, params object[] args)
    {
        var words = new ulong[args.Length];
        for (int i = 0; i < args.Length; i++)
        {
            words[i] = args[i] switch
            {
                string text => Kernel.PutString(task, text),
                int value => (ulong)value,
                long value => (ulong)value,
                uint value => value,
                ulong value => value,
                _ => throw new ArgumentException(args[i].GetType().Name),
            };
        }

        return Kernel.Do(task, number, words);
    }

    private protected int Open(string path, int flags = 0, int mode = 0x1A4) => (int)Call(Sysno.openat, AT.FDCWD, path, flags, mode);

    private protected long Close(int fd) => Call(Sysno.close, fd);

    private protected long Write(int fd, string text) => Call(Sysno.write, fd, Kernel.PutString(Task, text), text.Length);

    private protected string Read(int fd, int length = 4096)
    {
        ulong buffer = Kernel.Allocate(length);
        long got = Call(Sysno.read, fd, buffer, length);
        Assert.True(got >= 0, $"read: {(Errno)(-got)}");
        return TestKernel.GetString(Task, buffer, (int)got);
    }

    private protected void WriteFile(string path, string text, int mode = 0x1A4)
    {
        int fd = Open(path, WriteOnly | Create | Truncate, mode);
        Assert.True(fd >= 0, $"{path}: {(Errno)(-fd)}");
        Assert.Equal(text.Length, Write(fd, text));
        Close(fd);
    }

    private protected string ReadFile(string path)
    {
        int fd = Open(path);
        Assert.True(fd >= 0, $"{path}: {(Errno)(-fd)}");
        string text = Read(fd);
        Close(fd);
        return text;
    }

    private protected KernelStat Stat(string path, int flags = 0)
    {
        ulong buffer = Kernel.Allocate(144);
        Assert.Equal(0, Call(Sysno.newfstatat, AT.FDCWD, path, buffer, flags));
        Assert.True(Task.TryRead(buffer, out KernelStat stat));
        return stat;
    }

    private protected KernelStat Fstat(int fd)
    {
        ulong buffer = Kernel.Allocate(144);
        Assert.Equal(0, Call(Sysno.fstat, fd, buffer));
        Assert.True(Task.TryRead(buffer, out KernelStat stat));
        return stat;
    }

    private protected List<string> List(string path)
    {
        int fd = Open(path, Directory);
        Assert.True(fd >= 0);
        var names = new List<string>();
        for (; ; )
        {
            List<string> some = ReadEntries(fd, 512);
            if (some.Count == 0)
                break;
            names.AddRange(some);
        }

        Close(fd);
        names.RemoveAll(name => name is "." or "..");
        names.Sort(StringComparer.Ordinal);
        return names;
    }

    private protected List<string> ReadEntries(int fd, int size)
    {
        ulong buffer = Kernel.Allocate(size);
        long got = Call(Sysno.getdents64, fd, buffer, size);
        Assert.True(got >= 0, $"getdents64: {(Errno)(-got)}");
        byte[] bytes = TestKernel.Get(Task, buffer, (int)got);
        var names = new List<string>();
        for (int at = 0; at < bytes.Length; at += BitConverter.ToUInt16(bytes, at + 16))
        {
            int end = Array.IndexOf(bytes, (byte)0, at + 19);
            names.Add(System.Text.Encoding.Latin1.GetString(bytes, at + 19, end - at - 19));
        }

        return names;
    }

    private protected static Credentials User(uint id) => new() { Uid = id, EffectiveUid = id, SavedUid = id, FsUid = id, Gid = id, EffectiveGid = id, SavedGid = id, FsGid = id };
}
