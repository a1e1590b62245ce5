namespace Sentry.Kernel.Memory;

/// <summary>A memory policy (mempolicy(7) of numa(7)) as one number: mode and flags as set_mempolicy(2) takes them, and whether node 0, the only one, is in its set.</summary>
internal static class MemoryPolicy
{
    internal const int Default = 0, Preferred = 1, Bind = 2, Interleave = 3, Local = 4, PreferredMany = 5, WeightedInterleave = 6;

    internal const int StaticNodes = 0x8000, RelativeNodes = 0x4000, Balancing = 0x2000, AllFlags = StaticNodes | RelativeNodes | Balancing;

    private const int HasNode = 1 << 16;

    internal static int ModeOf(int policy) => policy & 0xFFFF & ~AllFlags;

    internal static bool HasNodes(int policy) => (policy & HasNode) != 0;

    /// <summary>Checks and packs (mpol_new in the kernel); EINVAL.</summary>
    internal static Result<int> Make(int wanted, bool node, bool others)
    {
        int mode = wanted & ~AllFlags, flags = wanted & AllFlags;
        if (mode is < Default or > WeightedInterleave || (flags & (StaticNodes | RelativeNodes)) == (StaticNodes | RelativeNodes) || ((flags & Balancing) != 0 && mode is not (Bind or PreferredMany)))
            return Errno.EINVAL;
        bool any = node || others;
        switch (mode)
        {
            case Default when any:
            case Local when any || flags != 0:
                return Errno.EINVAL;
            case Default:
                return Default;
            case Preferred when !any:
                return flags != 0 ? Errno.EINVAL : Local;
            case Local:
                return Local;
        }

        // Nodes that do not exist are left out; none may be left over.
        return node ? mode | flags | HasNode : Errno.EINVAL;
    }
}

/// <summary>System calls about memory nodes, of which there is one: set_mempolicy, get_mempolicy, mbind, set_mempolicy_home_node, migrate_pages, move_pages. Policies are
/// checked and kept, as programs ask for them again.</summary>
internal static class PolicySyscalls
{
    /// <summary>CONFIG_NODES_SHIFT of the usual kernels: masks may have this many bits.</summary>
    private const ulong MaxNodes = 1024;

    /// <summary>Reads a node mask: whether node 0 is in it, whether others are.</summary>
    private static Errno ReadNodes(Task task, ulong address, ulong maxNode, out bool node, out bool others)
    {
        node = others = false;
        if (maxNode is 0 or 1 || address == 0)
            return Errno.None;
        ulong bits = maxNode - 1;
        if (bits > 4096 * 8)
            return Errno.EINVAL;
        for (ulong word = 0; word * 64 < bits; word++)
        {
            if (!task.TryRead(address + (word * 8), out ulong value))
                return Errno.EFAULT;
            if (bits - (word * 64) < 64)
                value &= (1UL << (int)(bits - (word * 64))) - 1;
            if (word * 64 >= MaxNodes && value != 0)
                return Errno.EINVAL;
            node |= word == 0 && (value & 1) != 0;
            others |= (word == 0 ? value & ~1UL : value) != 0;
        }

        return Errno.None;
    }

    internal static SyscallResult SetMempolicy(Task task, in SyscallArgs args)
    {
        Errno error = ReadNodes(task, args.A1, args.A2, out bool node, out bool others);
        if (error != Errno.None)
            return error;
        if (!MemoryPolicy.Make(args.I0, node, others).TryGet(out int policy, out error))
            return error;
        task.MemoryPolicy = policy;
        return SyscallResult.Ok;
    }

    internal static SyscallResult Mbind(Task task, in SyscallArgs args)
    {
        const int strict = 1, move = 2, moveAll = 4;
        ulong start = args.A0, end = start + Mappings.RoundUp(args.A1);
        if ((args.I5 & ~(strict | move | moveAll)) != 0)
            return Errno.EINVAL;
        if ((args.I5 & moveAll) != 0 && !task.Credentials.Has(Capability.CAP_SYS_NICE))
            return Errno.EPERM;
        if ((start & (Mappings.PageSize - 1)) != 0 || end < start)
            return Errno.EINVAL;
        Errno error = ReadNodes(task, args.A3, args.A4, out bool node, out bool others);
        if (error != Errno.None)
            return error;
        if (!MemoryPolicy.Make(args.I2, node, others).TryGet(out int policy, out error))
            return error;
        if (end == start)
            return SyscallResult.Ok;
        if (!task.Memory.Areas.Covers(start, end))
            return Errno.EFAULT;
        (int index, int count) = task.Memory.Areas.Isolate(start, end);
        for (int i = index; i < index + count; i++)
            task.Memory.Areas[i].Policy = policy;
        task.Memory.Areas.MergeAround(start, end);
        return SyscallResult.Ok;
    }

