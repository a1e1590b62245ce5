using System.Buffers.Binary;
using System.Text;
using Gofer.Protocol;
using Sentry.Abi;
using Sentry.Host;

namespace Gofer;

/// <summary>Answers one sentry's requests about one directory tree, read-only. Every name is one component, resolved beneath its directory with no link followed;
/// only regular files are ever opened. A peer that breaks the protocol is left.</summary>
public sealed class TreeServer : IDisposable
{
    private const int OPath = 0x200000, ONoFollow = 0x20000, ODirectory = 0x10000, ONonBlock = 0x800, ONoCtty = 0x100;
    private const ulong ResolveConfined = 8 | 4 | 2; // BENEATH, NO_SYMLINKS, NO_MAGICLINKS
    private const int AtSymlinkNoFollow = 0x100, AtNoAutomount = 0x800, AtEmptyPath = 0x1000;
    private const uint StatMask = 0xFFF;
    private const int MaxForget = 65536;

    private readonly GoferChannel _channel;
    private readonly HandleTable _handles;
    private readonly byte[] _records = new byte[32768];
    private readonly VolumeServer _volumes;
    private readonly uint _lastRoot;

    /// <summary>Takes over the socket and <paramref name="root"/>, an O_PATH directory descriptor, and those of the volumes.</summary>
    public TreeServer(int socket, int root, int maxHandles, params ReadOnlySpan<VolumeRoot> volumes)
    {
        _channel = new GoferChannel(new UnixChannel(socket));
        _handles = new HandleTable(Math.Max(2, maxHandles) + volumes.Length);
        if (_handles.Add(root) is not { IsOk: true, Value: GoferLimits.RootHandle })
            throw new InvalidOperationException("the root has another handle");
        _lastRoot = GoferLimits.RootHandle;
        foreach (VolumeRoot volume in volumes)
            _lastRoot = _handles.Add(volume.Descriptor, volume.Writable).Value;
        _volumes = new VolumeServer(_handles);
    }

    /// <summary>Serves until the peer is gone (true) or breaks the protocol (false).</summary>
    public bool Run()
    {
        var greeting = new FrameWriter(_channel.Output);
        greeting.U32(0);
        greeting.Text(GoferProtocol.Build.Identity);
        if (_channel.Send(greeting.Finish()) != Errno.None)
            return true;
        for (; ; )
        {
            Errno error = _channel.Receive(out ReadOnlySpan<byte> frame, out int stray);
            if (error != Errno.None)
                return error is Errno.EPIPE or Errno.ECONNRESET;
            if (stray >= 0)
            {
                HostFile.Close(stray);
                return false;
            }

            if (!Answer(new FrameReader(frame)))
                return false;
        }
    }

    public void Dispose()
    {
        _handles.Dispose();
        _channel.Dispose();
    }

    /// <summary>False when the request makes no sense or the peer is gone.</summary>
    private bool Answer(FrameReader request)
    {
        var reply = new FrameWriter(_channel.Output);
        reply.U32(0);
        int donated = -1;
        Errno error;
        var operation = (GoferOperation)request.U8();
        switch (operation)
        {
            case GoferOperation.Lookup:
                {
                    uint directory = request.U32();
                    string name = request.Text(GoferLimits.MaxName);
                    if (!request.IsComplete)
                        return false;
                    error = Lookup(directory, name, ref reply);
                    break;
                }

            case GoferOperation.ReadDirectory:
                {
                    uint directory = request.U32();
                    ulong cursor = request.U64();
                    if (!request.IsComplete)
                        return false;
                    error = ReadDirectory(directory, cursor, ref reply);
                    break;
                }

            case GoferOperation.Open:
                {
                    uint directory = request.U32();
                    string name = request.Text(GoferLimits.MaxName);
                    if (!request.IsComplete)
                        return false;
                    error = Open(directory, name, ref reply, out donated);
                    break;
                }

            case GoferOperation.Forget:
                {
                    uint count = request.U32();
                    if (count > MaxForget)
                        return false;
                    for (uint i = 0; i < count && !request.IsBad; i++)
                    {
                        uint handle = request.U32();
                        if (handle > _lastRoot)
                            _handles.Remove(handle);
                    }

                    if (!request.IsComplete)
                        return false;
                    error = Errno.None;
                    break;
                }

            case GoferOperation.ListAttributes:
                {
                    uint directory = request.U32();
                    string name = request.Text(GoferLimits.MaxName);
                    if (!request.IsComplete)
                        return false;
                    error = ListAttributes(directory, name, ref reply);
                    break;
                }

            case GoferOperation.StatFs:
                if (!request.IsComplete)
                    return false;
                error = StatFs(ref reply);
                break;
            default:
                if (!_volumes.TryAnswer(operation, ref request, ref reply, out error, out donated))
                    return false;
                break;
        }

        if (error != Errno.None)
        {
            reply = new FrameWriter(_channel.Output);
            reply.U32((uint)error);
        }

        bool sent = _channel.Send(reply.Finish(), donated) == Errno.None;
        if (donated >= 0)
            HostFile.Close(donated);
        return sent;
    }

