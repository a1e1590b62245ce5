using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Sentry.Abi;

namespace Sentry.Host;

/// <summary>
/// System calls of the host by a thunk of nine instructions: the result is the value or -errno, as the kernel gives it. libc's
/// syscall(3) would cost an errno in thread-local storage that the runtime may overwrite, and has no form without a GC transition.
/// </summary>
public static unsafe partial class HostSyscall
{
    // rax = syscall(rdi = number, rsi, rdx, rcx, r8, r9, [rsp+8]): shift every argument by one and enter the kernel.
    private static ReadOnlySpan<byte> Thunk =>
    [
        0x48, 0x89, 0xF8, // mov rax, rdi
        0x48, 0x89, 0xF7, // mov rdi, rsi
        0x48, 0x89, 0xD6, // mov rsi, rdx
        0x48, 0x89, 0xCA, // mov rdx, rcx
        0x4D, 0x89, 0xC2, // mov r10, r8
        0x4D, 0x89, 0xC8, // mov r8, r9
        0x4C, 0x8B, 0x4C, 0x24, 0x08, // mov r9, [rsp+8]
        0x0F, 0x05, // syscall
        0xC3, // ret
    ];

    private static readonly nint _thunk = ExecutableCode.Map(Thunk);

    /// <summary>A call that may block: the garbage collector can run meanwhile.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Call(int number, long a0 = 0, long a1 = 0, long a2 = 0, long a3 = 0, long a4 = 0, long a5 = 0) =>
        // SAFETY: the thunk follows the C calling convention and touches nothing but argument registers; what the arguments
        // point to is the caller's responsibility.
        ((delegate* unmanaged<long, long, long, long, long, long, long, long>)_thunk)(number, a0, a1, a2, a3, a4, a5);

    /// <summary>A call that returns within a few microseconds: no GC transition, so it must never block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long CallFast(int number, long a0 = 0, long a1 = 0, long a2 = 0, long a3 = 0, long a4 = 0, long a5 = 0) =>
        // SAFETY: as in Call.
        ((delegate* unmanaged[SuppressGCTransition]<long, long, long, long, long, long, long, long>)_thunk)(number, a0, a1, a2, a3, a4, a5);

    /// <summary>The errno in a raw result, or <see cref="Errno.None"/>.</summary>
    public static Errno ErrorOf(long result) => result is < 0 and > -4096 ? (Errno)(-result) : Errno.None;

    internal static Result<int> ToInt(long result) => result < 0 ? (Errno)(-result) : (int)result;

    internal static Result<long> ToLong(long result) => ErrorOf(result) is var error && error != Errno.None ? error : result;
}

/// <summary>Machine code of our own in executable memory of this process.</summary>
public static unsafe partial class ExecutableCode
{
    /// <summary>A fresh read-and-execute mapping with this code in it, for the life of the process.</summary>
    public static nint Map(ReadOnlySpan<byte> code)
    {
        const int ReadWrite = 3, ReadExecute = 5, PrivateAnonymous = 0x22;
        nint length = (code.Length + 4095) & ~4095;
        nint address = Mmap(0, length, ReadWrite, PrivateAnonymous, -1, 0);
        if (address == -1)
            throw new OutOfMemoryException("no memory for machine code");

        // SAFETY: the mapping was just made, is writable and at least code.Length long.
        code.CopyTo(new Span<byte>((void*)address, code.Length));
        if (Mprotect(address, length, ReadExecute) != 0)
            throw new InvalidOperationException("executable memory is refused by the host");
        return address;
    }

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint Mmap(nint address, nint length, int protection, int flags, int descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int Mprotect(nint address, nint length, int protection);
}
