using System.Text.Json.Serialization;

namespace Sentry.Control;

/// <summary>
/// What agent and sentry say to each other: length-prefixed JSON frames over a Unix stream socket that the sentry is born with, descriptors
/// riding along as SCM_RIGHTS. The agent sends requests, each answered by one <see cref="Reply"/> with the same id; the sentry sends
/// events (id 0). A request names how many descriptors come with it and in what order. Properties with a default can be set: the generated reader makes what
/// can only be initialized null or 0 where a message leaves it out.
/// </summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(StartRequest), "start")]
[JsonDerivedType(typeof(RestoreRequest), "restore")]
[JsonDerivedType(typeof(ExecRequest), "exec")]
[JsonDerivedType(typeof(SignalRequest), "signal")]
[JsonDerivedType(typeof(CheckpointRequest), "checkpoint")]
[JsonDerivedType(typeof(InspectRequest), "inspect")]
[JsonDerivedType(typeof(KeptFramesRequest), "kept-frames")]
[JsonDerivedType(typeof(HandOverRequest), "hand-over")]
[JsonDerivedType(typeof(BeginRequest), "begin")]
[JsonDerivedType(typeof(AttachTerminalRequest), "attach-terminal")]
[JsonDerivedType(typeof(ResizeRequest), "resize")]
[JsonDerivedType(typeof(AdoptRequest), "adopt")]
[JsonDerivedType(typeof(ConnectLinksRequest), "connect-links")]
[JsonDerivedType(typeof(EndRequest), "end")]
[JsonDerivedType(typeof(Reply), "reply")]
[JsonDerivedType(typeof(ProcessExited), "process-exited")]
[JsonDerivedType(typeof(SavePointReached), "save-point")]
[JsonDerivedType(typeof(DumpFinished), "dump-finished")]
[JsonDerivedType(typeof(HelperLost), "helper-lost")]
[JsonDerivedType(typeof(SentryReady), "ready")]
public abstract record ControlMessage
{
    /// <summary>Chosen by the sender of a request; 0 in events.</summary>
    public long Id { get; init; }

    /// <summary>How many descriptors come with the frame.</summary>
    public int Descriptors { get; init; }
}

/// <summary>A program to run.</summary>
public sealed record ProgramSpec
{
    public required string[] Arguments { get; init; }

    /// <summary>NAME=value.</summary>
    public required string[] Environment { get; init; }

    public string WorkingDirectory { get; set; } = "/";

    public uint Uid { get; init; }

    public uint Gid { get; init; }

    /// <summary>Run it on a terminal of its own instead of the streams that come along.</summary>
    public TerminalSpec? Terminal { get; init; }
}

/// <summary>The terminal of a program that is started or restored.</summary>
public sealed record TerminalSpec
{
    /// <summary>In a restore: the program's process id.</summary>
    public int Pid { get; init; }

    /// <summary>The window; 0 by 0 leaves a restored terminal as it was.</summary>
    public ushort Rows { get; init; }

    public ushort Columns { get; init; }

    /// <summary>A descriptor comes along, the last of the message (in a restore one for each terminal that has one, in their order): a stream socket
    /// that carries what is typed and shown.</summary>
    public bool Attached { get; init; }

    /// <summary>What is shown is also written to the program's standard output.</summary>
    public bool Log { get; init; }
}

/// <summary>A folder of the host's in the sandbox's tree, served by the gofer under its place in the list.</summary>
public sealed record VolumeSpec
{
    /// <summary>Absolute, within the sandbox.</summary>
    public required string Place { get; init; }

    public bool ReadOnly { get; init; }
}

/// <summary>What a sandbox may use; 0 for no bound, or in a restore for what the image says.</summary>
public sealed record LimitsSpec
{
    /// <summary>Bytes.</summary>
    public long Memory { get; init; }

    /// <summary>Processes and threads.</summary>
    public int Tasks { get; init; }

    /// <summary>Processors.</summary>
    public int Cpus { get; init; }
}

/// <summary>An empty file system in memory in the sandbox's tree.</summary>
public sealed record TmpfsSpec
{
    /// <summary>Absolute, within the sandbox.</summary>
    public required string Place { get; init; }

    /// <summary>Bytes; 0 for no bound of its own.</summary>
    public long Size { get; init; }

    /// <summary>Permissions of its root.</summary>
    public uint Mode { get; set; } = 0x3FF;
}

