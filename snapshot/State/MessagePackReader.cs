using System.Buffers;
using System.Buffers.Binary;
using System.Text.Unicode;

namespace Snapshot.State;

/// <summary>What comes next in MessagePack.</summary>
public enum MessagePackType
{
    Nil,
    Boolean,
    Integer,
    Float,
    String,
    Binary,
    Array,
    Map,
    Extension,
}

/// <summary>Reads MessagePack that may be damaged or hostile: whatever is wrong is an <see cref="InvalidImageException"/>, and no count is
/// believed that the bytes left could not hold.</summary>
public sealed class MessagePackReader
{
    private readonly byte[] _bytes;
    private int _position;

    public MessagePackReader(byte[] bytes) => _bytes = bytes;

    public MessagePackReader(ReadOnlyMemory<byte> bytes)
        : this(bytes.ToArray())
    {
    }

    /// <summary>Offset of the next value.</summary>
    public int Position
    {
        get => _position;
        internal set => _position = value;
    }

    public int Remaining => _bytes.Length - _position;

    public bool IsAtEnd => _position == _bytes.Length;

    public MessagePackType NextType
    {
        get
        {
            if (IsAtEnd)
                throw Truncated();
            return _bytes[_position] switch
            {
                < 0x80 or >= 0xe0 => MessagePackType.Integer,
                < 0x90 => MessagePackType.Map,
                < 0xa0 => MessagePackType.Array,
                < 0xc0 => MessagePackType.String,
                0xc0 => MessagePackType.Nil,
                0xc2 or 0xc3 => MessagePackType.Boolean,
                0xc4 or 0xc5 or 0xc6 => MessagePackType.Binary,
                0xca or 0xcb => MessagePackType.Float,
                >= 0xcc and <= 0xd3 => MessagePackType.Integer,
                0xd9 or 0xda or 0xdb => MessagePackType.String,
                0xdc or 0xdd => MessagePackType.Array,
                0xde or 0xdf => MessagePackType.Map,
                0xc1 => throw Unexpected("a value"),
                _ => MessagePackType.Extension,
            };
        }
    }

    /// <summary>Whether the next value is negative; only meaningful before an integer.</summary>
    internal bool NextIsNegative
    {
        get
        {
            byte form = _bytes[_position];
            return form >= 0xe0 || (form is >= 0xd0 and <= 0xd3 && _position + 1 < _bytes.Length && (_bytes[_position + 1] & 0x80) != 0);
        }
    }

    /// <summary>Whether the next value is a string that UTF-8 could not hold.</summary>
    internal bool NextIsRawString => NextType == MessagePackType.Extension && PeekExtensionType() == MessagePackWriter.RawStringExtension;

    public bool TryReadNil()
    {
        if (_position >= _bytes.Length || _bytes[_position] != 0xc0)
            return false;
        _position++;
        return true;
    }

    public bool ReadBoolean()
    {
        byte form = NextByte();
        return form == 0xc3 || (form == 0xc2 ? false : throw Unexpected("a boolean", 1));
    }

    public long ReadInt64()
    {
        byte form = NextByte();
        if (form < 0x80)
            return form;
        if (form >= 0xe0)
            return (sbyte)form;
        switch (form)
        {
            case 0xd0:
                return (sbyte)NextByte();
            case 0xd1:
                return BinaryPrimitives.ReadInt16BigEndian(Take(2));
            case 0xd2:
                return BinaryPrimitives.ReadInt32BigEndian(Take(4));
            case 0xd3:
                return BinaryPrimitives.ReadInt64BigEndian(Take(8));
            default:
                ulong value = ReadPositive(form);
                return value <= long.MaxValue ? (long)value : throw OutOfRange("i64");
        }
    }

    public ulong ReadUInt64()
    {
        byte form = NextByte();
        if (form < 0x80)
            return form;
        if (form is < 0xd0 or > 0xd3 and < 0xe0)
            return ReadPositive(form);
        _position--;
        long value = ReadInt64();
        return value >= 0 ? (ulong)value : throw OutOfRange("u64");
    }

    public int ReadInt32()
    {
        long value = ReadInt64();
        return value is >= int.MinValue and <= int.MaxValue ? (int)value : throw OutOfRange("i32");
    }

