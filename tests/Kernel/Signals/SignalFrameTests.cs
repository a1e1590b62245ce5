using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Tests.Kernel.Fakes;

namespace Tests.Kernel.Signals;

/// <summary>The frame as a native program on Linux 6.18 sees it: offsets, flags and alignment were printed by a C program's handler.</summary>
public sealed class SignalFrameTests
{
    private const ulong Stack = TestKernel.Base + 0x8000;
    private const ulong Handler = 0x401000, Restorer = 0x402000;

    private readonly TestKernel _kernel = new();
    private readonly Task _task;
    private readonly FakeGuestThread _thread;

    public SignalFrameTests()
    {
        _task = _kernel.NewProcess();
        _thread = TestKernel.ThreadOf(_task);
        _thread.State = GuestThreadState.Stopped;
        _thread.SetRegisters(new GuestRegisters { Rip = 0x400123, Rsp = Stack, Rax = 7, Rbx = 8, R15 = 15, Rdi = 5, Eflags = 0x10646, FsBase = 0x777 });
    }

    [Fact]
    public void Layout_MatchesLinux()
    {
        Assert.Equal((256, 304, 24, 32), (Unsafe.SizeOf<Sigcontext>(), Unsafe.SizeOf<Ucontext>(), Unsafe.SizeOf<StackT>(), Unsafe.SizeOf<KernelSigaction>()));
        Assert.Equal(RtSigframe.InfoOffset, Unsafe.SizeOf<RtSigframe>());
    }

    [Fact]
    public void DeliverPending_Handler_BuildsTheFrame()
    {
        byte[] xState = XState(2436);
        _thread.SetXState(xState);
        _task.Signals.Mask = Signal.Bit(Signal.SIGHUP);
        Handle(Signal.SIGUSR1, SignalAct.SA_SIGINFO, Signal.Bit(Signal.SIGUSR2) | Signal.Unblockable);
        SignalDelivery.SendToTask(_task, SignalInfo.User(Signal.SIGUSR1, 42, 1000, SignalCode.SI_TKILL));
        Assert.Equal(DeliveryOutcome.Run, SignalDelivery.DeliverPending(_task));

        _thread.GetRegisters(out GuestRegisters now);
        ulong fpstate = (Stack - 128 - 2436) & ~63UL, frame = fpstate - 456;
        Assert.Equal((Handler, frame, 10UL, 0UL), (now.Rip, now.Rsp, now.Rdi, now.Rax));
        Assert.Equal((frame + 312, frame + 8, 8UL, 0x777UL), (now.Rsi, now.Rdx, now.Rbx, now.FsBase));
        Assert.Equal(0x246UL, now.Eflags);
        Assert.Equal(Restorer, Word(frame));
        Assert.Equal((7UL, 0UL, 0UL, 0UL), (Word(frame + 8), Word(frame + 16), Word(frame + 24), Word(frame + 40)));
        Assert.Equal((15UL, 5UL, 7UL, Stack, 0x400123UL), (Word(frame + 48 + 56), Word(frame + 48 + 64), Word(frame + 48 + 104), Word(frame + 48 + 120), Word(frame + 48 + 128)));
        Assert.Equal((0x10646UL, 0x002b000000000033UL), (Word(frame + 48 + 136), Word(frame + 48 + 144)));
        Assert.Equal((fpstate, Signal.Bit(Signal.SIGHUP)), (Word(frame + 8 + 224), Word(frame + 8 + 296)));
        Assert.Equal(xState, TestKernel.Get(_task, fpstate, xState.Length));
        Assert.Equal((10, -6, 42, 1000), (Int(frame + 312), Int(frame + 320), Int(frame + 328), Int(frame + 332)));
        Assert.Equal(Signal.Bit(Signal.SIGHUP) | Signal.Bit(Signal.SIGUSR1) | Signal.Bit(Signal.SIGUSR2), _task.Signals.Mask);
    }

