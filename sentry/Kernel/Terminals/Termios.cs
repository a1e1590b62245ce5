using System.Buffers.Binary;

namespace Sentry.Kernel.Terminals;

/// <summary>The settings of a terminal (termios(3)).</summary>
[Savable("termios")]
public sealed partial class Termios : IAfterLoad
{
    /// <summary>sizeof(struct termios) of the kernel, of termios2 and of the old termio.</summary>
    internal const int Size = 36, Size2 = 44, OldSize = 18;

    private const int OldCharacters = 8;

    // The speeds of CBAUD without and with CBAUDEX (termios(3), "Line speed").
    private static readonly int[] Speeds = [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400],
        FastSpeeds = [0, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000];

    [Saved(1)] public uint Input = Tio.ICRNL | Tio.IXON;
    [Saved(2)] public uint Output = Tio.OPOST | Tio.ONLCR;
    [Saved(3)] public uint Control = Tio.B38400 | Tio.CS8 | Tio.CREAD;
    [Saved(4)] public uint Local = Tio.ISIG | Tio.ICANON | Tio.ECHO | Tio.ECHOE | Tio.ECHOK | Tio.ECHOCTL | Tio.ECHOKE | Tio.IEXTEN;
    [Saved(5)] public byte Line;
    [Saved(6)] private byte[] _characters = [3, 0x1c, 0x7f, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0x0f, 0x17, 0x16, 0, 0, 0];
    [Saved(7)] public uint InputSpeed = 38400;
    [Saved(8)] public uint OutputSpeed = 38400;

    /// <summary>What a new pseudoterminal has (tty_std_termios).</summary>
    public Termios()
    {
    }

    /// <summary>A special character; 0 when it is disabled (_POSIX_VDISABLE).</summary>
    public byte this[int index] => index < _characters.Length ? _characters[index] : (byte)0;

    public bool IsCanonical => (Local & Tio.ICANON) != 0;

    internal bool HasInput(uint flag) => (Input & flag) != 0;

    internal bool HasOutput(uint flag) => (Output & flag) != 0;

    internal bool HasLocal(uint flag) => (Local & flag) != 0;

    /// <summary>Whether <paramref name="c"/> is that special character, and the character is enabled.</summary>
    internal bool Is(byte c, int index) => c != 0 && c == this[index];

    internal Termios Copy()
    {
        var copy = (Termios)MemberwiseClone();
        copy._characters = (byte[])_characters.Clone();
        return copy;
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Links && _characters.Length != Tio.NCCS)
            throw new InvalidImageException("the image holds a terminal without its special characters");
    }

    /// <summary>What TIOCGLCKTRMIOS shows where nothing is locked.</summary>
    internal static Termios Unlocked() => new() { Input = 0, Output = 0, Control = 0, Local = 0, _characters = new byte[Tio.NCCS], InputSpeed = 0, OutputSpeed = 0 };

    /// <summary>Takes from <paramref name="old"/> what the locked settings forbid to change (ioctl_tty(2), "Locking the termios structure").</summary>
    internal void KeepLocked(Termios old, Termios locked)
    {
        Input = (Input & ~locked.Input) | (old.Input & locked.Input);
        Output = (Output & ~locked.Output) | (old.Output & locked.Output);
        Control = (Control & ~locked.Control) | (old.Control & locked.Control);
        Local = (Local & ~locked.Local) | (old.Local & locked.Local);
        Line = locked.Line != 0 ? old.Line : Line;
        for (int i = 0; i < _characters.Length; i++)
            _characters[i] = locked[i] != 0 ? old[i] : _characters[i];
    }

    // ---- layouts -------------------------------------------------------------------------------------------------

    /// <summary>struct termios, or termios2 when there is room for it.</summary>
    internal void ToBytes(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Input);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], Output);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], Control);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[12..], Local);
        bytes[16] = Line;
        _characters.CopyTo(bytes[17..]);
        if (bytes.Length < Size2)
            return;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[36..], InputSpeed);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[40..], OutputSpeed);
    }

    internal static Termios FromBytes(ReadOnlySpan<byte> bytes)
    {
        Termios made = new()
        {
            Input = BinaryPrimitives.ReadUInt32LittleEndian(bytes),
            Output = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]),
            Control = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]),
            Local = BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]),
            Line = bytes[16],
            _characters = bytes.Slice(17, Tio.NCCS).ToArray(),
        };
        if (bytes.Length >= Size2)
        {
            made.InputSpeed = BinaryPrimitives.ReadUInt32LittleEndian(bytes[36..]);
            made.OutputSpeed = BinaryPrimitives.ReadUInt32LittleEndian(bytes[40..]);
        }

        made.SetSpeeds();
        return made;
    }

    /// <summary>The old struct termio: the low halves of the flags and eight characters.</summary>
    internal void ToOldBytes(Span<byte> bytes)
    {
        bytes.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)Input);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[2..], (ushort)Output);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[4..], (ushort)Control);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[6..], (ushort)Local);
        bytes[8] = Line;
        _characters.AsSpan(0, OldCharacters).CopyTo(bytes[9..]);
    }

    /// <summary>These settings with what struct termio can say replaced.</summary>
    internal Termios WithOldBytes(ReadOnlySpan<byte> bytes)
    {
        Termios made = Copy();
        made.Input = (Input & 0xffff0000) | BinaryPrimitives.ReadUInt16LittleEndian(bytes);
        made.Output = (Output & 0xffff0000) | BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]);
        made.Control = (Control & 0xffff0000) | BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]);
        made.Local = (Local & 0xffff0000) | BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]);
        made.Line = bytes[8];
        bytes.Slice(9, OldCharacters).CopyTo(made._characters);
        made.SetSpeeds();
        return made;
    }

    // With BOTHER the numbers that came along are the speeds, else those that the flags name.
    private void SetSpeeds()
    {
        OutputSpeed = SpeedOf(Control & Tio.CBAUD, OutputSpeed);
        uint input = (Control >> (int)Tio.IBSHIFT) & Tio.CBAUD;
        InputSpeed = input == 0 ? OutputSpeed : SpeedOf(input, InputSpeed);
    }

    private static uint SpeedOf(uint code, uint given) => code switch
    {
        Tio.BOTHER => given,
        < 16 => (uint)Speeds[code],
        _ => (uint)FastSpeeds[code & 0xf],
    };
}

/// <summary>struct winsize of ioctl_tty(2).</summary>
[Savable("winsize")]
public partial struct WindowSize : IEquatable<WindowSize>
{
    [Saved(1)] public ushort Rows;
    [Saved(2)] public ushort Columns;
    [Saved(3)] public ushort PixelWidth;
    [Saved(4)] public ushort PixelHeight;

    public readonly bool Equals(WindowSize other) =>
        Rows == other.Rows && Columns == other.Columns && PixelWidth == other.PixelWidth && PixelHeight == other.PixelHeight;

    public override readonly bool Equals(object? obj) => obj is WindowSize other && Equals(other);

    public override readonly int GetHashCode() => HashCode.Combine(Rows, Columns, PixelWidth, PixelHeight);

    public static bool operator ==(WindowSize left, WindowSize right) => left.Equals(right);

    public static bool operator !=(WindowSize left, WindowSize right) => !left.Equals(right);
}
