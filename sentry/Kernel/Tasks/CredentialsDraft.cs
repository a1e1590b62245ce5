namespace Sentry.Kernel.Tasks;

/// <summary>Credentials in the making: a mutable copy from which a call makes the new, immutable ones (prepare_creds, commit_creds).</summary>
public struct CredentialsDraft
{
    /// <summary>Bits of <see cref="SecureBits"/> (linux/securebits.h).</summary>
    public const uint SecureNoRoot = 1 << 0, SecureNoSetuidFixup = 1 << 2, SecureKeepCaps = 1 << 4, SecureNoAmbientRaise = 1 << 6,
        SecureAllBits = 0x55, SecureAllLocks = SecureAllBits << 1;

    public uint Uid, EffectiveUid, SavedUid, FsUid;
    public uint Gid, EffectiveGid, SavedGid, FsGid;
    public uint[] Groups;
    public ulong Effective, Permitted, Inheritable, Bounding, Ambient;
    public bool NoNewPrivileges;
    public uint SecureBits;
    public UserNamespace? UserNamespace;

    public CredentialsDraft(Credentials from)
    {
        Uid = from.Uid;
        EffectiveUid = from.EffectiveUid;
        SavedUid = from.SavedUid;
        FsUid = from.FsUid;
        Gid = from.Gid;
        EffectiveGid = from.EffectiveGid;
        SavedGid = from.SavedGid;
        FsGid = from.FsGid;
        Groups = from.Groups;
        Effective = from.Effective;
        Permitted = from.Permitted;
        Inheritable = from.Inheritable;
        Bounding = from.Bounding;
        Ambient = from.Ambient;
        NoNewPrivileges = from.NoNewPrivileges;
        SecureBits = from.SecureBits;
        UserNamespace = from.UserNamespace;
    }

    /// <summary>The first program's: root holds every capability, anyone else none.</summary>
    public static Credentials Initial(uint uid, uint gid)
    {
        ulong capabilities = uid == 0 ? Capability.CAP_FULL_SET : 0;
        return new Credentials
        {
            Uid = uid,
            EffectiveUid = uid,
            SavedUid = uid,
            FsUid = uid,
            Gid = gid,
            EffectiveGid = gid,
            SavedGid = gid,
            FsGid = gid,

            Effective = capabilities,
            Permitted = capabilities,
            Bounding = Capability.CAP_FULL_SET,
        };
    }

    /// <summary>What a changed user id does to the capability sets (capabilities(7), "Effect of user ID changes on capabilities").</summary>
    public void FixCapabilitiesAfterSetuid(Credentials old)
    {
        if ((SecureBits & SecureNoSetuidFixup) != 0)
            return;
        uint root = old.RootUid;
        bool hadRoot = old.Uid == root || old.EffectiveUid == root || old.SavedUid == root;
        if (hadRoot && Uid != root && EffectiveUid != root && SavedUid != root)
        {
            if ((SecureBits & SecureKeepCaps) == 0)
            {
                Permitted = 0;
                Effective = 0;
            }

            Ambient = 0;
        }

        if (old.EffectiveUid == root && EffectiveUid != root)
            Effective = 0;
        if (old.EffectiveUid != root && EffectiveUid == root)
            Effective = Permitted;
    }

    /// <summary>The same for setfsuid(2), which moves the file capabilities alone.</summary>
    public void FixCapabilitiesAfterSetfsuid(Credentials old)
    {
        if ((SecureBits & SecureNoSetuidFixup) != 0)
            return;
        uint root = old.RootUid;
        if (old.FsUid == root && FsUid != root)
            Effective &= ~Capability.CAP_FS_SET;
        if (old.FsUid != root && FsUid == root)
            Effective |= Permitted & Capability.CAP_FS_SET;
    }

    public readonly Credentials ToCredentials() => new()
    {
        Uid = Uid,
        EffectiveUid = EffectiveUid,
        SavedUid = SavedUid,
        FsUid = FsUid,
        Gid = Gid,
        EffectiveGid = EffectiveGid,
        SavedGid = SavedGid,
        FsGid = FsGid,
        Groups = Groups,
        Effective = Effective,
        Permitted = Permitted,
        Inheritable = Inheritable,
        Bounding = Bounding,
        Ambient = Ambient,
        NoNewPrivileges = NoNewPrivileges,
        SecureBits = SecureBits,
        UserNamespace = UserNamespace,
    };
}
