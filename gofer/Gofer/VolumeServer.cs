using Gofer.Protocol;
using Sentry.Abi;
using Sentry.Host;

namespace Gofer;

/// <summary>Answers what is asked of volumes alone. What changes a file goes by a descriptor of that very file, never by a name that a link could take elsewhere.</summary>
internal sealed class VolumeServer(HandleTable handles)
{
    private const int OPath = 0x200000, ONoFollow = 0x20000, ODirectory = 0x10000, ONonBlock = 0x800, ONoCtty = 0x100, OWriteOnly = 1, OReadWrite = 2, OCreate = 0x40, OExclusive = 0x80;
    private const ulong ResolveConfined = 8 | 4 | 2; // BENEATH, NO_SYMLINKS, NO_MAGICLINKS
    private const int AtSymlinkNoFollow = 0x100, AtEmptyPath = 0x1000, AtRemoveDirectory = 0x200;
    private const uint TimeOmit = 0x3FFFFFFE, KnownRename = 3;

    /// <summary>False when the request makes no sense.</summary>
    internal bool TryAnswer(GoferOperation operation, ref FrameReader request, ref FrameWriter reply, out Errno error, out int donated)
    {
        donated = -1;
        error = Errno.None;
        uint directory = request.U32();
        if (operation == GoferOperation.StatTree)
        {
            if (!request.IsComplete)
                return false;
            error = handles.TryGet(directory, out int tree) ? TreeServer.StatFs(tree, ref reply) : Errno.ESTALE;
            return true;
        }

        string name = request.Text(GoferLimits.MaxName);
        uint mode, other;
        string text;
        switch (operation)
        {
            case GoferOperation.Look:
                if (!request.IsComplete)
                    return false;
                error = Look(directory, name, ref reply);
                return true;
            case GoferOperation.OpenFor:
                int access = request.U8();
                if (!request.IsComplete || access > OReadWrite)
                    return false;
                error = Open(directory, name, access, ref reply, out donated);
                return true;
            case GoferOperation.Create:
                (mode, uint uid, uint gid) = (request.U32(), request.U32(), request.U32());
                if (!request.IsComplete)
                    return false;
                error = Create(directory, name, mode, uid, gid, ref reply, out donated);
                return true;
            case GoferOperation.MakeNode:
                (mode, uid, gid) = (request.U32(), request.U32(), request.U32());
                text = request.Text(GoferLimits.MaxLink);
                if (!request.IsComplete)
                    return false;
                error = MakeNode(directory, name, mode, uid, gid, text, ref reply);
                return true;
            case GoferOperation.Unlink:
                bool isDirectory = request.U8() != 0;
                if (!request.IsComplete)
                    return false;
                error = Enter(directory, name, true, out int parent);
                if (error == Errno.None)
                    error = HostFile.UnlinkAt(parent, name, isDirectory ? AtRemoveDirectory : 0);
                return true;
            case GoferOperation.Link:
                (other, text) = (request.U32(), request.Text(GoferLimits.MaxName));
                if (!request.IsComplete)
                    return false;
                error = Link(directory, name, other, text, ref reply);
                return true;
            case GoferOperation.Rename:
                (other, text, uint flags) = (request.U32(), request.Text(GoferLimits.MaxName), request.U32());
                if (!request.IsComplete || (flags & ~KnownRename) != 0)
                    return false;
                error = Enter(directory, name, true, out parent);
                int target = -1;
                if (error == Errno.None)
                    error = Enter(other, text, true, out target);
                if (error == Errno.None)
                    error = HostFile.RenameAt(parent, name, target, text, (int)flags);
                return true;
            case GoferOperation.SetAttributes:
                NodeChange change = request.Change();
                if (!request.IsComplete)
                    return false;
                error = SetAttributes(directory, name, change, ref reply);
                return true;
            default:
                return false;
        }
    }

