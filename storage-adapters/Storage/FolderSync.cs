using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Storage;

/// <summary>fsync(2) of a folder, without which a new name may be lost in a power cut. The framework refuses to open folders, hence open(2)
/// itself; a blittable declaration needs no unsafe code.</summary>
internal static class FolderSync
{
    private const int ReadOnly = 0;
    private const int CloseOnExec = 0x80000;
    private const int Folder = 0x10000;

    internal static void Sync(string folder)
    {
        int descriptor = Open(Encoding.UTF8.GetBytes(folder + '\0'), ReadOnly | CloseOnExec | Folder);
        if (descriptor < 0)
            throw new IOException($"cannot open folder {folder} to sync it (errno {Marshal.GetLastPInvokeError()})");
        using SafeFileHandle handle = new(descriptor, ownsHandle: true);
        RandomAccess.FlushToDisk(handle);
    }

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Open(byte[] path, int flags);
}
