using System.Text;

namespace Tests.Kernel.Sockets;

public class UnixSocketTests
{
    private const int Stream = 1, Datagram = 2, SeqPacket = 5, NonBlock = 0x800;
    private readonly TestKernel _kernel = new();
    private readonly Task _task;

    public UnixSocketTests() => _task = _kernel.NewProcess();

    private ulong Socket(int type) => (ulong)_kernel.Do(_task, Sysno.socket, 1, (ulong)type, 0);

    private (ulong A, ulong B) Pair(int type)
    {
        ulong fds = _kernel.Allocate(8);
        Assert.Equal(0, _kernel.Do(_task, Sysno.socketpair, 1, (ulong)type, 0, fds));
        return ((ulong)TestKernel.GetInt(_task, fds), (ulong)TestKernel.GetInt(_task, fds + 4));
    }

    private (ulong Address, ulong Length) Name(string name)
    {
        byte[] bytes = [1, 0, .. Encoding.Latin1.GetBytes(name)];
        return (_kernel.Put(_task, bytes), (ulong)bytes.Length);
    }

    private long Bind(ulong fd, string name)
    {
        (ulong address, ulong length) = Name(name);
        return _kernel.Do(_task, Sysno.bind, fd, address, length);
    }

    private long? Connect(Task task, ulong fd, string name)
    {
        (ulong address, ulong length) = Name(name);
        return _kernel.Call(task, Sysno.connect, fd, address, length);
    }

    private long Send(ulong fd, string text, int flags = 0) =>
        _kernel.Do(_task, Sysno.sendto, fd, _kernel.Put(_task, Encoding.Latin1.GetBytes(text)), (ulong)text.Length, (ulong)flags);

    private string Receive(ulong fd, int length = 100, int flags = 0)
    {
        ulong buffer = _kernel.Allocate(length);
        long got = _kernel.Do(_task, Sysno.recvfrom, fd, buffer, (ulong)length, (ulong)flags);
        return got < 0 ? ((Errno)(-got)).ToString() : TestKernel.GetString(_task, buffer, (int)Math.Min(got, length));
    }

    private void Close(ulong fd) => _task.Files.Close(_task.Group, (int)fd);

    private PollEvents Poll(ulong fd) => _task.Files.Get((int)fd)!.Poll();

    [Fact]
    public void Stream_IsBytes()
    {
        (ulong a, ulong b) = Pair(Stream);
        Send(a, "hello ");
        Send(a, "world");
        Assert.Equal("hel", Receive(b, 3, 2));
        Assert.Equal("hello wo", Receive(b, 8));
        Assert.Equal("rld", Receive(b));
        Assert.Equal("EAGAIN", Receive(b, 1, 0x40));
    }

    [Fact]
    public void SeqPacket_KeepsBoundariesAndTruncates()
    {
        (ulong a, ulong b) = Pair(SeqPacket);
        Send(a, "first");
        Send(a, "second");
        Assert.Equal("fi", Receive(b, 2));
        Assert.Equal("second", Receive(b));
        Close(a);
        Assert.Equal("", Receive(b));
    }

    [Fact]
    public void Stream_PeerCloses_ReadsEndAndWritesEpipe()
    {
        (ulong a, ulong b) = Pair(Stream);
        Send(a, "x");
        Close(a);
        Assert.Equal(PollEvents.In | PollEvents.RdNorm | PollEvents.Hup | PollEvents.RdHup, Poll(b) & ~(PollEvents.WriteMask | PollEvents.WrBand));
        Assert.Equal("x", Receive(b));
        Assert.Equal("", Receive(b));
        Assert.Equal(-(long)Errno.EPIPE, Send(b, "y", 0x4000));
    }

    [Fact]
    public void Stream_PeerClosesWithUnreadData_IsEconnreset()
    {
        (ulong a, ulong b) = Pair(Stream);
        Send(b, "never read");
        Close(a);
        Assert.Equal("ECONNRESET", Receive(b));
        Assert.Equal("", Receive(b));
    }

    [Fact]
    public void Shutdown_Write_EndsThePeersReading()
    {
        (ulong a, ulong b) = Pair(Stream);
        Assert.Equal(0, _kernel.Do(_task, Sysno.shutdown, a, 1));
        Assert.Equal("", Receive(b));
        Assert.Equal(-(long)Errno.EPIPE, Send(a, "x", 0x4000));
        Assert.Equal(1, Send(b, "y"));
        Assert.Equal("y", Receive(a));
    }

