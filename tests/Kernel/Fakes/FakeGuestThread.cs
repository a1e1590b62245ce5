namespace Tests.Kernel.Fakes;

/// <summary>A guest thread that runs nothing: it remembers what the kernel did with it.</summary>
internal sealed class FakeGuestThread(FakeAddressSpace space) : IGuestThread
{
    private GuestRegisters _registers;
    private byte[] _xState = [];

    public GuestThreadState State { get; set; } = GuestThreadState.Running;

    public FakeAddressSpace Space => space;

    public long CpuTime { get; set; }

    public IAddressSpace AddressSpace => space;

    public object? Owner { get; set; }

    /// <summary>What the last call returned; null while it waits.</summary>
    public long? Returned { get; set; }

    /// <summary>How often the kernel asked for an interrupt.</summary>
    public int Interrupts { get; private set; }

    public List<MemoryOperation> Operations { get; } = [];

    public bool HasMailbox { get; private set; }

    public void OpenMailbox() => HasMailbox = true;

    public void Queue(in MemoryOperation operation) => Operations.Add(operation);

    /// <summary>Its host process is killed before it can do anything.</summary>
    public bool IsKilled { get; init; }

    public Errno Flush()
    {
        if (!IsKilled)
            return Errno.None;
        State = GuestThreadState.Dead;
        return Errno.ESRCH;
    }

    public void Return(long value)
    {
        Returned = value;
        State = GuestThreadState.Running;
    }

    public void ReturnAndStop(long value)
    {
        Returned = value;
        _registers.Rax = (ulong)value;
        State = GuestThreadState.Stopped;
    }

    public void Stop() => State = GuestThreadState.Stopped;

    public void Interrupt() => Interrupts++;

    public void Resume() => State = GuestThreadState.Running;

    public void GetRegisters(out GuestRegisters registers) => registers = _registers;

    public void SetRegisters(in GuestRegisters registers) => _registers = registers;

    public int GetXState(Span<byte> destination)
    {
        _xState.CopyTo(destination);
        return _xState.Length;
    }

    public bool SetXState(ReadOnlySpan<byte> state)
    {
        _xState = state.ToArray();
        return true;
    }

    public Result<IGuestThread> Fork(long parentValue) => Errno.ENOMEM;

    public Result<IGuestThread> Clone(bool ownProcess) => new FakeGuestThread(space) { State = GuestThreadState.Stopped };

    public void Kill() => State = GuestThreadState.Dead;
}
