using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Sentry.Platform.Notify;

/// <summary>
/// The registers of a stopped thread: a copy of the frame that its handler's signal stack holds, read when first asked for and written
/// back before the thread returns to it. A thread that never had a frame (new from the zygote) gets one made here.
/// </summary>
internal sealed class ThreadContext(ulong slot)
{
    private const ulong UserFlags = 0x240DD5, AlwaysSetFlags = 0x202; // all arithmetic flags, TF, DF, AC, ID; interrupts are always on
    private const ulong StrictSegments = 6, CodeSelector = 0x33, StackSelector = 0x2B;

    private readonly byte[] _frame = new byte[FrameLayout.Size];
    private bool _loaded;
    private bool _dirty;
    private bool _basesDirty;
    private ulong _fsBase;
    private ulong _gsBase;
    private ulong _signalMask;

    /// <summary>The address of the ucontext in the slot; 0 when there is none yet.</summary>
    public ulong Address { get; private set; }

    public bool IsLoaded => _loaded;

    /// <summary>Begins anew with the frame of a report; its registers are read when needed.</summary>
    public void Begin(ulong address, ulong fsBase, ulong gsBase)
    {
        Address = address;
        _fsBase = fsBase;

        // A guest that has no GS base of its own has its slot's: the entry code finds the mailbox by it.
        _gsBase = gsBase == 0 ? slot : gsBase;
        _loaded = address == 0;
        _dirty = false;
        _basesDirty = gsBase == 0;
        if (address == 0)
            Array.Clear(_frame);
    }

    /// <summary>False when the frame cannot be read: the stub is gone or hostile.</summary>
    public bool Load(int process)
    {
        if (GuestMemory.Read(process, Address, _frame) != _frame.Length)
            return false;
        _loaded = true;
        return true;
    }

    public void Get(out GuestRegisters registers)
    {
        registers = default;

        // The kernel's order in the frame is that of the structure up to Eflags.
        ReadOnlySpan<byte> saved = _frame.AsSpan(FrameLayout.R8, FrameLayout.Selectors - FrameLayout.R8);
        saved.CopyTo(MemoryMarshal.AsBytes(new Span<GuestRegisters>(ref registers)));
        registers.FsBase = _fsBase;
        registers.GsBase = StubLayout.IsSlot(_gsBase) ? 0 : _gsBase;
    }

    public void Set(in GuestRegisters registers)
    {
        ReadOnlySpan<byte> values = MemoryMarshal.AsBytes(new ReadOnlySpan<GuestRegisters>(in registers));
        values[..(FrameLayout.Selectors - FrameLayout.R8)].CopyTo(_frame.AsSpan(FrameLayout.R8));
        this[FrameLayout.Eflags] = (registers.Eflags & UserFlags) | AlwaysSetFlags;
        ulong gsBase = registers.GsBase == 0 ? slot : registers.GsBase;
        _basesDirty |= registers.FsBase != _fsBase || gsBase != _gsBase;
        _fsBase = registers.FsBase;
        _gsBase = gsBase;
        _dirty = true;
    }

    /// <summary>A word of the loaded frame.</summary>
    public ulong this[int offset]
    {
        get => BinaryPrimitives.ReadUInt64LittleEndian(_frame.AsSpan(offset));
        set
        {
            BinaryPrimitives.WriteUInt64LittleEndian(_frame.AsSpan(offset), value);
            _dirty = true;
        }
    }

    public uint ReadWord32(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_frame.AsSpan(offset));

    /// <summary>Where the extended state is (in the slot), 0 for the initial state, null when the frame's pointer leaves the slot.</summary>
    public ulong? GetExtendedState()
    {
        ulong address = this[FrameLayout.FpState];
        if (address == 0)
            return 0;
        return address >= slot + StubLayout.ControlSize && address <= slot + StubLayout.SlotSize - 576 && address % 64 == 0 ? address : null;
    }

    /// <summary>Puts the extended state at the top of the slot's stack and the frame below it. The thread's real frame is dead from here
    /// on, so the two may overlap it.</summary>
    public bool PlaceExtendedState(int process, ReadOnlySpan<byte> state)
    {
        ulong address = 0;
        if (!state.IsEmpty)
        {
            address = (slot + StubLayout.SlotSize - 128 - (ulong)state.Length) & ~63ul;
            if (GuestMemory.Write(process, address, state) != state.Length)
                return false;
        }

        this[FrameLayout.FpState] = address;
        Address = ((address == 0 ? slot + StubLayout.SlotSize - 128 : address) - FrameLayout.Size - 8) & ~15ul;
        return true;
    }

    /// <summary>Writes a frame with these registers at a place of its own; the thread's own frame is not touched.</summary>
    public static bool WriteOther(int process, ulong slot, ulong address, in GuestRegisters registers, ulong signalMask)
    {
        ThreadContext other = new(slot) { Address = address };
        other.Set(registers);
        other._basesDirty = false;
        other._signalMask = signalMask;
        return other.Store(process);
    }

    /// <summary>Takes the registers of another thread of the same or of a copied address space.</summary>
    public void CopyFrom(ThreadContext other)
    {
        other._frame.CopyTo(_frame, 0);
        _fsBase = other._fsBase;
        _gsBase = StubLayout.IsSlot(other._gsBase) ? slot : other._gsBase;
        _loaded = _dirty = _basesDirty = true;
    }

    /// <summary>Completes the frame for this slot and writes back what changed. Returns false when the stub's memory is not there.</summary>
    public bool Store(int process)
    {
        if (Address == 0)
        {
            _dirty = _basesDirty = true;
            PlaceExtendedState(process, default);
        }

        if (_dirty)
        {
            bool extended = this[FrameLayout.FpState] != 0;
            this[FrameLayout.Flags] = StrictSegments | (extended ? 1u : 0u);
            this[FrameLayout.StackPointer] = slot + StubLayout.ControlSize;
            this[FrameLayout.StackFlags] = 0;
            this[FrameLayout.StackSize] = StubLayout.SlotSize - StubLayout.ControlSize;
            this[FrameLayout.Selectors] = CodeSelector | StackSelector << 48;
            this[FrameLayout.Eflags] = (this[FrameLayout.Eflags] & UserFlags) | AlwaysSetFlags;
            this[FrameLayout.SignalMask] = _signalMask;
            if (GuestMemory.Write(process, Address, _frame.AsSpan(0, FrameLayout.ContextSize)) != FrameLayout.ContextSize)
                return false;
            _dirty = false;
        }

        if (!_basesDirty)
            return true;
        Span<ulong> bases = [1, _fsBase, _gsBase];
        _basesDirty = false;
        return GuestMemory.Write(process, slot + StubLayout.AtSetBases, MemoryMarshal.AsBytes(bases)) == 24;
    }
}
