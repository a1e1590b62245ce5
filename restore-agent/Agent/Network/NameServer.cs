using System.Buffers.Binary;
using Netstack.Links;
using Netstack.Stack;
using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>What a server of names knows of a network.</summary>
public interface INameSource
{
    /// <summary>The addresses of a sandbox by a name of it; null when there is none of that name.</summary>
    IReadOnlyList<InetAddress>? Find(string name);

    /// <summary>The sandbox that has an address.</summary>
    string? NameOf(InetAddress address);

    /// <summary>Where names of the world are looked up for a sandbox; null when they are not.</summary>
    IReadOnlyList<InetAddress>? ServersFor(InetAddress source);
}

/// <summary>
/// Serves names on a network (RFC 1035, over UDP and TCP): those of its sandboxes from what the agent knows, those of the world by asking the
/// host's name servers, for sandboxes that may send out. On the loop's thread.
/// </summary>
public sealed class NameServer : IEndpointObserver
{
    private const int Port = 53, MostPending = 256;

    private readonly Gateway _gateway;
    private readonly INameSource _names;
    private readonly UdpEndpoint _datagrams;
    private readonly TcpEndpoint _listener;
    private int _pending;

    public NameServer(Gateway gateway, INameSource names)
    {
        (_gateway, _names) = (gateway, names);
        using StackTurn turn = gateway.Enter();
        _datagrams = gateway.Stack.Udp.CreateEndpoint(isV6: false, new EndpointOptions());
        _listener = gateway.Stack.Tcp.CreateEndpoint(isV6: false, new EndpointOptions());
        Errno error = _datagrams.Bind(gateway.Addresses.Names, Port);
        if (error == Errno.None)
            error = _listener.Bind(gateway.Addresses.Names, Port);
        if (error == Errno.None)
            error = _listener.Listen(MostPending);
        if (error != Errno.None)
            throw AgentException.Failed($"cannot serve names on the network: {error}");
        _datagrams.Observer = this;
        _listener.Observer = this;
    }

    public void Close()
    {
        using StackTurn turn = _gateway.Enter();
        _datagrams.Close();
        _listener.Close();
    }

    void IEndpointObserver.OnReady(EndpointEvents events) => _gateway.Soon(Serve);

    private void Serve()
    {
        while (true)
        {
            Datagram? query;
            using (_gateway.Enter())
                query = _datagrams.Receive(peek: false);
            if (query is null)
                break;
            Ask(query.Data, query.Source, overStream: false, answer =>
            {
                using StackTurn turn = _gateway.Enter();
                _datagrams.Send(answer, query.Source, query.SourcePort, 0, new DatagramControl());
            });
        }

        while (true)
        {
            TcpEndpoint? client;
            using (_gateway.Enter())
                client = _listener.Accept();
            if (client is null)
                return;
            _ = new Conversation(this, new GuestStream(_gateway, client), client.RemoteAddress);
        }
    }

    /// <summary>Answers a query now or later, or never when nobody knows.</summary>
    private void Ask(byte[] query, InetAddress source, bool overStream, Action<byte[]> answer)
    {
        if (DnsMessage.ReadQuestion(query) is not { } question)
            return;
        if (question.Class != DnsCode.Internet)
        {
            answer(DnsMessage.Answer(query, question, DnsCode.Refused, []));
        }
        else if (_names.Find(question.Name) is { } addresses)
        {
            answer(DnsMessage.Answer(query, question, DnsCode.NoError, addresses));
        }
        else if (DnsMessage.AddressOfPointer(question.Name) is { } address && _names.NameOf(address) is { } name)
        {
            answer(DnsMessage.Answer(query, question, DnsCode.NoError, [], name));
        }
        else if (_names.ServersFor(source) is not { } servers)
        {
            // For a network without a way out this server knows all names there are.
            answer(DnsMessage.Answer(query, question, DnsCode.NameError, []));
        }
        else if (servers.Count == 0 || _pending >= MostPending)
        {
            answer(DnsMessage.Answer(query, question, DnsCode.ServerFailure, []));
        }
        else
        {
            _pending++;
            _ = new UpstreamQuery(_gateway.Loop, servers, query, overStream, reply =>
            {
                _pending--;
                answer(reply ?? DnsMessage.Answer(query, question, DnsCode.ServerFailure, []));
            });
        }
    }

    /// <summary>Queries over TCP, each behind its length (RFC 7766). Answers come in the order of the questions.</summary>
    private sealed class Conversation
    {
        private const int LongestMessage = 65535;
        private const long Idle = 30L * 1_000_000_000;

        private readonly NameServer _server;
        private readonly GuestStream _client;
        private readonly InetAddress _source;
        private readonly byte[] _input = new byte[2 + LongestMessage];
        private readonly List<byte> _output = [];
        private int _filled;
        private bool _asking;
        private bool _closed;
        private LoopTimer _timeout;

        public Conversation(NameServer server, GuestStream client, InetAddress source)
        {
            (_server, _client, _source) = (server, client, source);
            _timeout = server._gateway.Loop.At(NetworkLoop.Now + Idle, Close);
            client.OnReady = Run;
            Run();
        }

        private void Run()
        {
            if (_closed)
                return;
            while (_output.Count > 0)
            {
                Result<int> sent = _client.Write([.. _output]);
                if (sent.IsError && sent.Error != Errno.EAGAIN)
                {
                    Close();
                    return;
                }

                if (sent.IsError)
                    break;
                _output.RemoveRange(0, sent.Value);
            }

            while (!_asking && _output.Count == 0)
            {
                int wanted = _filled < 2 ? 2 : 2 + BinaryPrimitives.ReadUInt16BigEndian(_input);
                if (_filled == wanted && wanted > 2)
                {
                    AskNext(wanted);
                    continue;
                }

                Result<int> got = _client.Read(_input.AsSpan(_filled, wanted - _filled));
                if (got.Error == Errno.EAGAIN)
                    break;
                if (got.IsError || got.Value == 0 || (_filled == 2 && wanted == 2))
                {
                    Close();
                    return;
                }

                _filled += got.Value;
            }

            if (!_closed)
                _client.Want(read: !_asking && _output.Count == 0, write: _output.Count > 0);
        }

        private void AskNext(int length)
        {
            byte[] query = _input[2..length];
            _filled = 0;
            _asking = true;
            _timeout.Cancel();
            _timeout = _server._gateway.Loop.At(NetworkLoop.Now + Idle, Close);
            _server.Ask(query, _source, overStream: true, answer =>
            {
                _asking = false;
                if (_closed)
                    return;
                byte[] length = new byte[2];
                BinaryPrimitives.WriteUInt16BigEndian(length, (ushort)answer.Length);
                _output.AddRange(length);
                _output.AddRange(answer);
                _server._gateway.Soon(Run);
            });
        }

        private void Close()
        {
            if (_closed)
                return;
            _closed = true;
            _timeout.Cancel();
            _client.Close(abort: false);
        }
    }
}
