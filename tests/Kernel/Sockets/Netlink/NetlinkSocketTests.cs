using System.Buffers.Binary;
using Sentry.Kernel.Sockets.Netlink;

namespace Tests.Kernel.Sockets.Netlink;

public class NetlinkSocketTests
{
    private const int Route = 0, User = 2, SocketDiagnosis = 4, Audit = 9, Uevent = 15, Generic = 16;
    private readonly TestKernel _kernel = new();
    private readonly Task _task;

    public NetlinkSocketTests() => _task = _kernel.NewProcess();

    private NetlinkClient Client(int protocol = User) => new(_kernel, _task, protocol);

    private long Socket(int type, int protocol) => _kernel.Do(_task, Sysno.socket, 16, (ulong)type, (ulong)protocol);

    [Fact]
    public void Socket_ChecksTypeAndProtocol()
    {
        Assert.Equal(-(long)Errno.ESOCKTNOSUPPORT, Socket(1, Route));
        Assert.Equal(-(long)Errno.EPROTONOSUPPORT, Socket(3, Audit));
        Assert.Equal(-(long)Errno.EPROTONOSUPPORT, Socket(3, 77));
        Assert.True(Socket(2, Uevent) >= 0);
        Assert.True(Socket(3, Generic) >= 0);
    }

    [Fact]
    public void Bind_GivesTheProcessIdThenOthers()
    {
        NetlinkClient first = Client(), second = Client(), third = Client();
        Assert.Equal((0u, 0u), first.Name());
        Assert.Equal(0, first.Bind(0, 0));
        Assert.Equal(0, second.Bind(0, 0));
        Assert.Equal((uint)_task.Group.Pid, first.Name().Port);
        Assert.True((int)second.Name().Port < -4096);
        Assert.Equal(-(long)Errno.EADDRINUSE, third.Bind(second.Name().Port, 0));
        Assert.Equal(0, third.Bind(77, 0x11));
        Assert.Equal((77u, 0x11u), third.Name());
        Assert.Equal(-(long)Errno.EINVAL, third.Bind(78, 0));
        Assert.Equal(0, third.Bind(77, 2));
        Assert.Equal((77u, 2u), third.Name());
    }

    [Fact]
    public void Bind_ProtocolsDoNotShareIds()
    {
        NetlinkClient user = Client(), generic = Client(Generic);
        Assert.Equal(0, user.Bind(5, 0));
        Assert.Equal(0, generic.Bind(5, 0));
    }

    [Fact]
    public void Release_FreesTheId()
    {
        NetlinkClient first = Client();
        first.Bind(5, 1);
        _task.Files.Close(_task.Group, (int)first.Descriptor);
        Assert.Equal(0, Client().Bind(5, 0));
        Assert.False(_kernel.Kernel.Network.Netlink.HasListeners(User, 1));
    }

    [Fact]
    public void Unicast_ReachesThePort()
    {
        NetlinkClient from = Client(), to = Client();
        to.Bind(9, 0);
        Assert.Equal(4, from.SendTo([1, 2, 3, 4], 9, 0));
        Assert.Equal([1, 2, 3, 4], to.TryReceive());
        Assert.Null(to.TryReceive());
        Assert.Equal(-(long)Errno.ECONNREFUSED, from.SendTo([1], 10, 0));
        Assert.Equal(-(long)Errno.ENODATA, from.SendTo([], 9, 0));
    }

    [Fact]
    public void Receive_ShortBuffer_TruncatesAndTellsTheLength()
    {
        NetlinkClient from = Client(), to = Client();
        to.Bind(9, 0);
        from.SendTo([1, 2, 3, 4, 5, 6], 9, 0);
        ulong buffer = _kernel.Allocate(8);
        Assert.Equal(6, _kernel.Do(_task, Sysno.recvfrom, (ulong)to.Descriptor, buffer, 0, 0x22));
        Assert.Equal(2, _kernel.Do(_task, Sysno.recvfrom, (ulong)to.Descriptor, buffer, 2, 2));
        Assert.Equal(6, _kernel.Do(_task, Sysno.recvfrom, (ulong)to.Descriptor, buffer, 2, 0x20));
        Assert.Equal(-(long)Errno.EAGAIN, _kernel.Do(_task, Sysno.recvfrom, (ulong)to.Descriptor, buffer, 2, 0x40));
    }

    [Fact]
    public void Broadcast_ReachesMembersButNotTheSender()
    {
        NetlinkClient from = Client(), member = Client(), other = Client();
        from.Bind(0, 4);
        member.Bind(0, 4);
        other.Bind(0, 8);

        // Members hear it, and yet Linux refuses: nobody has port 0 where the kernel does not listen.
        Assert.Equal(-(long)Errno.ECONNREFUSED, from.SendTo([7, 8, 9], 0, 4));
        Assert.Equal([7, 8, 9], member.TryReceive());
        Assert.Null(from.TryReceive());
        Assert.Null(other.TryReceive());
    }

