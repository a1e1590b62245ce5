using System.Buffers.Binary;

namespace Sentry.Kernel.Ipc;

/// <summary>What System V queues, semaphore sets and segments have in common: key, owner, permissions (struct ipc_perm, sysvipc(7)).</summary>
[Savable("ipc-object")]
internal abstract partial class IpcObject
{
    /// <summary>Size of struct ipc64_perm.</summary>
    internal const int PermissionSize = 48;

    internal const int Private = 0, Create = 0x200, Exclusive = 0x400, NoWait = 0x800;

    /// <summary>Commands that all three control calls know.</summary>
    internal const int Remove = 0, Set = 1, Stat = 2, Info = 3;

    internal const uint ReadPermission = 0x124, WritePermission = 0x92;

    [Saved(1)] private int _id;
    [Saved(2)] private int _key;
    [Saved(3)] private uint _uid;
    [Saved(4)] private uint _gid;
    [Saved(5)] private uint _creatorUid;
    [Saved(6)] private uint _creatorGid;
    [Saved(7)] private uint _mode;
    [Saved(8)] private long _changeTime;
    [Saved(9)] private bool _removed;
    [NotSaved("blocked calls register again when they are tried again")] private readonly WaitQueue _waiters = new();

    protected IpcObject(Task creator, int key, int flags)
    {
        _key = key;
        _uid = _creatorUid = creator.Credentials.EffectiveUid;
        _gid = _creatorGid = creator.Credentials.EffectiveGid;
        _mode = (uint)flags & 0x1FF;
        _changeTime = Now(creator);
    }

    internal int Id
    {
        get => _id;
        set => _id = value;
    }

    /// <summary><see cref="Private"/> for one that only its id leads to.</summary>
    internal int Key
    {
        get => _key;
        set => _key = value;
    }

    /// <summary>Permission bits, and for a segment SHM_DEST and SHM_LOCKED.</summary>
    internal uint Mode
    {
        get => _mode;
        set => _mode = value;
    }

    internal uint Uid => _uid;

    internal uint Gid => _gid;

    internal uint CreatorUid => _creatorUid;

    internal uint CreatorGid => _creatorGid;

    /// <summary>Seconds since 1970.</summary>
    internal long ChangeTime => _changeTime;

    /// <summary>Gone: who waits for it gets EIDRM.</summary>
    internal bool IsRemoved => _removed;

    internal WaitQueue Waiters => _waiters;

    internal static long Now(Task task) => task.Kernel.Clock.Realtime / 1_000_000_000;

    internal void Touch(Task task) => _changeTime = Now(task);

    /// <summary>Wakes those who wait with EIDRM; the table has forgotten it.</summary>
    internal void MarkRemoved()
    {
        _removed = true;
        _waiters.Wake();
    }

    /// <summary>The check of sysvipc(7): <paramref name="wanted"/> holds the same bits for owner, group and others.</summary>
    internal bool Permits(Task task, uint wanted)
    {
        Credentials credentials = task.Credentials;
        uint granted = _mode;
        if (credentials.EffectiveUid == _creatorUid || credentials.EffectiveUid == _uid)
            granted >>= 6;
        else if (InGroup(credentials, _creatorGid) || InGroup(credentials, _gid))
            granted >>= 3;
        uint requested = (wanted >> 6) | (wanted >> 3) | wanted;
        return (requested & ~granted & 7) == 0 || credentials.HasIn(task.Ipc.Owner, Capability.CAP_IPC_OWNER);
    }

    /// <summary>Whether a caller may change or remove it: owner, creator or CAP_SYS_ADMIN.</summary>
    internal bool IsOwner(Task task) =>
        task.Credentials.EffectiveUid == _creatorUid || task.Credentials.EffectiveUid == _uid || task.Credentials.HasIn(task.Ipc.Owner, Capability.CAP_SYS_ADMIN);

    /// <summary>IPC_SET: owner, group and permissions out of a guest's struct ipc64_perm.</summary>
    internal Errno SetOwner(Task task, ReadOnlySpan<byte> permissions)
    {
        if (!task.UserNamespace.TryMakeUid(BinaryPrimitives.ReadUInt32LittleEndian(permissions[4..]), out uint uid)
            || !task.UserNamespace.TryMakeGid(BinaryPrimitives.ReadUInt32LittleEndian(permissions[8..]), out uint gid))
            return Errno.EINVAL;
        (_uid, _gid) = (uid, gid);
        _mode = (_mode & ~0x1FFu) | (BinaryPrimitives.ReadUInt32LittleEndian(permissions[20..]) & 0x1FF);
        Touch(task);
        return Errno.None;
    }