    [Fact]
    public void SigReturn_AfterAHandler_RestoresEverything()
    {
        byte[] xState = XState(1024);
        _thread.SetXState(xState);
        _thread.GetRegisters(out GuestRegisters before);
        Handle(Signal.SIGUSR1, 0);
        SignalDelivery.SendToTask(_task, SignalInfo.Kernel(Signal.SIGUSR1));
        SignalDelivery.DeliverPending(_task);
        _thread.SetXState([]);
        Return();

        _thread.GetRegisters(out GuestRegisters after);
        Assert.Equal(before, after);
        byte[] restored = new byte[4096];
        Assert.Equal(xState, restored[.._thread.GetXState(restored)]);
        Assert.Equal(0UL, _task.Signals.Mask);
        Assert.Equal(GuestThreadState.Running, _thread.State);
    }

    [Fact]
    public void SigReturn_PlainFxsaveImage_IsCompleted()
    {
        Handle(Signal.SIGUSR1, 0);
        SignalDelivery.SendToTask(_task, SignalInfo.Kernel(Signal.SIGUSR1));
        SignalDelivery.DeliverPending(_task);
        ulong fpstate = Word(Registers().Rsp + 8 + 224);
        byte[] plain = new byte[512];
        plain[24] = 0x80;
        plain[25] = 0x1f;
        plain[160] = 77;
        Assert.True(_task.Memory.TryWriteAll(fpstate, plain));
        Return();
        byte[] state = new byte[4096];
        Assert.Equal(SignalXState.MinimumSize, _thread.GetXState(state));
        Assert.Equal((77, 3, 0x46505853, 580), (state[160], state[512], BitConverter.ToInt32(state, 464), BitConverter.ToInt32(state, 468)));
    }

    [Fact]
    public void DeliverPending_TwoSignals_StacksFrames()
    {
        Handle(Signal.SIGUSR1, 0);
        Handle(Signal.SIGUSR2, 0);
        SignalDelivery.SendToTask(_task, SignalInfo.Kernel(Signal.SIGUSR2));
        SignalDelivery.SendToTask(_task, SignalInfo.Kernel(Signal.SIGUSR1));
        SignalDelivery.DeliverPending(_task);
        Assert.Equal((ulong)Signal.SIGUSR2, Registers().Rdi);
        Return();
        Assert.Equal((ulong)Signal.SIGUSR1, Registers().Rdi);
        Return();
        Assert.Equal(0x400123UL, Registers().Rip);
    }

    [Fact]
    public void DeliverPending_OnAltStack_StartsAtItsTop()
    {
        ulong alt = TestKernel.Base + 0x10000;
        _task.Signals.SetAltStack(new StackT { Pointer = alt, Size = 8192 }, Stack);
        Handle(Signal.SIGUSR1, SignalAct.SA_ONSTACK);
        SignalDelivery.SendToTask(_task, SignalInfo.Kernel(Signal.SIGUSR1));
        SignalDelivery.DeliverPending(_task);
        Assert.Equal(((alt + 8192 - SignalXState.MinimumSize) & ~63UL) - 456, Registers().Rsp);
        Assert.Equal((alt, 8192UL), (Word(Registers().Rsp + 24), Word(Registers().Rsp + 40)));
    }

    [Fact]
    public void DeliverPending_AltStackTooSmallForTheFrame_EndsInSegv()
    {
        _task.Signals.SetAltStack(new StackT { Pointer = TestKernel.Base + 0x10000, Size = 2048 }, Stack);
        _thread.SetXState(XState(4000));
        Handle(Signal.SIGUSR1, SignalAct.SA_ONSTACK);
        SignalDelivery.SendToTask(_task, SignalInfo.Kernel(Signal.SIGUSR1));
        Assert.Equal(DeliveryOutcome.Dead, SignalDelivery.DeliverPending(_task));
        Assert.Equal(Signal.SIGSEGV, _task.Group.WaitStatus);
    }

    [Fact]
    public void DeliverPending_AutoDisarm_DisarmsAndSigReturnRearms()
    {
        ulong alt = TestKernel.Base + 0x10000;
        _task.Signals.SetAltStack(new StackT { Pointer = alt, Size = 8192, Flags = StackT.SS_AUTODISARM }, Stack);
        Handle(Signal.SIGUSR1, SignalAct.SA_ONSTACK);
        SignalDelivery.SendToTask(_task, SignalInfo.Kernel(Signal.SIGUSR1));
        SignalDelivery.DeliverPending(_task);
        Assert.Equal(0UL, _task.Signals.AltStackSize);
        Return();
        Assert.Equal((alt, 8192UL), (_task.Signals.AltStack, _task.Signals.AltStackSize));
    }

