using System.Buffers.Binary;
using System.Text;
using Sentry.Abi;
using Sentry.Host;

namespace Gofer.Protocol;

/// <summary>What a sentry may ask. A request is its length (u32, of what follows), the operation (u8) and the operands; a reply is its length, an errno
/// (i32) and, when that is 0, the results. One request is in flight at a time; numbers are little-endian.</summary>
public enum GoferOperation : byte
{
    /// <summary>Directory handle, name (empty: the directory itself) → attributes, handle (0 unless a directory), link text (empty unless a symbolic link).</summary>
    Lookup = 1,

    /// <summary>Directory handle, cursor (u64, at first 0) → next cursor, whether that was the end (u8), count (u32), then each entry: name, attributes, link text.</summary>
    ReadDirectory = 2,

    /// <summary>Directory handle, name → attributes, with a read-only descriptor of the regular file.</summary>
    Open = 3,

    /// <summary>Count (u32), handles: they are given back.</summary>
    Forget = 4,

    /// <summary>Nothing → block size (u32), blocks, free blocks, files, free files (u64).</summary>
    StatFs = 5,

    /// <summary>Directory handle, name (empty: the directory itself) of a regular file or directory → count (u32), then each attribute that a sandbox may see: name, value
    /// (u32 length, bytes).</summary>
    ListAttributes = 6,

    /// <summary>Directory handle, name (empty: the directory itself) → attributes, link text. As <see cref="Lookup"/>, but makes no handle.</summary>
    Look = 7,

    // What follows is for volumes; where the handle is of a tree that is only read, changes are EROFS.

    /// <summary>Directory handle, name, access (u8: O_RDONLY, O_WRONLY, O_RDWR) → attributes, with a descriptor of the regular file.</summary>
    OpenFor = 8,

    /// <summary>Directory handle, name, mode, owner, group (u32) → attributes, with a descriptor for reading and writing of the regular file, which is new.</summary>
    Create = 9,

    /// <summary>Directory handle, name, mode with type, owner, group (u32), link text → attributes. A directory, FIFO, socket or symbolic link.</summary>
    MakeNode = 10,

    /// <summary>Directory handle, name, whether it is a directory (u8).</summary>
    Unlink = 11,

    /// <summary>Directory handle, name, another directory's handle, the new name there → attributes.</summary>
    Link = 12,

    /// <summary>Directory handle, name, another directory's handle, the new name there, flags (u32, RENAME_NOREPLACE 1, RENAME_EXCHANGE 2).</summary>
    Rename = 13,

    /// <summary>Directory handle, name (empty: the directory itself), <see cref="NodeChange"/> → attributes.</summary>
    SetAttributes = 14,

    /// <summary>Directory handle → as <see cref="StatFs"/>, of the tree that the directory is in.</summary>
    StatTree = 15,
}

/// <summary>A change of attributes: those whose bit is in <see cref="Fields"/>.</summary>
public readonly record struct NodeChange(uint Fields, uint Permissions, uint Uid, uint Gid, long Size, long AccessTime, long ModifyTime)
{
    public const uint HasPermissions = 1, HasUid = 2, HasGid = 4, HasSize = 8, HasAccessTime = 16, HasModifyTime = 32;
}

/// <summary>Bounds that both sides keep to and check.</summary>
public static class GoferLimits
{
    /// <summary>Bytes of a request or reply behind its length.</summary>
    public const int MaxFrame = 512 * 1024;

    public const int MaxName = 255;

    /// <summary>PATH_MAX without its NUL.</summary>
    public const int MaxLink = 4095;

    /// <summary>Where a directory reply stops taking entries.</summary>
    public const int DirectoryReply = 128 * 1024;

    /// <summary>Extended attributes of one file, and bytes of a value (XATTR_SIZE_MAX).</summary>
    public const int MaxAttributes = 1024, MaxAttribute = 65536;

    /// <summary>Whether an extended attribute is handed out: those of users, and file capabilities. The rest is the host's own affair.</summary>
    public static bool IsShownAttribute(string name) => name.StartsWith("user.", StringComparison.Ordinal) || name == "security.capability";

    /// <summary>The handle of the tree's root.</summary>
    public const uint RootHandle = 1;

    /// <summary>Volumes of a sandbox at most; their roots have the handles behind <see cref="RootHandle"/>.</summary>
    public const int MaxVolumes = 128;

    /// <summary>A name that can only mean an entry of the directory it is looked up in.</summary>
    public static bool IsEntryName(string name) =>
        name.Length is > 0 and <= MaxName && name is not ("." or "..") && name.AsSpan().IndexOfAny('/', '\0') < 0 && !name.AsSpan().ContainsAnyExceptInRange('\u0001', '\u00FF');
}