/// <summary>
/// A network interface of the sandbox. Its descriptor carries whole Ethernet frames, one a read or write, each behind a struct virtio_net_hdr of 10 bytes:
/// a TAP with IFF_VNET_HDR, an AF_PACKET socket with PACKET_VNET_HDR, or a SOCK_SEQPACKET pair. It is non-blocking, and belongs to the sentry.
/// </summary>
public sealed record NetworkLink
{
    /// <summary>eth0.</summary>
    public required string Name { get; init; }

    /// <summary>aa:bb:cc:dd:ee:ff.</summary>
    public required string Mac { get; init; }

    /// <summary>Bytes of an IP packet.</summary>
    public int Mtu { get; set; } = 1500;

    /// <summary>10.0.0.2/24, fd00::2/64.</summary>
    public string[] Addresses { get; set; } = [];

    /// <summary>Default gateways, one of each IP version.</summary>
    public string[] Gateways { get; set; } = [];

    /// <summary>Whether frames longer than the MTU may be written with a gso_type, and frames without checksum (VIRTIO_NET_HDR_F_NEEDS_CSUM).</summary>
    public bool Offloads { get; set; } = true;

    /// <summary>In a restore: the descriptor goes to the image's interface of this name, which keeps its own MAC, MTU, addresses and routes (or with
    /// <see cref="RestoreRequest.NewIdentity"/> takes those given here). False: an interface is added, as at a start.</summary>
    public bool ReplacesSaved { get; init; }
}

/// <summary>A text file that the agent makes for a sandbox (/etc/resolv.conf, /etc/hosts, /etc/hostname).</summary>
public sealed record SeedFile
{
    /// <summary>Absolute.</summary>
    public required string Path { get; init; }

    public required string Content { get; init; }
}

/// <summary>Starts the first program of an empty sentry. Descriptors: gofer socket, standard input, output, error, strace output (if <see cref="Strace"/>),
/// then one for each of <see cref="Links"/>, then the broker's socket (if <see cref="HostNetwork"/>), then the terminal.</summary>
public sealed record StartRequest : ControlMessage
{
    public required ProgramSpec Program { get; init; }

    public string HostName { get; set; } = "sandbox";

    /// <summary>Interfaces beside loopback.</summary>
    public NetworkLink[] Links { get; set; } = [];

    /// <summary>Sockets of IP are the host's, made by a broker; there are no links then.</summary>
    public bool HostNetwork { get; init; }

    /// <summary>Written into the overlay before the program starts.</summary>
    public SeedFile[] Files { get; set; } = [];

    /// <summary>In the order in which the gofer has them.</summary>
    public VolumeSpec[] Volumes { get; set; } = [];

    public TmpfsSpec[] Tmpfs { get; set; } = [];

    public LimitsSpec? Limits { get; init; }

    public bool Strace { get; init; }

    /// <summary>The test aid --crash-at-call: fail at this guest call number; -1 for none.</summary>
    public int CrashAtCall { get; set; } = -1;

    /// <summary>Raise <see cref="SavePointReached"/> at these guest call numbers (the test aid --save-at-call); -1 for none.</summary>
    public int SaveAtCall { get; set; } = -1;
}

/// <summary>Starts another program in a running sandbox. Descriptors: standard input, output, error, terminal. The reply's <see cref="Reply.Pid"/> is its process id.</summary>
public sealed record ExecRequest : ControlMessage
{
    public required ProgramSpec Program { get; init; }

    /// <summary>By which its client asks for it after the agent's death; null for none.</summary>
    public string? Key { get; init; }
}

/// <summary>Sends a signal to a process, or to all when <see cref="Pid"/> is 0.</summary>
public sealed record SignalRequest : ControlMessage
{
    public int Pid { get; init; }

    public int Signal { get; init; }
}

/// <summary>Saves the sandbox. Descriptors: a file for the kernel state, a file for the memory (both empty, read-write). The reply comes when the state
/// is written and the guest runs again (or is stopped for good); <see cref="DumpFinished"/> when the memory file is whole as well.</summary>
public sealed record CheckpointRequest : ControlMessage
{
    /// <summary>False: the sandbox ends when the dump is finished.</summary>
    public bool LeaveRunning { get; init; }
}

/// <summary>Restores into an empty sentry. Descriptors: gofer socket, state file, memory file (read-only, never changes), standard input, output, error
/// of the first program, then three for each of <see cref="ExecStreams"/>, then strace output (if <see cref="Strace"/>), then one for each of
/// <see cref="Links"/>, then the broker's socket (if <see cref="HostNetwork"/>), then those of
/// <see cref="Terminals"/>. Interfaces of the image to which none goes lose their carrier.</summary>
public sealed record RestoreRequest : ControlMessage
{
    /// <summary>The processes started by exec whose standard streams come along; others' streams read as EOF and fail with EPIPE.</summary>
    public int[] ExecStreams { get; set; } = [];

