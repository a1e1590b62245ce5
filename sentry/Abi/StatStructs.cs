using System.Runtime.InteropServices;

namespace Sentry.Abi;

/// <summary>struct timespec.</summary>
public struct KernelTimespec
{
    public long tv_sec;
    public long tv_nsec;
}

/// <summary>struct stat of x86-64 (stat(2)).</summary>
[StructLayout(LayoutKind.Sequential, Size = 144)]
public struct KernelStat
{
    public ulong st_dev;
    public ulong st_ino;
    public ulong st_nlink;
    public uint st_mode;
    public uint st_uid;
    public uint st_gid;
    public uint pad0;
    public ulong st_rdev;
    public long st_size;
    public long st_blksize;
    public long st_blocks;
    public KernelTimespec st_atim;
    public KernelTimespec st_mtim;
    public KernelTimespec st_ctim;
}

/// <summary>struct statx_timestamp.</summary>
public struct StatxTimestamp
{
    public long tv_sec;
    public uint tv_nsec;
    public int reserved;
}

/// <summary>struct statx (statx(2)).</summary>
[StructLayout(LayoutKind.Sequential, Size = 256)]
public struct KernelStatx
{
    public uint stx_mask;
    public uint stx_blksize;
    public ulong stx_attributes;
    public uint stx_nlink;
    public uint stx_uid;
    public uint stx_gid;
    public ushort stx_mode;
    public ushort pad0;
    public ulong stx_ino;
    public ulong stx_size;
    public ulong stx_blocks;
    public ulong stx_attributes_mask;
    public StatxTimestamp stx_atime;
    public StatxTimestamp stx_btime;
    public StatxTimestamp stx_ctime;
    public StatxTimestamp stx_mtime;
    public uint stx_rdev_major;
    public uint stx_rdev_minor;
    public uint stx_dev_major;
    public uint stx_dev_minor;
    public ulong stx_mnt_id;
}

/// <summary>struct statfs of x86-64 (statfs(2)).</summary>
[StructLayout(LayoutKind.Sequential, Size = 120)]
public struct KernelStatfs
{
    public long f_type;
    public long f_bsize;
    public ulong f_blocks;
    public ulong f_bfree;
    public ulong f_bavail;
    public ulong f_files;
    public ulong f_ffree;
    public ulong f_fsid;
    public long f_namelen;
    public long f_frsize;
    public long f_flags;
}

/// <summary>struct flock of x86-64 (fcntl(2)).</summary>
[StructLayout(LayoutKind.Sequential, Size = 32)]
public struct KernelFlock
{
    public short l_type;
    public short l_whence;
    public int pad0;
    public long l_start;
    public long l_len;
    public int l_pid;
}

/// <summary>struct open_how (openat2(2)).</summary>
public struct KernelOpenHow
{
    public ulong flags;
    public ulong mode;
    public ulong resolve;
}
