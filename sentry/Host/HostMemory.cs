using Sentry.Abi;

namespace Sentry.Host;

/// <summary>Memory of this process and of others.</summary>
public static unsafe class HostMemory
{
    public const int ProtectionRead = 1, ProtectionWrite = 2, ProtectionExecute = 4;

    public const int MapShared = 1, MapPrivate = 2, MapFixed = 0x10, MapAnonymous = 0x20, MapNoReserve = 0x4000;

    public static Result<nint> Map(nint address, long length, int protection, int flags, int descriptor, long offset)
    {
        long result = HostSyscall.Call(Sysno.mmap, address, length, protection, flags, descriptor, offset);
        Errno error = HostSyscall.ErrorOf(result);
        return error != Errno.None ? error : (nint)result;
    }

    public static Errno Unmap(nint address, long length) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.munmap, address, length));

    public static Errno Protect(nint address, long length, int protection) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.mprotect, address, length, protection));

    public static Errno Advise(nint address, long length, int advice) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.madvise, address, length, advice));

    /// <summary>The bytes of a mapping; for callers that may not hold pointers.</summary>
    // SAFETY: the caller maps the range and keeps it mapped while it uses the span.
    public static Span<byte> Span(nint address, int length) => new((void*)address, length);

    /// <summary>process_vm_readv(2): bytes read, fewer at the first page that cannot be read; EFAULT when none can.</summary>
    public static Result<int> ReadProcess(int process, ulong address, Span<byte> destination)
    {
        fixed (byte* p = destination)
        {
            IoVec local = new((ulong)p, (ulong)destination.Length);
            IoVec remote = new(address, (ulong)destination.Length);
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.process_vm_readv, process, (long)(&local), 1, (long)(&remote), 1));
        }
    }

    /// <summary>process_vm_writev(2): as <see cref="ReadProcess"/>.</summary>
    public static Result<int> WriteProcess(int process, ulong address, ReadOnlySpan<byte> source)
    {
        fixed (byte* p = source)
        {
            IoVec local = new((ulong)p, (ulong)source.Length);
            IoVec remote = new(address, (ulong)source.Length);
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.process_vm_writev, process, (long)(&local), 1, (long)(&remote), 1));
        }
    }
}
