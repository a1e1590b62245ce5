using System.Buffers.Binary;

namespace Tests.Kernel.Sockets;

/// <summary>Sockets of AF_INET over the loopback interface, as calls of tasks; what can be seen from C is in the conformance programs.</summary>
public sealed class InetSocketTests
{
    private const ulong Inet = 2, Stream = 1, Datagram = 2, NonBlock = 0x800;

    private readonly TestKernel _kernel = new();
    private readonly Task _task, _other;

    public InetSocketTests()
    {
        _task = _kernel.NewProcess();
        _other = _kernel.NewProcess();
    }

    private ulong Socket(Task task, ulong type) => (ulong)_kernel.Do(task, Sysno.socket, Inet, type, 0);

    private ulong Address(Task task, ushort port)
    {
        byte[] bytes = new byte[16];
        bytes[0] = 2;
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2), port);
        bytes[4] = 127;
        bytes[7] = 1;
        return _kernel.Put(task, bytes);
    }

    private ushort PortOf(Task task, ulong fd)
    {
        ulong address = _kernel.Allocate(16), length = _kernel.PutInts(task, 16);
        Assert.Equal(0, _kernel.Do(task, Sysno.getsockname, fd, address, length));
        Span<byte> bytes = stackalloc byte[16];
        Assert.True(task.Memory.TryReadAll(address, bytes));
        return BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]);
    }

    private ulong Listener(Task task)
    {
        ulong fd = Socket(task, Stream);
        Assert.Equal(0, _kernel.Do(task, Sysno.bind, fd, Address(task, 0), 16));
        Assert.Equal(0, _kernel.Do(task, Sysno.listen, fd, 5));
        return fd;
    }

    private (ulong Client, ulong Server) Connect()
    {
        ulong listener = Listener(_task), client = Socket(_other, Stream);
        Assert.Equal(0, _kernel.Do(_other, Sysno.connect, client, Address(_other, PortOf(_task, listener)), 16));
        long server = _kernel.Do(_task, Sysno.accept, listener, 0, 0);
        Assert.True(server > 0);
        return (client, (ulong)server);
    }

    private void SetOption(Task task, ulong fd, int name, params int[] value) =>
        Assert.Equal(0, _kernel.Do(task, Sysno.setsockopt, fd, 1, (ulong)name, _kernel.PutInts(task, value), (ulong)(4 * value.Length)));

    [Fact]
    public void Accept_Waits_UntilAConnectionComes()
    {
        ulong listener = Listener(_task), client = Socket(_other, Stream), address = Address(_other, PortOf(_task, listener));
        Assert.Null(_kernel.Call(_task, Sysno.accept, listener, 0, 0));
        Assert.Equal(0, _kernel.Do(_other, Sysno.connect, client, address, 16));
        Assert.True(TestKernel.Result(_task) > 0);
    }

    [Fact]
    public void Accept_OfAConnectionThatWasReset_TellsItsPeer()
    {
        const int linger = 13;
        ulong listener = Listener(_task), client = Socket(_other, Stream), name = _kernel.Allocate(16);
        Assert.Equal(0, _kernel.Do(_other, Sysno.connect, client, Address(_other, PortOf(_task, listener)), 16));
        ushort port = PortOf(_other, client);
        SetOption(_other, client, linger, 1, 0);
        Assert.Equal(0, _kernel.Do(_other, Sysno.close, client));
        long server = _kernel.Do(_task, Sysno.accept, listener, name, _kernel.PutInts(_task, 16));
        Assert.True(server > 0);
        Span<byte> bytes = stackalloc byte[16];
        Assert.True(_task.Memory.TryReadAll(name, bytes));
        Assert.Equal(port, BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]));
        Assert.Equal(-(long)Errno.ECONNRESET, _kernel.Do(_task, Sysno.read, (ulong)server, name, 1));
    }

    [Fact]
    public void Read_Waits_AndIsTriedAgainAfterARestore()
    {
        (ulong client, ulong server) = Connect();
        ulong buffer = _kernel.Allocate(16);
        Assert.Null(_kernel.Call(_task, Sysno.read, server, buffer, 16));
        _kernel.RetryAll();
        Assert.Null(TestKernel.Result(_task));
        Assert.Equal(5, _kernel.Do(_other, Sysno.write, client, _kernel.PutString(_other, "hello"), 5));
        Assert.Equal(5, TestKernel.Result(_task));
        Assert.Equal("hello", TestKernel.GetString(_task, buffer, 5));
    }

    [Fact]
    public void Write_LargerThanTheBuffers_GoesOnWhenTheReaderReads()
    {
        const int total = 300_000;
        (ulong client, ulong server) = Connect();
        SetOption(_other, client, SO.SNDBUF, 20_000);
        SetOption(_task, server, SO.RCVBUF, 20_000);
        ulong source = _kernel.Allocate(total), target = _kernel.Allocate(65536);
        byte[] pattern = new byte[total];
        new Random(5).NextBytes(pattern);
        Assert.True(_other.Memory.TryWriteAll(source, pattern));
        Assert.Null(_kernel.Call(_other, Sysno.write, client, source, total));
        List<byte> got = [];
        while (got.Count < total)
        {
            if (_kernel.Call(_task, Sysno.recvfrom, server, target, 65536, MessageFlags.DontWait) is not { } count || count < 0)
            {
                _kernel.Advance(50_000_000);
                continue;
            }

            byte[] piece = new byte[count];
            Assert.True(_task.Memory.TryReadAll(target, piece));
            got.AddRange(piece);
        }

        Assert.Equal(pattern, got);
        Assert.Equal(total, TestKernel.Result(_other));
    }

    [Fact]
    public void ReceiveTimeout_EndsAReadAsItEndsARecv()
    {
        (_, ulong server) = Connect();
        ulong timeout = _kernel.PutLongs(_task, 0, 50_000), buffer = _kernel.Allocate(8);
        Assert.Equal(0, _kernel.Do(_task, Sysno.setsockopt, server, 1, SO.RCVTIMEO_OLD, timeout, 16));
        Assert.Null(_kernel.Call(_task, Sysno.read, server, buffer, 8));
        _kernel.Advance(49_000_000);
        Assert.Null(TestKernel.Result(_task));
        _kernel.Advance(2_000_000);
        Assert.Equal(-(long)Errno.EAGAIN, TestKernel.Result(_task));
        Assert.Null(_kernel.Call(_task, Sysno.recvfrom, server, buffer, 8, 0));
        _kernel.Advance(51_000_000);
        Assert.Equal(-(long)Errno.EAGAIN, TestKernel.Result(_task));
    }

    [Fact]
    public void LowWaterMark_HoldsAReadBack_UntilThereIsEnoughOrTheEnd()
    {
        (ulong client, ulong server) = Connect();
        SetOption(_task, server, SO.RCVLOWAT, 10);
        ulong buffer = _kernel.Allocate(64);
        _kernel.Do(_other, Sysno.write, client, _kernel.PutString(_other, "short"), 5);
        Assert.Null(_kernel.Call(_task, Sysno.read, server, buffer, 64));
        _kernel.Do(_other, Sysno.write, client, _kernel.PutString(_other, "enough"), 6);
        Assert.Equal(11, TestKernel.Result(_task));
        _kernel.Do(_other, Sysno.write, client, _kernel.PutString(_other, "end"), 3);
        Assert.Null(_kernel.Call(_task, Sysno.read, server, buffer, 64));
        _kernel.Do(_other, Sysno.shutdown, client, 1);
        Assert.Equal(3, TestKernel.Result(_task));
    }

    [Fact]
    public void Connect_NonBlocking_IsInProgress_ThenDone()
    {
        ulong listener = Listener(_task), client = Socket(_other, Stream | NonBlock), address = Address(_other, PortOf(_task, listener));
        Assert.Equal(-(long)Errno.EINPROGRESS, _kernel.Do(_other, Sysno.connect, client, address, 16));
        Assert.Equal(0, _kernel.Do(_other, Sysno.connect, client, address, 16));
        Assert.Equal(-(long)Errno.EISCONN, _kernel.Do(_other, Sysno.connect, client, address, 16));
    }

    [Fact]
    public void Connect_NobodyListens_IsRefused()
    {
        ulong client = Socket(_other, Stream);
        Assert.Equal(-(long)Errno.ECONNREFUSED, _kernel.Do(_other, Sysno.connect, client, Address(_other, 9), 16));
    }

    [Fact]
    public void Close_Lingers_UntilThePeerHasReadEnough_OrTheTimeIsOver()
    {
        (ulong client, ulong server) = Connect();
        SetOption(_task, server, SO.RCVBUF, 4096);
        ulong source = _kernel.Allocate(100_000);
        _kernel.Do(_other, Sysno.fcntl, client, 4, NonBlock);
        while (_kernel.Do(_other, Sysno.write, client, source, 100_000) > 0)
        {
        }

        SetOption(_other, client, SO.LINGER, 1, 3);
        Assert.Null(_kernel.Call(_other, Sysno.close, client));
        Assert.Null(_other.Files.Get((int)client));
        _kernel.Advance(2_900_000_000);
        Assert.Null(TestKernel.Result(_other));
        _kernel.Advance(200_000_000);
        Assert.Equal(0, TestKernel.Result(_other));
    }

    [Fact]
    public void Datagram_KeepsItsBorders_AndSaysWhereItIsFrom()
    {
        ulong a = Socket(_task, Datagram), b = Socket(_other, Datagram), buffer = _kernel.Allocate(64);
        Assert.Equal(0, _kernel.Do(_task, Sysno.bind, a, Address(_task, 0), 16));
        ulong to = Address(_other, PortOf(_task, a));
        Assert.Null(_kernel.Call(_task, Sysno.recvfrom, a, buffer, 64, 0));
        _kernel.Do(_other, Sysno.sendto, b, _kernel.PutString(_other, "one"), 3, 0, to, 16);
        Assert.Equal(3, TestKernel.Result(_task));
        _kernel.Do(_other, Sysno.sendto, b, _kernel.PutString(_other, "two"), 3, 0, to, 16);
        _kernel.Do(_other, Sysno.sendto, b, _kernel.PutString(_other, "three"), 5, 0, to, 16);
        ulong from = _kernel.Allocate(16), length = _kernel.PutInts(_task, 16);
        Assert.Equal(3, _kernel.Do(_task, Sysno.recvfrom, a, buffer, 64, 0, from, length));
        Assert.Equal(5, _kernel.Do(_task, Sysno.recvfrom, a, buffer, 64, 0));
        Span<byte> name = stackalloc byte[16];
        Assert.True(_task.Memory.TryReadAll(from, name));
        Assert.Equal(PortOf(_other, b), BinaryPrimitives.ReadUInt16BigEndian(name[2..]));
    }

    [Fact]
    public void Timer_IsAskedForOnlyWhenItComesEarlier()
    {
        // A connection's timers are set anew by every segment; the host hears of few of them.
        (ulong client, ulong server) = Connect();
        ulong buffer = _kernel.Allocate(64);
        int before = _kernel.Host.FakeClock.Requests;
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(10, _kernel.Do(_other, Sysno.write, client, buffer, 10));
            Assert.Equal(10, _kernel.Do(_task, Sysno.read, server, buffer, 64));
            Assert.Equal(10, _kernel.Do(_task, Sysno.write, server, buffer, 10));
            Assert.Equal(10, _kernel.Do(_other, Sysno.read, client, buffer, 64));
        }

        Assert.InRange(_kernel.Host.FakeClock.Requests - before, 1, 5);
    }

    [Fact]
    public void Fcntl_Owner_IsToldOfReadinessBySignal()
    {
        // Not the first process: what it does not handle is kept from it (signal(7)).
        (ulong client, ulong server) = Connect();
        Assert.Equal(0, _kernel.Do(_task, Sysno.fcntl, server, 8, (ulong)_other.Group.Pid));
        Assert.Equal(0, _kernel.Do(_task, Sysno.fcntl, server, 4, 0x2000));
        _kernel.Do(_other, Sysno.write, client, _kernel.PutString(_other, "x"), 1);
        Assert.True(Signal.Has(_other.Group.Pending.Set | _other.Signals.Pending.Set, Signal.SIGIO));
    }
}