    private Errno Lookup(uint directory, string name, ref FrameWriter reply)
    {
        if (!_handles.TryGet(directory, out int parent, out bool writable))
            return Errno.ESTALE;
        if (name.Length > 0 && !GoferLimits.IsEntryName(name))
            return Errno.EINVAL;
        Errno error = Stat(parent, name, out NodeAttributes attributes);
        if (error != Errno.None)
            return error;
        uint handle = 0;
        string link = "";
        if ((attributes.Mode & S.IFMT) == S.IFDIR)
        {
            if (!HostFile.OpenAt2(parent, name.Length == 0 ? "." : name, OPath | ONoFollow | ODirectory | HostFile.OCloexec, 0, ResolveConfined).TryGet(out int opened, out error))
                return error;

            // What was opened is what is described, whatever became of the name in between.
            error = Stat(opened, "", out attributes);
            if (error != Errno.None)
            {
                HostFile.Close(opened);
                return error;
            }

            if (!_handles.Add(opened, writable).TryGet(out handle, out error))
                return error;
        }
        else if ((attributes.Mode & S.IFMT) == S.IFLNK)
        {
            if (!HostFile.ReadLinkAt(parent, name).TryGet(out string? target, out error))
                return error;
            link = target;
        }

        reply.Attributes(attributes);
        reply.U32(handle);
        reply.Text(link);
        return Errno.None;
    }

    private Errno ReadDirectory(uint directory, ulong cursor, ref FrameWriter reply)
    {
        if (!_handles.TryGet(directory, out int path))
            return Errno.ESTALE;
        if (!HostFile.OpenAt2(path, ".", ODirectory | ONoFollow | HostFile.OCloexec, 0, ResolveConfined).TryGet(out int open, out Errno error))
            return error;
        try
        {
            if (cursor != 0 && HostFile.Seek(open, (long)cursor, 0).IsError)
                return Errno.EINVAL;
            return ReadEntries(open, cursor, ref reply);
        }
        finally
        {
            HostFile.Close(open);
        }
    }

    private Errno ReadEntries(int directory, ulong cursor, ref FrameWriter reply)
    {
        int header = reply.Length;
        reply.U64(0);
        reply.U8(0);
        reply.U32(0);
        uint count = 0;
        bool end = false;
        while (!end && reply.Length < GoferLimits.DirectoryReply)
        {
            if (!HostFile.GetDirectoryEntries(directory, _records).TryGet(out int length, out Errno error))
                return error;
            end = length == 0;
            for (int at = 0; at + 19 <= length && reply.Length < GoferLimits.DirectoryReply;)
            {
                // struct linux_dirent64: d_ino, d_off, d_reclen, d_type, d_name
                ReadOnlySpan<byte> record = _records.AsSpan(at, length - at);
                int size = BinaryPrimitives.ReadUInt16LittleEndian(record[16..]);
                if (size < 20 || size > record.Length)
                    return Errno.EIO;
                ReadOnlySpan<byte> bytes = record[19..size];
                string name = Encoding.Latin1.GetString(bytes[..Math.Max(0, bytes.IndexOf((byte)0))]);
                cursor = BinaryPrimitives.ReadUInt64LittleEndian(record[8..]);
                at += size;
                if (!GoferLimits.IsEntryName(name) || Stat(directory, name, out NodeAttributes attributes) != Errno.None)
                    continue;
                string link = "";
                if ((attributes.Mode & S.IFMT) == S.IFLNK && !HostFile.ReadLinkAt(directory, name).TryGet(out link!, out _))
                    continue;
                reply.Text(name);
                reply.Attributes(attributes);
                reply.Text(link);
                count++;
            }
        }

        if (count == 0 && !end)
            return Errno.EIO;
        reply.Patch64(header, cursor);
        reply.Patch8(header + 8, end ? (byte)1 : (byte)0);
        reply.Patch32(header + 9, count);
        return Errno.None;
    }

