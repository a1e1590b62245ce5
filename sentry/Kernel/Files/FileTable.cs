namespace Sentry.Kernel.Files;

/// <summary>A slot of a descriptor table.</summary>
[Savable("fd")]
public partial struct FileDescriptor
{
    [Saved(1)] public FileObject? File;
    [Saved(2)] public bool CloseOnExec;
}

/// <summary>A process's descriptors (files_struct); shared by CLONE_FILES.</summary>
[Savable("file-table")]
public sealed partial class FileTable
{
    [Saved(1)] private FileDescriptor[] _slots = new FileDescriptor[64];
    [Saved(2)] private int _users = 1;
    [NotSaved("a hint, found again by searching")] private int _firstFree;

    public FileTable()
    {
    }

    /// <summary>Slots that may be in use: descriptors are below this.</summary>
    public int Capacity => _slots.Length;

    /// <summary>The highest descriptor in use; -1 when there is none.</summary>
    public int Highest
    {
        get
        {
            int fd = _slots.Length - 1;
            while (fd >= 0 && _slots[fd].File is null)
                fd--;
            return fd;
        }
    }

    /// <summary>Free descriptors below a limit.</summary>
    public int CountFree(int limit)
    {
        int used = 0;
        for (int fd = 0; fd < Math.Min(limit, _slots.Length); fd++)
            used += _slots[fd].File is null ? 0 : 1;
        return Math.Max(0, limit - used);
    }

    public void AddUser() => _users++;

    /// <summary>A task lets go of the table; the last one closes everything.</summary>
    public void RemoveUser(ThreadGroup group)
    {
        if (--_users > 0)
            return;
        for (int fd = 0; fd < _slots.Length; fd++)
            Close(group, fd);
    }

    public bool IsShared => _users > 1;

    /// <summary>The file of a descriptor, or null (EBADF).</summary>
    public FileObject? Get(int fd) => (uint)fd < (uint)_slots.Length ? _slots[fd].File : null;

    public FileDescriptor GetSlot(int fd) => (uint)fd < (uint)_slots.Length ? _slots[fd] : default;

    public void SetCloseOnExec(int fd, bool value) => _slots[fd].CloseOnExec = value;

    /// <summary>The descriptor that the next file gets; EMFILE at <paramref name="limit"/>.</summary>
    internal Result<int> PeekFree(int limit)
    {
        int fd = _firstFree;
        while (fd < _slots.Length && _slots[fd].File is not null)
            fd++;
        return fd < limit ? fd : Errno.EMFILE;
    }

    /// <summary>Puts a file at the lowest free descriptor not below <paramref name="minimum"/> and takes a reference; EMFILE at <paramref name="limit"/>.</summary>
    public Result<int> Add(FileObject file, bool closeOnExec, int limit, int minimum = 0)
    {
        int fd = Math.Max(minimum, _firstFree);
        while (fd < _slots.Length && _slots[fd].File is not null)
            fd++;
        if (fd >= limit)
            return Errno.EMFILE;
        Grow(fd);
        _slots[fd] = new FileDescriptor { File = file, CloseOnExec = closeOnExec };
        file.AddReference();
        if (minimum <= _firstFree)
            _firstFree = fd + 1;
        return fd;
    }

    /// <summary>dup2: puts a file at a given descriptor, closing what was there. The caller has checked the limit.</summary>
    public void Set(ThreadGroup group, int fd, FileObject file, bool closeOnExec)
    {
        Grow(fd);
        file.AddReference();
        FileObject? old = _slots[fd].File;
        _slots[fd] = new FileDescriptor { File = file, CloseOnExec = closeOnExec };
        if (old is not null)
        {
            old.OnDescriptorClosed(group);
            old.Release();
        }
    }

    /// <summary>False is EBADF.</summary>
    public bool Close(ThreadGroup group, int fd)
    {
        if (Get(fd) is not { } file)
            return false;
        _slots[fd] = default;
        _firstFree = Math.Min(_firstFree, fd);
        file.OnDescriptorClosed(group);
        file.Release();
        return true;
    }

    /// <summary>A copy for fork or for unsharing; takes a reference to each file.</summary>
    public FileTable Copy()
    {
        var copy = new FileTable { _slots = (FileDescriptor[])_slots.Clone() };
        foreach (FileDescriptor slot in copy._slots)
            slot.File?.AddReference();
        return copy;
    }

    /// <summary>execve closes what is marked.</summary>
    public void CloseOnExec(ThreadGroup group)
    {
        for (int fd = 0; fd < _slots.Length; fd++)
        {
            if (_slots[fd].CloseOnExec)
                Close(group, fd);
        }
    }

    private void Grow(int fd)
    {
        if (fd >= _slots.Length)
            Array.Resize(ref _slots, Math.Max(fd + 1, _slots.Length * 2));
    }
}
