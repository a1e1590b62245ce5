using System.Buffers.Binary;
using System.Text;

namespace Sentry.Kernel.Files;

/// <summary>System calls: statmount, listmount.</summary>
internal static class MountQuerySyscalls
{
    private const ulong RootOfNamespace = ulong.MaxValue;

    private const ulong SuperBasic = 1, MountBasic = 2, PropagateFrom = 4, MountRoot = 8, MountPoint = 0x10, FsType = 0x20, NamespaceId = 0x40, MountOptions = 0x80, SuperSource = 0x200,
        OptionArray = 0x400, SupportedMask = 0x1000;

    private const ulong Supported = SuperBasic | MountBasic | PropagateFrom | MountRoot | MountPoint | FsType | NamespaceId | MountOptions | SuperSource | OptionArray | SupportedMask;

    /// <summary>Fixed part of struct statmount.</summary>
    private const int FixedSize = 512;

    private readonly record struct Request(ulong MountId, ulong Parameter, MountNamespace Namespace);

    /// <summary>struct mnt_id_req.</summary>
    private static Result<Request> ReadRequest(Task task, ulong address)
    {
        const uint first = 24, known = 32;
        if (!task.TryRead(address, out uint size))
            return Errno.EFAULT;
        if (size > 4096)
            return Errno.E2BIG;
        if (size < first)
            return Errno.EINVAL;
        byte[] bytes = new byte[Math.Max(size, known)];
        if (!task.Memory.TryReadAll(address, bytes.AsSpan(0, (int)size)))
            return Errno.EFAULT;
        if (bytes.AsSpan((int)known).ContainsAnyExcept((byte)0))
            return Errno.E2BIG;
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(4)) != 0)
            return Errno.EINVAL;
        ulong id = BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(8)), wanted = BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(24));
        if (id <= 1UL << 31)
            return Errno.EINVAL;
        MountNamespace? space = wanted == 0 || wanted == task.Mounts.Number ? task.Mounts : FindNamespace(task.Kernel, wanted);
        if (space is null)
            return Errno.ENOENT;
        if (!ReferenceEquals(space, task.Mounts) && !task.Credentials.HasIn(space.Owner, Capability.CAP_SYS_ADMIN))
            return Errno.ENOENT;
        return new Request(id, BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(16)), space);
    }

    private static MountNamespace? FindNamespace(GuestKernel kernel, ulong number)
    {
        foreach (Task task in kernel.Tasks.Values)
        {
            if (task.Mounts.Number == number)
                return task.Mounts;
        }

        return null;
    }

    /// <summary>Whether the caller's root reaches a mount; whoever rules the namespace sees all.</summary>
    private static bool MaySee(Task task, Mount mount, MountNamespace space)
    {
        new VfsPath(mount, mount.Root).Format(task.Fs.Root, out bool reachable);
        return reachable || task.Credentials.HasIn(space.Owner, Capability.CAP_SYS_ADMIN);
    }

    internal static SyscallResult Statmount(Task task, in SyscallArgs args)
    {
        if (args.A3 != 0)
            return Errno.EINVAL;
        if (!ReadRequest(task, args.A0).TryGet(out Request request, out Errno error))
            return error;
        Mount? mount = request.Namespace.All().FirstOrDefault(m => m.UniqueId == request.MountId);
        if (mount is null)
            return Errno.ENOENT;
        if (!MaySee(task, mount, request.Namespace))
            return Errno.EPERM;
        byte[] answer = Describe(task, mount, request);
        ulong room = args.A2;
        bool hasText = answer.Length > FixedSize;
        if (hasText && (ulong)answer.Length > room)
            return Errno.EOVERFLOW;
        return task.Memory.TryWriteAll(args.A1, answer.AsSpan(0, (int)Math.Min(room, (ulong)answer.Length))) ? SyscallResult.Ok : Errno.EFAULT;
    }

    private static byte[] Describe(Task task, Mount mount, in Request request)
    {
        ulong asked = request.Parameter, given = 0;
        byte[] bytes = new byte[FixedSize];
        var text = new List<byte>();
        void Put32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), value);
        void Put64(int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), value);
        bool Wants(ulong what)
        {
            if ((asked & what) == 0)
                return false;
            given |= what;
            return true;
        }

        void PutText(int at, string value)
        {
            Put32(at, (uint)text.Count);
            text.AddRange(Encoding.Latin1.GetBytes(value + "\0"));
        }

        FileSystem fileSystem = mount.FileSystem;
        if (Wants(SuperBasic))
        {
            Put32(16, DeviceNumber.Major(fileSystem.Device));
            Put32(20, DeviceNumber.Minor(fileSystem.Device));
            Put64(24, (ulong)fileSystem.GetStatus().Type);
            Put32(32, fileSystem.IsReadOnly ? 1u : 0);
        }

        if (Wants(MountBasic))
        {
            Put64(40, mount.UniqueId);
            Put64(48, mount.Parent?.UniqueId ?? mount.UniqueId);
            Put32(56, (uint)mount.Id);
            Put32(60, (uint)(mount.Parent?.Id ?? mount.Id));
            Put64(64, MountTreeSyscalls.ToAttributes(mount.Flags));
            Put64(72, (mount.Peers is not null ? 1UL << 20 : 0) | (mount.Master is not null ? 1UL << 19 : 0) | (mount.IsUnbindable ? 1UL << 17 : 0)
                | (mount.Peers is null && mount.Master is null && !mount.IsUnbindable ? 1UL << 18 : 0));
            Put64(80, (ulong)(mount.Peers?.Id ?? 0));
            Put64(88, (ulong)(mount.Master?.Id ?? 0));
        }

        if (Wants(PropagateFrom))
            Put64(96, (ulong)(mount.Master?.Id ?? 0));
        if (Wants(NamespaceId))
            Put64(112, request.Namespace.Number);
        if (Wants(SupportedMask))
            Put64(144, Supported);
        if (Wants(FsType))
            PutText(36, fileSystem.TypeName);
        if (Wants(MountRoot))
            PutText(104, MountPaths.RootWithin(mount.Root));
        if (Wants(MountPoint))
            PutText(108, new VfsPath(mount, mount.Root).Format(task.Fs.Root, out _));
        string options = fileSystem.DescribeOptions().TrimStart(',');
        if (options.Length > 0 && Wants(MountOptions))
            PutText(4, options);
        if (Wants(SuperSource))
            PutText(124, fileSystem.Source);
        if (options.Length > 0 && Wants(OptionArray))
        {
            Put32(128, (uint)options.Split(',').Length);
            PutText(132, options.Replace(',', '\0'));
        }

        Put32(0, (uint)(FixedSize + text.Count));
        Put64(8, given);
        return [.. bytes, .. text];
    }

    internal static SyscallResult Listmount(Task task, in SyscallArgs args)
    {
        const ulong reverse = 1, most = 1_000_000;
        if ((args.A3 & ~reverse) != 0)
            return Errno.EINVAL;
        if (args.A2 > most)
            return Errno.EOVERFLOW;
        if (!ReadRequest(task, args.A0).TryGet(out Request request, out Errno error))
            return error;
        Mount? top = request.MountId == RootOfNamespace
            ? ReferenceEquals(request.Namespace, task.Mounts) ? task.Fs.Root.Mount : request.Namespace.RootMount
            : request.Namespace.All().FirstOrDefault(m => m.UniqueId == request.MountId);
        if (top is null)
            return Errno.ENOENT;
        if (!MaySee(task, top, request.Namespace))
            return Errno.EPERM;
        if (request.Parameter is not 0 and <= 1UL << 31)
            return Errno.EINVAL;
        IEnumerable<Mount> below = top.Tree().Where(m => !ReferenceEquals(m, top) && MaySee(task, m, request.Namespace));
        below = (args.A3 & reverse) != 0
            ? below.Where(m => request.Parameter == 0 || m.UniqueId < request.Parameter).OrderByDescending(static m => m.UniqueId)
            : below.Where(m => m.UniqueId > request.Parameter).OrderBy(static m => m.UniqueId);
        ulong count = 0;
        foreach (Mount mount in below.ToArray())
        {
            if (count == args.A2)
                break;
            if (!task.TryWrite(args.A1 + (count * 8), mount.UniqueId))
                return Errno.EFAULT;
            count++;
        }

        return count;
    }
}

/// <summary>What mounts are called (d_path, /proc/PID/mountinfo).</summary>
public static class MountPaths
{
    /// <summary>The path of a mount's root within its file system; "/" unless it is a bind mount of a part.</summary>
    public static string RootWithin(Dentry root)
    {
        string path = "";
        for (Dentry at = root; at.Parent is not null; at = at.Parent)
            path = "/" + at.Name + path;
        return path.Length == 0 ? "/" : path;
    }
}