    private Errno Open(uint directory, string name, ref FrameWriter reply, out int descriptor)
    {
        descriptor = -1;
        if (!_handles.TryGet(directory, out int parent))
            return Errno.ESTALE;
        if (!GoferLimits.IsEntryName(name))
            return Errno.EINVAL;

        // Looked at first, because opening a device has effects; looked at again after, because names change.
        Errno error = Stat(parent, name, out NodeAttributes attributes);
        if (error != Errno.None)
            return error;
        if ((attributes.Mode & S.IFMT) != S.IFREG)
            return Errno.EACCES;
        if (!HostFile.OpenAt2(parent, name, ONoFollow | ONonBlock | ONoCtty | HostFile.OCloexec, 0, ResolveConfined).TryGet(out int opened, out error))
            return error;
        error = Stat(opened, "", out attributes);
        if (error == Errno.None && (attributes.Mode & S.IFMT) != S.IFREG)
            error = Errno.EACCES;
        if (error != Errno.None)
        {
            HostFile.Close(opened);
            return error;
        }

        descriptor = opened;
        reply.Attributes(attributes);
        return Errno.None;
    }

    private Errno ListAttributes(uint directory, string name, ref FrameWriter reply)
    {
        if (!_handles.TryGet(directory, out int parent))
            return Errno.ESTALE;
        if (name.Length > 0 && !GoferLimits.IsEntryName(name))
            return Errno.EINVAL;
        Errno error = Stat(parent, name, out NodeAttributes attributes);
        if (error != Errno.None)
            return error;
        if ((attributes.Mode & S.IFMT) is not (S.IFREG or S.IFDIR))
            return Errno.EOPNOTSUPP;
        if (!HostFile.OpenAt2(parent, name.Length == 0 ? "." : name, ONoFollow | ONonBlock | ONoCtty | HostFile.OCloexec, 0, ResolveConfined).TryGet(out int open, out error))
            return error;
        int header = reply.Length;
        reply.U32(0);
        uint count = 0;
        if (HostFile.ListExtendedAttributes(open).TryGet(out string[]? names, out error))
        {
            foreach (string attribute in names)
            {
                if (count == GoferLimits.MaxAttributes || !GoferLimits.IsShownAttribute(attribute) || !HostFile.GetExtendedAttribute(open, attribute).TryGet(out byte[]? value, out _))
                    continue;
                if (reply.Length + attribute.Length + value.Length + 16 > GoferLimits.MaxFrame)
                    break;
                reply.Text(attribute);
                reply.Bytes(value);
                count++;
            }
        }

        HostFile.Close(open);
        reply.Patch32(header, count);
        return Errno.None;
    }

    private Errno StatFs(ref FrameWriter reply)
    {
        _handles.TryGet(GoferLimits.RootHandle, out int root);
        return StatFs(root, ref reply);
    }

    internal static Errno StatFs(int directory, ref FrameWriter reply)
    {
        Span<byte> raw = stackalloc byte[120];
        Errno error = HostFile.StatFs(directory, raw);
        if (error != Errno.None)
            return error;
        reply.U32((uint)BinaryPrimitives.ReadInt64LittleEndian(raw[8..]));
        reply.U64(BinaryPrimitives.ReadUInt64LittleEndian(raw[16..]));
        reply.U64(BinaryPrimitives.ReadUInt64LittleEndian(raw[24..]));
        reply.U64(BinaryPrimitives.ReadUInt64LittleEndian(raw[40..]));
        reply.U64(BinaryPrimitives.ReadUInt64LittleEndian(raw[48..]));
        return Errno.None;
    }

    internal static Errno Stat(int directory, string name, out NodeAttributes attributes)
    {
        int flags = AtSymlinkNoFollow | AtNoAutomount | (name.Length == 0 ? AtEmptyPath : 0);
        Errno error = HostFile.StatX(directory, name, flags, StatMask, out StatX stat);
        attributes = error != Errno.None ? default : NodeAttributes.Of(stat);
        return error;
    }
}

/// <summary>The root directory of a volume, by O_PATH.</summary>
public readonly record struct VolumeRoot(int Descriptor, bool Writable);
