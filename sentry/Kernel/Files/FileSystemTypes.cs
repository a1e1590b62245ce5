namespace Sentry.Kernel.Files;

/// <summary>What mount(2) wants made: by whom, from what, with which options. Whoever mounts counts: proc shows its process ids.</summary>
public readonly record struct FileSystemRequest(GuestKernel Kernel, Task Task, string Source, string Options);

/// <summary>Makes file systems for mount(2). Filled by the file systems when the sentry starts; no part of a sandbox's state.</summary>
public static class FileSystemTypes
{
    private static readonly SortedDictionary<string, (Func<FileSystemRequest, Result<Dentry>> Make, bool InUserNamespaces)> Types = new(StringComparer.Ordinal);

    /// <summary>Names for /proc/filesystems.</summary>
    public static IEnumerable<string> Names => Types.Keys;

    /// <summary>Makes a type known.</summary>
    /// <param name="make">Gives the root.</param>
    /// <param name="inUserNamespaces">Whether the root of a user namespace may mount it (FS_USERNS_MOUNT).</param>
    public static void Register(string name, Func<FileSystemRequest, Result<Dentry>> make, bool inUserNamespaces = true) => Types[name] = (make, inUserNamespaces);

    internal static bool IsKnown(string name) => Types.ContainsKey(name);

    /// <summary>ENODEV for an unknown type, EPERM for one that only the first user namespace may mount.</summary>
    internal static Result<Dentry> Make(Task task, string name, string source, string options)
    {
        if (!Types.TryGetValue(name, out (Func<FileSystemRequest, Result<Dentry>> Make, bool InUserNamespaces) type))
            return Errno.ENODEV;
        if (!type.InUserNamespaces && !task.Credentials.Has(Capability.CAP_SYS_ADMIN))
            return Errno.EPERM;
        if (!type.Make(new FileSystemRequest(task.Kernel, task, source, options)).TryGet(out Dentry? root, out Errno error))
            return error;
        if (!task.Mounts.Owner.IsIdentity)
            root.Inode.FileSystem.Owner = task.Mounts.Owner;
        return root;
    }
}

/// <summary>System calls that tell about file systems as such: sysfs, ustat.</summary>
internal static class FileSystemSyscalls
{
    /// <summary>sysfs(2): names and indices of the known types.</summary>
    internal static SyscallResult Sysfs(Task task, in SyscallArgs args)
    {
        string[] names = [.. FileSystemTypes.Names];
        switch (args.I0)
        {
            case 1:
                if (!task.Memory.ReadPath(args.A1).TryGet(out string? wanted, out Errno error))
                    return error;
                int index = Array.IndexOf(names, wanted);
                return index < 0 ? Errno.EINVAL : index;
            case 2:
                if ((uint)args.A1 >= (uint)names.Length)
                    return Errno.EINVAL;
                return task.Memory.TryWriteAll(args.A2, System.Text.Encoding.Latin1.GetBytes(names[args.I1] + "\0")) ? SyscallResult.Ok : Errno.EFAULT;
            case 3:
                return names.Length;
            default:
                return Errno.EINVAL;
        }
    }

    /// <summary>ustat(2): free blocks and inodes of a mounted device.</summary>
    internal static SyscallResult Ustat(Task task, in SyscallArgs args)
    {
        const int size = 32;
        foreach (Mount mount in task.Mounts.All())
        {
            if ((uint)mount.FileSystem.Device != (uint)args.A0)
                continue;
            FileSystemStatus status = mount.FileSystem.GetStatus();
            Span<byte> bytes = stackalloc byte[size];
            bytes.Clear();
            System.Buffers.Binary.BinaryPrimitives.WriteInt32LittleEndian(bytes, (int)Math.Min(int.MaxValue, status.FreeBlocks));
            System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], status.FreeFiles);
            return task.Memory.TryWriteAll(args.A1, bytes) ? SyscallResult.Ok : Errno.EFAULT;
        }

        return Errno.EINVAL;
    }
}
