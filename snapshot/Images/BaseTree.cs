using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Snapshot.Images;

/// <summary>What identifies the content of a file without reading it.</summary>
internal sealed record FileIdentity(ulong Device, ulong Inode, long Size, long ModifyTime, long ChangeTime);

/// <summary>
/// Opens files of a base tree by the names a guest has for them. openat2(2) with RESOLVE_IN_ROOT keeps "..", absolute links and mount
/// magic inside the tree; O_PATH first, so that opening has no effect on what turns out to be a device or a pipe.
/// </summary>
internal sealed partial class BaseTree : IDisposable
{
    private const int CurrentFolder = -100;
    private const ulong ReadOnly = 0;
    private const ulong PathOnly = 0x200000;
    private const ulong CloseOnExec = 0x80000;
    private const ulong FolderOnly = 0x10000;
    private const ulong ResolveNoMagicLinks = 0x02;
    private const ulong ResolveInRoot = 0x10;
    private const long Openat2 = 437;
    private const int EmptyPath = 0x1000;
    private const uint BasicStats = 0x7ff;
    private const int StatxSize = 256;

    private readonly SafeFileHandle _root;

    internal BaseTree(string folder)
    {
        int descriptor = Open(CurrentFolder, Encoding.UTF8.GetBytes(folder + '\0'), PathOnly | CloseOnExec | FolderOnly, 0);
        if (descriptor < 0)
            throw new IOException($"{Marshal.GetPInvokeErrorMessage(-descriptor)}: {folder}");
        _root = new SafeFileHandle(descriptor, ownsHandle: true);
    }

    /// <inheritdoc/>
    public void Dispose() => _root.Dispose();

    /// <summary>Opens a regular file.</summary>
    /// <param name="path">As the guest names it, one char per byte.</param>
    /// <returns>Null when there is no regular file of that name that may be read.</returns>
    internal (SafeFileHandle File, FileIdentity Identity)? TryOpen(string path)
    {
        byte[] name = Encoding.Latin1.GetBytes(path.TrimStart('/') + '\0');
        int descriptor = Open((int)_root.DangerousGetHandle(), name, PathOnly | CloseOnExec, ResolveInRoot | ResolveNoMagicLinks);
        if (descriptor < 0)
            return null;
        using SafeFileHandle found = new(descriptor, ownsHandle: true);
        if (Stat(descriptor) is null)
            return null;

        // Through /proc the very file just looked at is opened, whatever its name has come to mean.
        int readable = Open(CurrentFolder, Encoding.ASCII.GetBytes($"/proc/self/fd/{descriptor}\0"), ReadOnly | CloseOnExec, 0);
        if (readable < 0)
            return null;
        SafeFileHandle file = new(readable, ownsHandle: true);
        if (Stat(readable) is { } identity)
            return (file, identity);
        file.Dispose();
        return null;
    }

    /// <summary>What a regular file takes on its disk, holes not counted.</summary>
    internal static unsafe long AllocatedBytes(string path)
    {
        byte* buffer = stackalloc byte[StatxSize];
        // SAFETY: as in Stat; stx_blocks is at 48, in units of 512 bytes.
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
            return Statx(CurrentFolder, name, 0, BasicStats, buffer) == 0 ? *(long*)(buffer + 48) * 512 : 0;
    }

    internal static FileIdentity? Identify(SafeFileHandle file) => Stat((int)file.DangerousGetHandle());

    private static unsafe int Open(int folder, byte[] path, ulong flags, ulong resolve)
    {
        OpenHow how = new() { Flags = flags, Resolve = resolve };
        // SAFETY: the path ends in a zero byte and both arguments live until the call returns.
        fixed (byte* name = path)
        {
            long result = SystemCall(Openat2, folder, name, &how, (nuint)sizeof(OpenHow));
            return result < 0 ? -Marshal.GetLastPInvokeError() : (int)result;
        }
    }

    private static unsafe FileIdentity? Stat(int descriptor)
    {
        const int FormatMask = 0xf000;
        const int Regular = 0x8000;
        byte* buffer = stackalloc byte[StatxSize];
        byte empty = 0;
        // SAFETY: struct statx has 256 bytes (linux/stat.h); offsets below are of its fields.
        if (Statx(descriptor, &empty, EmptyPath, BasicStats, buffer) != 0 || (*(ushort*)(buffer + 28) & FormatMask) != Regular)
            return null;
        return new FileIdentity(
            ((ulong)*(uint*)(buffer + 136) << 32) | *(uint*)(buffer + 140),
            *(ulong*)(buffer + 32),
            *(long*)(buffer + 40),
            Nanoseconds(buffer + 112),
            Nanoseconds(buffer + 96));
    }

    private static unsafe long Nanoseconds(byte* timestamp) => unchecked((*(long*)timestamp * 1_000_000_000) + *(uint*)(timestamp + 8));

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static unsafe partial long SystemCall(long number, long folder, byte* path, OpenHow* how, nuint size);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static unsafe partial int Statx(int folder, byte* path, int flags, uint mask, byte* buffer);

    /// <summary>struct open_how of openat2(2).</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct OpenHow
    {
        public ulong Flags;
        public ulong Mode;
        public ulong Resolve;
    }
}
