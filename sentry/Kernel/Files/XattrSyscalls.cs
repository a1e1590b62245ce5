using System.Text;

namespace Sentry.Kernel.Files;

/// <summary>System calls: setxattr, getxattr, listxattr, removexattr and their kin.</summary>
internal static class XattrSyscalls
{
    private const int Create = 1, Replace = 2;

    /// <summary>Where an attribute is set or looked up, by path or descriptor.</summary>
    private readonly record struct Target(Inode? Inode, Mount? Mount);

    // ---- set -----------------------------------------------------------------------------------------------------

    internal static SyscallResult Setxattr(Task task, in SyscallArgs args) => Set(task, OnPath(task, args.A0, WalkFlags.None), args.A1, args.A2, args.A3, args.I4);

    internal static SyscallResult Lsetxattr(Task task, in SyscallArgs args) => Set(task, OnPath(task, args.A0, WalkFlags.NoFollow), args.A1, args.A2, args.A3, args.I4);

    internal static SyscallResult Fsetxattr(Task task, in SyscallArgs args) => Set(task, OnFile(task, args.I0), args.A1, args.A2, args.A3, args.I4);

    internal static SyscallResult Setxattrat(Task task, in SyscallArgs args)
    {
        if (!ReadArguments(task, args.A4, args.A5).TryGet(out (ulong Value, uint Size, int Flags) given, out Errno error))
            return error;
        return Set(task, OnPathAt(task, args.I0, args.A1, args.I2), args.A3, given.Value, given.Size, given.Flags);
    }

    private static SyscallResult Set(Task task, Result<Target> target, ulong nameAddress, ulong valueAddress, ulong size, int flags)
    {
        if ((flags & ~(Create | Replace)) != 0)
            return Errno.EINVAL;
        if (!ReadName(task, nameAddress).TryGet(out string? name, out Errno error))
            return error;
        if (size > ExtendedAttributes.MaxValue)
            return Errno.E2BIG;
        byte[] value = new byte[size];
        if (!task.Memory.TryReadAll(valueAddress, value))
            return Errno.EFAULT;
        if (!target.TryGet(out Target found, out error))
            return error;
        error = CheckChange(task, found, name);
        if (error != Errno.None)
            return error;
        if (name == ExtendedAttributes.CapabilityName && FileCapabilities.Parse(value) is null)
            return Errno.EINVAL;
        if (found.Inode!.ExtendedAttributes is not { } attributes)
            return Errno.EOPNOTSUPP;
        error = found.Inode.PrepareAttributeChange();
        if (error == Errno.None)
            error = attributes.Set(name, value, (flags & Create) != 0, (flags & Replace) != 0);
        if (error != Errno.None)
            return error;
        found.Inode.TouchChanged();
        FileNotifier.OnInode(found.Inode, FileEvent.Attribute);
        return error;
    }

    // ---- get -----------------------------------------------------------------------------------------------------

    internal static SyscallResult Getxattr(Task task, in SyscallArgs args) => Get(task, OnPath(task, args.A0, WalkFlags.None), args.A1, args.A2, args.A3);

    internal static SyscallResult Lgetxattr(Task task, in SyscallArgs args) => Get(task, OnPath(task, args.A0, WalkFlags.NoFollow), args.A1, args.A2, args.A3);

    internal static SyscallResult Fgetxattr(Task task, in SyscallArgs args) => Get(task, OnFile(task, args.I0), args.A1, args.A2, args.A3);

    internal static SyscallResult Getxattrat(Task task, in SyscallArgs args)
    {
        if (!ReadArguments(task, args.A4, args.A5).TryGet(out (ulong Value, uint Size, int Flags) given, out Errno error))
            return error;
        return given.Flags != 0 ? Errno.EINVAL : Get(task, OnPathAt(task, args.I0, args.A1, args.I2), args.A3, given.Value, given.Size);
    }