    [Fact]
    public void SigReturn_FrameUnreadable_EndsInSegv()
    {
        Handle(Signal.SIGUSR1, 0);
        SignalDelivery.SendToTask(_task, SignalInfo.Kernel(Signal.SIGUSR1));
        SignalDelivery.DeliverPending(_task);
        GuestRegisters registers = Registers();
        registers.Rsp = 0x10;
        _thread.SetRegisters(registers);
        _thread.State = GuestThreadState.InSyscall;
        SignalDelivery.SigReturn(_task);
        Assert.Equal(Signal.SIGSEGV, _task.Group.WaitStatus);
    }

    [Fact]
    public void DeliverPending_OneShotAndNoDefer_ResetsAndLeavesUnblocked()
    {
        Handle(Signal.SIGUSR1, SignalAct.SA_RESETHAND | SignalAct.SA_NODEFER);
        SignalDelivery.SendToTask(_task, SignalInfo.Kernel(Signal.SIGUSR1));
        SignalDelivery.DeliverPending(_task);
        Assert.True(_task.Group.Actions[Signal.SIGUSR1].IsDefault);
        Assert.Equal(0UL, _task.Signals.Mask);
    }

    [Fact]
    public void DeliverFault_Handler_SeesTrapAndAddress()
    {
        Handle(Signal.SIGSEGV, SignalAct.SA_SIGINFO);
        SignalDelivery.DeliverFault(_task, new GuestFault(Signal.SIGSEGV, SignalCode.SEGV_MAPERR, 0x1234, 14, 6, 0x1234));
        ulong frame = Registers().Rsp;
        Assert.Equal((6UL, 14UL, 0x1234UL), (Word(frame + 48 + 152), Word(frame + 48 + 160), Word(frame + 48 + 176)));
        Assert.Equal((Signal.SIGSEGV, 1, 0x1234UL), (Int(frame + 312), Int(frame + 320), Word(frame + 328)));
    }

    [Fact]
    public void DeliverFault_Blocked_EndsTheProcess()
    {
        Handle(Signal.SIGSEGV, 0);
        _task.Signals.Mask = Signal.Bit(Signal.SIGSEGV);
        Assert.Equal(DeliveryOutcome.Dead, SignalDelivery.DeliverFault(_task, new GuestFault(Signal.SIGSEGV, 1, 0, 14, 4, 0)));
        Assert.Equal(Signal.SIGSEGV, _task.Group.WaitStatus);
    }

    private void Handle(int signal, ulong flags, ulong mask = 0) =>
        _task.Group.Actions[signal] = new SignalAction { Handler = Handler, Flags = flags | SignalAct.SA_RESTORER, Restorer = Restorer, Mask = mask & ~Signal.Unblockable };

    /// <summary>What the restorer does: pops its address and calls rt_sigreturn.</summary>
    private void Return()
    {
        GuestRegisters registers = Registers();
        registers.Rsp += 8;
        registers.Rbx = 0xdead;
        _thread.SetRegisters(registers);
        _thread.State = GuestThreadState.InSyscall;
        SignalDelivery.SigReturn(_task);
    }

    private GuestRegisters Registers()
    {
        _thread.GetRegisters(out GuestRegisters registers);
        return registers;
    }

    private ulong Word(ulong address) => (ulong)TestKernel.GetLong(_task, address);

    private int Int(ulong address) => TestKernel.GetInt(_task, address);

    /// <summary>Extended state in a frame's layout: magic words where Linux puts them.</summary>
    private static byte[] XState(int size)
    {
        byte[] state = new byte[size];
        for (int i = 0; i < size; i++)
            state[i] = (byte)(i * 7);
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(464), SignalXState.FP_XSTATE_MAGIC1);
        BinaryPrimitives.WriteInt32LittleEndian(state.AsSpan(468), size);
        BinaryPrimitives.WriteInt32LittleEndian(state.AsSpan(480), size - 4);
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(size - 4), SignalXState.FP_XSTATE_MAGIC2);
        return state;
    }
}
