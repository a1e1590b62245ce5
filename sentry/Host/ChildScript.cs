using System.Runtime.InteropServices;
using System.Text;
using Iced.Intel;
using Sentry.Abi;
using static Iced.Intel.AssemblerRegisters;

namespace Sentry.Host;

/// <summary>
/// A list of system calls for a child that shares this process's memory: emitted code works it off, so that no managed code, no lock
/// and no allocator can be found in a half-way state there. The last call is an execve, which does not return.
/// </summary>
public sealed unsafe class ChildScript
{
    private const int BlockSize = 1 << 20, OperationSize = 64, StackSize = 16384;

    // The block shared by parent and child: saved mask, all-ones mask, count, error, clone arguments, then stack, operations, strings.
    private const int AtSavedMask = 0, AtFullMask = 8, AtCount = 16, AtError = 24, AtPidFd = 40, AtCloneArguments = 64, AtStack = 4096, AtOperations = AtStack + StackSize, AtStrings = 65536;
    private const int CloneArgumentsSize = 88;

    private const long MayFail = 1;

    private static readonly Lazy<nint> _entry = new(Emit);

    private readonly byte* _block;
    private int _count;
    private int _end = AtStrings;
    private bool _overflow;

    public ChildScript()
    {
        Result<nint> block = HostMemory.Map(0, BlockSize, HostMemory.ProtectionRead | HostMemory.ProtectionWrite, HostMemory.MapPrivate | HostMemory.MapAnonymous, -1, 0);
        if (block.IsError)
            throw new OutOfMemoryException("no memory to start a process");
        _block = (byte*)block.Value;
    }

    /// <summary>How many calls have been added: the index of the next.</summary>
    public int Count => _count;

    /// <summary>Adds a call. Its result goes to <paramref name="resultTo"/> (an address, or 0); unless it may fail, a failure ends the child.</summary>
    public void Add(int number, long a0 = 0, long a1 = 0, long a2 = 0, long a3 = 0, long a4 = 0, long resultTo = 0, bool mayFail = false)
    {
        if (AtOperations + (_count + 1) * OperationSize > AtStrings)
        {
            _overflow = true;
            return;
        }

        long* operation = (long*)(_block + AtOperations + _count++ * OperationSize);
        operation[0] = number;
        operation[1] = a0;
        operation[2] = a1;
        operation[3] = a2;
        operation[4] = a3;
        operation[5] = a4;
        operation[6] = resultTo;
        operation[7] = mayFail ? MayFail : 0;
    }

    /// <summary>The address of an argument of a call, for the result of an earlier one.</summary>
    public long ArgumentOf(int call, int argument) => (long)(_block + AtOperations + call * OperationSize + 8 + 8 * argument);

    /// <summary>Puts a NUL-ended byte string where the child can read it.</summary>
    public long Put(string text) => Put(Encoding.Latin1.GetBytes(text + "\0"));

    public long Put(ReadOnlySpan<byte> bytes)
    {
        int at = (_end + 7) & ~7;
        if (at + bytes.Length > BlockSize)
        {
            _overflow = true;
            return 0;
        }

        bytes.CopyTo(new Span<byte>(_block + at, bytes.Length));
        _end = at + bytes.Length;
        return (long)(_block + at);
    }

    /// <summary>Puts an array of pointers to strings, ended by a null pointer.</summary>
    public long PutAll(IReadOnlyList<string> texts)
    {
        long[] pointers = new long[texts.Count + 1];
        for (int i = 0; i < texts.Count; i++)
            pointers[i] = Put(texts[i]);
        return Put(MemoryMarshal.AsBytes(pointers.AsSpan()));
    }

    /// <summary>A word that calls store their results in and <see cref="ReadWord"/> reads.</summary>
    public long PutWord(long value) => Put(BitConverter.GetBytes(value));

    // SAFETY: only addresses handed out by PutWord are passed, which lie in the block; the block is never given back.
    public static long ReadWord(long address) => Volatile.Read(ref *(long*)address);

