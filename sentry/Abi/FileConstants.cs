namespace Sentry.Abi;

/// <summary>File types and permission bits of st_mode (inode(7)).</summary>
public static class S
{
    public const uint IFMT = 0xF000;
    public const uint IFSOCK = 0xC000;
    public const uint IFLNK = 0xA000;
    public const uint IFREG = 0x8000;
    public const uint IFBLK = 0x6000;
    public const uint IFDIR = 0x4000;
    public const uint IFCHR = 0x2000;
    public const uint IFIFO = 0x1000;
    public const uint ISUID = 0x800;
    public const uint ISGID = 0x400;
    public const uint ISVTX = 0x200;
    public const uint PermissionMask = 0xFFF;

    public static bool IsDirectory(uint mode) => (mode & IFMT) == IFDIR;

    public static bool IsRegular(uint mode) => (mode & IFMT) == IFREG;

    public static bool IsSymlink(uint mode) => (mode & IFMT) == IFLNK;
}

/// <summary>The AT_* descriptors and flags of the *at calls (openat(2), fstatat(2), …).</summary>
public static class AT
{
    public const int FDCWD = -100;
    public const int SYMLINK_NOFOLLOW = 0x100;
    public const int EACCESS = 0x200;
    public const int REMOVEDIR = 0x200;
    public const int SYMLINK_FOLLOW = 0x400;
    public const int NO_AUTOMOUNT = 0x800;
    public const int EMPTY_PATH = 0x1000;
    public const int STATX_SYNC_TYPE = 0x6000;
}

/// <summary>The kernel's encoding of device numbers (makedev(3)).</summary>
public static class DeviceNumber
{
    public static ulong Make(uint major, uint minor) =>
        ((ulong)(major & 0xFFF) << 8) | (minor & 0xFF) | ((ulong)(minor & ~0xFFu) << 12) | ((ulong)(major & ~0xFFFu) << 32);

    public static uint Major(ulong device) => (uint)((device >> 8) & 0xFFF) | (uint)((device >> 32) & 0xFFFFF000);

    public static uint Minor(ulong device) => (uint)(device & 0xFF) | (uint)((device >> 12) & 0xFFFFFF00);
}