    [Fact]
    public void Connect_AcceptsAfterwards()
    {
        ulong server = Socket(Stream), client = Socket(Stream);
        Assert.Equal(-(long)Errno.ECONNREFUSED, Connect(_task, client, "\0name"));
        Assert.Equal(0, Bind(server, "\0name"));
        Assert.Equal(-(long)Errno.EADDRINUSE, Bind(Socket(Stream), "\0name"));
        Assert.Equal(-(long)Errno.ECONNREFUSED, Connect(_task, client, "\0name"));
        Assert.Equal(0, _kernel.Do(_task, Sysno.listen, server, 5));
        Assert.Equal(-(long)Errno.EPROTOTYPE, Connect(_task, Socket(Datagram), "\0name"));
        Assert.Equal(0, Connect(_task, client, "\0name"));
        Assert.Equal(-(long)Errno.EISCONN, Connect(_task, client, "\0name"));
        Assert.Equal(4, Send(client, "ping"));
        Assert.True((Poll(server) & PollEvents.In) != 0);
        ulong address = _kernel.Allocate(110), length = _kernel.PutInts(_task, 110);
        ulong accepted = (ulong)_kernel.Do(_task, Sysno.accept, server, address, length);
        Assert.Equal(2, TestKernel.GetInt(_task, length));
        Assert.Equal("ping", Receive(accepted));
        length = _kernel.PutInts(_task, 110);
        Assert.Equal(0, _kernel.Do(_task, Sysno.getpeername, client, address, length));
        Assert.Equal(7, TestKernel.GetInt(_task, length));
    }

    [Fact]
    public void Accept_WaitsForAConnection()
    {
        ulong server = Socket(Stream);
        Bind(server, "\0w");
        _kernel.Do(_task, Sysno.listen, server, 5);
        Task other = _kernel.NewThread(_task);
        Assert.Null(_kernel.Call(other, Sysno.accept4, server, 0, 0, 0));
        Assert.Equal(0, Connect(_task, Socket(Stream), "\0w"));
        Assert.True(TestKernel.Result(other) > 0);
    }

    [Fact]
    public void Connect_BacklogFull_WaitsForAccept()
    {
        ulong server = Socket(Stream);
        Bind(server, "\0b");
        _kernel.Do(_task, Sysno.listen, server, 0);
        Assert.Equal(0, Connect(_task, Socket(Stream), "\0b"));
        Assert.Equal(-(long)Errno.EAGAIN, Connect(_task, Socket(Stream | NonBlock), "\0b"));
        Task other = _kernel.NewThread(_task);
        Assert.Null(Connect(other, Socket(Stream), "\0b"));
        Assert.True(_kernel.Do(_task, Sysno.accept, server) > 0);
        Assert.Equal(0, TestKernel.Result(other));
    }

    [Fact]
    public void Send_BlocksUntilAllIsTaken()
    {
        (ulong a, ulong b) = Pair(Stream);
        Task other = _kernel.NewThread(_task);
        const int size = 400_000;
        ulong data = _kernel.Allocate(size), sink = _kernel.Allocate(100_000);
        Assert.Null(_kernel.Call(other, Sysno.sendto, a, data, size));
        long total = 0;
        while (TestKernel.Result(other) is null)
            total += _kernel.Do(_task, Sysno.recvfrom, b, sink, 100_000);
        Assert.Equal(size, TestKernel.Result(other));
        while (total < size)
            total += _kernel.Do(_task, Sysno.recvfrom, b, sink, 100_000);
        Assert.Equal(size, total);
        Assert.True((Poll(a) & PollEvents.Out) != 0);
    }

    [Fact]
    public void Receive_WaitAll_WaitsForEverything()
    {
        (ulong a, ulong b) = Pair(Stream);
        Task other = _kernel.NewThread(_task);
        ulong buffer = _kernel.Allocate(10);
        Send(a, "abc");
        Assert.Null(_kernel.Call(other, Sysno.recvfrom, b, buffer, 6, 0x100));
        _kernel.RetryAll();
        Send(a, "defgh");
        Assert.Equal(6, TestKernel.Result(other));
        Assert.Equal("abcdef", TestKernel.GetString(_task, buffer, 6));
        Assert.Equal("gh", Receive(b));
    }

