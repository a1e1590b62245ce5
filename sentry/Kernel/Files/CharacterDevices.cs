namespace Sentry.Kernel.Files;

/// <summary>The character devices that exist, by device number (Documentation/admin-guide/devices.txt).</summary>
internal static class CharacterDevices
{
    internal static readonly ulong Null = DeviceNumber.Make(1, 3), Zero = DeviceNumber.Make(1, 5), Full = DeviceNumber.Make(1, 7),
        Random = DeviceNumber.Make(1, 8), Urandom = DeviceNumber.Make(1, 9), Tty = DeviceNumber.Make(5, 0), Console = DeviceNumber.Make(5, 1),
        Ptmx = DeviceNumber.Make(5, 2);

    private const uint PtsMajor = 136, PtsMajors = 8;

    /// <summary>ENXIO for numbers without a driver, as Linux answers; also for /dev/tty of a process without a controlling terminal.</summary>
    internal static Result<FileObject> Open(Task? caller, in VfsPath path, Inode node, OpenFlags flags)
    {
        ulong device = node.SpecialDevice;
        if (device == Null)
            return new MemoryDevice(path, flags, MemoryDeviceKind.Null);
        if (device == Zero)
            return new MemoryDevice(path, flags, MemoryDeviceKind.Zero);
        if (device == Full)
            return new MemoryDevice(path, flags, MemoryDeviceKind.Full);
        if (device == Random || device == Urandom)
            return new MemoryDevice(path, flags, MemoryDeviceKind.Random);
        if (device == Tty)
            return caller?.Group.Terminal is { } terminal ? PtsNode.OpenTerminal(caller, path, terminal, flags) : Errno.ENXIO;
        if (device == Console)
            return OpenConsole(caller, path, node, flags);
        if (device == Ptmx)
            return OpenPtmx(caller, path, flags);

        // A node of a slave outside devpts leads to no instance of it.
        return DeviceNumber.Major(device) is >= PtsMajor and < PtsMajor + PtsMajors ? Errno.EIO : Errno.ENXIO;
    }

    /// <summary>A new pseudoterminal of a devpts; the caller has its master.</summary>
    internal static Result<FileObject> OpenPtmx(Task? caller, in VfsPath path, in VfsPath root, OpenFlags flags)
    {
        Credentials? credentials = caller?.Credentials;
        if (!((PtsFileSystem)root.Inode.FileSystem).Allocate(credentials?.FsUid ?? 0, credentials?.FsGid ?? 0).TryGet(out PseudoTerminal? pair, out Errno error))
            return error;
        return new PtyMasterFile(path, root, pair, flags);
    }

    /// <summary>/dev/ptmx works on the devpts at "pts" beside it.</summary>
    private static Result<FileObject> OpenPtmx(Task? caller, in VfsPath path, OpenFlags flags)
    {
        if (path.Dentry.Parent is not { } folder || !folder.Lookup("pts").TryGet(out Dentry? pts, out _))
            return Errno.ENODEV;
        VfsPath root = new VfsPath(path.Mount, pts).CrossMounts();
        return root.Inode is PtsDirectory ? OpenPtmx(caller, path, root, flags) : Errno.ENODEV;
    }

    /// <summary>The terminal of the first program; what is written is dropped where it has none.</summary>
    private static Result<FileObject> OpenConsole(Task? caller, in VfsPath path, Inode node, OpenFlags flags)
    {
        if (node.FileSystem.Kernel.Console is { Pair.IsMasterClosed: false } console)
            return PtsNode.OpenTerminal(caller, path, console, flags, isConsole: true);
        return new MemoryDevice(path, flags, MemoryDeviceKind.Null);
    }
}

/// <summary>The devices of mem(4).</summary>
internal enum MemoryDeviceKind
{
    Null,
    Zero,
    Full,
    Random,
}

/// <summary>An open /dev/null, zero, full or random (null(4), full(4), random(4)).</summary>
[Savable("memory-device")]
internal sealed partial class MemoryDevice : InodeFile
{
    private const int EntropyBits = 256;

    [Saved(1)] private MemoryDeviceKind _kind;

    internal MemoryDevice(in VfsPath path, OpenFlags flags, MemoryDeviceKind kind)
        : base(path, flags)
    {
        _kind = kind;
    }

    /// <summary>A private mapping of /dev/zero is anonymous memory; mmap asks for this.</summary>
    internal bool IsZero => _kind == MemoryDeviceKind.Zero;

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        if (_kind == MemoryDeviceKind.Null)
            return 0;
        byte[] buffer = Inode.FileSystem.Kernel.FileData.Scratch;
        long done = 0;
        if (_kind != MemoryDeviceKind.Random)
            Array.Clear(buffer);
        while (done < destination.Length)
        {
            Span<byte> part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, destination.Length - done));
            if (_kind == MemoryDeviceKind.Random)
                Inode.FileSystem.Kernel.Host.FillRandom(part);
            int moved = destination.CopyOut(part, done);
            done += moved;
            if (moved < part.Length)
                return done > 0 ? done : Errno.EFAULT;
        }

        return done;
    }

    public override Result<long> Write(Task caller, in UserBuffer source) =>
        _kind == MemoryDeviceKind.Full && source.Length > 0 ? Errno.ENOSPC : source.Length;

    /// <summary>RNDGETENTCNT alone (random(4)): a pool that is always full. What feeds or empties it is not for guests.</summary>
    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        const uint getCount = 0x80045200;
        if (_kind != MemoryDeviceKind.Random || request != getCount)
            return Errno.ENOTTY;
        return caller.TryWrite(argument, EntropyBits) ? SyscallResult.Ok : Errno.EFAULT;
    }

    public override Result<long> ReadAt(Task caller, in UserBuffer destination, long offset) => Read(caller, destination);

    public override Result<long> WriteAt(Task caller, in UserBuffer source, long offset) => Write(caller, source);

    public override Result<long> Seek(long offset, int whence) => 0;

    public override Errno Truncate(long length) => Errno.EINVAL;

    public override Errno Sync() => Errno.EINVAL;
}
