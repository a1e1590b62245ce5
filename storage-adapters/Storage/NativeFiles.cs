using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Storage;

/// <summary>
/// The three calls that the framework does not offer and without which a file store is not atomic: File.Move tests and then renames, so
/// that of two racing callers both may win, and folders cannot be opened to be synced. Blittable declarations need no unsafe code.
/// </summary>
internal static class NativeFiles
{
    private const int ReadOnly = 0;
    private const int CloseOnExec = 0x80000;
    private const int Folder = 0x10000;
    private const int CurrentFolder = -100;
    private const uint NoReplace = 1;
    private const int NotPermitted = 1;
    private const int Exists = 17;
    private const int NotSupported = 95;

    /// <summary>fsync(2) of a folder: a new name may be lost in a power cut without it.</summary>
    internal static void SyncFolder(string folder)
    {
        int descriptor = Open(Native(folder), ReadOnly | CloseOnExec | Folder);
        if (descriptor < 0)
            throw Error(folder);
        using SafeFileHandle handle = new(descriptor, ownsHandle: true);
        RandomAccess.FlushToDisk(handle);
    }

    /// <summary>Gives a file a name that must be free, atomically: link(2), or renameat2(2) where a file system has no hard links.</summary>
    /// <returns>False when the name is taken.</returns>
    internal static bool Publish(string temporary, string path)
    {
        byte[] from = Native(temporary);
        byte[] to = Native(path);
        if (Link(from, to) == 0)
            return true;
        int error = Marshal.GetLastPInvokeError();
        if (error is NotPermitted or NotSupported)
        {
            if (Rename(CurrentFolder, from, CurrentFolder, to, NoReplace) == 0)
                return true;
            error = Marshal.GetLastPInvokeError();
        }

        return error == Exists ? false : throw Error(path, error);
    }

    private static byte[] Native(string path) => Encoding.UTF8.GetBytes(path + '\0');

    private static IOException Error(string path, int? error = null)
    {
        int errno = error ?? Marshal.GetLastPInvokeError();
        return new IOException($"{Marshal.GetPInvokeErrorMessage(errno)}: {path}", errno);
    }

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Open(byte[] path, int flags);

    [DllImport("libc", EntryPoint = "link", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Link(byte[] from, byte[] to);

    [DllImport("libc", EntryPoint = "renameat2", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Rename(int fromFolder, byte[] from, int toFolder, byte[] to, uint flags);
}
