using System.Buffers.Binary;

namespace Sentry.Kernel.Tracing;

/// <summary>The debug registers of a traced thread (u_debugreg of struct user; Intel SDM volume 3, 18.2): up to four breakpoints or watchpoints. No processor's
/// registers lie under them: while one is set the thread runs an instruction at a time, and what it did is compared. So writes are noticed
/// when they change something, and reads are not.</summary>
[Savable("debug-registers")]
public sealed partial class DebugRegisters
{
    internal const int Count = 8;

    private const int Places = 4, StatusIndex = 6, ControlIndex = 7, AtExecution = 0, AtWrite = 1, AtAccess = 3;

    /// <summary>Bits of DR6 that read as ones where nothing happened.</summary>
    private const ulong StatusPolarity = 0xffff0ff0;

    private const ulong SingleStep = 1 << 14;

    [Saved(1)] private ulong[] _addresses = new ulong[Places];
    [Saved(2)] private ulong[] _values = new ulong[Places];
    [Saved(3)] private ulong _status;
    [Saved(4)] private ulong _control;

    public DebugRegisters()
    {
    }

    /// <summary>Whether any is enabled (the L and G bits of DR7).</summary>
    internal bool IsArmed => (_control & 0xff) != 0;

    internal ulong Get(int index) => index switch
    {
        < Places => _addresses[index],
        StatusIndex => _status ^ StatusPolarity,
        ControlIndex => _control,
        _ => 0,
    };

    /// <summary>EINVAL for an address or a kind that no processor takes; ENOSPC for a watch of reads, which cannot be had.</summary>
    internal Errno Set(int index, ulong value, MemoryManager memory)
    {
        switch (index)
        {
            case < Places:
                if (value >= memory.Limit)
                    return Errno.EINVAL;
                _addresses[index] = value;
                break;
            case StatusIndex:
                _status = (value ^ StatusPolarity) & 0xffff;
                return Errno.None;
            case ControlIndex:
                for (int i = 0; i < Places; i++)
                {
                    if (IsEnabled(value, i) && CheckKind(value, i) is var refused && refused != Errno.None)
                        return refused;
                }

                _control = value;
                break;
            default:
                return Errno.EIO;
        }

        for (int i = 0; i < Places; i++)
            _values[i] = IsEnabled(_control, i) ? Read(memory, i) : 0;
        return Errno.None;
    }

    /// <summary>The thread has run an instruction: notes in DR6 what it met; whether that was anything.</summary>
    internal bool Notice(Task task, bool stepped)
    {
        task.Thread.GetRegisters(out GuestRegisters registers);
        ulong met = 0;
        for (int i = 0; i < Places; i++)
        {
            if (!IsEnabled(_control, i))
                continue;
            if (KindOf(_control, i) == AtExecution)
            {
                met |= registers.Rip == _addresses[i] ? 1ul << i : 0;
                continue;
            }

            ulong now = Read(task.Memory, i);
            met |= now != _values[i] ? 1ul << i : 0;
            _values[i] = now;
        }

        _status |= met | (stepped ? SingleStep : 0);
        return met != 0;
    }

    private static bool IsEnabled(ulong control, int i) => (control >> (2 * i) & 3) != 0;

    private static int KindOf(ulong control, int i) => (int)(control >> (16 + (4 * i)) & 3);

    private static int LengthOf(ulong control, int i) => (int)(control >> (18 + (4 * i)) & 3) switch
    {
        0 => 1,
        1 => 2,
        2 => 8,
        _ => 4,
    };

    private Errno CheckKind(ulong control, int i)
    {
        int length = LengthOf(control, i);
        if (_addresses[i] % (ulong)length != 0)
            return Errno.EINVAL;
        return KindOf(control, i) switch
        {
            AtExecution => length == 1 ? Errno.None : Errno.EINVAL,
            AtWrite => Errno.None,
            AtAccess => Errno.ENOSPC,
            _ => Errno.EINVAL,
        };
    }

    private ulong Read(MemoryManager memory, int i)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        bytes.Clear();
        memory.Space.ReadForced(_addresses[i], bytes[..LengthOf(_control, i)]);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }
}