    private static SyscallResult Get(Task task, Result<Target> target, ulong nameAddress, ulong valueAddress, ulong size)
    {
        if (!ReadName(task, nameAddress).TryGet(out string? name, out Errno error) || !target.TryGet(out Target found, out error))
            return error;
        error = CheckRead(task, found, name);
        if (error != Errno.None)
            return error;
        if (found.Inode?.ExtendedAttributes is not { } attributes)
            return Errno.EOPNOTSUPP;
        if (attributes.Get(name) is not { } value)
            return Errno.ENODATA;
        if (size == 0)
            return value.Length;
        if ((ulong)value.Length > size)
            return Errno.ERANGE;
        return task.Memory.TryWriteAll(valueAddress, value) ? value.Length : Errno.EFAULT;
    }

    // ---- list ----------------------------------------------------------------------------------------------------

    internal static SyscallResult Listxattr(Task task, in SyscallArgs args) => List(task, OnPath(task, args.A0, WalkFlags.None), args.A1, args.A2);

    internal static SyscallResult Llistxattr(Task task, in SyscallArgs args) => List(task, OnPath(task, args.A0, WalkFlags.NoFollow), args.A1, args.A2);

    internal static SyscallResult Flistxattr(Task task, in SyscallArgs args) => List(task, OnFile(task, args.I0), args.A1, args.A2);

    internal static SyscallResult Listxattrat(Task task, in SyscallArgs args) => List(task, OnPathAt(task, args.I0, args.A1, args.I2), args.A3, args.A4);

    private static SyscallResult List(Task task, Result<Target> target, ulong address, ulong size)
    {
        if (!target.TryGet(out Target found, out Errno error))
            return error;
        var list = new StringBuilder();
        foreach (string name in found.Inode?.ExtendedAttributes?.Names ?? [])
        {
            if (!name.StartsWith("trusted.", StringComparison.Ordinal) || task.Credentials.Has(Capability.CAP_SYS_ADMIN))
                list.Append(name).Append('\0');
        }

        if (size == 0)
            return list.Length;
        if ((ulong)list.Length > size)
            return Errno.ERANGE;
        return task.Memory.TryWriteAll(address, Encoding.Latin1.GetBytes(list.ToString())) ? list.Length : Errno.EFAULT;
    }

    // ---- remove --------------------------------------------------------------------------------------------------

    internal static SyscallResult Removexattr(Task task, in SyscallArgs args) => Remove(task, OnPath(task, args.A0, WalkFlags.None), args.A1);

    internal static SyscallResult Lremovexattr(Task task, in SyscallArgs args) => Remove(task, OnPath(task, args.A0, WalkFlags.NoFollow), args.A1);

    internal static SyscallResult Fremovexattr(Task task, in SyscallArgs args) => Remove(task, OnFile(task, args.I0), args.A1);

    internal static SyscallResult Removexattrat(Task task, in SyscallArgs args) => Remove(task, OnPathAt(task, args.I0, args.A1, args.I2), args.A3);

    private static SyscallResult Remove(Task task, Result<Target> target, ulong nameAddress)
    {
        if (!ReadName(task, nameAddress).TryGet(out string? name, out Errno error) || !target.TryGet(out Target found, out error))
            return error;
        error = CheckChange(task, found, name);
        if (error != Errno.None)
            return error;
        if (found.Inode!.ExtendedAttributes is not { } attributes)
            return Errno.EOPNOTSUPP;
        if (attributes.Get(name) is null)
            return Errno.ENODATA;
        error = found.Inode.PrepareAttributeChange();
        if (error != Errno.None)
            return error;
        attributes.Remove(name);
        found.Inode.TouchChanged();
        FileNotifier.OnInode(found.Inode, FileEvent.Attribute);
        return SyscallResult.Ok;
    }

    // ---- names and permissions -----------------------------------------------------------------------------------

    /// <summary>ERANGE for a name that is empty or too long.</summary>
    private static Result<string> ReadName(Task task, ulong address)
    {
        if (!task.Memory.ReadString(address, ExtendedAttributes.MaxName + 1, Errno.ERANGE).TryGet(out string? name, out Errno error))
            return error;
        return name.Length == 0 ? Errno.ERANGE : name;
    }