    [Fact]
    public void Receive_Timeout_IsEagain()
    {
        (ulong a, _) = Pair(Stream);
        _kernel.Do(_task, Sysno.setsockopt, a, 1, 20, _kernel.PutLongs(_task, 0, 1000), 16);
        Assert.Null(_kernel.Call(_task, Sysno.recvfrom, a, _kernel.Allocate(8), 8));
        _kernel.Advance(1_000_000);
        Assert.Equal(-(long)Errno.EAGAIN, TestKernel.Result(_task));
    }

    [Fact]
    public void Datagrams_CarryTheSendersName()
    {
        ulong a = Socket(Datagram), b = Socket(Datagram | NonBlock);
        Bind(a, "\0a");
        Bind(b, "\0b");
        (ulong address, ulong length) = Name("\0b");
        Assert.Equal(3, _kernel.Do(_task, Sysno.sendto, a, _kernel.PutString(_task, "abc"), 3, 0, address, length));
        ulong from = _kernel.Allocate(110), fromLength = _kernel.PutInts(_task, 110);
        Assert.Equal(3, _kernel.Do(_task, Sysno.recvfrom, b, _kernel.Allocate(10), 10, 0, from, fromLength));
        Assert.Equal(4, TestKernel.GetInt(_task, fromLength));
        Assert.Equal("\u0001\0\0a", TestKernel.GetString(_task, from, 4));
        Assert.Equal(-(long)Errno.ENOTCONN, Send(a, "x"));
        for (int i = 0; i < 11; i++)
            Assert.Equal(1, _kernel.Do(_task, Sysno.sendto, a, from, 1, 0, address, length));
        Assert.Equal(-(long)Errno.EAGAIN, _kernel.Do(_task, Sysno.sendto, a, from, 1, 0x40, address, length));
        Task other = _kernel.NewThread(_task);
        Assert.Null(_kernel.Call(other, Sysno.sendto, a, from, 1, 0, address, length));
        Receive(b);
        Assert.Equal(1, TestKernel.Result(other));
        Close(b);
        Assert.Equal(-(long)Errno.ECONNREFUSED, _kernel.Do(_task, Sysno.sendto, a, from, 1, 0, address, length));
    }

    private ulong Message(ulong data, ulong length, ulong control, ulong controlLength)
    {
        ulong vector = _kernel.PutLongs(_task, (long)data, (long)length);
        return _kernel.PutLongs(_task, 0, 0, (long)vector, 1, (long)control, (long)controlLength, 0);
    }

    [Fact]
    public void Sendmsg_PassesDescriptors()
    {
        (ulong a, ulong b) = Pair(Stream);
        ulong fd = (ulong)_kernel.Do(_task, Sysno.eventfd2, 0, 0);
        FileObject file = _task.Files.Get((int)fd)!;
        ulong control = _kernel.PutLongs(_task, 20, 1 | (1L << 32), (long)fd);
        ulong data = _kernel.PutString(_task, "x");
        Assert.Equal(1, _kernel.Do(_task, Sysno.sendmsg, a, Message(data, 1, control, 24)));
        Close(fd);
        Assert.Equal(1, file.References);
        ulong received = _kernel.Allocate(64), header = Message(_kernel.Allocate(8), 8, received, 64);
        Assert.Equal(1, _kernel.Do(_task, Sysno.recvmsg, b, header, 0x40000000));
        Assert.Equal(24, TestKernel.GetLong(_task, header + 40));
        Assert.Equal(20, TestKernel.GetLong(_task, received));
        int newFd = TestKernel.GetInt(_task, received + 16);
        Assert.Same(file, _task.Files.Get(newFd));
        Assert.True(_task.Files.GetSlot(newFd).CloseOnExec);
        Assert.Equal(1, file.References);
    }

    [Fact]
    public void Recvmsg_NoRoomForDescriptors_TellsAndDropsThem()
    {
        (ulong a, ulong b) = Pair(Stream);
        ulong fd = (ulong)_kernel.Do(_task, Sysno.eventfd2, 0, 0);
        FileObject file = _task.Files.Get((int)fd)!;
        ulong data = _kernel.PutString(_task, "x");
        _kernel.Do(_task, Sysno.sendmsg, a, Message(data, 1, _kernel.PutLongs(_task, 20, 1 | (1L << 32), (long)fd), 24));
        ulong header = Message(_kernel.Allocate(8), 8, 0, 0);
        Assert.Equal(1, _kernel.Do(_task, Sysno.recvmsg, b, header));
        Assert.Equal(8, TestKernel.GetInt(_task, header + 48));
        Assert.Equal(1, file.References);
    }

