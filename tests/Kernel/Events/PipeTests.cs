namespace Tests.Kernel.Events;

public class PipeTests
{
    private readonly TestKernel _kernel = new();
    private readonly Task _task;
    private readonly FileObject _reader;
    private readonly FileObject _writer;

    public PipeTests()
    {
        _task = _kernel.NewProcess();
        ulong fds = _kernel.Allocate(8);
        Assert.Equal(0, _kernel.Do(_task, Sysno.pipe2, fds, (ulong)OpenFlags.NonBlock));
        _reader = _task.Files.Get(TestKernel.GetInt(_task, fds))!;
        _writer = _task.Files.Get(TestKernel.GetInt(_task, fds + 4))!;
    }

    private long Write(int length) => Value(_writer.Write(_task, new UserBuffer(new byte[length])));

    private long Read(int length) => Value(_reader.Read(_task, new UserBuffer(new byte[length])));

    private static long Value(Result<long> result) => result.IsOk ? result.Value : -(long)result.Error;

    [Fact]
    public void Read_Empty_IsEagainUntilTheWriterGoes()
    {
        Assert.Equal(-(long)Errno.EAGAIN, Read(10));
        _writer.Release();
        Assert.Equal(0, Read(10));
        Assert.Equal(PollEvents.Hup, _reader.Poll());
    }

    [Fact]
    public void Write_NoReader_IsEpipe()
    {
        _reader.Release();
        Assert.Equal(-(long)Errno.EPIPE, Write(1));
        Assert.Equal(PollEvents.WriteMask | PollEvents.Err, _writer.Poll());
    }

    [Fact]
    public void Write_BeyondCapacity_IsShort()
    {
        Assert.Equal(65536, Write(100000));
        Assert.Equal(-(long)Errno.EAGAIN, Write(1));
        Assert.Equal(PollEvents.None, _writer.Poll());
        Assert.Equal(4096, Read(4096));
        Assert.Equal(4096, Write(100000));
    }

    [Fact]
    public void Write_AtomicSize_GoesWholeOrNotAtAll()
    {
        Assert.Equal(15 * 4096, Write(15 * 4096));
        Assert.Equal(4000, Write(4000));
        Assert.Equal(-(long)Errno.EAGAIN, Write(200));
        Assert.Equal(96, Write(96));
    }

    [Fact]
    public void Bytes_ComeOutInOrder()
    {
        var random = new Random(1);
        byte[] sent = new byte[300000], received = new byte[sent.Length];
        random.NextBytes(sent);
        int from = 0, to = 0;
        while (to < sent.Length)
        {
            long put = Value(_writer.Write(_task, new UserBuffer(sent.AsMemory(from, Math.Min(random.Next(9000), sent.Length - from)))));
            from += (int)Math.Max(0, put);
            long got = Value(_reader.Read(_task, new UserBuffer(received.AsMemory(to, Math.Min(random.Next(9000), received.Length - to)))));
            to += (int)Math.Max(0, got);
        }

        Assert.Equal(sent, received);
    }

    [Fact]
    public void Write_WakesAReaderInPoll()
    {
        Task other = _kernel.NewThread(_task);
        ulong pollfd = _kernel.PutInts(_task, 0, (int)PollEvents.In);
        Assert.Null(_kernel.Call(other, Sysno.poll, pollfd, 1, ulong.MaxValue));
        Write(3);
        _kernel.RunReady();
        Assert.Equal(1, TestKernel.Result(other));
        Assert.Equal((int)PollEvents.In | ((int)PollEvents.In << 16), TestKernel.GetInt(_task, pollfd + 4));
    }

    [Fact]
    public void Packets_AreReadOneByOne()
    {
        ulong fds = _kernel.Allocate(8);
        _kernel.Do(_task, Sysno.pipe2, fds, (ulong)(OpenFlags.Direct | OpenFlags.NonBlock));
        FileObject reader = _task.Files.Get(TestKernel.GetInt(_task, fds))!, writer = _task.Files.Get(TestKernel.GetInt(_task, fds + 4))!;
        writer.Write(_task, new UserBuffer(new byte[10]));
        writer.Write(_task, new UserBuffer(new byte[20]));
        Assert.Equal(4, reader.Read(_task, new UserBuffer(new byte[4])).Value);
        Assert.Equal(20, reader.Read(_task, new UserBuffer(new byte[100])).Value);
    }

    [Fact]
    public void SetCapacity_RoundsUpAndKeepsTheBytes()
    {
        Pipe pipe = ((PipeFile)_reader).Pipe;
        Write(8192);
        Assert.Equal(Errno.EBUSY, pipe.SetCapacity(4096, false).Error);
        Assert.Equal(16384, pipe.SetCapacity(12289, false).Value);
        Assert.Equal(Errno.EPERM, pipe.SetCapacity(2 << 20, false).Error);
        Assert.Equal(8192, Read(10000));
    }

    [Fact]
    public void Ioctl_Fionread_CountsBytes()
    {
        Write(5000);
        ulong address = _kernel.Allocate(4);
        Assert.Equal(0, _reader.Ioctl(_task, 0x541B, address).Value);
        Assert.Equal(5000, TestKernel.GetInt(_task, address));
    }
}