/// <summary>What there is to know of a file of the tree; times are ns since 1970.</summary>
public readonly record struct NodeAttributes(
    ulong Inode,
    ulong Device,
    uint Mode,
    uint LinkCount,
    uint Uid,
    uint Gid,
    ulong SpecialDevice,
    long Size,
    long Blocks,
    long AccessTime,
    long ModifyTime,
    long ChangeTime,
    long BirthTime)
{
    /// <summary>Bytes on the wire.</summary>
    public const int WireSize = 88;

    public static NodeAttributes Of(in StatX stat) => new(
        stat.Inode,
        DeviceNumber.Make(stat.DevMajor, stat.DevMinor),
        stat.Mode,
        stat.LinkCount,
        stat.UserId,
        stat.GroupId,
        DeviceNumber.Make(stat.RdevMajor, stat.RdevMinor),
        (long)stat.Size,
        (long)stat.Blocks,
        Time(stat.AccessTime),
        Time(stat.ModifyTime),
        Time(stat.ChangeTime),
        Time(stat.BirthTime));

    private static long Time(in StatXTime time) => (Math.Clamp(time.Seconds, -9_000_000_000, 9_000_000_000) * 1_000_000_000) + time.Nanoseconds;
}

/// <summary>An entry of a directory with its attributes.</summary>
public readonly record struct NodeEntry(string Name, NodeAttributes Attributes, string Link);

/// <summary>Lays out a frame. Writing beyond the bound is a bug of ours, not of the peer.</summary>
public ref struct FrameWriter(Span<byte> buffer)
{
    private readonly Span<byte> _buffer = buffer;
    private int _length = 4;

    /// <summary>Bytes so far, with the length field.</summary>
    public readonly int Length => _length;

    public void U8(byte value) => _buffer[_length++] = value;

    public void U32(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer[_length..], value);
        _length += 4;
    }

    public void U64(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_buffer[_length..], value);
        _length += 8;
    }

    /// <summary>A byte string of at most 65535 bytes.</summary>
    public void Text(string value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_buffer[_length..], checked((ushort)value.Length));
        Encoding.Latin1.GetBytes(value, _buffer[(_length + 2)..]);
        _length += 2 + value.Length;
    }

    /// <summary>Bytes behind their length.</summary>
    public void Bytes(ReadOnlySpan<byte> value)
    {
        U32((uint)value.Length);
        value.CopyTo(_buffer[_length..]);
        _length += value.Length;
    }

    public void Attributes(in NodeAttributes value)
    {
        U64(value.Inode);
        U64(value.Device);
        U32(value.Mode);
        U32(value.LinkCount);
        U32(value.Uid);
        U32(value.Gid);
        U64(value.SpecialDevice);
        U64((ulong)value.Size);
        U64((ulong)value.Blocks);
        U64((ulong)value.AccessTime);
        U64((ulong)value.ModifyTime);
        U64((ulong)value.ChangeTime);
        U64((ulong)value.BirthTime);
    }

    public void Change(in NodeChange value)
    {
        U32(value.Fields);
        U32(value.Permissions);
        U32(value.Uid);
        U32(value.Gid);
        U64((ulong)value.Size);
        U64((ulong)value.AccessTime);
        U64((ulong)value.ModifyTime);
    }

    /// <summary>Puts a number where one was written before.</summary>
    public readonly void Patch32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_buffer[at..], value);

    public readonly void Patch64(int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(_buffer[at..], value);

    public readonly void Patch8(int at, byte value) => _buffer[at] = value;

    /// <summary>Puts the length in front: the frame is ready to be sent.</summary>
    public readonly ReadOnlySpan<byte> Finish()
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer, (uint)(_length - 4));
        return _buffer[.._length];
    }
}

/// <summary>Takes a frame apart. A frame that is too short makes <see cref="IsBad"/> true and all further values zero; nothing throws.</summary>
public ref struct FrameReader(ReadOnlySpan<byte> body)
{
    private ReadOnlySpan<byte> _rest = body;

    public bool IsBad { get; private set; }

    /// <summary>Whether all has been read and nothing was missing.</summary>
    public readonly bool IsComplete => !IsBad && _rest.IsEmpty;

    public byte U8() => Take(1) is { Length: 1 } bytes ? bytes[0] : (byte)0;

    public uint U32() => Take(4) is { Length: 4 } bytes ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : 0;

    public ulong U64() => Take(8) is { Length: 8 } bytes ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : 0;

    /// <summary>A byte string; bad when longer than <paramref name="limit"/>.</summary>
    public string Text(int limit)
    {
        int length = Take(2) is { Length: 2 } bytes ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : 0;
        if (length > limit)
            IsBad = true;
        ReadOnlySpan<byte> text = Take(length);
        return text.IsEmpty ? "" : Encoding.Latin1.GetString(text);
    }

    /// <summary>Bytes behind their length; bad when more than <paramref name="limit"/>.</summary>
    public byte[] Bytes(int limit)
    {
        uint length = U32();
        if (length > limit)
            IsBad = true;
        return IsBad ? [] : Take((int)length).ToArray();
    }

    public NodeAttributes Attributes()
    {
        var value = new NodeAttributes(U64(), U64(), U32(), U32(), U32(), U32(), U64(), (long)U64(), (long)U64(), (long)U64(), (long)U64(), (long)U64(), (long)U64());
        if (value.Size < 0 || value.Blocks < 0)
            IsBad = true;
        return value;
    }

    public NodeChange Change()
    {
        var value = new NodeChange(U32(), U32(), U32(), U32(), (long)U64(), (long)U64(), (long)U64());
        if (value.Size < 0)
            IsBad = true;
        return value;
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (IsBad || count > _rest.Length)
        {
            IsBad = true;
            return default;
        }

        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