    /// <summary>Fills struct ipc64_perm.</summary>
    internal void WritePermissions(Task reader, Span<byte> destination)
    {
        destination[..PermissionSize].Clear();
        BinaryPrimitives.WriteInt32LittleEndian(destination, _key);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[4..], reader.UserNamespace.ShowUid(_uid));
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], reader.UserNamespace.ShowGid(_gid));
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], reader.UserNamespace.ShowUid(_creatorUid));
        BinaryPrimitives.WriteUInt32LittleEndian(destination[16..], reader.UserNamespace.ShowGid(_creatorGid));
        BinaryPrimitives.WriteUInt32LittleEndian(destination[20..], _mode);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[24..], (ushort)(_id / IpcIds.Slots));
    }

    private static bool InGroup(Credentials credentials, uint gid) => credentials.EffectiveGid == gid || Array.IndexOf(credentials.Groups, gid) >= 0;
}

/// <summary>The objects of one kind by id (struct ipc_ids). An id is the index of a slot and how often slots were used up, so that ids are not soon used again.</summary>
[Savable("ipc-ids")]
internal sealed partial class IpcIds
{
    /// <summary>IPCMNI: an id is sequence * Slots + index.</summary>
    internal const int Slots = 32768;

    [Saved(1)] private SortedDictionary<int, IpcObject> _objects = [];
    [Saved(2)] private int _lastIndex = -1;
    [Saved(3)] private int _sequence;
    [Saved(4)] private int _limit;
    [Saved(5)] private int _nextId = -1;

    internal IpcIds(int limit) => _limit = limit;

    /// <summary>By index, ascending.</summary>
    internal SortedDictionary<int, IpcObject> Objects => _objects;

    /// <summary>How many there may be (kernel.shmmni and its like).</summary>
    internal int Limit
    {
        get => _limit;
        set => _limit = value;
    }

    /// <summary>The id that the next object gets when it is free (kernel.shm_next_id and its like); -1 for none.</summary>
    internal int NextId
    {
        get => _nextId;
        set => _nextId = value;
    }

    /// <summary>The highest index in use; 0 when there is none, as IPC_INFO tells it.</summary>
    internal int HighestIndex
    {
        get
        {
            int highest = 0;
            foreach (int index in _objects.Keys)
                highest = index;
            return highest;
        }
    }

    /// <summary>EINVAL for an id that names nothing.</summary>
    internal Result<T> Find<T>(int id)
        where T : IpcObject =>
        id >= 0 && _objects.TryGetValue(id % Slots, out IpcObject? found) && found.Id == id ? (T)found : Errno.EINVAL;

    /// <summary>By index, for the *_STAT commands.</summary>
    internal Result<T> FindIndex<T>(int index)
        where T : IpcObject =>
        index >= 0 && _objects.TryGetValue(index % Slots, out IpcObject? found) ? (T)found : Errno.EINVAL;

    /// <summary>What a get call finds under a key: EEXIST, EACCES, ENOENT; null when one is to be made.</summary>
    internal Result<IpcObject?> FindKey(Task task, int key, int flags)
    {
        if (key == IpcObject.Private)
            return (IpcObject?)null;
        foreach (IpcObject found in _objects.Values)
        {
            if (found.Key != key)
                continue;
            if ((flags & (IpcObject.Create | IpcObject.Exclusive)) == (IpcObject.Create | IpcObject.Exclusive))
                return Errno.EEXIST;
            return found;
        }

        return (flags & IpcObject.Create) != 0 ? (IpcObject?)null : Errno.ENOENT;
    }

    /// <summary>Gives a new object its id; ENOSPC when there are too many.</summary>
    internal Result<int> Add(IpcObject made)
    {
        if (_objects.Count >= _limit)
            return Errno.ENOSPC;
        int sequence = _sequence, index;
        if (_nextId >= 0)
        {
            sequence = _nextId / Slots;
            index = _nextId % Slots;
            while (_objects.ContainsKey(index))
                index = (index + 1) % Slots;
            _nextId = -1;
        }
        else
        {
            index = (_lastIndex + 1) % _limit;
            while (_objects.ContainsKey(index))
                index = (index + 1) % _limit;
            if (index <= _lastIndex)
                sequence = _sequence = (_sequence + 1) & 0xFFFF;
            _lastIndex = index;
        }

        made.Id = (sequence * Slots) + index;
        _objects.Add(index, made);
        return made.Id;
    }

    internal void Remove(IpcObject gone)
    {
        _objects.Remove(gone.Id % Slots);
        gone.MarkRemoved();
    }
}
