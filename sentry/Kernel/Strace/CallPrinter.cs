using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Sentry.Kernel.Strace;

/// <summary>Builds the text of one call: primitives that know how strace writes numbers, addresses, strings and flags.</summary>
internal sealed class CallPrinter
{
    /// <summary>Bytes of data shown, as strace -s 32.</summary>
    private const int DataLimit = 32;

    private readonly StringBuilder _text = new();

    internal CallPrinter(Task task, in SyscallArgs args, SyscallResult result = default)
    {
        Task = task;
        Args = args;
        Result = result;
    }

    internal Task Task { get; }

    internal SyscallArgs Args { get; }

    /// <summary>Of a call that is over; meaningless on entry.</summary>
    internal SyscallResult Result { get; }

    /// <summary>What an argument printed on entry leaves for exit (the value before the call changed it).</summary>
    internal string? Remembered { get; set; }

    internal ulong this[int index] => index switch
    {
        0 => Args.A0,
        1 => Args.A1,
        2 => Args.A2,
        3 => Args.A3,
        4 => Args.A4,
        _ => Args.A5,
    };

    public override string ToString() => _text.ToString();

    internal CallPrinter Append(string text)
    {
        _text.Append(text);
        return this;
    }

    internal CallPrinter Append(long value)
    {
        _text.Append(value.ToString(CultureInfo.InvariantCulture));
        return this;
    }

    internal CallPrinter Append(ulong value)
    {
        _text.Append(value.ToString(CultureInfo.InvariantCulture));
        return this;
    }

    /// <summary>0x1f, 0 for zero.</summary>
    internal CallPrinter Hex(ulong value)
    {
        _text.Append(value == 0 ? "0" : "0x" + value.ToString("x", CultureInfo.InvariantCulture));
        return this;
    }

    /// <summary>0x1f, NULL for zero.</summary>
    internal CallPrinter Address(ulong value) => value == 0 ? Append("NULL") : Hex(value);

    /// <summary>Permission bits, at least three digits.</summary>
    internal CallPrinter Octal(ulong value)
    {
        string digits = Convert.ToString((long)value, 8);
        return Append((digits.Length < 3 && value != 0 ? "0" + digits.PadLeft(2, '0') : value == 0 ? "000" : "0" + digits));
    }

    /// <summary>Names the bits; what has no name is hexadecimal.</summary>
    internal CallPrinter Flags(ulong value, FlagTable table) => Append(table.Describe(value));

    /// <summary>Prints the arguments from <paramref name="first"/> on: on entry those before the first that the call fills in, on exit the rest.</summary>
    internal void PrintArguments(CallFormat format, int first, bool onExit, out int next, out bool any, bool already = false)
    {
        any = already;
        next = first;
        for (; next < format.Arguments.Length; next++)
        {
            ArgumentFormat argument = format.Arguments[next];
            if (!onExit && argument.OnExit)
                return;
            if (argument.Condition is not null && !argument.Condition(this))
                continue;
            if (any)
                _text.Append(", ");
            any = true;
            argument.Print(this, argument.Index < 0 ? next : argument.Index);
        }
    }

    /// <summary>A NUL-terminated string in guest memory.</summary>
    internal CallPrinter String(ulong address, int limit = DataLimit)
    {
        if (address == 0)
            return Append("NULL");
        Span<byte> bytes = stackalloc byte[256];
        var all = new List<byte>();
        ulong at = address;
        while (all.Count <= limit)
        {
            int want = (int)Math.Min((ulong)bytes.Length, 4096 - (at & 4095));
            int got = Task.Memory.Read(at, bytes[..want]);
            if (got <= 0)
                return Hex(address);
            int end = bytes[..got].IndexOf((byte)0);
            all.AddRange(bytes[..(end < 0 ? got : end)]);
            if (end >= 0)
                break;
            at += (ulong)got;
        }

        bool cut = all.Count > limit;
        Quote(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(all)[..Math.Min(all.Count, limit)]);
        return cut ? Append("...") : this;
    }

    internal CallPrinter Path(ulong address) => String(address, 4096);

    /// <summary>Bytes in guest memory, the first 32 of them.</summary>
    internal CallPrinter Data(ulong address, long length)
    {
        if (address == 0)
            return Append("NULL");
        Span<byte> bytes = stackalloc byte[DataLimit];
        int shown = (int)Math.Clamp(length, 0, DataLimit);
        if (Task.Memory.Read(address, bytes[..shown]) < shown)
            return Hex(address);
        Quote(bytes[..shown]);
        return length > shown ? Append("...") : this;
    }

    /// <summary>As <see cref="Data"/>, every byte in hexadecimal.</summary>
    internal CallPrinter HexData(ulong address, long length)
    {
        Span<byte> bytes = stackalloc byte[DataLimit];
        int shown = (int)Math.Clamp(length, 0, DataLimit);
        if (Task.Memory.Read(address, bytes[..shown]) < shown)
            return Address(address);
        Hexadecimal(bytes[..shown]);
        return length > shown ? Append("...") : this;
    }

    /// <summary>Bytes in quotes, each in hexadecimal; the first 32.</summary>
    internal CallPrinter Hexadecimal(ReadOnlySpan<byte> bytes)
    {
        _text.Append('"');
        foreach (byte value in bytes[..Math.Min(bytes.Length, DataLimit)])
            _text.Append("\\x").Append(value.ToString("x2", CultureInfo.InvariantCulture));
        _text.Append('"');
        return bytes.Length > DataLimit ? Append("...") : this;
    }

    /// <summary>Reads a struct; when it is not to be had prints the address instead and answers false.</summary>
    internal bool TryStruct(ulong address, Span<byte> bytes)
    {
        if (address != 0 && Task.Memory.Read(address, bytes) == bytes.Length)
            return true;
        Address(address);
        return false;
    }

    internal void Quote(ReadOnlySpan<byte> bytes)
    {
        _text.Append('"');
        for (int i = 0; i < bytes.Length; i++)
        {
            byte value = bytes[i];
            switch (value)
            {
                case (byte)'\t':
                    _text.Append("\\t");
                    break;
                case (byte)'\n':
                    _text.Append("\\n");
                    break;
                case 11:
                    _text.Append("\\v");
                    break;
                case 12:
                    _text.Append("\\f");
                    break;
                case (byte)'\r':
                    _text.Append("\\r");
                    break;
                case (byte)'"' or (byte)'\\':
                    _text.Append('\\').Append((char)value);
                    break;
                case >= 32 and < 127:
                    _text.Append((char)value);
                    break;
                default:
                    bool digitFollows = i + 1 < bytes.Length && bytes[i + 1] is >= (byte)'0' and <= (byte)'7';
                    string octal = Convert.ToString(value, 8);
                    _text.Append('\\').Append(digitFollows ? octal.PadLeft(3, '0') : octal);
                    break;
            }
        }

        _text.Append('"');
    }

    internal static int Int(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadInt32LittleEndian(bytes[offset..]);

    internal static uint UInt(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);

    internal static long Long(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadInt64LittleEndian(bytes[offset..]);

    internal static ulong ULong(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]);

    internal static ushort UShort(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[offset..]);
}
