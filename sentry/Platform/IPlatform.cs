using Sentry.Abi;

namespace Sentry.Platform;

/// <summary>
/// One way of running guest code and of learning what it asks for (notify, ptrace, kvm). A platform knows nothing of Linux
/// semantics: it has address spaces, threads, registers. All methods are called, and all events are raised, on the one
/// dispatch thread that sits in <see cref="Run"/> or by a thread that holds the kernel lock; where it says <i>synchronous</i>
/// the platform itself serves what it needs from its stubs before it returns, and keeps other guest events back until then.
/// </summary>
public interface IPlatform : IDisposable
{
    /// <summary>The name by which <c>--platform</c> chooses it.</summary>
    string Name { get; }

    /// <summary>Bytes of extended state (XSAVE area, its standard format) of a thread, at most.</summary>
    int MaxXStateSize { get; }

    /// <summary>Guest addresses from here up to the end of user space belong to the platform and are refused to guests.</summary>
    ulong GuestAddressLimit { get; }

    /// <summary>Whether call sites can be rewritten so that calls bring along what they need (<see cref="PlanCallSite"/>, <see cref="IGuestThread.OpenMailbox"/>).</summary>
    bool HasCallSites => false;

    /// <summary>How a system-call instruction of a program is to be rewritten; null when its surroundings do not allow it. Rewritten code may only
    /// be mapped where all of it lies in one mapping. It keeps its meaning on threads that have no mailbox.</summary>
    /// <param name="code">Bytes of the program around the instruction.</param>
    /// <param name="site">Where in <paramref name="code"/> it is.</param>
    /// <param name="trampoline">Where a piece of free memory within reach begins, counted from the site.</param>
    /// <param name="number">A call that was made there.</param>
    CallSitePlan? PlanCallSite(ReadOnlySpan<byte> code, int site, long trampoline, int number) => null;

    /// <summary>Synchronous: a new address space with nothing mapped (but what the platform itself needs above
    /// <see cref="GuestAddressLimit"/>) and one thread in it, Stopped, with cleared registers.</summary>
    Result<IGuestThread> CreateProcess();

    /// <summary>Receives events and hands them to <paramref name="events"/> until <see cref="Quit"/>. The kernel lock is held
    /// during each event and released while waiting.</summary>
    void Run(IPlatformEvents events, Lock kernelLock);

    /// <summary>From any thread: runs <paramref name="action"/> on the dispatch thread, under the kernel lock, between two events.</summary>
    void Post(Action action);

    /// <summary>Makes <see cref="Run"/> return after the event in hand.</summary>
    void Quit();
}

/// <summary>What a platform tells the kernel. Raised one at a time, under the kernel lock.</summary>
public interface IPlatformEvents
{
    /// <summary>A guest thread made a system call and is now <see cref="GuestThreadState.InSyscall"/>, waiting for an answer.</summary>
    void OnSyscall(IGuestThread thread, in SyscallFrame call);

    /// <summary>A thread for which <see cref="IGuestThread.Interrupt"/> was called is now Stopped. May come although no one asked.</summary>
    void OnInterrupted(IGuestThread thread);

    /// <summary>A guest instruction faulted; the thread is Stopped at it.</summary>
    void OnFault(IGuestThread thread, in GuestFault fault);

    /// <summary>The host thread under <paramref name="thread"/> is gone without having been asked to go (killed, out of memory,
    /// protocol violation by a hostile guest). Its host process has been killed; all its threads are Dead.</summary>
    void OnLost(IGuestThread thread, string reason);
}

/// <summary>Where a guest thread is, as seen from the sentry.</summary>
public enum GuestThreadState
{
    /// <summary>Executing guest code (or about to).</summary>
    Running,

    /// <summary>In a system call that has not been answered; parked as long as the kernel likes.</summary>
    InSyscall,

    /// <summary>Between two guest instructions with all its registers at hand.</summary>
    Stopped,

    /// <summary>Gone.</summary>
    Dead,
}

