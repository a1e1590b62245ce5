using Sentry.Abi;
using Sentry.Host;

namespace Gofer.Protocol;

/// <summary>What statfs(2) tells of the tree.</summary>
public readonly record struct TreeStatus(uint BlockSize, ulong Blocks, ulong FreeBlocks, ulong Files, ulong FreeFiles);

/// <summary>An answer of <see cref="GoferClient.Lookup"/>.</summary>
public readonly record struct FoundNode(NodeAttributes Attributes, uint Handle, string Link);

/// <summary>The sentry's end: each call sends one request and blocks for its reply. What comes back is checked; a reply that cannot be right, like a gofer that
/// is gone, is EIO from then on.</summary>
public sealed partial class GoferClient : IDisposable
{
    private readonly GoferChannel _channel;
    private bool _broken;
    private bool _greeted;

    /// <summary>Why this sentry and its gofer cannot work together, known after the first call; null while nothing is known against it.</summary>
    public string? Refusal { get; private set; }

    /// <summary>Takes over the socket.</summary>
    public GoferClient(int socket) => _channel = new GoferChannel(new UnixChannel(socket));

    public Result<FoundNode> Lookup(uint directory, string name)
    {
        var request = Begin(GoferOperation.Lookup);
        request.U32(directory);
        request.Text(name);
        Errno error = Call(request.Finish(), false, out FrameReader reply, out _);
        if (error != Errno.None)
            return error;
        var found = new FoundNode(reply.Attributes(), reply.U32(), reply.Text(GoferLimits.MaxLink));
        if (!reply.IsComplete || (found.Handle != 0) != ((found.Attributes.Mode & S.IFMT) == S.IFDIR))
            return Break();
        return found;
    }

    /// <summary>Appends a part of a directory's entries, without "." and "..", and moves the cursor; true when that was the last part.</summary>
    public Result<bool> ReadDirectory(uint directory, ref ulong cursor, List<NodeEntry> entries)
    {
        var request = Begin(GoferOperation.ReadDirectory);
        request.U32(directory);
        request.U64(cursor);
        Errno error = Call(request.Finish(), false, out FrameReader reply, out _);
        if (error != Errno.None)
            return error;
        ulong next = reply.U64();
        bool end = reply.U8() != 0;
        uint count = reply.U32();
        if (count > GoferLimits.MaxFrame / NodeAttributes.WireSize || (count == 0 && !end))
            return Break();
        for (uint i = 0; i < count && !reply.IsBad; i++)
        {
            string name = reply.Text(GoferLimits.MaxName);
            NodeAttributes attributes = reply.Attributes();
            string link = reply.Text(GoferLimits.MaxLink);
            if (!GoferLimits.IsEntryName(name))
                return Break();
            entries.Add(new NodeEntry(name, attributes, link));
        }

        if (!reply.IsComplete)
            return Break();
        cursor = next;
        return end;
    }

    /// <summary>A regular file, opened for reading.</summary>
    public Result<DonatedFile> Open(uint directory, string name)
    {
        var request = Begin(GoferOperation.Open);
        request.U32(directory);
        request.Text(name);
        return CallForFile(request.Finish());
    }

    /// <summary>The extended attributes of a regular file or directory that a sandbox may see.</summary>
    public Result<List<KeyValuePair<string, byte[]>>> ListExtendedAttributes(uint directory, string name)
    {
        var request = Begin(GoferOperation.ListAttributes);
        request.U32(directory);
        request.Text(name);
        Errno error = Call(request.Finish(), false, out FrameReader reply, out _);
        if (error != Errno.None)
            return error;
        uint count = reply.U32();
        if (count > GoferLimits.MaxAttributes)
            return Break();
        var attributes = new List<KeyValuePair<string, byte[]>>();
        for (uint i = 0; i < count && !reply.IsBad; i++)
        {
            string attribute = reply.Text(GoferLimits.MaxName);
            byte[] value = reply.Bytes(GoferLimits.MaxAttribute);
            if (!GoferLimits.IsShownAttribute(attribute))
                return Break();
            attributes.Add(new KeyValuePair<string, byte[]>(attribute, value));
        }

        return reply.IsComplete ? attributes : Break();
    }

    public Errno Forget(ReadOnlySpan<uint> handles)
    {
        var request = Begin(GoferOperation.Forget);
        request.U32((uint)handles.Length);
        foreach (uint handle in handles)
            request.U32(handle);
        return Call(request.Finish(), false, out _, out _);
    }

    public Result<TreeStatus> StatFs()
    {
        var request = Begin(GoferOperation.StatFs);
        Errno error = Call(request.Finish(), false, out FrameReader reply, out _);
        if (error != Errno.None)
            return error;
        var status = new TreeStatus(reply.U32(), reply.U64(), reply.U64(), reply.U64(), reply.U64());
        return reply.IsComplete ? status : Break();
    }

    public void Dispose() => _channel.Dispose();

    private FrameWriter Begin(GoferOperation operation)
    {
        var writer = new FrameWriter(_channel.Output);
        writer.U8((byte)operation);
        return writer;
    }

    private Errno Call(ReadOnlySpan<byte> request, bool wantsDescriptor, out FrameReader reply, out int descriptor)
    {
        reply = default;
        descriptor = -1;
        if (_broken)
            return Errno.EIO;
        if (_channel.Send(request) != Errno.None || !IsGreeted(out int early))
            return Break();
        Errno received = _channel.Receive(out ReadOnlySpan<byte> frame, out descriptor);
        if (early >= 0 && descriptor < 0 && received == Errno.None)
            descriptor = early;
        else if (early >= 0)
            HostFile.Close(early);
        if (received != Errno.None)
            return Break();
        reply = new FrameReader(frame);
        var error = (Errno)(int)reply.U32();
        bool sound = !reply.IsBad && error is >= 0 and < (Errno)4096;
        if (descriptor >= 0 && (!wantsDescriptor || error != Errno.None || !sound))
        {
            HostFile.Close(descriptor);
            descriptor = -1;
            sound = false;
        }

        return sound ? error : Break();
    }

    // The gofer starts while the sentry does other things, so its identity is looked at no sooner than its first answer.
    /// <param name="early">That answer's descriptor, when the host gave it out together with the identity.</param>
    private bool IsGreeted(out int early)
    {
        early = -1;
        if (_greeted)
            return true;
        if (_channel.Receive(out ReadOnlySpan<byte> frame, out early) != Errno.None)
            return false;
        Refusal = GoferProtocol.Refuse(frame);
        _greeted = Refusal is null;
        if (!_greeted && early >= 0)
            HostFile.Close(early);
        return _greeted;
    }

    private Errno Break()
    {
        _broken = true;
        return Errno.EIO;
    }
}
