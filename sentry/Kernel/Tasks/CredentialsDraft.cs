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
        bool hadRoot = old.Uid == 0 || old.EffectiveUid == 0 || old.SavedUid == 0;
        if (hadRoot && Uid != 0 && EffectiveUid != 0 && SavedUid != 0)
        {
            if ((SecureBits & SecureKeepCaps) == 0)
            {
                Permitted = 0;
                Effective = 0;
            }

            Ambient = 0;
        }

        if (old.EffectiveUid == 0 && EffectiveUid != 0)
            Effective = 0;
        if (old.EffectiveUid != 0 && EffectiveUid == 0)
            Effective = Permitted;
    }

    /// <summary>The same for setfsuid(2), which moves the file capabilities alone.</summary>
    public void FixCapabilitiesAfterSetfsuid(Credentials old)
    {
        if ((SecureBits & SecureNoSetuidFixup) != 0)
            return;
        if (old.FsUid == 0 && FsUid != 0)
            Effective &= ~Capability.CAP_FS_SET;
        if (old.FsUid != 0 && FsUid == 0)
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
    };
}
