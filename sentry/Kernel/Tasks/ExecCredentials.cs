namespace Sentry.Kernel.Tasks;

/// <summary>What execve does to credentials: set-user-ID and set-group-ID programs, file capabilities, capabilities of root (capabilities(7)).</summary>
internal static class ExecCredentials
{
    /// <summary>The credentials after the exec, and whether the program gained privileges (AT_SECURE, not dumpable). EPERM: the file demands capabilities that the
    /// bounding set withholds.</summary>
    public static Result<(Credentials Credentials, bool Secure)> For(Task task, FileObject file)
    {
        Credentials old = task.Credentials;
        uint euid = old.EffectiveUid, egid = old.EffectiveGid;
        FileCapabilities? fileCapabilities = null;
        bool mayGain = !old.NoNewPrivileges && file is InodeFile { Path.Mount.Flags: var flags } && (flags & MountFlags.NoSuid) == 0;
        if (mayGain && file.GetStatus().TryGet(out FileStatus status, out _))
        {
            // Owners without a number in the user namespace give nothing to it.
            bool known = task.UserNamespace.TryGetUid(status.Uid, out _) && task.UserNamespace.TryGetGid(status.Gid, out _);
            if (known && (status.Mode & S.ISUID) != 0)
                euid = status.Uid;
            if (known && (status.Mode & 0x408) == 0x408)
                egid = status.Gid;
        }

        uint root = old.RootUid;
        bool rootCounts = (old.SecureBits & CredentialsDraft.SecureNoRoot) == 0, isRoot = rootCounts && (old.Uid == root || euid == root);

        // Root gets everything anyway, whatever the file says; only then is it worth asking.
        if (mayGain && !(isRoot && old.Uid == euid) && file is InodeFile { Inode.ExtendedAttributes: { } attributes } && attributes.Get(ExtendedAttributes.CapabilityName) is { } value)
            fileCapabilities = FileCapabilities.Parse(value);
        ulong permitted = 0;
        bool effective = false;
        if (fileCapabilities is { } found)
        {
            permitted = (old.Inheritable & found.Inheritable) | (found.Permitted & old.Bounding);
            if (found.IsEffective && (found.Permitted & ~permitted) != 0)
                return Errno.EPERM;
            effective = found.IsEffective;
        }

        // A set-user-ID root program with capabilities of its own gets just those (capabilities(7), "Set-user-ID-root programs that have file capabilities").
        if (isRoot && !(fileCapabilities is not null && old.Uid != root && euid == root))
        {
            permitted = (old.Inheritable | old.Bounding) & Capability.CAP_FULL_SET;
            effective = euid == root;
        }

        bool idsChanged = euid != old.EffectiveUid || egid != old.EffectiveGid;
        ulong ambient = idsChanged || fileCapabilities is not null ? 0 : old.Ambient;
        permitted |= ambient;
        ulong inForce = effective ? permitted : ambient;
        bool secure = idsChanged || euid != old.Uid || egid != old.Gid || (old.Uid != root && (effective || (permitted & ~ambient) != 0));
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
            Effective = inForce,
            Inheritable = old.Inheritable,
            Bounding = old.Bounding,
            Ambient = ambient,
            NoNewPrivileges = old.NoNewPrivileges,
            SecureBits = old.SecureBits & ~CredentialsDraft.SecureKeepCaps,
            UserNamespace = old.UserNamespace,
        };
        return (after, secure);
    }
}