    /// <summary>The directory behind a handle, if the name can be one of its entries and it may be changed as wanted.</summary>
    private Errno Enter(uint directory, string name, bool changes, out int parent)
    {
        if (!handles.TryGet(directory, out parent, out bool writable))
            return Errno.ESTALE;
        if (!GoferLimits.IsEntryName(name))
            return Errno.EINVAL;
        return changes && !writable ? Errno.EROFS : Errno.None;
    }

    private Errno Look(uint directory, string name, ref FrameWriter reply)
    {
        if (!handles.TryGet(directory, out int parent))
            return Errno.ESTALE;
        if (name.Length > 0 && !GoferLimits.IsEntryName(name))
            return Errno.EINVAL;
        Errno error = TreeServer.Stat(parent, name, out NodeAttributes attributes);
        if (error != Errno.None)
            return error;
        string link = "";
        if ((attributes.Mode & S.IFMT) == S.IFLNK && !HostFile.ReadLinkAt(parent, name).TryGet(out link!, out error))
            return error;
        reply.Attributes(attributes);
        reply.Text(link);
        return Errno.None;
    }

    private Errno Open(uint directory, string name, int access, ref FrameWriter reply, out int descriptor)
    {
        descriptor = -1;
        Errno error = Enter(directory, name, access != 0, out int parent);
        if (error != Errno.None)
            return error;

        // Looked at first, because opening a device has effects; looked at again after, because names change.
        error = TreeServer.Stat(parent, name, out NodeAttributes attributes);
        if (error == Errno.None && (attributes.Mode & S.IFMT) != S.IFREG)
            error = Errno.EACCES;
        if (error != Errno.None)
            return error;
        if (!HostFile.OpenAt2(parent, name, access | ONoFollow | ONonBlock | ONoCtty, 0, ResolveConfined).TryGet(out int opened, out error))
            return error;
        return Donate(opened, ref reply, out descriptor);
    }

    private Errno Create(uint directory, string name, uint mode, uint uid, uint gid, ref FrameWriter reply, out int descriptor)
    {
        descriptor = -1;
        Errno error = Enter(directory, name, true, out int parent);
        if (error != Errno.None)
            return error;
        if (!HostFile.OpenAt2(parent, name, OReadWrite | OCreate | OExclusive | ONoFollow, (int)(mode & S.PermissionMask), ResolveConfined).TryGet(out int opened, out error))
            return error;
        GiveTo(opened, uid, gid);
        return Donate(opened, ref reply, out descriptor);
    }