/// <summary>A guest's system call as intercepted.</summary>
public readonly record struct SyscallFrame(int Number, ulong A0, ulong A1, ulong A2, ulong A3, ulong A4, ulong A5, ulong InstructionPointer);

/// <summary>A fault in guest code: the signal Linux would send (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP) with its si_code and si_addr,
/// the trap number and error code of the processor (as in sigcontext) and CR2.</summary>
public readonly record struct GuestFault(int Signal, int Code, ulong Address, ulong TrapNumber, ulong ErrorCode, ulong Cr2);

/// <summary>The integer registers of a guest thread.</summary>
public struct GuestRegisters
{
    public ulong R8, R9, R10, R11, R12, R13, R14, R15, Rdi, Rsi, Rbp, Rbx, Rdx, Rax, Rcx, Rsp, Rip, Eflags, FsBase, GsBase;
}

/// <summary>PROT_* of mmap(2).</summary>
[Flags]
public enum MemoryProtection
{
    None = 0,
    Read = 1,
    Write = 2,
    Execute = 4,
}

/// <summary>A host descriptor and where in it a mapping begins; <see cref="Anonymous"/> for zero-filled private memory.</summary>
public readonly record struct MemorySource(int HostDescriptor, long Offset, bool Shared)
{
    public static readonly MemorySource Anonymous = new(-1, 0, false);
}

/// <summary>One change of an address space.</summary>
public readonly record struct MemoryOperation(MemoryOperationKind Kind, ulong Address, ulong Length, MemoryProtection Protection, MemorySource Source, ulong NewAddress, ulong NewLength, int Advice)
{
    /// <summary>Replaces whatever is mapped in the range (mmap MAP_FIXED).</summary>
    public static MemoryOperation Map(ulong address, ulong length, MemoryProtection protection, MemorySource source) =>
        new(MemoryOperationKind.Map, address, length, protection, source, 0, 0, 0);

    public static MemoryOperation Unmap(ulong address, ulong length) => new(MemoryOperationKind.Unmap, address, length, 0, default, 0, 0, 0);

    public static MemoryOperation Protect(ulong address, ulong length, MemoryProtection protection) =>
        new(MemoryOperationKind.Protect, address, length, protection, default, 0, 0, 0);

    /// <summary>Moves mapped pages to another place, replacing what is mapped there (mremap MREMAP_MAYMOVE|MREMAP_FIXED).</summary>
    public static MemoryOperation Move(ulong address, ulong length, ulong newAddress, ulong newLength) =>
        new(MemoryOperationKind.Move, address, length, 0, default, newAddress, newLength, 0);

    /// <summary>madvise(2) with an advice number that the kernel has checked (DONTNEED, HUGEPAGE, …).</summary>
    public static MemoryOperation Advise(ulong address, ulong length, int advice) =>
        new(MemoryOperationKind.Advise, address, length, 0, default, 0, 0, advice);
}

public enum MemoryOperationKind
{
    Map,
    Unmap,
    Protect,
    Move,
    Advise,
}

/// <summary>A thread of guest code. Owned by exactly one task of the kernel.</summary>
public interface IGuestThread
{
    GuestThreadState State { get; }

    IAddressSpace AddressSpace { get; }

    /// <summary>CPU time that the thread has used in guest code, ns; 0 from a platform that cannot tell.</summary>
    long CpuTime => 0;

    /// <summary>What came along with the call in hand; null when nothing did. The thread is InSyscall.</summary>
    ICallMailbox? Mailbox => null;

    /// <summary>Before this thread runs guest code again it gets a mailbox, if the platform has them. The thread is InSyscall or Stopped.</summary>
    void OpenMailbox()
    {
    }

    /// <summary>The kernel's task; set once by the kernel.</summary>
    object? Owner { get; set; }

    /// <summary>Adds a change of the address space that is made before this thread runs guest code again (in the order of the calls,
    /// in one batch with the answer). The kernel has checked the range. The thread is InSyscall or Stopped. When the host
    /// refuses one, <see cref="Flush"/> returns the errno, or, without a Flush, <see cref="IPlatformEvents.OnLost"/> is raised.</summary>
    void Queue(in MemoryOperation operation);

