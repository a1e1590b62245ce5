using System.Runtime.InteropServices;
using Sentry.Abi;

namespace Sentry.Platform.Notify;

/// <summary>One system call that a stub makes on the sentry's orders.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct StubOperation(ulong Number, ulong A0, ulong A1, ulong A2, ulong A3, ulong A4, ulong A5, ulong Result = 0)
{
    private const ulong MapFixed = 0x10, MapAnonymous = 0x20, MapNoReserve = 0x4000, MapShared = 1, MapPrivate = 2, MayMove = 1, MoveFixed = 2;

    public static StubOperation Exit => new(Sysno.exit, 0, 0, 0, 0, 0, 0);

    public static StubOperation CloneWith(ulong flags, ulong stack, ulong threadWord) => new(Sysno.clone, flags, stack, 0, threadWord, 0, 0);

    public static StubOperation Close(int descriptor) => new(Sysno.close, (ulong)descriptor, 0, 0, 0, 0, 0);

    /// <summary>Maps a mailbox, replacing an older mapping.</summary>
    public static StubOperation MapMailbox(int descriptor, int slot, int index) =>
        new(Sysno.mmap, StubLayout.Mailbox(slot), StubLayout.MailboxSize, 3, MapFixed | MapShared, (ulong)descriptor, (ulong)index * StubLayout.MailboxSize);

    /// <summary>A forked child does not have the mailbox of its parent's thread (MADV_DONTFORK).</summary>
    public static StubOperation DontFork(int slot) => new(Sysno.madvise, StubLayout.Mailbox(slot), StubLayout.MailboxSize, 10, 0, 0, 0);

    /// <summary>The call that makes a change of an address space; <paramref name="descriptor"/> is the stub's own number of the source.</summary>
    public static StubOperation For(in MemoryOperation operation, int descriptor) => operation.Kind switch
    {
        // No reserve: a guest may map far more than it touches, as on Linux with its default overcommit.
        MemoryOperationKind.Map => new(
            Sysno.mmap,
            operation.Address,
            operation.Length,
            (ulong)operation.Protection,
            MapFixed | (operation.Source.Shared ? MapShared : MapPrivate | MapNoReserve) | (operation.Source.HostDescriptor < 0 ? MapAnonymous : 0),
            operation.Source.HostDescriptor < 0 ? ulong.MaxValue : (ulong)descriptor,
            operation.Source.HostDescriptor < 0 ? 0 : (ulong)operation.Source.Offset),
        MemoryOperationKind.Unmap => new(Sysno.munmap, operation.Address, operation.Length, 0, 0, 0, 0),
        MemoryOperationKind.Protect => new(Sysno.mprotect, operation.Address, operation.Length, (ulong)operation.Protection, 0, 0, 0),
        MemoryOperationKind.Move => new(Sysno.mremap, operation.Address, operation.Length, operation.NewLength, MayMove | MoveFixed, operation.NewAddress, 0),
        MemoryOperationKind.Advise => new(Sysno.madvise, operation.Address, operation.Length, (ulong)operation.Advice, 0, 0, 0),
        _ => throw new ArgumentOutOfRangeException(nameof(operation)),
    };

    /// <summary>Whether a notification from the stub's page is this very call.</summary>
    public bool Matches(in Notification call) =>
        (ulong)call.Number == Number && call.A0 == A0 && call.A1 == A1 && call.A2 == A2 && call.A3 == A3 && call.A4 == A4 && call.A5 == A5;
}