    public short ReadInt16()
    {
        long value = ReadInt64();
        return value is >= short.MinValue and <= short.MaxValue ? (short)value : throw OutOfRange("i16");
    }

    public sbyte ReadSByte()
    {
        long value = ReadInt64();
        return value is >= sbyte.MinValue and <= sbyte.MaxValue ? (sbyte)value : throw OutOfRange("i8");
    }

    public uint ReadUInt32()
    {
        ulong value = ReadUInt64();
        return value <= uint.MaxValue ? (uint)value : throw OutOfRange("u32");
    }

    public ushort ReadUInt16()
    {
        ulong value = ReadUInt64();
        return value <= ushort.MaxValue ? (ushort)value : throw OutOfRange("u16");
    }

    public byte ReadByte()
    {
        ulong value = ReadUInt64();
        return value <= byte.MaxValue ? (byte)value : throw OutOfRange("u8");
    }

    public char ReadChar() => (char)ReadUInt16();

    public float ReadSingle() => NextByte() == 0xca ? BinaryPrimitives.ReadSingleBigEndian(Take(4)) : throw Unexpected("f32", 1);

    public double ReadDouble()
    {
        byte form = NextByte();
        if (form == 0xca)
            return BinaryPrimitives.ReadSingleBigEndian(Take(4));
        return form == 0xcb ? BinaryPrimitives.ReadDoubleBigEndian(Take(8)) : throw Unexpected("f64", 1);
    }

    /// <summary>A string or nil.</summary>
    public string? ReadStringOrNull() => TryReadNil() ? null : ReadString();

    public string ReadString()
    {
        byte form = NextByte();
        int length;
        if ((form & 0xe0) == 0xa0)
        {
            length = form & 0x1f;
        }
        else
        {
            switch (form)
            {
                case 0xd9:
                    length = NextByte();
                    break;
                case 0xda:
                    length = BinaryPrimitives.ReadUInt16BigEndian(Take(2));
                    break;
                case 0xdb:
                    length = Length32();
                    break;
                default:
                    _position--;
                    return ReadRawString();
            }
        }

        ReadOnlySpan<byte> utf8 = Take(length);
        if (length > 256)
            return DecodeLong(utf8);
        Span<char> chars = stackalloc char[length];
        if (Utf8.ToUtf16(utf8, chars, out _, out int written, replaceInvalidSequences: false) != OperationStatus.Done)
            throw new InvalidImageException($"a string at offset {_position - length} is not UTF-8");
        return new string(chars[..written]);
    }

    /// <summary>A byte string or nil.</summary>
    public byte[]? ReadBytesOrNull() => TryReadNil() ? null : ReadBytes();

    public byte[] ReadBytes()
    {
        int length = NextByte() switch
        {
            0xc4 => NextByte(),
            0xc5 => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
            0xc6 => Length32(),
            _ => throw Unexpected("a byte string", 1),
        };
        return Take(length).ToArray();
    }

    /// <summary>The number of elements, each of which takes at least a byte of what is left.</summary>
    public int ReadArrayHeader()
    {
        byte form = NextByte();
        int count = (form & 0xf0) == 0x90 ? form & 0x0f : form switch
        {
            0xdc => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
            0xdd => Length32(),
            _ => throw Unexpected("an array", 1),
        };
        return count <= Remaining ? count : throw TooMany(count);
    }

    /// <summary>An array of a known number of elements.</summary>
    public void ReadArrayHeader(int expected)
    {
        int count = ReadArrayHeader();
        if (count != expected)
            throw new InvalidImageException($"an array at offset {_position} has {count} elements instead of {expected}");
    }

    /// <summary>The number of pairs, each of which takes at least two bytes of what is left.</summary>
    public int ReadMapHeader()
    {
        byte form = NextByte();
        int count = (form & 0xf0) == 0x80 ? form & 0x0f : form switch
        {
            0xde => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
            0xdf => Length32(),
            _ => throw Unexpected("a map", 1),
        };
        return count <= Remaining / 2 ? count : throw TooMany(count);
    }

