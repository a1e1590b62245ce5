using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Sentry.Control;

/// <summary>
/// A page of a file that sentry and agent share: which guest call is being served, and how the first program ended. It is there whatever becomes of
/// the sentry, so that the agent can tell after a crash, or when it comes back itself after the sandbox's end.
/// </summary>
public static class FlightRecord
{
    /// <summary>Bytes of the file.</summary>
    public const int Size = 4096;

    private const ulong Magic = 0x3144_524f_4345_5253; // "SRECORD1"

    // Words of the page.
    private const int AtMagic = 0, AtServing = 1, AtProcess = 2, AtNumber = 3, AtArguments = 4, AtName = 10, AtEnded = 16, AtStatus = 17, AtBegun = 18;
    private const int Arguments = 6, NameBytes = 16;
    private const ulong Ended = 1, Moved = 2;

    /// <summary>Begins an empty record.</summary>
    public static void Initialize(Span<ulong> page)
    {
        page.Clear();
        page[AtMagic] = Magic;
    }

    /// <summary>A call is about to be served.</summary>
    /// <param name="name">The thread's name, a byte per char; written only when another thread was served before.</param>
    public static void Begin(Span<ulong> page, int pid, int tid, int number, ulong a0, ulong a1, ulong a2, ulong a3, ulong a4, ulong a5, string name)
    {
        ulong process = ((ulong)(uint)pid << 32) | (uint)tid;
        if (page[AtProcess] != process)
        {
            page[AtProcess] = process;
            Span<byte> bytes = stackalloc byte[NameBytes];
            bytes.Clear();
            for (int i = 0; i < name.Length && i < NameBytes; i++)
                bytes[i] = (byte)name[i];
            page[AtName] = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            page[AtName + 1] = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]);
        }

        page[AtNumber] = (uint)number;
        page[AtArguments] = a0;
        page[AtArguments + 1] = a1;
        page[AtArguments + 2] = a2;
        page[AtArguments + 3] = a3;
        page[AtArguments + 4] = a4;
        page[AtArguments + 5] = a5;
        page[AtServing] = 1;
    }

    /// <summary>The call has been served.</summary>
    public static void End(Span<ulong> page) => page[AtServing] = 0;

    /// <summary>The sandbox has its first program, or what it was restored from, and goes on without its agent from now on.</summary>
    public static void SetBegun(Span<ulong> page) => page[AtBegun] = 1;

    /// <summary>The first program has ended, as wait4(2) reports it.</summary>
    public static void SetEnd(Span<ulong> page, int waitStatus)
    {
        page[AtStatus] = (uint)waitStatus;
        page[AtEnded] = Ended;
    }

    /// <summary>The sandbox goes on in another sentry.</summary>
    public static void SetMoved(Span<ulong> page)
    {
        page[AtStatus] = 0;
        page[AtEnded] = Moved;
    }

    /// <summary>Whether there ever was a program.</summary>
    public static bool HasBegun(ReadOnlySpan<byte> page) => Word(page, AtMagic) == Magic && Word(page, AtBegun) == 1;

    /// <summary>How the first program ended; null when it has not.</summary>
    public static int? EndOf(ReadOnlySpan<byte> page) => Word(page, AtMagic) == Magic && Word(page, AtEnded) is Ended or Moved ? (int)Word(page, AtStatus) : null;

    /// <summary>Whether that end is none: the sandbox has gone on in another sentry.</summary>
    public static bool HasMoved(ReadOnlySpan<byte> page) => Word(page, AtMagic) == Magic && Word(page, AtEnded) == Moved;

    /// <summary>The call that was being served, for people; null when there was none.</summary>
    public static string? DescribeCall(ReadOnlySpan<byte> page)
    {
        if (Word(page, AtMagic) != Magic || Word(page, AtServing) != 1)
            return null;
        ulong process = Word(page, AtProcess);
        string name = Encoding.Latin1.GetString(page.Slice(AtName * 8, NameBytes)).TrimEnd('\0');
        string[] arguments = new string[Arguments];
        for (int i = 0; i < Arguments; i++)
            arguments[i] = string.Create(CultureInfo.InvariantCulture, $"0x{Word(page, AtArguments + i):x}");
        int number = (int)(uint)Word(page, AtNumber);
        return $"{Abi.Sysno.Name(number)}({string.Join(", ", arguments)}) of task {(uint)process} in process {process >> 32} ({name})";
    }

    private static ulong Word(ReadOnlySpan<byte> page, int index) => page.Length >= Size ? BinaryPrimitives.ReadUInt64LittleEndian(page[(index * 8)..]) : 0;
}
