using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text;
using Iced.Intel;
using Sentry.Abi;
using static Iced.Intel.AssemblerRegisters;

namespace Sentry.Host;

/// <summary>
/// Starts processes from a many-threaded runtime: a clone3(2) that shares memory and suspends the caller (as vfork does), whose child
/// runs emitted code only: it works off a list of system calls that was prepared beforehand and ends in execve. No managed code,
/// no lock and no allocator can be found in a half-way state there. Unlike System.Diagnostics.Process it passes descriptors,
/// makes namespaces and leaves the reaping of children to the holder of the pidfd.
/// </summary>
public static unsafe class ProcessSpawner
{
    private const int BlockSize = 1 << 20, OperationSize = 64, StackSize = 16384;

    // The block shared by parent and child: saved mask, all-ones mask, count, error, clone arguments, then stack, operations, strings.
    private const int AtSavedMask = 0, AtFullMask = 8, AtCount = 16, AtError = 24, AtPidFd = 40, AtCloneArguments = 64, AtStack = 4096, AtOperations = AtStack + StackSize, AtStrings = 65536;
    private const int CloneArgumentsSize = 88;

    private const long MayFail = 1;

    private static readonly Lazy<nint> _entry = new(Emit);
    private static readonly BlockingCollection<Action> _requests = [];

    // The parent-death signal is sent when the thread that cloned ends, not its process, so one thread that never ends spawns all.
    private static readonly Lazy<Thread> _thread = new(StartThread);

    /// <summary>Starts a process; the errno of the step that failed otherwise (execve's ENOENT, clone's EPERM, …).</summary>
    public static Result<SpawnedProcess> Spawn(SpawnOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _ = _thread.Value;
        Result<SpawnedProcess> result = Errno.EAGAIN;
        using ManualResetEventSlim done = new();
        _requests.Add(() =>
        {
            try
            {
                result = SpawnHere(options);
            }
            finally
            {
                done.Set();
            }
        });
        done.Wait();
        return result;
    }

    private static Thread StartThread()
    {
        Thread thread = new(() =>
        {
            foreach (Action request in _requests.GetConsumingEnumerable())
                request();
        })
        {
            IsBackground = true,
            Name = "spawner",
        };
        thread.Start();
        return thread;
    }

    private static Result<SpawnedProcess> SpawnHere(SpawnOptions options)
    {
        nint memory = HostMemory.Map(0, BlockSize, HostMemory.ProtectionRead | HostMemory.ProtectionWrite, HostMemory.MapPrivate | HostMemory.MapAnonymous, -1, 0) is { IsOk: true } mapped ? mapped.Value : 0;
        if (memory == 0)
            return Errno.ENOMEM;
        try
        {
            Script script = new((byte*)memory);
            if (!script.Write(options))
                return Errno.E2BIG;
            return Run((byte*)memory, options);
        }
        finally
        {
            HostMemory.Unmap(memory, BlockSize);
        }
    }

    private static Result<SpawnedProcess> Run(byte* block, SpawnOptions options)
    {
        const long Vm = 0x100, PidFd = 0x1000, Vfork = 0x4000, ClearSignalHandlers = 0x1_0000_0000;
        *(ulong*)(block + AtFullMask) = ulong.MaxValue;
        *(int*)(block + AtPidFd) = -1;
        long* clone = (long*)(block + AtCloneArguments);
        clone[0] = Vm | PidFd | Vfork | ClearSignalHandlers | (long)options.Namespaces;
        clone[1] = (long)(block + AtPidFd);
        clone[4] = 17; // SIGCHLD
        clone[5] = (long)(block + AtStack);
        clone[6] = StackSize;

        // SAFETY: the emitted code keeps to the C calling convention; the block outlives the call, because CLONE_VFORK suspends the
        // caller until the child has executed or ended.
        long process = ((delegate* unmanaged<byte*, long>)_entry.Value)(block);
        if (process < 0)
            return (Errno)(-process);
        int pidfd = *(int*)(block + AtPidFd);
        long error = *(long*)(block + AtError);
        if (error == 0)
            return new SpawnedProcess((int)process, pidfd);

        _ = HostProcess.Wait(pidfd, noHang: false);
        HostFile.Close(pidfd);
        return (Errno)(-error);
    }

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

