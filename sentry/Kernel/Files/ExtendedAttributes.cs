using System.Buffers.Binary;

namespace Sentry.Kernel.Files;

/// <summary>The extended attributes of a file (xattr(7)): names with their values, bytes as chars.</summary>
[Savable("extended-attributes")]
public sealed partial class ExtendedAttributes
{
    /// <summary>XATTR_NAME_MAX, XATTR_SIZE_MAX, XATTR_LIST_MAX.</summary>
    public const int MaxName = 255, MaxValue = 65536, MaxList = 65536;

    /// <summary>What the attributes of one file may take together: kernel memory that a guest must not fill.</summary>
    private const int MaxTotal = 1 << 20;

    /// <summary>The one that execve(2) reads (capabilities(7), "File capabilities").</summary>
    public const string CapabilityName = "security.capability";

    [Saved(1)] private SortedDictionary<string, byte[]> _values = [];

    public ExtendedAttributes()
    {
    }

    public ExtendedAttributes(IEnumerable<KeyValuePair<string, byte[]>> values)
    {
        foreach ((string name, byte[] value) in values)
            _values[name] = value;
    }

    public IEnumerable<string> Names => _values.Keys;

    public byte[]? Get(string name) => _values.GetValueOrDefault(name);

    /// <summary>EEXIST and ENODATA by the flags of setxattr(2), ENOSPC when it would be too much.</summary>
    internal Errno Set(string name, byte[] value, bool mustCreate, bool mustReplace)
    {
        bool exists = _values.ContainsKey(name);
        if (exists && mustCreate)
            return Errno.EEXIST;
        if (!exists && mustReplace)
            return Errno.ENODATA;
        long total = name.Length + value.Length, list = name.Length + 1;
        foreach ((string other, byte[] held) in _values)
        {
            if (other == name)
                continue;
            total += other.Length + held.Length;
            list += other.Length + 1;
        }

        if (total > MaxTotal || list > MaxList)
            return Errno.ENOSPC;
        _values[name] = value;
        return Errno.None;
    }

    internal bool Remove(string name) => _values.Remove(name);
}

/// <summary>What security.capability says: struct vfs_cap_data of revision 2 or 3.</summary>
internal readonly record struct FileCapabilities(ulong Permitted, ulong Inheritable, bool IsEffective)
{
    private const uint Revision2 = 0x02000000, Revision3 = 0x03000000, RevisionMask = 0xFF000000, EffectiveFlag = 1;

    /// <summary>Null for what is no such thing; a revision 3 counts for the root of its user namespace alone.</summary>
    internal static FileCapabilities? Parse(ReadOnlySpan<byte> value)
    {
        if (value.Length < 4)
            return null;
        uint magic = BinaryPrimitives.ReadUInt32LittleEndian(value), revision = magic & RevisionMask;
        if (!(revision == Revision2 && value.Length == 20) && !(revision == Revision3 && value.Length == 24))
            return null;
        ulong permitted = BinaryPrimitives.ReadUInt32LittleEndian(value[4..]) | ((ulong)BinaryPrimitives.ReadUInt32LittleEndian(value[12..]) << 32);
        ulong inheritable = BinaryPrimitives.ReadUInt32LittleEndian(value[8..]) | ((ulong)BinaryPrimitives.ReadUInt32LittleEndian(value[16..]) << 32);
        if (revision == Revision3 && BinaryPrimitives.ReadUInt32LittleEndian(value[20..]) != 0)
            return null;
        return new FileCapabilities(permitted & Capability.CAP_FULL_SET, inheritable & Capability.CAP_FULL_SET, (magic & EffectiveFlag) != 0);
    }
}
