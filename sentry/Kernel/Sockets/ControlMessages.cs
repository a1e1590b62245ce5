using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Sentry.Kernel.Sockets;

/// <summary>Ancillary data (cmsg(3)): SCM_RIGHTS and SCM_CREDENTIALS of unix(7) are handled here; the rest is brought to the socket and back.</summary>
internal static class ControlMessages
{
    private const int HeaderSize = 16;
    private const int CredentialsSize = 12;
    private const int MaxFiles = 253;
    private const int MaxLength = 1 << 16;

    /// <summary>Reads what a sender attached.</summary>
    internal static Errno Parse(Task task, SocketFile socket, ulong address, ulong length, SendRequest request)
    {
        if (length > MaxLength)
            return Errno.ENOBUFS;
        var control = new byte[length];
        if (!task.Memory.TryReadAll(address, control))
            return Errno.EFAULT;
        List<FileObject>? files = null;
        ReadOnlySpan<byte> rest = control;
        while (rest.Length >= HeaderSize)
        {
            ulong size = BinaryPrimitives.ReadUInt64LittleEndian(rest);
            if (size < HeaderSize || size > (ulong)rest.Length)
                return Errno.EINVAL;
            ReadOnlySpan<byte> data = rest[HeaderSize..(int)size];
            int level = BinaryPrimitives.ReadInt32LittleEndian(rest[8..]), type = BinaryPrimitives.ReadInt32LittleEndian(rest[12..]);
            if (level == SOL.SOCKET && type is SCM.RIGHTS or SCM.CREDENTIALS)
            {
                // These are of AF_UNIX (and the credentials of AF_NETLINK); others overlook them.
                Errno error = Errno.None;
                if (socket.Domain is AF.Unix or AF.Netlink)
                    error = type == SCM.RIGHTS ? ParseRights(task, data, files ??= []) : ParseCredentials(task, data, request);
                if (error != Errno.None)
                    return error;
            }
            else if (level == SOL.SOCKET && socket.Domain == AF.Unix)
            {
                return Errno.EINVAL;
            }
            else
            {
                (request.Control ??= []).Add(new ControlMessage(level, type, data.ToArray()));
            }

            rest = rest[Math.Min(rest.Length, Align((int)size))..];
        }

        if (files is { Count: > 0 })
            request.Files = [.. files];
        return Errno.None;
    }

    private static Errno ParseRights(Task task, ReadOnlySpan<byte> data, List<FileObject> files)
    {
        foreach (int descriptor in MemoryMarshal.Cast<byte, int>(data[..(data.Length & ~3)]))
        {
            if (!task.TryGetFile(descriptor, out FileObject? file) || (file.Flags & OpenFlags.Path) != 0)
                return Errno.EBADF;
            if (files.Count == MaxFiles)
                return Errno.EINVAL;
            files.Add(file);
        }

        return Errno.None;
    }

    private static Errno ParseCredentials(Task task, ReadOnlySpan<byte> data, SendRequest request)
    {
        if (data.Length != CredentialsSize)
            return Errno.EINVAL;
        Credentials own = task.Credentials;
        var claimed = new SocketCredentials
        {
            Pid = BinaryPrimitives.ReadInt32LittleEndian(data),
            Uid = BinaryPrimitives.ReadUInt32LittleEndian(data[4..]),
            Gid = BinaryPrimitives.ReadUInt32LittleEndian(data[8..]),
        };
        if (!task.UserNamespace.TryMakeUid(claimed.Uid, out claimed.Uid) || !task.UserNamespace.TryMakeGid(claimed.Gid, out claimed.Gid))
            return Errno.EINVAL;
        claimed.Pid = task.PidNamespace.ToKernel(claimed.Pid);
        bool uid = claimed.Uid == own.Uid || claimed.Uid == own.EffectiveUid || claimed.Uid == own.SavedUid || own.HasOwn(Capability.CAP_SETUID);
        bool gid = claimed.Gid == own.Gid || claimed.Gid == own.EffectiveGid || claimed.Gid == own.SavedGid || own.HasOwn(Capability.CAP_SETGID);
        bool pid = claimed.Pid == task.Group.Pid || own.HasIn(task.PidNamespace.Owner, Capability.CAP_SYS_ADMIN);
        if (!uid || !gid || !pid)
            return Errno.EPERM;
        if (claimed.Pid != task.Group.Pid && !task.Kernel.Processes.ContainsKey(claimed.Pid))
            return Errno.ESRCH;
        request.Credentials = claimed;
        return Errno.None;
    }

    /// <summary>Writes what a receiver gets, installing descriptors; releases what it has no room for (MSG_CTRUNC). The bytes used.</summary>
    internal static ulong Deliver(Task task, ulong address, ulong length, ReceiveRequest request)
    {
        ulong used = 0;
        if (request.Credentials is { } credentials)
        {
            Span<byte> data = stackalloc byte[CredentialsSize];
            BinaryPrimitives.WriteInt32LittleEndian(data, task.PidNamespace.ToLocal(credentials.Pid));
            BinaryPrimitives.WriteUInt32LittleEndian(data[4..], task.UserNamespace.ShowUid(credentials.Uid));
            BinaryPrimitives.WriteUInt32LittleEndian(data[8..], task.UserNamespace.ShowGid(credentials.Gid));
            Put(task, address, length, ref used, SOL.SOCKET, SCM.CREDENTIALS, data, request);
        }

        if (request.ControlOrNull is { } messages)
        {
            foreach (ControlMessage message in messages)
                Put(task, address, length, ref used, message.Level, message.Type, message.Data, request);
        }

        if (request.Files is not { } files)
            return used;
        request.Files = null;
        int room = length < used + HeaderSize ? 0 : (int)Math.Min((length - used - HeaderSize) / sizeof(int), (ulong)files.Length);
        var descriptors = new int[room];
        int installed = 0;
        while (installed < room)
        {
            Result<int> fd = task.AddFile(files[installed], (request.Flags & MessageFlags.CloseOnExec) != 0);
            if (fd.IsError)
                break;
            descriptors[installed++] = fd.Value;
        }

        foreach (FileObject file in files)
            file.Release();
        if (installed > 0)
            Put(task, address, length, ref used, SOL.SOCKET, SCM.RIGHTS, MemoryMarshal.AsBytes(descriptors.AsSpan(0, installed)), request);
        if (installed < files.Length)
            request.ResultFlags |= MessageFlags.ControlTruncated;
        return used;
    }

    private static void Put(Task task, ulong address, ulong length, ref ulong used, int level, int type, ReadOnlySpan<byte> data, ReceiveRequest request)
    {
        ulong room = length - used;
        if (room < HeaderSize)
        {
            request.ResultFlags |= MessageFlags.ControlTruncated;
            return;
        }

        Span<byte> message = new byte[HeaderSize + data.Length];
        if (room < (ulong)message.Length)
        {
            message = message[..(int)room];
            request.ResultFlags |= MessageFlags.ControlTruncated;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(message, (ulong)message.Length);
        BinaryPrimitives.WriteInt32LittleEndian(message[8..], level);
        BinaryPrimitives.WriteInt32LittleEndian(message[12..], type);
        data[..(message.Length - HeaderSize)].CopyTo(message[HeaderSize..]);
        task.Memory.Write(address + used, message);
        used = Math.Min(length, used + (ulong)Align(message.Length));
    }

    private static int Align(int length) => (length + 7) & ~7;
}
