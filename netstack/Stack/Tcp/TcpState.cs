namespace Netstack.Stack;

/// <summary>States of a connection, numbered as Linux shows them (RFC 9293 section 3.3.2).</summary>
public enum TcpState : byte
{
    Established = 1,
    SynSent = 2,
    SynReceived = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Closed = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
    NewSynReceived = 12,
}

/// <summary>How bytes handed to <see cref="TcpEndpoint.CommitSend"/> go out.</summary>
[Flags]
public enum TcpSendFlags
{
    None = 0,

    /// <summary>MSG_MORE: more comes at once, do not send a short segment.</summary>
    More = 1,

    /// <summary>MSG_OOB: the last byte is urgent.</summary>
    Urgent = 2,

    /// <summary>MSG_EOR: later bytes are not joined to these in one segment.</summary>
    EndOfRecord = 4,

    /// <summary>The same call hands over more bytes at once: full segments go out, and nothing else yet.</summary>
    Continues = 8,
}

/// <summary>Directions that were shut down (shutdown(2)); the peer's FIN shuts down receiving.</summary>
[Flags]
internal enum TcpShutdown : byte
{
    None = 0,
    Receive = 1,
    Send = 2,
    Both = 3,
}
