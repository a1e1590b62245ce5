using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Sentry.Kernel.Sockets;

/// <summary>Ancillary data (cmsg(3)): SCM_RIGHTS and SCM_CREDENTIALS of unix(7).</summary>
internal static class ControlMessages
{
    private const int HeaderSize = 16;
    private const int Rights = 1, CredentialsType = 2;
    private const int CredentialsSize = 12;
    private const int MaxFiles = 253;
    private const int MaxLength = 1 << 16;
    private const int CapSetgid = 6, CapSetuid = 7, CapSysAdmin = 21;

    /// <summary>Reads what a sender attached.</summary>
    internal static Errno Parse(Task task, ulong address, ulong length, SendRequest request)
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
            if (BinaryPrimitives.ReadInt32LittleEndian(rest[8..]) == SocketOptions.Level)
            {
                Errno error = BinaryPrimitives.ReadInt32LittleEndian(rest[12..]) switch
                {
                    Rights => ParseRights(task, data, files ??= []),
                    CredentialsType => ParseCredentials(task, data, request),
                    _ => Errno.EINVAL,
                };
                if (error != Errno.None)
                    return error;
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
        bool uid = claimed.Uid == own.Uid || claimed.Uid == own.EffectiveUid || claimed.Uid == own.SavedUid || own.Has(CapSetuid);
        bool gid = claimed.Gid == own.Gid || claimed.Gid == own.EffectiveGid || claimed.Gid == own.SavedGid || own.Has(CapSetgid);
        bool pid = claimed.Pid == task.Group.Pid || own.Has(CapSysAdmin);
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
            BinaryPrimitives.WriteInt32LittleEndian(data, credentials.Pid);
            BinaryPrimitives.WriteUInt32LittleEndian(data[4..], credentials.Uid);
            BinaryPrimitives.WriteUInt32LittleEndian(data[8..], credentials.Gid);
            Put(task, address, length, ref used, CredentialsType, data, request);
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
            Put(task, address, length, ref used, Rights, MemoryMarshal.AsBytes(descriptors.AsSpan(0, installed)), request);
        if (installed < files.Length)
            request.ResultFlags |= MessageFlags.ControlTruncated;
        return used;
    }

    private static void Put(Task task, ulong address, ulong length, ref ulong used, int type, ReadOnlySpan<byte> data, ReceiveRequest request)
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
        BinaryPrimitives.WriteInt32LittleEndian(message[8..], SocketOptions.Level);
        BinaryPrimitives.WriteInt32LittleEndian(message[12..], type);
        data[..(message.Length - HeaderSize)].CopyTo(message[HeaderSize..]);
        task.Memory.Write(address + used, message);
        used = Math.Min(length, used + (ulong)Align(message.Length));
    }

    private static int Align(int length) => (length + 7) & ~7;
}
