using System.Buffers.Binary;
using System.Text;
using Broker;
using Broker.Protocol;
using Sentry.Abi;
using Sentry.Host;

// broker --fd N: makes sockets of the network namespace it was started in, for the sentry at the other end of the socket that is descriptor N.
if (args is not ["--fd", var number, ..] || !int.TryParse(number, out int socket))
    return Fail("usage: broker --fd N");
Errno confined = Confinement.Enter();
if (confined != Errno.None)
    return Fail($"cannot confine myself: {confined}");
using UnixChannel channel = new(socket);
return !BrokerGreeting.Send(channel) || Service.Run(channel) ? 0 : Fail("the sentry broke the protocol");

static int Fail(string message)
{
    HostFile.Write(2, Encoding.UTF8.GetBytes($"broker: {message}\n"));
    return 1;
}

/// <summary>Answers requests until the sentry is gone.</summary>
internal static class Service
{
    public static bool Run(UnixChannel channel)
    {
        Span<byte> request = stackalloc byte[BrokerWire.MaxRequest], answer = stackalloc byte[BrokerWire.AnswerSize];
        Span<int> descriptors = stackalloc int[1];
        while (true)
        {
            Result<int> got = channel.Receive(request, descriptors, out int count);
            if (got.Error == Errno.EMSGSIZE)
                return false;
            if (got.IsError || got.Value == 0)
                return true;
            if (got.Value < BrokerWire.HeaderSize)
                return false;
            (BrokerOperation operation, int family, int type, int protocol) = BrokerWire.Read(request);
            int made = -1;
            Errno error = operation switch
            {
                BrokerOperation.Socket when count == 0 => Make(family, type, protocol, out made),
                BrokerOperation.Bind when count == 1 => HostSockets.Bind(descriptors[0], request[BrokerWire.HeaderSize..got.Value]),
                _ => Errno.EINVAL,
            };
            if (count == 1)
                HostFile.Close(descriptors[0]);
            BinaryPrimitives.WriteInt32LittleEndian(answer, (int)error);
            Errno sent = made >= 0 ? channel.Send(answer, [made]) : channel.Send(answer);
            if (made >= 0)
                HostFile.Close(made);
            if (sent != Errno.None)
                return true;
        }
    }

    private static Errno Make(int family, int type, int protocol, out int made)
    {
        made = -1;
        if (!BrokerWire.IsAllowed(family, type, protocol))
            return Errno.EPERM;
        Result<int> socket = HostSockets.Create(family, type | HostSockets.NonBlocking, protocol);
        if (socket.IsError)
            return socket.Error;
        made = socket.Value;
        return Errno.None;
    }
}