    internal static SyscallResult GetMempolicy(Task task, in SyscallArgs args)
    {
        const int asNode = 1, ofAddress = 2, allowed = 4;
        ulong address = args.A3, flags = args.A4;
        if ((flags & ~(ulong)(asNode | ofAddress | allowed)) != 0 || (args.A1 != 0 && args.A2 < 1))
            return Errno.EINVAL;
        int mode = 0;
        bool nodes;
        if ((flags & allowed) != 0)
        {
            if ((flags & (asNode | ofAddress)) != 0)
                return Errno.EINVAL;
            nodes = true;
        }
        else
        {
            int policy = task.MemoryPolicy;
            if ((flags & ofAddress) != 0)
            {
                if (task.Memory.Areas.Find(address) is not { } area)
                    return Errno.EFAULT;
                policy = area.Policy != 0 ? area.Policy : policy;
            }
            else if (address != 0)
            {
                return Errno.EINVAL;
            }

            // With MPOL_F_NODE the answer is a node: that of the page, or the next to be used for interleaving.
            if ((flags & asNode) != 0)
            {
                if ((flags & ofAddress) == 0 && MemoryPolicy.ModeOf(policy) is not (MemoryPolicy.Interleave or MemoryPolicy.WeightedInterleave))
                    return Errno.EINVAL;
            }
            else
            {
                mode = policy & 0xFFFF;
            }

            nodes = MemoryPolicy.HasNodes(policy);
        }

        if (args.A0 != 0 && !task.TryWrite(args.A0, mode))
            return Errno.EFAULT;
        if (args.A1 == 0)
            return SyscallResult.Ok;
        byte[] mask = new byte[(Math.Min(args.A2, MaxNodes) + 63) / 64 * 8];
        mask[0] = nodes ? (byte)1 : (byte)0;
        return task.Memory.TryWriteAll(args.A1, mask) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult SetMempolicyHomeNode(Task task, in SyscallArgs args)
    {
        ulong start = args.A0, end = start + Mappings.RoundUp(args.A1);
        if ((start & (Mappings.PageSize - 1)) != 0 || args.A3 != 0 || args.A2 != 0 || end < start)
            return Errno.EINVAL;
        if (end == start)
            return SyscallResult.Ok;
        if (!task.Memory.Areas.Covers(start, end))
            return Errno.EFAULT;
        for (int i = task.Memory.Areas.FirstEndingAfter(start); i < task.Memory.Areas.Count && task.Memory.Areas[i].Start < end; i++)
        {
            if (task.Memory.Areas[i].Policy != 0 && MemoryPolicy.ModeOf(task.Memory.Areas[i].Policy) is not (MemoryPolicy.Bind or MemoryPolicy.PreferredMany))
                return Errno.EOPNOTSUPP;
        }

        return SyscallResult.Ok;
    }

    /// <summary>migrate_pages(2): all pages are where they can only be.</summary>
    internal static SyscallResult MigratePages(Task task, in SyscallArgs args)
    {
        Errno error = ReadNodes(task, args.A2, args.A1, out _, out _);
        if (error != Errno.None)
            return error;
        error = ReadNodes(task, args.A3, args.A1, out bool node, out bool others);
        if (error != Errno.None)
            return error;
        Task? target = args.I0 == 0 ? task : IdentitySyscalls.FindTask(task, args.I0);
        if (target is null)
            return Errno.ESRCH;
        if (!PtraceAccess.MayRead(task, target))
            return Errno.EPERM;
        if (others && !task.Credentials.Has(Capability.CAP_SYS_NICE))
            return Errno.EPERM;
        return node ? SyscallResult.Ok : Errno.EINVAL;
    }

    /// <summary>move_pages(2): tells for each page whether it is there; there is nowhere to move it to.</summary>
    internal static SyscallResult MovePages(Task task, in SyscallArgs args)
    {
        const int move = 2, moveAll = 4;
        ulong count = args.A1;
        if ((args.I5 & ~(move | moveAll)) != 0)
            return Errno.EINVAL;
        if ((args.I5 & moveAll) != 0 && !task.Credentials.Has(Capability.CAP_SYS_NICE))
            return Errno.EPERM;
        Task? target = args.I0 == 0 ? task : IdentitySyscalls.FindTask(task, args.I0);
        if (target is null)
            return Errno.ESRCH;
        if (!PtraceAccess.MayRead(task, target))
            return Errno.EPERM;
        Span<byte> resident = stackalloc byte[1];
        for (ulong i = 0; i < count; i++)
        {
            if (!task.TryRead(args.A2 + (i * 8), out ulong page))
                return Errno.EFAULT;
            int node = 0;
            if (args.A3 != 0 && !task.TryRead(args.A3 + (i * 4), out node))
                return Errno.EFAULT;
            if (node != 0)
                return Errno.ENODEV;
            page &= ~(Mappings.PageSize - 1);
            int status = -(int)Errno.EFAULT;
            if (target.Memory.Areas.Find(page) is not null)
            {
                AdviceSyscalls.FindResident(target.Memory, page, page + Mappings.PageSize, resident);
                status = resident[0] != 0 ? 0 : -(int)Errno.ENOENT;
            }

            if (args.A4 != 0 && !task.TryWrite(args.A4 + (i * 4), status))
                return Errno.EFAULT;
        }

        return SyscallResult.Ok;
    }
}
