using System.Buffers;
using System.Text;
using Sentry.Abi;

namespace Sentry.Host;

/// <summary>A buffer by address for scatter and gather calls (struct iovec).</summary>
public readonly record struct IoVec(ulong Address, ulong Length);

/// <summary>Files of the host by descriptor and by path (byte strings, see <see cref="HostPath"/>). Flags and modes are the kernel's numbers.</summary>
public static unsafe class HostFile
{
    /// <summary>The current directory as a directory descriptor.</summary>
    public const int AtFdCwd = -100;

    public const int OCloexec = 0x80000;

    /// <summary>Pieces of one gathering write at most (UIO_MAXIOV is 1024).</summary>
    public const int MaxGather = 256;

    public static Result<int> Open(string path, int flags, int mode = 0) => OpenAt(AtFdCwd, path, flags, mode);

    public static Result<int> OpenAt(int directory, string path, int flags, int mode = 0)
    {
        byte* name = stackalloc byte[HostPath.MaxLength];
        Errno error = HostPath.Encode(path, new Span<byte>(name, HostPath.MaxLength));
        return error != Errno.None ? error : HostSyscall.ToInt(HostSyscall.Call(Sysno.openat, directory, (long)name, flags | OCloexec, mode));
    }

    /// <summary>openat2(2): <paramref name="resolve"/> is RESOLVE_* (BENEATH 8, IN_ROOT 16, NO_SYMLINKS 4, NO_MAGICLINKS 2, NO_XDEV 1).</summary>
    public static Result<int> OpenAt2(int directory, string path, int flags, int mode, ulong resolve)
    {
        byte* name = stackalloc byte[HostPath.MaxLength];
        Errno error = HostPath.Encode(path, new Span<byte>(name, HostPath.MaxLength));
        if (error != Errno.None)
            return error;
        ulong* how = stackalloc ulong[3] { (uint)(flags | OCloexec), (uint)mode, resolve };
        return HostSyscall.ToInt(HostSyscall.Call(Sysno.openat2, directory, (long)name, (long)how, 24));
    }

