using Sentry.Abi;
using Sentry.Host;

namespace Gofer.Protocol;

/// <summary>What the sentry asks about volumes: names are looked at anew each time, and changed.</summary>
public sealed partial class GoferClient
{
    /// <summary>An entry as it is now; no handle is made.</summary>
    public Result<(NodeAttributes Attributes, string Link)> Look(uint directory, string name)
    {
        var request = Begin(GoferOperation.Look);
        request.U32(directory);
        request.Text(name);
        Errno error = Call(request.Finish(), false, out FrameReader reply, out _);
        if (error != Errno.None)
            return error;
        NodeAttributes attributes = reply.Attributes();
        string link = reply.Text(GoferLimits.MaxLink);
        return reply.IsComplete ? (attributes, link) : Break();
    }

    /// <summary>A regular file, opened for <paramref name="access"/>: O_RDONLY, O_WRONLY or O_RDWR.</summary>
    public Result<DonatedFile> OpenFor(uint directory, string name, int access)
    {
        var request = Begin(GoferOperation.OpenFor);
        request.U32(directory);
        request.Text(name);
        request.U8((byte)access);
        return CallForFile(request.Finish());
    }

    /// <summary>A new regular file, open for reading and writing whatever its mode.</summary>
    public Result<DonatedFile> Create(uint directory, string name, uint mode, uint uid, uint gid)
    {
        var request = Begin(GoferOperation.Create);
        request.U32(directory);
        request.Text(name);
        request.U32(mode);
        request.U32(uid);
        request.U32(gid);
        return CallForFile(request.Finish());
    }

    public Result<NodeAttributes> MakeNode(uint directory, string name, uint mode, uint uid, uint gid, string link)
    {
        if (link.Length > GoferLimits.MaxLink)
            return Errno.ENAMETOOLONG;
        var request = Begin(GoferOperation.MakeNode);
        request.U32(directory);
        request.Text(name);
        request.U32(mode);
        request.U32(uid);
        request.U32(gid);
        request.Text(link);
        return CallForAttributes(request.Finish());
    }

    public Errno Unlink(uint directory, string name, bool isDirectory)
    {
        var request = Begin(GoferOperation.Unlink);
        request.U32(directory);
        request.Text(name);
        request.U8(isDirectory ? (byte)1 : (byte)0);
        return Call(request.Finish(), false, out _, out _);
    }

    public Result<NodeAttributes> Link(uint directory, string name, uint newDirectory, string newName)
    {
        var request = Begin(GoferOperation.Link);
        request.U32(directory);
        request.Text(name);
        request.U32(newDirectory);
        request.Text(newName);
        return CallForAttributes(request.Finish());
    }

    public Errno Rename(uint directory, string name, uint newDirectory, string newName, uint flags)
    {
        var request = Begin(GoferOperation.Rename);
        request.U32(directory);
        request.Text(name);
        request.U32(newDirectory);
        request.Text(newName);
        request.U32(flags);
        return Call(request.Finish(), false, out _, out _);
    }

    public Result<NodeAttributes> SetAttributes(uint directory, string name, in NodeChange change)
    {
        var request = Begin(GoferOperation.SetAttributes);
        request.U32(directory);
        request.Text(name);
        request.Change(change);
        return CallForAttributes(request.Finish());
    }

    public Result<TreeStatus> StatTree(uint directory)
    {
        var request = Begin(GoferOperation.StatTree);
        request.U32(directory);
        Errno error = Call(request.Finish(), false, out FrameReader reply, out _);
        if (error != Errno.None)
            return error;
        var status = new TreeStatus(reply.U32(), reply.U64(), reply.U64(), reply.U64(), reply.U64());
        return reply.IsComplete ? status : Break();
    }

    private Result<NodeAttributes> CallForAttributes(ReadOnlySpan<byte> request)
    {
        Errno error = Call(request, false, out FrameReader reply, out _);
        if (error != Errno.None)
            return error;
        NodeAttributes attributes = reply.Attributes();
        return reply.IsComplete ? attributes : Break();
    }

    private Result<DonatedFile> CallForFile(ReadOnlySpan<byte> request)
    {
        Errno error = Call(request, true, out FrameReader reply, out int descriptor);
        if (error != Errno.None)
            return error;
        NodeAttributes attributes = reply.Attributes();
        if (reply.IsComplete && descriptor >= 0)
            return new DonatedFile(descriptor, attributes);
        if (descriptor >= 0)
            HostFile.Close(descriptor);
        return Break();
    }
}