    /// <summary>The list of system calls that the child makes, with the strings they point to.</summary>
    private ref struct Script(byte* block)
    {
        private readonly byte* _block = block;
        private int _count;
        private int _end = AtStrings;
        private bool _overflow;

        public bool Write(SpawnOptions options)
        {
            SetIdentity(options);
            PassDescriptors(options.Descriptors);
            ResetSignals();
            if (options.WorkingDirectory is { } directory)
                Add(Sysno.chdir, Put(directory));

            long path = Put(options.Path);
            long arguments = PutAll(options.Arguments);
            long environment = PutAll(options.Environment);
            Add(Sysno.execve, path, arguments, environment);
            *(long*)(_block + AtCount) = _count;
            return !_overflow;
        }

        private void SetIdentity(SpawnOptions options)
        {
            if (options.DieWithParent)
                Add(Sysno.prctl, 1, 9);
            if (options.NewSession)
                Add(Sysno.setsid);
            if (!options.Namespaces.HasFlag(NamespaceFlags.User) || !options.MapToRoot)
                return;
            PutFile("/proc/self/setgroups", "deny");
            PutFile("/proc/self/uid_map", $"0 {HostProcess.EffectiveUserId} 1");
            PutFile("/proc/self/gid_map", $"0 {HostProcess.EffectiveGroupId} 1");
        }

        // Every source is first moved above all targets, then to its place: the two sets may overlap.
        private void PassDescriptors(IReadOnlyList<int> descriptors)
        {
            const int DuplicateCloseOnExec = 1030;
            int secondPass = _count + descriptors.Count(d => d >= 0);
            for (int i = 0; i < descriptors.Count; i++)
            {
                if (descriptors[i] >= 0)
                    Add(Sysno.fcntl, descriptors[i], DuplicateCloseOnExec, descriptors.Count, resultTo: ArgumentOf(secondPass + i, 0));
            }

            for (int i = 0; i < descriptors.Count; i++)
            {
                if (descriptors[i] >= 0)
                    Add(Sysno.dup3, 0, i);
                else
                    Add(Sysno.close, i, flags: MayFail);
            }

            Add(Sysno.close_range, descriptors.Count, uint.MaxValue);
        }

        // Handlers are reset by the clone; what the runtime ignores (SIGPIPE) would stay ignored across execve.
        private void ResetSignals()
        {
            const int Signals = 64, Kill = 9, Stop = 19;
            long zero = PutBytes(new byte[32]);
            for (int signal = 1; signal <= Signals; signal++)
            {
                if (signal is not (Kill or Stop))
                    Add(Sysno.rt_sigaction, signal, zero, 0, 8, flags: MayFail);
            }

            Add(Sysno.rt_sigprocmask, 2, zero, 0, 8);
        }

        private void PutFile(string path, string content)
        {
            const int WriteOnly = 1;
            int open = _count;
            Add(Sysno.open, Put(path), WriteOnly, resultTo: ArgumentOf(open + 1, 0));
            Add(Sysno.write, 0, Put(content), content.Length);
        }

        private void Add(int number, long a0 = 0, long a1 = 0, long a2 = 0, long a3 = 0, long resultTo = 0, long flags = 0)
        {
            if (AtOperations + (_count + 1) * OperationSize > AtStrings)
            {
                _overflow = true;
                return;
            }

            long* operation = (long*)(_block + AtOperations + _count++ * OperationSize);

            // a first argument of 0 may be one that an earlier operation fills in: the block is zero to begin with
            operation[0] = number;
            operation[1] = a0;
            operation[2] = a1;
            operation[3] = a2;
            operation[4] = a3;
            operation[6] = resultTo;
            operation[7] = flags;
        }

        private readonly long ArgumentOf(int operation, int argument) => (long)(_block + AtOperations + operation * OperationSize + 8 + 8 * argument);

        private long Put(string text) => PutBytes(Encoding.Latin1.GetBytes(text + "\0"));

        private long PutBytes(ReadOnlySpan<byte> bytes)
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

        private long PutAll(IReadOnlyList<string> texts)
        {
            long[] pointers = new long[texts.Count + 1];
            for (int i = 0; i < texts.Count; i++)
                pointers[i] = Put(texts[i]);
            return PutBytes(MemoryMarshal.AsBytes(pointers.AsSpan()));
        }
    }
}
