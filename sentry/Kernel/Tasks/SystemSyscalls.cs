using System.Buffers.Binary;
using System.Text;

namespace Sentry.Kernel.Tasks;

/// <summary>System calls about the machine as a whole: uname, sysinfo, getrandom, host name, kernel log.</summary>
internal static class SystemSyscalls
{
    private const int NameSize = 65;
    private const uint PersonalityLinux32 = 8;

    internal static SyscallResult Uname(Task task, in SyscallArgs args)
    {
        Span<byte> names = stackalloc byte[6 * NameSize];
        names.Clear();
        string machine = (task.Group.Personality & 0xff) == PersonalityLinux32 ? "i686" : "x86_64";
        ReadOnlySpan<string> values = [KernelVersion.SystemName, task.Namespaces.Uts.HostName, KernelVersion.Release, KernelVersion.Version, machine, task.Namespaces.Uts.DomainName];
        for (int i = 0; i < values.Length; i++)
            Encoding.Latin1.GetBytes(values[i].AsSpan(0, Math.Min(values[i].Length, NameSize - 1)), names[(i * NameSize)..]);
        return task.Memory.TryWriteAll(args.A0, names) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult Sysinfo(Task task, in SyscallArgs args)
    {
        const int Size = 112;
        Span<byte> info = stackalloc byte[Size];
        info.Clear();
        GuestKernel kernel = task.Kernel;
        BinaryPrimitives.WriteInt64LittleEndian(info, kernel.Clock.Monotonic / 1_000_000_000);
        BinaryPrimitives.WriteInt64LittleEndian(info[32..], kernel.MemorySize);
        BinaryPrimitives.WriteInt64LittleEndian(info[40..], Math.Max(0, kernel.MemorySize - MemoryUse.Measure(kernel).Total));
        BinaryPrimitives.WriteUInt16LittleEndian(info[80..], (ushort)Math.Min(kernel.Tasks.Count, ushort.MaxValue));
        BinaryPrimitives.WriteInt32LittleEndian(info[104..], 1);
        return task.Memory.TryWriteAll(args.A0, info) ? SyscallResult.Ok : Errno.EFAULT;
    }

    /// <summary>getrandom(2): never blocks, as the host's generator has long been seeded; a fault in the middle gives the bytes before it.</summary>
    internal static SyscallResult Getrandom(Task task, in SyscallArgs args)
    {
        const ulong NonBlock = 1, Random = 2, Insecure = 4;
        if ((args.A2 & ~(NonBlock | Random | Insecure)) != 0 || (args.A2 & (Random | Insecure)) == (Random | Insecure))
            return Errno.EINVAL;
        ulong wanted = Math.Min(args.A1, 32 << 20);
        Span<byte> block = stackalloc byte[1024];
        ulong done = 0;
        while (done < wanted)
        {
            Span<byte> piece = block[..(int)Math.Min((ulong)block.Length, wanted - done)];
            task.Kernel.Host.FillRandom(piece);
            int moved = task.Memory.Write(args.A0 + done, piece);
            done += (ulong)Math.Max(0, moved);
            if (moved < piece.Length)
                return done == 0 ? Errno.EFAULT : done;
        }

        return done;
    }

    internal static SyscallResult Sethostname(Task task, in SyscallArgs args)
    {
        SyscallResult result = ReadHostName(task, args, out string? name);
        if (name is not null)
            task.Namespaces.Uts.HostName = name;
        return result;
    }

    internal static SyscallResult Setdomainname(Task task, in SyscallArgs args)
    {
        SyscallResult result = ReadHostName(task, args, out string? name);
        if (name is not null)
            task.Namespaces.Uts.DomainName = name;
        return result;
    }

    /// <summary>syslog(2): an empty kernel log.</summary>
    internal static SyscallResult Syslog(Task task, in SyscallArgs args)
    {
        const int Close = 0, Open = 1, ReadAll = 3, ReadClear = 4, Clear = 5, ConsoleOff = 6, ConsoleOn = 7, ConsoleLevel = 8, SizeUnread = 9, SizeBuffer = 10;
        if (!task.Credentials.Has(Capability.CAP_SYSLOG) && !task.Credentials.Has(Capability.CAP_SYS_ADMIN) && args.I0 is not (ReadAll or SizeBuffer))
            return Errno.EPERM;
        switch (args.I0)
        {
            case Close or Open or Clear or ConsoleOff or ConsoleOn or SizeUnread or SizeBuffer:
                return SyscallResult.Ok;
            case ReadAll or ReadClear:
                return args.A1 == 0 || args.I2 < 0 ? Errno.EINVAL : SyscallResult.Ok;
            case ConsoleLevel:
                return args.I2 is < 1 or > 8 ? Errno.EINVAL : SyscallResult.Ok;
            default:
                return Errno.EINVAL;
        }
    }

    /// <summary>reboot(2): a sandbox is ended from outside.</summary>
    /// <summary>reboot(2): a pid namespace can be ended by its members; the sandbox itself only from outside.</summary>
    internal static SyscallResult Reboot(Task task, in SyscallArgs args)
    {
        const uint magic = 0xfee1dead;
        const uint restart = 0x01234567, halt = 0xCDEF0123, powerOff = 0x4321FEDC, restart2 = 0xA1B2C3D4;
        if (!task.Credentials.HasIn(task.PidNamespace.Owner, Capability.CAP_SYS_BOOT))
            return Errno.EPERM;
        if ((uint)args.A0 != magic || (uint)args.A1 is not (672274793 or 85072278 or 369367448 or 537993216))
            return Errno.EINVAL;
        if (task.PidNamespace.IsFirst || task.PidNamespace.Reaper is not { } reaper)
            return Errno.EPERM;
        int signal = (uint)args.A2 switch
        {
            restart or restart2 => Signal.SIGHUP,
            halt or powerOff => Signal.SIGINT,
            _ => 0,
        };
        if (signal == 0)
            return Errno.EINVAL;

        // It looks as if process 1 had died of the signal, and nobody of the namespace is left.
        task.Kernel.Dispatcher.AnsweredByHandler(task, null);
        Lifecycle.KillGroup(reaper, signal);
        Lifecycle.KillGroup(task.Group, Signal.SIGKILL);
        return SyscallResult.Handled;
    }

    private static SyscallResult ReadHostName(Task task, in SyscallArgs args, out string? name)
    {
        name = null;
        if (!task.Credentials.HasIn(task.Namespaces.Uts.Owner, Capability.CAP_SYS_ADMIN))
            return Errno.EPERM;
        if (args.I1 is < 0 or > 64)
            return Errno.EINVAL;
        byte[] bytes = new byte[args.I1];
        if (!task.Memory.TryReadAll(args.A0, bytes))
            return Errno.EFAULT;
        int end = Array.IndexOf(bytes, (byte)0);
        name = Encoding.Latin1.GetString(bytes, 0, end < 0 ? bytes.Length : end);
        return SyscallResult.Ok;
    }
}
