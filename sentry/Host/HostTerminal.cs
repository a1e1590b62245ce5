using System.Buffers.Binary;
using Sentry.Abi;

namespace Sentry.Host;

/// <summary>A terminal of the host that this process has open: its modes and its window (termios(3), ioctl_tty(2)).</summary>
public static unsafe class HostTerminal
{
    private const int SettingsSize = 36, InputAt = 0, OutputAt = 4, ControlAt = 8, LocalAt = 12, CharactersAt = 17;

    /// <summary>Whether the descriptor is a terminal.</summary>
    public static bool IsTerminal(int descriptor) => GetSettings(descriptor) is not null;

    /// <summary>Its settings, to be given back to <see cref="SetSettings"/>; null when it is no terminal.</summary>
    public static byte[]? GetSettings(int descriptor)
    {
        byte[] settings = new byte[SettingsSize];
        fixed (byte* p = settings)
            return HostSyscall.Call(Sysno.ioctl, descriptor, Tio.TCGETS, (long)p) == 0 ? settings : null;
    }

    /// <summary>Changes the settings at once; what has been typed stays.</summary>
    public static Errno SetSettings(int descriptor, ReadOnlySpan<byte> settings)
    {
        fixed (byte* p = settings)
            return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.ioctl, descriptor, Tio.TCSETS, (long)p));
    }

    /// <summary>The same settings as cfmakeraw(3) changes them: every byte comes as it was typed, none is shown.</summary>
    public static byte[] MakeRaw(ReadOnlySpan<byte> settings)
    {
        byte[] raw = settings.ToArray();
        Change(raw, InputAt, Tio.IGNBRK | Tio.BRKINT | Tio.PARMRK | Tio.ISTRIP | Tio.INLCR | Tio.IGNCR | Tio.ICRNL | Tio.IXON, 0);
        Change(raw, OutputAt, Tio.OPOST, 0);
        Change(raw, ControlAt, Tio.CSIZE | Tio.PARENB, Tio.CS8);
        Change(raw, LocalAt, Tio.ECHO | Tio.ECHONL | Tio.ICANON | Tio.ISIG | Tio.IEXTEN, 0);
        raw[CharactersAt + Tio.VMIN] = 1;
        raw[CharactersAt + Tio.VTIME] = 0;
        return raw;
    }

    /// <summary>Rows and columns; zeros when it is no terminal or does not know.</summary>
    public static (ushort Rows, ushort Columns) GetWindow(int descriptor)
    {
        ushort* window = stackalloc ushort[4];
        return HostSyscall.Call(Sysno.ioctl, descriptor, Tio.TIOCGWINSZ, (long)window) == 0 ? (window[0], window[1]) : default;
    }

    private static void Change(Span<byte> settings, int at, uint clear, uint set) =>
        BinaryPrimitives.WriteUInt32LittleEndian(settings[at..], (BinaryPrimitives.ReadUInt32LittleEndian(settings[at..]) & ~clear) | set);
}
