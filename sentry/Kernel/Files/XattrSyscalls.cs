namespace Sentry.Kernel.Files;

/// <summary>System calls: setxattr, getxattr, listxattr, removexattr and their kin. Files have no extended attributes here: the answers are those
/// of a file system that does not support them (xattr(7)).</summary>
internal static class XattrSyscalls
{
    internal static SyscallResult Setxattr(Task task, in SyscallArgs args) => OnPath(task, args.A0, WalkFlags.None, Errno.EOPNOTSUPP);

    internal static SyscallResult Lsetxattr(Task task, in SyscallArgs args) => OnPath(task, args.A0, WalkFlags.NoFollow, Errno.EOPNOTSUPP);

    internal static SyscallResult Fsetxattr(Task task, in SyscallArgs args) => OnFile(task, args.I0, Errno.EOPNOTSUPP);

    internal static SyscallResult Getxattr(Task task, in SyscallArgs args) => OnPath(task, args.A0, WalkFlags.None, Errno.EOPNOTSUPP);

    internal static SyscallResult Lgetxattr(Task task, in SyscallArgs args) => OnPath(task, args.A0, WalkFlags.NoFollow, Errno.EOPNOTSUPP);

    internal static SyscallResult Fgetxattr(Task task, in SyscallArgs args) => OnFile(task, args.I0, Errno.EOPNOTSUPP);

    internal static SyscallResult Listxattr(Task task, in SyscallArgs args) => OnPath(task, args.A0, WalkFlags.None, Errno.None);

    internal static SyscallResult Llistxattr(Task task, in SyscallArgs args) => OnPath(task, args.A0, WalkFlags.NoFollow, Errno.None);

    internal static SyscallResult Flistxattr(Task task, in SyscallArgs args) => OnFile(task, args.I0, Errno.None);

    internal static SyscallResult Removexattr(Task task, in SyscallArgs args) => OnPath(task, args.A0, WalkFlags.None, Errno.EOPNOTSUPP);

    internal static SyscallResult Lremovexattr(Task task, in SyscallArgs args) => OnPath(task, args.A0, WalkFlags.NoFollow, Errno.EOPNOTSUPP);

    internal static SyscallResult Fremovexattr(Task task, in SyscallArgs args) => OnFile(task, args.I0, Errno.EOPNOTSUPP);

    private static SyscallResult OnPath(Task task, ulong pathAddress, WalkFlags walk, Errno answer)
    {
        if (!task.Memory.ReadPath(pathAddress).TryGet(out string? path, out Errno error) || !PathWalker.WalkTo(task, AT.FDCWD, path, walk).TryGet(out _, out error))
            return error;
        return answer;
    }

    private static SyscallResult OnFile(Task task, int descriptor, Errno answer) =>
        task.TryGetFile(descriptor, out FileObject? file) && file is not PathFile ? answer : Errno.EBADF;
}