    [Fact]
    public void Read_OfAMessageWithDescriptors_DropsThem()
    {
        (ulong a, ulong b) = Pair(SeqPacket);
        ulong fd = (ulong)_kernel.Do(_task, Sysno.eventfd2, 0, 0);
        FileObject file = _task.Files.Get((int)fd)!;
        _kernel.Do(_task, Sysno.sendmsg, a, Message(_kernel.PutString(_task, "x"), 1, _kernel.PutLongs(_task, 20, 1 | (1L << 32), (long)fd), 24));
        Assert.Equal(2, file.References);
        Assert.Equal(1, _kernel.Do(_task, Sysno.read, b, _kernel.Allocate(8), 8));
        Assert.Equal(1, file.References);
    }

    [Fact]
    public void PassCred_DeliversTheSender()
    {
        (ulong a, ulong b) = Pair(Datagram);
        _kernel.Do(_task, Sysno.setsockopt, b, 1, 16, _kernel.PutInts(_task, 1), 4);
        Send(a, "x");
        ulong received = _kernel.Allocate(64), header = Message(_kernel.Allocate(8), 8, received, 64);
        Assert.Equal(1, _kernel.Do(_task, Sysno.recvmsg, b, header));
        Assert.Equal(28, TestKernel.GetLong(_task, received));
        Assert.Equal(2, TestKernel.GetInt(_task, received + 12));
        Assert.Equal(_task.Group.Pid, TestKernel.GetInt(_task, received + 16));
    }

    [Fact]
    public void Getsockopt_TellsTypeDomainAndPeer()
    {
        (ulong a, _) = Pair(Stream);
        ulong value = _kernel.Allocate(16);
        foreach ((int option, int expected) in new[] { (3, 1), (39, 1), (38, 0), (30, 0), (7, 212992), (4, 0) })
        {
            ulong length = _kernel.PutInts(_task, 4);
            Assert.Equal(0, _kernel.Do(_task, Sysno.getsockopt, a, 1, (ulong)option, value, length));
            Assert.Equal(expected, TestKernel.GetInt(_task, value));
        }

        ulong size = _kernel.PutInts(_task, 12);
        Assert.Equal(0, _kernel.Do(_task, Sysno.getsockopt, a, 1, 17, value, size));
        Assert.Equal(_task.Group.Pid, TestKernel.GetInt(_task, value));
    }

    [Fact]
    public void Sendmmsg_AndRecvmmsg_MoveSeveral()
    {
        (ulong a, ulong b) = Pair(Datagram);
        ulong one = _kernel.PutLongs(_task, (long)_kernel.PutString(_task, "one"), 3), four = _kernel.PutLongs(_task, (long)_kernel.PutString(_task, "four"), 4);
        ulong messages = _kernel.PutLongs(_task, 0, 0, (long)one, 1, 0, 0, 0, 0, 0, 0, (long)four, 1, 0, 0, 0, 0);
        Assert.Equal(2, _kernel.Do(_task, Sysno.sendmmsg, a, messages, 2, 0));
        Assert.Equal(4, TestKernel.GetInt(_task, messages + 64 + 56));
        Assert.Equal(2, _kernel.Do(_task, Sysno.recvmmsg, b, messages, 2, 0x10000, 0));
        Assert.Equal(3, TestKernel.GetInt(_task, messages + 56));
    }

    [Fact]
    public void Socket_OtherFamilies_AreRefused()
    {
        Assert.Equal(-(long)Errno.EAFNOSUPPORT, _kernel.Do(_task, Sysno.socket, 40, 1, 0));
        Assert.Equal(-(long)Errno.ESOCKTNOSUPPORT, _kernel.Do(_task, Sysno.socket, 1, 4, 0));
        Assert.Equal(-(long)Errno.EPROTONOSUPPORT, _kernel.Do(_task, Sysno.socket, 1, 1, 6));
        Assert.Equal(-(long)Errno.ENOTSOCK, _kernel.Do(_task, Sysno.listen, (ulong)_kernel.Do(_task, Sysno.eventfd2, 0, 0), 0));
    }
}