    public LimitsSpec? Limits { get; init; }

    /// <summary>Interfaces; those of the image are named with <see cref="NetworkLink.ReplacesSaved"/>.</summary>
    public NetworkLink[] Links { get; set; } = [];

    /// <summary>The sandbox is another than the one in the image: inherited connections are reset, addresses and MACs are those of <see cref="Links"/>.</summary>
    public bool NewIdentity { get; init; }

    /// <summary>With <see cref="NewIdentity"/>: the sandbox's new host name; null keeps the image's.</summary>
    public string? HostName { get; init; }

    /// <summary>Everything is made ready, but the guest stands still and its links are not used before a <see cref="BeginRequest"/>.</summary>
    public bool Hold { get; init; }

    /// <summary>What came for the guest after the image's state was written.</summary>
    public KeptFrame[] Kept { get; set; } = [];

    /// <summary>As in a start. The image's sockets of the other kind are closed as if their network had gone.</summary>
    public bool HostNetwork { get; init; }

    /// <summary>Written into the overlay before the guest goes on.</summary>
    public SeedFile[] Files { get; set; } = [];

    /// <summary>The terminals that someone looks at or that are logged; programs' others go on without.</summary>
    public TerminalSpec[] Terminals { get; set; } = [];

    public bool Strace { get; init; }

    public int SaveAtCall { get; set; } = -1;
}

/// <summary>Joins another end with the terminal of a program. Descriptor: as with <see cref="TerminalSpec.Attached"/>.</summary>
public sealed record AttachTerminalRequest : ControlMessage
{
    public int Pid { get; init; }

    /// <summary>The window of the new end; 0 by 0 leaves it as it is.</summary>
    public ushort Rows { get; init; }

    public ushort Columns { get; init; }
}

/// <summary>Changes the window of a program's terminal.</summary>
public sealed record ResizeRequest : ControlMessage
{
    public int Pid { get; init; }

    public ushort Rows { get; init; }

    public ushort Columns { get; init; }
}

/// <summary>First request of an agent that came after the one that started the sentry has gone; asks for <see cref="Reply.Adoption"/>.</summary>
public sealed record AdoptRequest : ControlMessage;

/// <summary>Gives interfaces of the running sandbox new descriptors, one for each link, which take the place of those they had.</summary>
public sealed record ConnectLinksRequest : ControlMessage
{
    public NetworkLink[] Links { get; set; } = [];
}

/// <summary>Ends the sentry and with it the sandbox. Nothing answers.</summary>
public sealed record EndRequest : ControlMessage;

/// <summary>Asks for <see cref="Reply.Inspection"/>.</summary>
public sealed record InspectRequest : ControlMessage;

/// <summary>Asks for <see cref="Reply.KeptFrames"/>.</summary>
public sealed record KeptFramesRequest : ControlMessage;

/// <summary>A guest that stands still after a checkpoint is about to go on elsewhere: asks for <see cref="Reply.KeptFrames"/>. Descriptor: a
/// <see cref="Baton"/>, without which this one does not go on any more.</summary>
public sealed record HandOverRequest : ControlMessage;

/// <summary>Lets a restored guest go on that is ready and held (<see cref="RestoreRequest.Hold"/>). Descriptor: a <see cref="Baton"/>, when the guest it was
/// dumped from is there still.</summary>
public sealed record BeginRequest : ControlMessage
{
    /// <summary>What came for it since the image's state was written, beyond what the request had.</summary>
    public KeptFrame[] Kept { get; set; } = [];
}

/// <summary>A frame that came while a guest stood still, for whoever goes on from its image.</summary>
/// <param name="Link">The name of the interface.</param>
/// <param name="Frame">Behind its virtio header.</param>
public sealed record KeptFrame(string Link, byte[] Frame);

/// <summary>The answer to a request.</summary>
public sealed record Reply : ControlMessage
{
    /// <summary>Null on success, else one line for the user.</summary>
    public string? Error { get; init; }

    public int Pid { get; init; }

    /// <summary>How long the guest stood still, ns (checkpoint); time from request to runnable, ns (restore).</summary>
    public long PauseNanoseconds { get; init; }

    public SandboxInspection? Inspection { get; init; }

