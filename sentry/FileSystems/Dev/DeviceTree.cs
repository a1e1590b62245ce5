using Sentry.FileSystems.Tmpfs;

namespace Sentry.FileSystems.Dev;

/// <summary>What is in /dev: a tmpfs with the usual nodes and links, as container runtimes make it.</summary>
public static class DeviceTree
{
    /// <summary>A new tree; mount its root on /dev.</summary>
    public static TmpfsFileSystem Create(GuestKernel kernel)
    {
        var dev = new TmpfsFileSystem(kernel, "dev", 0x1ED, "devtmpfs");
        Inode root = dev.Root.Inode;
        AddDevice(root, "null", 1, 3);
        AddDevice(root, "zero", 1, 5);
        AddDevice(root, "full", 1, 7);
        AddDevice(root, "random", 1, 8);
        AddDevice(root, "urandom", 1, 9);
        AddDevice(root, "tty", 5, 0);
        AddDevice(root, "console", 5, 1, 0x180);
        AddDevice(root, "ptmx", 5, 2);
        AddLink(root, "fd", "/proc/self/fd");
        AddLink(root, "stdin", "/proc/self/fd/0");
        AddLink(root, "stdout", "/proc/self/fd/1");
        AddLink(root, "stderr", "/proc/self/fd/2");
        AddDirectory(root, "pts", 0x1ED);
        AddDirectory(root, "shm", 0x3FF);
        AddDirectory(root, "mqueue", 0x3FF);
        return dev;
    }

    private static void AddDevice(Inode root, string name, uint major, uint minor, uint permissions = 0x1B6) =>
        Add(root, name, new NewNode(S.IFCHR | permissions, 0, 0, DeviceNumber.Make(major, minor)));

    private static void AddLink(Inode root, string name, string target) => Add(root, name, new NewNode(S.IFLNK | 0x1FF, 0, 0, 0, target));

    private static void AddDirectory(Inode root, string name, uint permissions) => Add(root, name, new NewNode(S.IFDIR | permissions, 0, 0));

    private static void Add(Inode root, string name, in NewNode node)
    {
        if (root.Create(name, node).IsError)
            throw new InvalidOperationException($"/dev/{name} cannot be made");
    }
}