    public static Errno Close(int descriptor) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.close, descriptor));

    /// <summary>close_range(2) without flags.</summary>
    public static Errno CloseRange(uint first, uint last) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.close_range, first, last));

    public static Result<int> Read(int descriptor, Span<byte> destination)
    {
        fixed (byte* p = destination)
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.read, descriptor, (long)p, destination.Length));
    }

    public static Result<int> Write(int descriptor, ReadOnlySpan<byte> source)
    {
        fixed (byte* p = source)
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.write, descriptor, (long)p, source.Length));
    }

    /// <summary>writev(2): a head and the pieces behind it in one write (one frame of a link).</summary>
    public static Result<int> Write(int descriptor, ReadOnlySpan<byte> head, IReadOnlyList<ReadOnlyMemory<byte>> pieces)
    {
        int count = Math.Min(pieces.Count, MaxGather);
        IoVec* vectors = stackalloc IoVec[count + 1];
        var pins = new MemoryHandle[count];
        fixed (byte* first = head)
        {
            vectors[0] = new IoVec((ulong)first, (ulong)head.Length);
            for (int i = 0; i < count; i++)
            {
                pins[i] = pieces[i].Pin();
                vectors[i + 1] = new IoVec((ulong)pins[i].Pointer, (ulong)pieces[i].Length);
            }

            long result = HostSyscall.Call(Sysno.writev, descriptor, (long)vectors, count + 1);
            foreach (ref MemoryHandle pin in pins.AsSpan())
                pin.Dispose();
            return HostSyscall.ToInt(result);
        }
    }

    public static Result<int> ReadAt(int descriptor, Span<byte> destination, long offset)
    {
        fixed (byte* p = destination)
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.pread64, descriptor, (long)p, destination.Length, offset));
    }

    public static Result<int> WriteAt(int descriptor, ReadOnlySpan<byte> source, long offset)
    {
        fixed (byte* p = source)
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.pwrite64, descriptor, (long)p, source.Length, offset));
    }

    /// <summary>pwritev2(2) with RWF_APPEND: puts bytes at the end of the file, whoever else does so; tells where they end.</summary>
    public static Result<(int Written, long End)> Append(int descriptor, ReadOnlySpan<byte> source)
    {
        const int append = 0x10;
        fixed (byte* p = source)
        {
            // SAFETY: the vector names the pinned span; an offset of -1 moves the descriptor's own, which then tells the end.
            IoVec vector = new((ulong)p, (ulong)source.Length);
            Result<int> written = HostSyscall.ToInt(HostSyscall.Call(Sysno.pwritev2, descriptor, (long)&vector, 1, -1, -1, append));
            if (written.IsError)
                return written.Error;
            Result<long> end = Seek(descriptor, 0, 1);
            return end.IsOk ? (written.Value, end.Value) : end.Error;
        }
    }

    /// <summary>preadv(2): one call, many buffers of this process.</summary>
    public static Result<long> ReadAt(int descriptor, ReadOnlySpan<IoVec> destinations, long offset)
    {
        fixed (IoVec* p = destinations)
            return HostSyscall.ToLong(HostSyscall.Call(Sysno.preadv, descriptor, (long)p, destinations.Length, offset, 0));
    }

    /// <summary>pwritev(2).</summary>
    public static Result<long> WriteAt(int descriptor, ReadOnlySpan<IoVec> sources, long offset)
    {
        fixed (IoVec* p = sources)
            return HostSyscall.ToLong(HostSyscall.Call(Sysno.pwritev, descriptor, (long)p, sources.Length, offset, 0));
    }

    public static Result<long> Seek(int descriptor, long offset, int whence) => HostSyscall.ToLong(HostSyscall.Call(Sysno.lseek, descriptor, offset, whence));

    /// <summary>fcntl(2) with a value argument.</summary>
    public static Result<int> Fcntl(int descriptor, int command, long argument = 0) =>
        HostSyscall.ToInt(HostSyscall.Call(Sysno.fcntl, descriptor, command, argument));

    /// <summary>Adds or removes O_NONBLOCK.</summary>
    public static Errno SetNonBlocking(int descriptor, bool on)
    {
        const int GetFlags = 3, SetFlags = 4, NonBlock = 0x800;
        Result<int> flags = Fcntl(descriptor, GetFlags);
        return flags.IsError ? flags.Error : Fcntl(descriptor, SetFlags, on ? flags.Value | NonBlock : flags.Value & ~NonBlock).Error;
    }

    /// <summary>A duplicate with close-on-exec, not below <paramref name="atLeast"/>.</summary>
    public static Result<int> Duplicate(int descriptor, int atLeast = 0) => Fcntl(descriptor, 1030, atLeast);

    /// <summary>dup3(2); close-on-exec when <paramref name="closeOnExec"/>.</summary>
    public static Result<int> DuplicateTo(int descriptor, int target, bool closeOnExec) =>
        HostSyscall.ToInt(HostSyscall.Call(Sysno.dup3, descriptor, target, closeOnExec ? OCloexec : 0));

    /// <summary>pipe2(2): (read end, write end), close-on-exec; <paramref name="flags"/> such as O_NONBLOCK (0x800).</summary>
    public static Result<(int Read, int Write)> Pipe(int flags = 0)
    {
        int* pair = stackalloc int[2];
        Errno error = HostSyscall.ErrorOf(HostSyscall.Call(Sysno.pipe2, (long)pair, flags | OCloexec));
        return error != Errno.None ? error : (pair[0], pair[1]);
    }

    public static Errno Truncate(int descriptor, long length) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.ftruncate, descriptor, length));

    /// <summary>fallocate(2): mode KEEP_SIZE 1, PUNCH_HOLE 2 (with 1), ZERO_RANGE 0x10.</summary>
    public static Errno Allocate(int descriptor, int mode, long offset, long length) =>
        HostSyscall.ErrorOf(HostSyscall.Call(Sysno.fallocate, descriptor, mode, offset, length));

    public static Errno Sync(int descriptor) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.fsync, descriptor));

    /// <summary>syncfs(2): of the file system that a file is in.</summary>
    public static Errno SyncFileSystem(int descriptor) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.syncfs, descriptor));

    public static Errno DataSync(int descriptor) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.fdatasync, descriptor));

    /// <summary>flock(2): LOCK_SH 1, LOCK_EX 2, LOCK_NB 4, LOCK_UN 8.</summary>
    public static Errno Lock(int descriptor, int operation) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.flock, descriptor, operation));

    /// <summary>ioctl(2) with a pointer or value argument.</summary>
    public static Result<int> Ioctl(int descriptor, uint request, long argument) => HostSyscall.ToInt(HostSyscall.Call(Sysno.ioctl, descriptor, request, argument));

    /// <summary>ioctl(2) on a structure.</summary>
    public static Result<int> Ioctl(int descriptor, uint request, Span<byte> argument)
    {
        fixed (byte* p = argument)
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.ioctl, descriptor, request, (long)p));
    }

    public static Errno ChangeDirectory(string path) => OnPath(Sysno.chdir, path);

    public static Errno ChangeDirectory(int directory) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.fchdir, directory));

    public static Errno MakeDirectoryAt(int directory, string name, int mode) => OnPathAt(Sysno.mkdirat, directory, name, mode);

    public static Errno MakeNodeAt(int directory, string name, int mode, ulong device) => OnPathAt(Sysno.mknodat, directory, name, mode, (long)device);

    /// <summary>unlinkat(2); flags AT_REMOVEDIR 0x200.</summary>
    public static Errno UnlinkAt(int directory, string name, int flags) => OnPathAt(Sysno.unlinkat, directory, name, flags);

    public static Errno ChangeModeAt(int directory, string name, int mode) => OnPathAt(Sysno.fchmodat, directory, name, mode);

    /// <summary>fchmodat2(2) on what a descriptor of O_PATH names.</summary>
    public static Errno ChangeModeOf(int place, int mode) => OnPathAt(Sysno.fchmodat2, place, "", mode, 0x1000);

    public static Errno ChangeMode(int descriptor, int mode) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.fchmod, descriptor, mode));

    /// <summary>fchownat(2); -1 leaves an id; flags AT_SYMLINK_NOFOLLOW 0x100, AT_EMPTY_PATH 0x1000.</summary>
    public static Errno ChangeOwnerAt(int directory, string name, int user, int group, int flags) => OnPathAt(Sysno.fchownat, directory, name, user, group, flags);

    public static Errno SymbolicLinkAt(string target, int directory, string name)
    {
        byte* first = stackalloc byte[HostPath.MaxLength];
        byte* second = stackalloc byte[HostPath.MaxLength];
        Errno error = Encode2(target, first, name, second);
        return error != Errno.None ? error : HostSyscall.ErrorOf(HostSyscall.Call(Sysno.symlinkat, (long)first, directory, (long)second));
    }

    /// <summary>linkat(2); flags AT_EMPTY_PATH 0x1000, AT_SYMLINK_FOLLOW 0x400.</summary>
    public static Errno LinkAt(int oldDirectory, string oldName, int newDirectory, string newName, int flags)
    {
        byte* first = stackalloc byte[HostPath.MaxLength];
        byte* second = stackalloc byte[HostPath.MaxLength];
        Errno error = Encode2(oldName, first, newName, second);
        return error != Errno.None ? error : HostSyscall.ErrorOf(HostSyscall.Call(Sysno.linkat, oldDirectory, (long)first, newDirectory, (long)second, flags));
    }

    /// <summary>renameat2(2); flags RENAME_NOREPLACE 1, RENAME_EXCHANGE 2.</summary>
    public static Errno RenameAt(int oldDirectory, string oldName, int newDirectory, string newName, int flags)
    {
        byte* first = stackalloc byte[HostPath.MaxLength];
        byte* second = stackalloc byte[HostPath.MaxLength];
        Errno error = Encode2(oldName, first, newName, second);
        return error != Errno.None ? error : HostSyscall.ErrorOf(HostSyscall.Call(Sysno.renameat2, oldDirectory, (long)first, newDirectory, (long)second, flags));
    }

    /// <summary>readlinkat(2); an empty name reads the link that <paramref name="directory"/> (O_PATH) is.</summary>
    public static Result<string> ReadLinkAt(int directory, string name)
    {
        byte* path = stackalloc byte[HostPath.MaxLength];
        byte* target = stackalloc byte[HostPath.MaxLength];
        Errno error = HostPath.Encode(name, new Span<byte>(path, HostPath.MaxLength));
        if (error != Errno.None)
            return error;
        long length = HostSyscall.Call(Sysno.readlinkat, directory, (long)path, (long)target, HostPath.MaxLength);
        return length < 0 ? (Errno)(-length) : Encoding.Latin1.GetString(target, (int)length);
    }

    /// <summary>flistxattr(2).</summary>
    public static Result<string[]> ListExtendedAttributes(int descriptor)
    {
        const int most = 65536;
        byte[] names = new byte[most];
        fixed (byte* buffer = names)
        {
            // SAFETY: the kernel writes at most the length given.
            long length = HostSyscall.Call(Sysno.flistxattr, descriptor, (long)buffer, most);
            return length < 0 ? (Errno)(-length) : Encoding.Latin1.GetString(names, 0, (int)length).Split('\0', StringSplitOptions.RemoveEmptyEntries);
        }
    }

    /// <summary>fgetxattr(2).</summary>
    public static Result<byte[]> GetExtendedAttribute(int descriptor, string name)
    {
        const int most = 65536;
        byte* path = stackalloc byte[HostPath.MaxLength];
        Errno error = HostPath.Encode(name, new Span<byte>(path, HostPath.MaxLength));
        if (error != Errno.None)
            return error;
        byte[] value = new byte[most];
        fixed (byte* buffer = value)
        {
            // SAFETY: the kernel writes at most the length given; the name ends with its NUL.
            long length = HostSyscall.Call(Sysno.fgetxattr, descriptor, (long)path, (long)buffer, most);
            return length < 0 ? (Errno)(-length) : value[..(int)length];
        }
    }

    /// <summary>utimensat(2) of a descriptor or of a name; nanoseconds may be UTIME_NOW 0x3FFFFFFF or UTIME_OMIT 0x3FFFFFFE.</summary>
    public static Errno SetTimesAt(int directory, string? name, long accessSeconds, long accessNanos, long modifySeconds, long modifyNanos, int flags)
    {
        long* times = stackalloc long[4] { accessSeconds, accessNanos, modifySeconds, modifyNanos };
        if (name is null)
            return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.utimensat, directory, 0, (long)times, flags));
        return OnPathAt(Sysno.utimensat, directory, name, (long)times, flags);
    }

    /// <summary>getdents64(2): raw linux_dirent64 records; 0 at the end.</summary>
    public static Result<int> GetDirectoryEntries(int directory, Span<byte> destination)
    {
        fixed (byte* p = destination)
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.getdents64, directory, (long)p, destination.Length));
    }

    /// <summary>statx(2); <paramref name="flags"/> AT_EMPTY_PATH 0x1000, AT_SYMLINK_NOFOLLOW 0x100, AT_NO_AUTOMOUNT 0x800.</summary>
    public static Errno StatX(int directory, string name, int flags, uint mask, out StatX result)
    {
        fixed (StatX* p = &result)
            return OnPathAt(Sysno.statx, directory, name, flags, mask, (long)p);
    }

    /// <summary>The attributes of an open descriptor (STATX_BASIC_STATS | STATX_BTIME).</summary>
    public static Errno StatX(int descriptor, out StatX result) => StatX(descriptor, "", 0x1000, 0xFFF, out result);

    /// <summary>getxattr and its kin on an open descriptor; an empty destination asks for the size.</summary>
    public static Result<int> GetXattr(int descriptor, string name, Span<byte> destination)
    {
        byte* path = stackalloc byte[256];
        Errno error = HostPath.Encode(name, new Span<byte>(path, 256));
        if (error != Errno.None)
            return Errno.ERANGE;
        fixed (byte* p = destination)
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.fgetxattr, descriptor, (long)path, (long)p, destination.Length));
    }

    public static Errno SetXattr(int descriptor, string name, ReadOnlySpan<byte> value, int flags)
    {
        byte* path = stackalloc byte[256];
        if (HostPath.Encode(name, new Span<byte>(path, 256)) != Errno.None)
            return Errno.ERANGE;
        fixed (byte* p = value)
            return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.fsetxattr, descriptor, (long)path, (long)p, value.Length, flags));
    }

    public static Errno RemoveXattr(int descriptor, string name)
    {
        byte* path = stackalloc byte[256];
        return HostPath.Encode(name, new Span<byte>(path, 256)) != Errno.None ? Errno.ERANGE : HostSyscall.ErrorOf(HostSyscall.Call(Sysno.fremovexattr, descriptor, (long)path));
    }

    /// <summary>flistxattr(2): NUL-ended names; an empty destination asks for the size.</summary>
    public static Result<int> ListXattr(int descriptor, Span<byte> destination)
    {
        fixed (byte* p = destination)
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.flistxattr, descriptor, (long)p, destination.Length));
    }

    /// <summary>fstatfs(2): struct statfs, 120 bytes.</summary>
    public static Errno StatFs(int descriptor, Span<byte> destination)
    {
        if (destination.Length < 120)
            return Errno.EINVAL;
        fixed (byte* p = destination)
            return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.fstatfs, descriptor, (long)p));
    }

    /// <summary>memfd_create(2): flags MFD_CLOEXEC is added; ALLOW_SEALING 2, NOEXEC_SEAL 8, EXEC 0x10.</summary>
    public static Result<int> CreateMemory(string name, uint flags = 0)
    {
        byte* path = stackalloc byte[256];
        Errno error = HostPath.Encode(name, new Span<byte>(path, 256));
        return error != Errno.None ? error : HostSyscall.ToInt(HostSyscall.Call(Sysno.memfd_create, (long)path, flags | 1));
    }

    internal static Errno OnPath(int number, string path, long a1 = 0, long a2 = 0, long a3 = 0)
    {
        byte* name = stackalloc byte[HostPath.MaxLength];
        Errno error = HostPath.Encode(path, new Span<byte>(name, HostPath.MaxLength));
        return error != Errno.None ? error : HostSyscall.ErrorOf(HostSyscall.Call(number, (long)name, a1, a2, a3));
    }

    internal static Errno OnPathAt(int number, int directory, string path, long a2 = 0, long a3 = 0, long a4 = 0)
    {
        byte* name = stackalloc byte[HostPath.MaxLength];
        Errno error = HostPath.Encode(path, new Span<byte>(name, HostPath.MaxLength));
        return error != Errno.None ? error : HostSyscall.ErrorOf(HostSyscall.Call(number, directory, (long)name, a2, a3, a4));
    }

    internal static Errno Encode2(string a, byte* first, string b, byte* second)
    {
        Errno error = HostPath.Encode(a, new Span<byte>(first, HostPath.MaxLength));
        return error != Errno.None ? error : HostPath.Encode(b, new Span<byte>(second, HostPath.MaxLength));
    }
}