    [Fact]
    public void Membership_IsAddedAndDropped()
    {
        NetlinkClient client = Client(Generic);
        Assert.Equal(0, client.SetOption(NetlinkOptions.AddMembership, 40));
        Assert.Equal(-(long)Errno.EINVAL, client.SetOption(NetlinkOptions.AddMembership, 0));
        Assert.Equal(-(long)Errno.EINVAL, client.SetOption(NetlinkOptions.AddMembership, 2000));
        Assert.True(_kernel.Kernel.Network.Netlink.HasListeners(Generic, 40));
        Assert.Equal(0, client.SetOption(NetlinkOptions.DropMembership, 40));
        Assert.False(_kernel.Kernel.Network.Netlink.HasListeners(Generic, 40));
    }

    [Fact]
    public void Unprivileged_MayNotJoinOrSendWhereOnlyRootMay()
    {
        Task user = _kernel.NewProcess();
        user.Credentials = new Credentials { Uid = 1000, EffectiveUid = 1000 };
        var listener = new NetlinkClient(_kernel, user, User);
        Assert.Equal(-(long)Errno.EPERM, listener.Bind(0, 1));
        Assert.Equal(0, new NetlinkClient(_kernel, user, Uevent).Bind(0, 1));
        Assert.Equal(-(long)Errno.EPERM, new NetlinkClient(_kernel, user, Generic).SendTo([1], 99, 0));
    }

    [Fact]
    public void Kernel_AcknowledgesAsAsked()
    {
        NetlinkClient client = Client(Generic);
        client.Send(NetlinkClient.Message(1, 5, 3));
        ReceivedMessage ack = client.Drain().Single();
        Assert.Equal((2, 0x100, 3u, 0), (ack.Type, ack.Flags, ack.Sequence, ack.Error));
        Assert.Equal(20, ack.Body.Length);
        client.Send(NetlinkClient.Message(1, 1, 3));
        Assert.Null(client.TryReceive());

        // An unknown family: the whole request comes back, unless capped.
        client.Send(NetlinkClient.Message(55, 1, 4, 9, 9, 9, 9));
        ack = client.Drain().Single();
        Assert.Equal((0, 2, 24), (ack.Flags, ack.Error, ack.Body.Length));
        client.SetOption(NetlinkOptions.CapAck);
        client.Send(NetlinkClient.Message(55, 1, 4, 9, 9, 9, 9));
        ack = client.Drain().Single();
        Assert.Equal((0x100, 20), (ack.Flags, ack.Body.Length));
    }

    [Fact]
    public void Kernel_SeveralRequestsInOneDatagram_AnswersEach()
    {
        NetlinkClient client = Client(Generic);
        client.Send([.. NetlinkClient.Message(1, 5, 1), .. NetlinkClient.Message(1, 5, 2), 1, 2, 3]);
        Assert.Equal([1u, 2u], client.Drain().Select(m => m.Sequence));
    }

    [Fact]
    public void Generic_KnowsItsControllerOnly()
    {
        NetlinkClient client = Client(Generic);
        Assert.Equal(Errno.ENOENT, client.Ask(16, 0, [3, 2, 0, 0, .. NetlinkClient.Attribute(2, "ethtool")]).Error);
        client.Send(NetlinkClient.Message(16, 1, 1, [3, 2, 0, 0, .. NetlinkClient.Attribute(2, "nlctrl")]));
        ReceivedMessage family = client.Drain().Single();
        Assert.Equal(16, BinaryPrimitives.ReadUInt16LittleEndian(family.Attributes(4)[1]));
        Assert.Single(client.Dump(16, 3, 2, 0, 0));
        Assert.Equal(Errno.EOPNOTSUPP, client.Ask(16, 0, 99, 2, 0, 0).Error);
        Assert.Equal(Errno.EINVAL, client.Ask(16, 0, 3, 2, 0, 0).Error);
    }

    [Fact]
    public void Overrun_IsToldOnce()
    {
        NetlinkClient from = Client(), member = Client();
        member.Bind(0, 1);
        byte[] datagram = new byte[30_000];
        for (int i = 0; i < 20; i++)
            from.SendTo(datagram, 0, 1);
        Assert.Equal(PollEvents.Err, member.File.Poll() & PollEvents.Err);
        ulong buffer = _kernel.Allocate(4);
        Assert.Equal(-(long)Errno.ENOBUFS, _kernel.Do(_task, Sysno.recvfrom, (ulong)member.Descriptor, buffer, 4, 0));
        int received = 0;
        while (member.TryReceive() is not null)
            received++;
        Assert.InRange(received, 7, 8);
        from.SendTo([1], 0, 1);
        Assert.Equal([1], member.TryReceive());
    }

    [Fact]
    public void Read_WaitsForADatagram()
    {
        NetlinkClient from = Client(), to = Client();
        to.Bind(9, 0);
        Task reader = _kernel.NewThread(_task);
        ulong buffer = _kernel.Allocate(16);
        Assert.Null(_kernel.Call(reader, Sysno.recvfrom, (ulong)to.Descriptor, buffer, 16, 0));
        _kernel.RetryAll();
        from.SendTo([1, 2], 9, 0);
        _kernel.RunReady();
        Assert.Equal(2, TestKernel.Result(reader));
    }
}
