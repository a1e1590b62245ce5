using System.Buffers.Binary;
using Sentry.FileSystems;

namespace Tests.Kernel.Tasks;

public sealed class ExecTests
{
    private readonly TestKernel _kernel = new();

    [Fact]
    public void Execve_NewHostProcessIsKilled_TheProgramIsKilled()
    {
        RootTree.Mount(_kernel.Kernel, null);
        Task parent = _kernel.NewProcess();
        Task task = _kernel.NewProcess(parent.Group);
        task.Fs = new FsContext(_kernel.Kernel.Mounts.Root);
        ulong path = _kernel.PutString(task, "/program");
        ulong file = (ulong)_kernel.Do(task, Sysno.open, path, 0x41, 0x1ED); // O_CREAT | O_WRONLY, 0755
        byte[] program = SmallestProgram();
        Assert.Equal(program.Length, _kernel.Do(task, Sysno.write, file, _kernel.Put(task, program), (ulong)program.Length));
        _kernel.Do(task, Sysno.close, file);
        ulong arguments = _kernel.PutLongs(task, (long)path, 0);
        _kernel.Host.FakePlatform.KillsNewborns = true;
        _kernel.Call(task, Sysno.execve, path, arguments, _kernel.PutLongs(task, 0));
        Assert.True(TestKernel.ThreadOf(task).Interrupts > 0);
        TestKernel.ThreadOf(task).State = GuestThreadState.Stopped;
        _kernel.Kernel.Dispatcher.OnInterrupted(task.Thread);
        Assert.Equal(TaskState.Dead, task.State);
        Assert.Equal(Signal.SIGKILL, task.Group.WaitStatus);
    }

    /// <summary>elf(5): a header, one segment of a page.</summary>
    private static byte[] SmallestProgram()
    {
        const ulong Address = 0x400000;
        const int Page = 4096;
        byte[] elf = new byte[Page];
        ReadOnlySpan<byte> magic = [0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        magic.CopyTo(elf);
        BinaryPrimitives.WriteUInt16LittleEndian(elf.AsSpan(16), 2); // ET_EXEC
        BinaryPrimitives.WriteUInt16LittleEndian(elf.AsSpan(18), 62); // EM_X86_64
        BinaryPrimitives.WriteUInt32LittleEndian(elf.AsSpan(20), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(elf.AsSpan(24), Address + 0x100);
        BinaryPrimitives.WriteUInt64LittleEndian(elf.AsSpan(32), 64);
        BinaryPrimitives.WriteUInt16LittleEndian(elf.AsSpan(52), 64);
        BinaryPrimitives.WriteUInt16LittleEndian(elf.AsSpan(54), 56);
        BinaryPrimitives.WriteUInt16LittleEndian(elf.AsSpan(56), 1);
        BinaryPrimitives.WriteUInt32LittleEndian(elf.AsSpan(64), 1); // PT_LOAD
        BinaryPrimitives.WriteUInt32LittleEndian(elf.AsSpan(68), 5);
        foreach ((int at, ulong value) in (ReadOnlySpan<(int, ulong)>)[(72, 0), (80, Address), (88, Address), (96, Page), (104, Page), (112, Page)])
            BinaryPrimitives.WriteUInt64LittleEndian(elf.AsSpan(at), value);
        return elf;
    }
}