    private static Errno Donate(int opened, ref FrameWriter reply, out int descriptor)
    {
        descriptor = -1;
        Errno error = TreeServer.Stat(opened, "", out NodeAttributes attributes);
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

    private Errno MakeNode(uint directory, string name, uint mode, uint uid, uint gid, string link, ref FrameWriter reply)
    {
        Errno error = Enter(directory, name, true, out int parent);
        if (error != Errno.None)
            return error;
        error = (mode & S.IFMT) switch
        {
            S.IFDIR => HostFile.MakeDirectoryAt(parent, name, (int)(mode & S.PermissionMask)),
            S.IFLNK => HostFile.SymbolicLinkAt(link, parent, name),
            S.IFIFO or S.IFSOCK => HostFile.MakeNodeAt(parent, name, (int)mode, 0),
            _ => Errno.EPERM,
        };
        if (error != Errno.None)
            return error;
        if (!HostFile.OpenAt2(parent, name, OPath | ONoFollow, 0, ResolveConfined).TryGet(out int made, out error))
            return error;
        GiveTo(made, uid, gid);
        error = TreeServer.Stat(made, "", out NodeAttributes attributes);
        HostFile.Close(made);
        reply.Attributes(attributes);
        return error;
    }

    /// <summary>Files belong to whom the sandbox says, where the agent's user may give them away; else they stay this user's.</summary>
    private static void GiveTo(int place, uint uid, uint gid)
    {
        if (TreeServer.Stat(place, "", out NodeAttributes attributes) == Errno.None && (attributes.Uid != uid || attributes.Gid != gid))
            _ = HostFile.ChangeOwnerAt(place, "", (int)uid, (int)gid, AtEmptyPath | AtSymlinkNoFollow);
    }

    private Errno Link(uint directory, string name, uint newDirectory, string newName, ref FrameWriter reply)
    {
        int target = -1;
        Errno error = Enter(directory, name, true, out int parent);
        if (error == Errno.None)
            error = Enter(newDirectory, newName, true, out target);
        if (error == Errno.None)
            error = HostFile.LinkAt(parent, name, target, newName, 0);
        if (error != Errno.None)
            return error;
        error = TreeServer.Stat(target, newName, out NodeAttributes attributes);
        reply.Attributes(attributes);
        return error;
    }

    private Errno SetAttributes(uint directory, string name, in NodeChange change, ref FrameWriter reply)
    {
        if (!handles.TryGet(directory, out int parent, out bool writable))
            return Errno.ESTALE;
        if (name.Length > 0 && !GoferLimits.IsEntryName(name))
            return Errno.EINVAL;
        if (!writable)
            return Errno.EROFS;
        bool truncates = (change.Fields & NodeChange.HasSize) != 0;
        int flags = truncates ? OWriteOnly | ONonBlock | ONoCtty : OPath;
        Errno error;
        if (truncates)
        {
            // As with any opening: nothing but regular files.
            error = TreeServer.Stat(parent, name, out NodeAttributes before);
            if (error == Errno.None && (before.Mode & S.IFMT) != S.IFREG)
                error = Errno.EINVAL;
            if (error != Errno.None)
                return error;
        }

        if (!HostFile.OpenAt2(parent, name.Length == 0 ? "." : name, flags | ONoFollow | (name.Length == 0 ? ODirectory : 0), 0, ResolveConfined).TryGet(out int place, out error))
            return error;
        error = Apply(place, change);
        NodeAttributes attributes = default;
        if (error == Errno.None)
            error = TreeServer.Stat(place, "", out attributes);
        HostFile.Close(place);
        reply.Attributes(attributes);
        return error;
    }

    private static Errno Apply(int place, in NodeChange change)
    {
        uint fields = change.Fields;
        Errno error = Errno.None;
        if ((fields & NodeChange.HasSize) != 0)
            error = HostFile.Truncate(place, change.Size);
        if (error == Errno.None && (fields & (NodeChange.HasUid | NodeChange.HasGid)) != 0)
        {
            error = HostFile.ChangeOwnerAt(place, "", (fields & NodeChange.HasUid) != 0 ? (int)change.Uid : -1, (fields & NodeChange.HasGid) != 0 ? (int)change.Gid : -1,
                AtEmptyPath | AtSymlinkNoFollow);
        }

        // After the owner, whose change takes set-user-id away.
        if (error == Errno.None && (fields & NodeChange.HasPermissions) != 0)
            error = HostFile.ChangeModeOf(place, (int)(change.Permissions & S.PermissionMask));
        if (error == Errno.None && (fields & (NodeChange.HasAccessTime | NodeChange.HasModifyTime)) != 0)
        {
            (long accessSeconds, long accessNanos) = Split(change.AccessTime, (fields & NodeChange.HasAccessTime) != 0);
            (long modifySeconds, long modifyNanos) = Split(change.ModifyTime, (fields & NodeChange.HasModifyTime) != 0);
            error = HostFile.SetTimesAt(place, "", accessSeconds, accessNanos, modifySeconds, modifyNanos, AtEmptyPath);
        }

        return error;
    }

    private static (long Seconds, long Nanos) Split(long time, bool given)
    {
        if (!given)
            return (0, TimeOmit);
        (long seconds, long nanos) = Math.DivRem(time, 1_000_000_000);
        return nanos < 0 ? (seconds - 1, nanos + 1_000_000_000) : (seconds, nanos);
    }
}