    /// <summary>Synchronous: makes the queued changes now. The thread is InSyscall or Stopped, and stays so.</summary>
    Errno Flush();

    /// <summary>InSyscall → Running: the call returns <paramref name="value"/> (-errno for an error). Never blocks.</summary>
    void Return(long value);

    /// <summary>InSyscall → Running: the host itself executes the call as it stands. Only for calls whose arguments are all values that the
    /// kernel has checked and that concern nothing but this thread (arch_prctl). Nothing may be queued. Never blocks.</summary>
    void ContinueNatively() => throw new NotSupportedException("this platform has no native calls");

    /// <summary>Synchronous, InSyscall → Stopped: as <see cref="Return"/>, stopped before the next guest instruction.</summary>
    void ReturnAndStop(long value);

    /// <summary>Synchronous, any state → Stopped. A call in progress is rewound: the instruction pointer is at the system-call
    /// instruction, rax holds the call number, as if it had not been made.</summary>
    void Stop();

    /// <summary>Running → (later) Stopped with <see cref="IPlatformEvents.OnInterrupted"/>. Never blocks. A thread that makes a system
    /// call first raises OnSyscall and keeps the interrupt for after its answer.</summary>
    void Interrupt();

    /// <summary>Stopped → Running. Queued memory operations are made first.</summary>
    void Resume();

    /// <summary>Of a Stopped thread.</summary>
    void GetRegisters(out GuestRegisters registers);

    /// <summary>Of a Stopped thread. Segment selectors and privileged flag bits are the platform's own affair.</summary>
    void SetRegisters(in GuestRegisters registers);

    /// <summary>Of a Stopped thread: its XSAVE area in the layout that a signal frame has (FXSAVE image, magic words, extended area; 0 bytes
    /// when in its initial state); returns the bytes written to <paramref name="destination"/>, at most MaxXStateSize.</summary>
    int GetXState(Span<byte> destination);

    /// <summary>Of a Stopped thread; an empty span sets the initial state. False when this host cannot load that state
    /// (damaged, or features this processor lacks); nothing is changed then.</summary>
    bool SetXState(ReadOnlySpan<byte> state);

    /// <summary>Synchronous, from InSyscall: the call returns <paramref name="parentValue"/> in this thread, which runs on, and a copy
    /// of its address space (private memory copied on write, shared memory shared) is made with one Stopped thread whose registers
    /// are the caller's after the call (the kernel sets rax, rsp, FsBase). An errno when the host has no more room (this thread stays InSyscall).</summary>
    Result<IGuestThread> Fork(long parentValue);

    /// <summary>Synchronous, this thread Stopped: a new thread in the same address space, Stopped, with a copy of this thread's registers
    /// and extended state. <paramref name="ownProcess"/>: it may outlive or be outlived by this one's process (vfork, CLONE_VM).</summary>
    Result<IGuestThread> Clone(bool ownProcess);

    /// <summary>Ends the thread in any state. When it is the last of its host process, that ends too. Returns at once; the state is Dead.</summary>
    void Kill();
}

/// <summary>A rewritten system-call instruction: <paramref name="Patches"/> at offsets from it, and code for the free memory. A thread can be stopped in that
/// code: before <paramref name="PlainCall"/> (an offset in it) it is as good as at <paramref name="Start"/> (an offset from the site), at it as at the site, behind it as
/// behind the site's two bytes.</summary>
public sealed record CallSitePlan(IReadOnlyList<(int Offset, byte[] Bytes)> Patches, byte[] Trampoline, int PlainCall, int Start);

/// <summary>Memory that travels with a call, instead of being fetched and stored by the sentry.</summary>
public interface ICallMailbox
{
    /// <summary>Copies bytes of the caller's memory that came along: how many of those from <paramref name="address"/> on, 0 for none.</summary>
    int Read(ulong address, Span<byte> destination);