    /// <summary>The frames that have come since the state was written; empty unless the guest stands still.</summary>
    public KeptFrame[] KeptFrames { get; set; } = [];

    public Adoption? Adoption { get; init; }

    /// <summary>Of a checkpoint: the files of the base tree on which the image depends.</summary>
    public BaseFile[] BaseFiles { get; set; } = [];
}

/// <summary>What a running sentry tells a new agent.</summary>
public sealed record Adoption
{
    /// <summary><see cref="ControlProtocol"/>'s identity; an agent that has another leaves the sandbox alone.</summary>
    public string? Build { get; init; }

    public string Platform { get; set; } = "";

    /// <summary>Programs started by exec that run.</summary>
    public RunningProgram[] Programs { get; set; } = [];

    /// <summary>Programs started by exec that have ended, the last ones.</summary>
    public ProgramEnd[] Ends { get; set; } = [];
}

/// <summary>A program started by exec.</summary>
/// <param name="Key">Of its <see cref="ExecRequest"/>; null for one that is there by a restore.</param>
public sealed record RunningProgram(int Pid, string? Key);

/// <summary>How a program ended.</summary>
public sealed record ProgramEnd(int Pid, int WaitStatus, string? Key);

/// <summary>A file of the read-only base tree that is open or mapped in an image.</summary>
public sealed record BaseFile
{
    public required string Path { get; init; }

    public long Size { get; init; }

    /// <summary>ns since 1970; with the size a quick test whether a cached hash still holds.</summary>
    public long ModifyTime { get; init; }
}

/// <summary>What is going on inside.</summary>
public sealed record SandboxInspection
{
    public ProcessInspection[] Processes { get; set; } = [];

    /// <summary>Unimplemented calls made so far, by name.</summary>
    public Dictionary<string, long> UnimplementedCalls { get; set; } = [];

    public long SystemCalls { get; init; }

    public int SentryThreads { get; init; }

    /// <summary>Sockets of IP, not more than a few hundred.</summary>
    public SocketInspection[] Sockets { get; set; } = [];

    /// <summary>How many there are.</summary>
    public int SocketCount { get; init; }
}

/// <summary>A socket of IP.</summary>
public sealed record SocketInspection
{
    /// <summary>tcp or udp.</summary>
    public required string Protocol { get; init; }

    /// <summary>As ss(8) names it: ESTAB, LISTEN, …</summary>
    public required string State { get; init; }

    /// <summary>ADDRESS:PORT.</summary>
    public required string Local { get; init; }

    public required string Remote { get; init; }

    /// <summary>What a checkpoint and restore make of it; null when it goes on.</summary>
    public string? Lost { get; init; }
}

public sealed record ProcessInspection
{
    public int Pid { get; init; }

    public int ParentPid { get; init; }

    public required string Name { get; init; }

    public int Threads { get; init; }

    public string State { get; set; } = "";

    public string[] Arguments { get; set; } = [];
}

/// <summary>Event: a program started by start or exec has ended; <see cref="Pid"/> 1 ends the sandbox.</summary>
public sealed record ProcessExited : ControlMessage
{
    public int Pid { get; init; }

    /// <summary>As wait4(2) reports it.</summary>
    public int WaitStatus { get; init; }
}

/// <summary>Event: the guest made the call asked for by SaveAtCall; it waits until a checkpoint is made and restored (or Resume: an empty signal request).</summary>
public sealed record SavePointReached : ControlMessage;

/// <summary>Event: the memory file of the last checkpoint is whole, or why it is not.</summary>
public sealed record DumpFinished : ControlMessage
{
    public string? Error { get; init; }

    /// <summary>Where in the memory file there is data; the rest is holes. Pairs of offset and length, ascending.</summary>
    public long[] DataRanges { get; set; } = [];
}

/// <summary>Event: the gofer has closed its socket; files of the base tree can't be reached any more.</summary>
public sealed record HelperLost : ControlMessage;

/// <summary>Event: the sentry has started and waits for start or restore.</summary>
public sealed record SentryReady : ControlMessage
{
    public required string Platform { get; init; }

    /// <summary><see cref="ControlProtocol"/>'s identity; an agent that has another leaves it alone.</summary>
    public string? Build { get; init; }
}

/// <summary>The codec of <see cref="ControlMessage"/>.</summary>
[JsonSerializable(typeof(ControlMessage))]
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault, RespectNullableAnnotations = true)]
public sealed partial class ControlJson : JsonSerializerContext;