    /// <summary>
    /// Clones and lets the child work off the list. With <see cref="CloneVfork"/> the caller is suspended until the child has executed or
    /// failed, and the failure's errno is returned; without, the memory of this script must be kept (it is never freed then).
    /// </summary>
    public Result<SpawnedProcess> Start(long cloneFlags)
    {
        const long Vm = 0x100, PidFd = 0x1000, ClearSignalHandlers = 0x1_0000_0000;
        if (_overflow)
            return Errno.E2BIG;
        *(long*)(_block + AtCount) = _count;
        *(ulong*)(_block + AtFullMask) = ulong.MaxValue;
        *(int*)(_block + AtPidFd) = -1;
        long* clone = (long*)(_block + AtCloneArguments);
        clone[0] = Vm | PidFd | ClearSignalHandlers | cloneFlags;
        clone[1] = (long)(_block + AtPidFd);
        clone[4] = 17; // SIGCHLD
        clone[5] = (long)(_block + AtStack);
        clone[6] = StackSize;

        // SAFETY: the emitted code keeps to the C calling convention, and the block outlives the child's use of it.
        long process = ((delegate* unmanaged<byte*, long>)_entry.Value)(_block);
        if (process < 0)
            return (Errno)(-process);
        int pidfd = *(int*)(_block + AtPidFd);
        long error = Error;
        if (error == 0)
            return new SpawnedProcess((int)process, pidfd);

        _ = HostProcess.Wait(pidfd, noHang: false);
        HostFile.Close(pidfd);
        return (Errno)(-error);
    }

    /// <summary>The negative errno of the call that ended the child, or 0.</summary>
    public long Error => Volatile.Read(ref *(long*)(_block + AtError));

    /// <summary>Gives the memory back; only when no child can use it any more.</summary>
    public void Free() => HostMemory.Unmap((nint)_block, BlockSize);

    /// <summary>CLONE_VFORK.</summary>
    public const long CloneVfork = 0x4000;

    /// <summary>CLONE_FILES.</summary>
    public const long CloneFiles = 0x400;

    private static nint Emit()
    {
        Assembler c = new(64);
        Label child = c.CreateLabel(), next = c.CreateLabel(), stored = c.CreateLabel(), accepted = c.CreateLabel(), failed = c.CreateLabel();

        // long spawn(block): no signal may run a handler of the runtime in the child, so all are blocked around the clone
        c.push(rbx);
        c.push(r12);
        c.mov(rbx, rdi);
        SetMask(AtFullMask, AtSavedMask);
        c.lea(rdi, __[rbx + AtCloneArguments]);
        c.mov(esi, CloneArgumentsSize);
        c.mov(eax, Sysno.clone3);
        c.syscall();
        c.test(rax, rax);
        c.je(child);
        c.mov(r12, rax);
        SetMask(AtSavedMask, -1);
        c.mov(rax, r12);
        c.pop(r12);
        c.pop(rbx);
        c.ret();

        // operation: number, a0..a4, where to store the result (0: nowhere), flags
        c.Label(ref child);
        c.lea(rbp, __[rbx + AtOperations]);
        c.mov(r12, __[rbx + AtCount]);
        c.Label(ref next);
        c.mov(rax, __[rbp]);
        c.mov(rdi, __[rbp + 8]);
        c.mov(rsi, __[rbp + 16]);
        c.mov(rdx, __[rbp + 24]);
        c.mov(r10, __[rbp + 32]);
        c.mov(r8, __[rbp + 40]);
        c.syscall();
        c.test(rax, rax);
        c.jns(accepted);
        c.test(__byte_ptr[rbp + 56], (int)MayFail);
        c.je(failed);
        c.Label(ref accepted);
        c.mov(rcx, __[rbp + 48]);
        c.test(rcx, rcx);
        c.je(stored);
        c.mov(__[rcx], rax);
        c.Label(ref stored);
        c.add(rbp, OperationSize);
        c.dec(r12);
        c.jne(next);
        c.mov(rax, -(long)Errno.EINVAL); // the last operation is execve, which does not return
        c.Label(ref failed);
        c.mov(__[rbx + AtError], rax);
        c.mov(edi, 127);
        c.mov(eax, Sysno.exit_group);
        c.syscall();
        c.hlt();

        using MemoryStream code = new();
        c.Assemble(new StreamCodeWriter(code), 0);
        return ExecutableCode.Map(code.ToArray());

        void SetMask(int set, int old)
        {
            c.mov(edi, 2); // SIG_SETMASK
            c.lea(rsi, __[rbx + set]);
            if (old >= 0)
                c.lea(rdx, __[rbx + old]);
            else
                c.xor(edx, edx);
            c.mov(r10d, 8);
            c.mov(eax, Sysno.rt_sigprocmask);
            c.syscall();
        }
    }
}