    /// <summary>Takes bytes that the caller's memory holds when the call returns; false when it can't. The range must be writable private
    /// memory: it is too late for EFAULT then.</summary>
    bool Write(ulong address, ReadOnlySpan<byte> source);

    /// <summary>Stores now what <see cref="Write"/> took.</summary>
    void Flush();
}

/// <summary>Guest memory as the kernel reaches it. Also the frozen copy that a checkpoint reads.</summary>
public interface IMemoryView
{
    /// <summary>Copies from guest memory; returns the bytes copied, fewer than asked when a page is unmapped or unreadable.</summary>
    int Read(ulong address, Span<byte> destination);

    /// <summary>The runs of pages in [start, end) that hold private data: present (or swapped) anonymous pages, not the shared zero page.
    /// Page-aligned, ascending, appended to <paramref name="runs"/>.</summary>
    void FindPrivatePages(ulong start, ulong end, List<PageRun> runs);

    /// <summary>Writes guest memory to a host file at the offsets given, as fast as the platform can. Throws IOException (disk full, …).</summary>
    void Dump(int hostDescriptor, ReadOnlySpan<DumpRun> runs);
}

/// <summary>A range of guest pages.</summary>
public readonly record struct PageRun(ulong Start, ulong End);

/// <summary>A range of guest memory and where in the file it goes.</summary>
public readonly record struct DumpRun(ulong Address, ulong Length, long FileOffset);

/// <summary>A guest address space.</summary>
public interface IAddressSpace : IMemoryView
{
    /// <summary>Bytes of private memory that are there; cheap. 0 from a platform that cannot tell.</summary>
    long ResidentBytes => 0;

    /// <summary>As <see cref="ResidentBytes"/>, but what is shared with copies of the space counts as its share; not cheap.</summary>
    long ProportionalBytes => ResidentBytes;

    /// <summary>Copies to guest memory, honouring page protection; returns the bytes copied.</summary>
    int Write(ulong address, ReadOnlySpan<byte> source);

    /// <summary>As <see cref="IMemoryView.Read"/>, of a range that the kernel knows to be in one readable mapping: the platform need not look at its protection.</summary>
    int ReadMapped(ulong address, Span<byte> destination) => Read(address, destination);

    /// <summary>As <see cref="Write"/>, to a range that the kernel knows to be in one writable mapping.</summary>
    int WriteMapped(ulong address, ReadOnlySpan<byte> source) => Write(address, source);

    /// <summary>As <see cref="IMemoryView.Read"/>, also pages that the guest made unreadable (ptrace(2), PTRACE_PEEKDATA).</summary>
    int ReadForced(ulong address, Span<byte> destination) => Read(address, destination);

    /// <summary>As <see cref="Write"/>, also to pages that are not writable: a private mapping gets a page of its own (PTRACE_POKEDATA).</summary>
    int WriteForced(ulong address, ReadOnlySpan<byte> source) => Write(address, source);

    /// <summary>Reads a naturally aligned 32-bit word; false when it is not readable.</summary>
    bool TryRead32(ulong address, out uint value);

    /// <summary>Writes a naturally aligned 32-bit word; false when it is not writable.</summary>
    bool TryWrite32(ulong address, uint value);

    /// <summary>Atomic compare-and-exchange on a naturally aligned 32-bit word of guest memory, as seen by running guest threads.
    /// <paramref name="runner"/> is a thread of this space that is InSyscall or Stopped. False when not accessible.</summary>
    bool TryCompareExchange32(IGuestThread runner, ulong address, uint expected, uint desired, out uint found);

    /// <summary>Synchronous, all threads of the space Stopped: a copy-on-write copy of private memory as it is now.</summary>
    Result<IFrozenMemory> Freeze(IGuestThread stopped);
}

/// <summary>A frozen copy; disposing of it frees the copy.</summary>
public interface IFrozenMemory : IMemoryView, IDisposable;
