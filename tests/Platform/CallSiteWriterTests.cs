using Sentry.Platform;
using Sentry.Platform.Notify;

namespace Tests.Platform;

/// <summary>What is rewritten at a system-call instruction, by the bytes around it.</summary>
public sealed class CallSiteWriterTests
{
    private const long Trampoline = 0x10000;
    private const ulong Entry = 0x1122334455667788;
    private static readonly byte[] GetPid = [0xB8, 39, 0, 0, 0], Syscall = [0x0F, 0x05], Return = [0xC3], LongNop = [0x66, 0x2E, 0x0F, 0x1F, 0x84, 0, 0, 0, 0, 0];
    private static readonly byte[] Check = [0x48, 0x3D, 0x01, 0xF0, 0xFF, 0xFF, 0x73, 0x01]; // cmp rax, -4095; jae +1

    [Fact]
    public void Plan_PaddingBehindTheFunction_TakesIt()
    {
        byte[] code = [.. GetPid, .. Syscall, .. Check, .. Return, .. Return, .. LongNop];
        CallSitePlan plan = Plan(code, 5)!;
        int padding = 5 + 2 + 8 + 2;
        Assert.Equal([(padding - 5, "E9"), (0, "EB")], plan.Patches.Select(p => (p.Offset, p.Bytes[0].ToString("X2"))));
        Assert.Equal(padding - 7, plan.Patches[1].Bytes[1]);
        Assert.Equal(Trampoline - (padding - 5 + 5), BitConverter.ToInt32(plan.Patches[0].Bytes, 1));
        Assert.Equal(0, plan.Start);
        CheckTrampoline(plan, 0, returnsTo: 2);
    }

    [Fact]
    public void Plan_NoPadding_TakesTheLoadInFront()
    {
        byte[] code = [0x90, .. GetPid, .. Syscall, .. Check, .. Return, .. Return, 0x55, 0x55];
        CallSitePlan plan = Plan(code, 6)!;
        (int offset, byte[] jump) = Assert.Single(plan.Patches);
        Assert.Equal((-5, 5, (byte)0xE9), (offset, jump.Length, jump[0]));
        Assert.Equal(Trampoline, BitConverter.ToInt32(jump, 1));
        Assert.Equal(-5, plan.Start);
        Assert.Equal(GetPid, plan.Trampoline[..5]);
        CheckTrampoline(plan, 5, returnsTo: 2);
    }

    [Fact]
    public void Plan_LoadOfAnotherRegisterOrNumber_IsRefused()
    {
        Assert.Null(Plan([0x90, 0x41, .. GetPid, .. Syscall, .. Return, 0x55], 7));
        Assert.Null(Plan([0x90, .. GetPid, .. Syscall, .. Return, 0x55], 6, number: 40));
        Assert.Null(Plan([.. Syscall, .. Return, 0x55], 0));
        Assert.Null(Plan([0x90, .. GetPid, 0x0F, 0x34, .. Return, 0x55], 6));
    }

    [Fact]
    public void Plan_NoOperationsThatCanBeReached_AreNoPadding()
    {
        // behind the call itself, and behind a conditional jump
        Assert.Null(Plan([.. Syscall, .. LongNop, .. Return], 0));
        Assert.Null(Plan([.. Syscall, 0x74, 0x05, .. LongNop, .. Return], 0));
    }

    [Fact]
    public void Plan_JumpIntoThePadding_IsRefused()
    {
        // je to the second no-operation behind the return
        byte[] code = [.. Syscall, 0x74, 0x02, .. Return, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90];
        Assert.Null(Plan(code, 0));
        code[3] = 0x07; // behind all of them
        Assert.NotNull(Plan(code, 0));
    }

    [Fact]
    public void Plan_PaddingTooFarOrTooShort_IsRefused()
    {
        Assert.Null(Plan([.. Syscall, .. Return, 0x90, 0x90, 0x90, 0x90, 0x55, 0x55], 0));
        Assert.Null(Plan([.. Syscall, .. Enumerable.Repeat((byte)0x55, 127), .. Return, .. LongNop], 0));
        Assert.NotNull(Plan([.. Syscall, .. Enumerable.Repeat((byte)0x55, 126), .. Return, .. LongNop], 0));
    }

    [Fact]
    public void Plan_PaddingThatHasBecomeAJump_LeavesTheRest()
    {
        byte[] code = [.. Syscall, .. Return, 0xE9, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0x55];
        Assert.Null(Plan(code, 0)); // the rest of the no-operation decodes as something else
        code = [.. Syscall, .. Return, 0xE9, 1, 2, 3, 4, 0x90, 0x90, 0x90, 0x90, 0x90, 0x55];
        Assert.Equal(8, Plan(code, 0)!.Patches[0].Offset);
    }

    [Fact]
    public void Plan_TrampolineOutOfReach_IsRefused() => Assert.Null(CallSiteWriter.Plan([.. Syscall, .. Return, .. LongNop], 0, 1L << 32, 39, Entry));

    private static CallSitePlan? Plan(byte[] code, int site, int number = 39) => CallSiteWriter.Plan(code, site, Trampoline, number, Entry);

    private static void CheckTrampoline(CallSitePlan plan, int first, int returnsTo)
    {
        byte[] code = plan.Trampoline;
        Assert.Equal(first + 21, plan.PlainCall);
        Assert.Equal([0x48, 0x8D, 0x0D], code[first..(first + 3)]);
        Assert.Equal(plan.PlainCall, first + 7 + BitConverter.ToInt32(code, first + 3)); // lea rcx: the plain call
        Assert.Equal(Entry, BitConverter.ToUInt64(code, first + 13));
        Assert.Equal(Syscall, code[plan.PlainCall..(plan.PlainCall + 2)]);
        Assert.Equal(0xE9, code[plan.PlainCall + 2]);
        Assert.Equal(returnsTo, Trampoline + code.Length + BitConverter.ToInt32(code, code.Length - 4));
    }
}