    /// <summary>The namespaces of xattr(7); null for none of them, EINVAL for a prefix alone.</summary>
    private static Errno CheckName(string name)
    {
        foreach (string prefix in (ReadOnlySpan<string>)["user.", "trusted.", "security."])
        {
            if (name.StartsWith(prefix, StringComparison.Ordinal))
                return name.Length == prefix.Length ? Errno.EINVAL : Errno.None;
        }

        return Errno.EOPNOTSUPP;
    }

    private static Errno CheckRead(Task task, in Target target, string name)
    {
        if (target.Inode is not { } inode)
            return Errno.EOPNOTSUPP;
        Errno error = CheckName(name);
        if (error != Errno.None)
            return error;
        if (name.StartsWith("trusted.", StringComparison.Ordinal))
            return task.Credentials.Has(Capability.CAP_SYS_ADMIN) ? Errno.None : Errno.ENODATA;
        if (!name.StartsWith("user.", StringComparison.Ordinal))
            return Errno.None;
        return inode.IsRegular || inode.IsDirectory ? inode.CheckAccess(task.Credentials, FileAccessMask.Read) : Errno.ENODATA;
    }

    private static Errno CheckChange(Task task, in Target target, string name)
    {
        if (target.Inode is not { } inode)
            return Errno.EOPNOTSUPP;
        if (target.Mount!.IsReadOnly)
            return Errno.EROFS;
        Errno error = CheckName(name);
        if (error != Errno.None)
            return error;
        Credentials credentials = task.Credentials;
        if (name == ExtendedAttributes.CapabilityName)
            return credentials.HasOver(inode.Uid, inode.Gid, Capability.CAP_SETFCAP) ? Errno.None : Errno.EPERM;
        if (!name.StartsWith("user.", StringComparison.Ordinal))
            return credentials.Has(Capability.CAP_SYS_ADMIN) ? Errno.None : Errno.EPERM;
        if (!inode.IsRegular && (!inode.IsDirectory || ((inode.Mode & S.ISVTX) != 0 && !inode.IsOwner(credentials))))
            return Errno.EPERM;
        return inode.CheckAccess(credentials, FileAccessMask.Write);
    }

    // ---- targets -------------------------------------------------------------------------------------------------

    private static Result<Target> OnPath(Task task, ulong pathAddress, WalkFlags walk) => OnPath(task, AT.FDCWD, pathAddress, walk);

    private static Result<Target> OnPath(Task task, int directory, ulong pathAddress, WalkFlags walk)
    {
        string? path = "";
        if ((pathAddress != 0 || (walk & WalkFlags.AllowEmpty) == 0) && !task.Memory.ReadPath(pathAddress).TryGet(out path, out Errno error))
            return error;
        if (!PathWalker.WalkTo(task, directory, path, walk).TryGet(out LinkTarget found, out error))
            return error;
        return found.Path.IsSet ? new Target(found.Path.Inode, found.Path.Mount) : default(Target);
    }

    private static Result<Target> OnPathAt(Task task, int directory, ulong pathAddress, int flags) =>
        StatSyscalls.TryWalkFlags(flags, AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH, out WalkFlags walk) ? OnPath(task, directory, pathAddress, walk) : Errno.EINVAL;

    private static Result<Target> OnFile(Task task, int descriptor)
    {
        if (!task.TryGetFile(descriptor, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        return file switch
        {
            InodeFile opened => new Target(opened.Inode, opened.Path.Mount),
            FifoFile fifo => new Target(fifo.Node, fifo.Place.Mount),
            _ => default(Target),
        };
    }

    /// <summary>struct xattr_args: value, size, flags.</summary>
    private static Result<(ulong Value, uint Size, int Flags)> ReadArguments(Task task, ulong address, ulong size)
    {
        const ulong known = 16;
        if (size < known)
            return Errno.EINVAL;
        if (size > 4096)
            return Errno.E2BIG;
        if (!task.TryRead(address, out ulong value) || !task.TryRead(address + 8, out uint length) || !task.TryRead(address + 12, out int flags))
            return Errno.EFAULT;
        byte[] rest = new byte[size - known];
        if (!task.Memory.TryReadAll(address + known, rest))
            return Errno.EFAULT;
        return rest.AsSpan().ContainsAnyExcept((byte)0) ? Errno.E2BIG : (value, length, flags);
    }
}
