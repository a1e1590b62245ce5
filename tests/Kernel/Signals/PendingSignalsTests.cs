namespace Tests.Kernel.Signals;

public sealed class PendingSignalsTests
{
    private readonly PendingSignals _pending = new();

    [Fact]
    public void Add_StandardSignalTwice_KeepsTheFirst()
    {
        Assert.True(_pending.Add(SignalInfo.User(Signal.SIGUSR1, 7, 0)));
        Assert.False(_pending.Add(SignalInfo.User(Signal.SIGUSR1, 8, 0)));
        Assert.Equal(7, _pending.Take(ulong.MaxValue)!.Pid);
        Assert.Equal(0UL, _pending.Set);
    }

    [Fact]
    public void Take_RealTimeSignals_InOrderAndAfterStandardOnes()
    {
        _pending.Add(SignalInfo.User(35, 1, 0));
        _pending.Add(SignalInfo.User(34, 2, 0));
        _pending.Add(SignalInfo.User(34, 3, 0));
        _pending.Add(SignalInfo.User(Signal.SIGTERM, 4, 0));
        Assert.Equal([4, 2, 3, 1], Enumerable.Range(0, 4).Select(_ => _pending.Take(ulong.MaxValue)!.Pid));
        Assert.Null(_pending.Take(ulong.MaxValue));
    }

    [Fact]
    public void Take_FaultAndLowerNumber_FaultFirst()
    {
        _pending.Add(SignalInfo.User(Signal.SIGHUP, 1, 0));
        _pending.Add(SignalInfo.Fault(Signal.SIGSEGV, SignalCode.SEGV_MAPERR, 0x10));
        Assert.Equal(Signal.SIGSEGV, _pending.Take(ulong.MaxValue)!.Number);
    }

    [Fact]
    public void Take_SignalOutsideTheSet_IsLeft()
    {
        _pending.Add(SignalInfo.Kernel(Signal.SIGINT));
        Assert.Null(_pending.Take(~Signal.Bit(Signal.SIGINT)));
        Assert.True(_pending.Has(Signal.SIGINT));
    }

    [Fact]
    public void Discard_RemovesAllOfANumber()
    {
        _pending.Add(SignalInfo.User(40, 1, 0));
        _pending.Add(SignalInfo.User(40, 2, 0));
        _pending.Add(SignalInfo.User(41, 3, 0));
        _pending.Discard(Signal.Bit(40));
        Assert.Equal(Signal.Bit(41), _pending.Set);
        Assert.Equal(1, _pending.Count);
    }

    [Fact]
    public void SignalInfo_BytesAndBack_KeepsFields()
    {
        SignalInfo child = SignalInfo.Child(Signal.SIGCHLD, SignalCode.CLD_KILLED, 12, 34, 9);
        byte[] bytes = new byte[128];
        child.ToBytes(bytes);
        Assert.Equal([17, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 34, 0, 0, 0, 9, 0, 0, 0], bytes[..28]);
        SignalInfo back = SignalInfo.FromBytes(Signal.SIGCHLD, bytes);
        Assert.Equal((12, 34U, 9, 2), (back.Pid, back.Uid, back.Status, back.Code));
    }
}
