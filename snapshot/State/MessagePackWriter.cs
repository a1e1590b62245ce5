using System.Buffers;
using System.Buffers.Binary;
using System.Text.Unicode;

namespace Snapshot.State;

/// <summary>Writes MessagePack (msgpack.org specification) into a buffer that grows; every value takes its shortest form.</summary>
public sealed class MessagePackWriter
{
    /// <summary>Extension type of strings that are not valid UTF-16: their chars, little-endian.</summary>
    internal const int RawStringExtension = 1;

    private byte[] _buffer;
    private int _length;

    public MessagePackWriter(int capacity = 4096) => _buffer = new byte[capacity];

    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, _length);

    public int Length => _length;

    public void WriteNil() => Put(0xc0);

    public void Write(bool value) => Put(value ? (byte)0xc3 : (byte)0xc2);

    public void Write(long value)
    {
        if (value >= 0)
            Write((ulong)value);
        else if (value >= -32)
            Put((byte)value);
        else
            WriteNegative(value);
    }

    public void Write(ulong value)
    {
        if (value < 128)
            Put((byte)value);
        else
            WriteLarge(value);
    }

    public void Write(float value)
    {
        Span<byte> to = Next(5);
        to[0] = 0xca;
        BinaryPrimitives.WriteSingleBigEndian(to[1..], value);
    }

    public void Write(double value)
    {
        Span<byte> to = Next(9);
        to[0] = 0xcb;
        BinaryPrimitives.WriteDoubleBigEndian(to[1..], value);
    }

    /// <summary>A string, or nil. Strings that UTF-8 cannot hold (lone surrogates) become an extension so that they come back as they were.</summary>
    public void Write(string? value)
    {
        if (value is null)
        {
            WriteNil();
            return;
        }

        int guess = StringHeaderLength(value.Length);
        Reserve(5 + (3 * value.Length));
        Span<byte> room = _buffer.AsSpan(_length);
        if (Utf8.FromUtf16(value, room[guess..], out _, out int bytes, replaceInvalidSequences: false) != OperationStatus.Done)
        {
            WriteRawString(value);
            return;
        }

        int header = StringHeaderLength(bytes);
        if (header != guess)
            room.Slice(guess, bytes).CopyTo(room[header..]);
        switch (header)
        {
            case 1:
                room[0] = (byte)(0xa0 | bytes);
                break;
            case 2:
                room[0] = 0xd9;
                room[1] = (byte)bytes;
                break;
            case 3:
                room[0] = 0xda;
                BinaryPrimitives.WriteUInt16BigEndian(room[1..], (ushort)bytes);
                break;
            default:
                room[0] = 0xdb;
                BinaryPrimitives.WriteInt32BigEndian(room[1..], bytes);
                break;
        }

        _length += header + bytes;
    }

    /// <summary>A byte string, or nil.</summary>
    public void Write(byte[]? value)
    {
        if (value is null)
            WriteNil();
        else
            Write(value.AsSpan());
    }

    public void Write(ReadOnlySpan<byte> value)
    {
        WriteHeader(value.Length, 0xc4, 0xc5, 0xc6);
        WriteRaw(value);
    }

    public void WriteArrayHeader(int count)
    {
        if (count < 16)
            Put((byte)(0x90 | count));
        else
            WriteHeader(count, 0, 0xdc, 0xdd);
    }

    public void WriteMapHeader(int count)
    {
        if (count < 16)
            Put((byte)(0x80 | count));
        else
            WriteHeader(count, 0, 0xde, 0xdf);
    }

    /// <summary>Bytes that are MessagePack already.</summary>
    public void WriteRaw(ReadOnlySpan<byte> value) => value.CopyTo(Next(value.Length));

    private static int StringHeaderLength(int bytes) => bytes switch
    {
        < 32 => 1,
        < 256 => 2,
        < 65536 => 3,
        _ => 5,
    };

    private void WriteRawString(string value)
    {
        WriteHeader(2 * value.Length, 0xc7, 0xc8, 0xc9);
        Put(RawStringExtension);
        Span<byte> to = Next(2 * value.Length);
        for (int i = 0; i < value.Length; i++)
            BinaryPrimitives.WriteUInt16LittleEndian(to[(2 * i)..], value[i]);
    }

    private void WriteLarge(ulong value)
    {
        switch (value)
        {
            case <= byte.MaxValue:
                Span<byte> one = Next(2);
                one[1] = (byte)value;
                one[0] = 0xcc;
                break;
            case <= ushort.MaxValue:
                Span<byte> two = Next(3);
                BinaryPrimitives.WriteUInt16BigEndian(two[1..], (ushort)value);
                two[0] = 0xcd;
                break;
            case <= uint.MaxValue:
                Span<byte> four = Next(5);
                BinaryPrimitives.WriteUInt32BigEndian(four[1..], (uint)value);
                four[0] = 0xce;
                break;
            default:
                Span<byte> eight = Next(9);
                BinaryPrimitives.WriteUInt64BigEndian(eight[1..], value);
                eight[0] = 0xcf;
                break;
        }
    }

    private void WriteNegative(long value)
    {
        switch (value)
        {
            case >= sbyte.MinValue:
                Span<byte> one = Next(2);
                one[1] = (byte)value;
                one[0] = 0xd0;
                break;
            case >= short.MinValue:
                Span<byte> two = Next(3);
                BinaryPrimitives.WriteInt16BigEndian(two[1..], (short)value);
                two[0] = 0xd1;
                break;
            case >= int.MinValue:
                Span<byte> four = Next(5);
                BinaryPrimitives.WriteInt32BigEndian(four[1..], (int)value);
                four[0] = 0xd2;
                break;
            default:
                Span<byte> eight = Next(9);
                BinaryPrimitives.WriteInt64BigEndian(eight[1..], value);
                eight[0] = 0xd3;
                break;
        }
    }

    private void WriteHeader(int count, byte form8, byte form16, byte form32)
    {
        if (count <= byte.MaxValue && form8 != 0)
        {
            Span<byte> to = Next(2);
            to[1] = (byte)count;
            to[0] = form8;
        }
        else if (count <= ushort.MaxValue)
        {
            Span<byte> to = Next(3);
            BinaryPrimitives.WriteUInt16BigEndian(to[1..], (ushort)count);
            to[0] = form16;
        }
        else
        {
            Span<byte> to = Next(5);
            BinaryPrimitives.WriteInt32BigEndian(to[1..], count);
            to[0] = form32;
        }
    }

    private void Put(byte value)
    {
        byte[] buffer = _buffer;
        int length = _length;
        if ((uint)length >= (uint)buffer.Length)
        {
            Reserve(1);
            buffer = _buffer;
        }

        buffer[length] = value;
        _length = length + 1;
    }

    private Span<byte> Next(int count)
    {
        if (_buffer.Length - _length < count)
            Reserve(count);
        Span<byte> span = _buffer.AsSpan(_length, count);
        _length += count;
        return span;
    }

    private void Reserve(int count)
    {
        if (_buffer.Length - _length < count)
            Array.Resize(ref _buffer, checked((int)Math.Min(Array.MaxLength, Math.Max(2L * _buffer.Length, (long)_length + count))));
    }
}
