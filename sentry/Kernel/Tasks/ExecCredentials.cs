namespace Sentry.Kernel.Tasks;

/// <summary>What execve does to credentials: set-user-ID and set-group-ID programs, capabilities of root (capabilities(7)).</summary>
internal static class ExecCredentials
{
    private const ulong AllCapabilities = (1ul << 41) - 1;

    /// <summary>The credentials after the exec, and whether the program gained privileges (AT_SECURE, not dumpable).</summary>
    public static (Credentials Credentials, bool Secure) For(Task task, FileObject file)
    {
        Credentials old = task.Credentials;
        uint euid = old.EffectiveUid, egid = old.EffectiveGid;
        Result<FileStatus> status = file.GetStatus();
        if (status.IsOk && !old.NoNewPrivileges)
        {
            if ((status.Value.Mode & 0x800) != 0)
                euid = status.Value.Uid;
            if ((status.Value.Mode & 0x408) == 0x408)
                egid = status.Value.Gid;
        }

        bool isRoot = (old.Uid == 0 || euid == 0) && (old.SecureBits & 1) == 0;
        ulong permitted = isRoot ? (old.Inheritable | old.Bounding) & AllCapabilities : old.Ambient;
        bool gained = euid != old.EffectiveUid || egid != old.EffectiveGid;
        var after = new Credentials
        {
            Uid = old.Uid,
            EffectiveUid = euid,
            SavedUid = euid,
            FsUid = euid,
            Gid = old.Gid,
            EffectiveGid = egid,
            SavedGid = egid,
            FsGid = egid,
            Groups = old.Groups,
            Permitted = permitted,
            Effective = isRoot && euid != 0 ? old.Ambient : permitted,
            Inheritable = old.Inheritable,
            Bounding = old.Bounding,
            Ambient = gained ? 0 : old.Ambient,
            NoNewPrivileges = old.NoNewPrivileges,
            SecureBits = old.SecureBits & ~0x10u,
        };
        return (after, gained);
    }
}