    /// <summary>Passes over one value with all that is in it, however deep.</summary>
    public void Skip()
    {
        for (long left = 1; left > 0; left--)
        {
            switch (NextType)
            {
                case MessagePackType.Array:
                    left += ReadArrayHeader();
                    break;
                case MessagePackType.Map:
                    left += 2L * ReadMapHeader();
                    break;
                default:
                    SkipScalar();
                    break;
            }
        }
    }

    internal InvalidImageException Unexpected(string expected, int back = 0) =>
        new($"there is 0x{_bytes[_position - back]:x2} instead of {expected} at offset {_position - back}");

    private static InvalidImageException Truncated() => new("the kernel state ends in the middle of a value");

    private static string DecodeLong(ReadOnlySpan<byte> utf8)
    {
        char[] chars = ArrayPool<char>.Shared.Rent(utf8.Length);
        try
        {
            return Utf8.ToUtf16(utf8, chars, out _, out int written, replaceInvalidSequences: false) == OperationStatus.Done
                ? new string(chars, 0, written)
                : throw new InvalidImageException("a string is not UTF-8");
        }
        finally
        {
            ArrayPool<char>.Shared.Return(chars);
        }
    }

    private InvalidImageException OutOfRange(string type) => new($"the number before offset {_position} is out of the range of {type}");

    private InvalidImageException TooMany(int count) => new($"{count} elements are announced at offset {_position}, where {Remaining} bytes are left");

    private ulong ReadPositive(byte form) => form switch
    {
        0xcc => NextByte(),
        0xcd => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
        0xce => BinaryPrimitives.ReadUInt32BigEndian(Take(4)),
        0xcf => BinaryPrimitives.ReadUInt64BigEndian(Take(8)),
        _ => throw Unexpected("an integer", 1),
    };

    private string ReadRawString()
    {
        if (IsAtEnd || NextType != MessagePackType.Extension)
            throw Unexpected("a string");
        int length = ExtensionHeader(out int type);
        ReadOnlySpan<byte> bytes = Take(length);
        if (type != MessagePackWriter.RawStringExtension || length % 2 != 0)
            throw new InvalidImageException($"an extension before offset {_position} is not a string");
        char[] chars = new char[length / 2];
        for (int i = 0; i < chars.Length; i++)
            chars[i] = (char)BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * i)..]);
        return new string(chars);
    }

    private int PeekExtensionType()
    {
        int start = _position;
        ExtensionHeader(out int type);
        _position = start;
        return type;
    }

    private int ExtensionHeader(out int type)
    {
        int length = NextByte() switch
        {
            0xd4 => 1,
            0xd5 => 2,
            0xd6 => 4,
            0xd7 => 8,
            0xd8 => 16,
            0xc7 => NextByte(),
            0xc8 => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
            _ => Length32(),
        };
        type = (sbyte)NextByte();
        return length;
    }

    private void SkipScalar()
    {
        byte form = _bytes[_position];
        switch (NextType)
        {
            case MessagePackType.Nil or MessagePackType.Boolean:
                _position++;
                break;
            case MessagePackType.Integer:
                _position++;
                if (form is >= 0xcc and <= 0xd3)
                    Take(1 << ((form - 0xcc) & 3));
                break;
            case MessagePackType.Float:
                _position++;
                Take(form == 0xca ? 4 : 8);
                break;
            case MessagePackType.String:
                _position++;
                Take((form & 0xe0) == 0xa0 ? form & 0x1f : form switch
                {
                    0xd9 => NextByte(),
                    0xda => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
                    _ => Length32(),
                });
                break;
            case MessagePackType.Binary:
                _position++;
                Take(form switch
                {
                    0xc4 => NextByte(),
                    0xc5 => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
                    _ => Length32(),
                });
                break;
            default:
                Take(ExtensionHeader(out _));
                break;
        }
    }

    private int Length32()
    {
        uint length = BinaryPrimitives.ReadUInt32BigEndian(Take(4));
        return length <= (uint)Remaining ? (int)length : throw Truncated();
    }

    private byte NextByte()
    {
        int position = _position;
        byte[] bytes = _bytes;
        if ((uint)position >= (uint)bytes.Length)
            throw Truncated();
        _position = position + 1;
        return bytes[position];
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > Remaining)
            throw Truncated();
        ReadOnlySpan<byte> span = _bytes.AsSpan(_position, count);
        _position += count;
        return span;
    }
}
