using System.Buffers.Binary;
using System.Text;

namespace Sentry.FileSystems.Proc;

/// <summary>/proc/config.gz: which of Linux's build options this kernel answers to. Test suites and container tools look for features here.</summary>
internal static class KernelConfig
{
    private static readonly string[] Options =
    [
        "64BIT", "ADVISE_SYSCALLS", "AIO", "BINFMT_ELF", "BINFMT_SCRIPT", "CACHESTAT_SYSCALL", "CHECKPOINT_RESTORE", "CROSS_MEMORY_ATTACH", "DEVTMPFS", "DNOTIFY", "EPOLL",
        "EVENTFD", "FHANDLE", "FILE_LOCKING", "FUTEX", "FUTEX_PI", "HAVE_ARCH_SECCOMP_FILTER", "HIGH_RES_TIMERS", "INET", "INOTIFY_USER", "IPC_NS", "IPV6", "KCMP", "KEYS", "MEMBARRIER",
        "MEMFD_CREATE", "MMU", "MULTIUSER", "NAMESPACES", "NET", "NETLINK_DIAG", "NET_NS", "OVERLAY_FS", "PACKET", "PID_NS", "POSIX_MQUEUE", "POSIX_MQUEUE_SYSCTL", "POSIX_TIMERS",
        "PROC_FS", "PROC_SYSCTL", "SECCOMP", "SECCOMP_FILTER", "SHMEM", "SIGNALFD", "SMP", "SYSFS", "SYSVIPC", "SYSVIPC_SYSCTL", "TIMERFD", "TIME_NS", "TMPFS", "TMPFS_XATTR", "UNIX",
        "UNIX98_PTYS", "USER_NS", "UTS_NS", "X86", "X86_64",
    ];

    /// <summary>The text of the configuration.</summary>
    internal static string Text
    {
        get
        {
            var text = new StringBuilder($"#\n# Linux/x86 {KernelVersion.Release} Kernel Configuration\n#\n");
            foreach (string option in Options)
                text.Append("CONFIG_").Append(option).Append("=y\n");
            text.Append("CONFIG_HZ=100\nCONFIG_LOCALVERSION=\"\"\n# CONFIG_MODULES is not set\n# CONFIG_NUMA is not set\n# CONFIG_SWAP is not set\n");
            return text.ToString();
        }
    }

    /// <summary>As a gzip file (RFC 1952) of one stored block (RFC 1951, 3.2.4), a byte per char.</summary>
    internal static string Compressed
    {
        get
        {
            byte[] content = Encoding.ASCII.GetBytes(Text);
            byte[] file = new byte[10 + 5 + content.Length + 8];
            ReadOnlySpan<byte> header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
            header.CopyTo(file);
            Span<byte> block = file.AsSpan(10);
            block[0] = 1;
            BinaryPrimitives.WriteUInt16LittleEndian(block[1..], (ushort)content.Length);
            BinaryPrimitives.WriteUInt16LittleEndian(block[3..], (ushort)~content.Length);
            content.CopyTo(block[5..]);
            BinaryPrimitives.WriteUInt32LittleEndian(block[(5 + content.Length)..], Crc32(content));
            BinaryPrimitives.WriteInt32LittleEndian(block[(9 + content.Length)..], content.Length);
            return Encoding.Latin1.GetString(file);
        }
    }

    private static uint Crc32(ReadOnlySpan<byte> bytes)
    {
        const uint polynomial = 0xEDB88320;
        uint crc = uint.MaxValue;
        foreach (byte value in bytes)
        {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc & 1) != 0 ? (crc >> 1) ^ polynomial : crc >> 1;
        }

        return ~crc;
    }
}
