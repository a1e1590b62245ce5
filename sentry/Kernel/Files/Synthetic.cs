using System.Text;

namespace Sentry.Kernel.Files;

/// <summary>A directory whose entries the kernel makes up when asked (/proc, /sys). Derive, list and look up.</summary>
[Savable("synthetic-directory")]
public abstract partial class SyntheticDirectory : Inode
{
    protected SyntheticDirectory(FileSystem fileSystem, uint permissions, uint uid, uint gid)
        : base(fileSystem, S.IFDIR | permissions, uid, gid)
    {
        LinkCount = 2;
    }

    /// <summary>With an inode number that is the same whenever the directory is made up again.</summary>
    protected SyntheticDirectory(FileSystem fileSystem, ulong number, uint permissions, uint uid, uint gid)
        : base(fileSystem, number, S.IFDIR | permissions, uid, gid)
    {
        LinkCount = 2;
    }

    public override bool CachesNames => false;

    public override long Blocks => 0;

    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags) => new DirectoryFile(path, flags);

    public override Errno SetAttributes(in AttributeChange change) => Errno.EPERM;
}

/// <summary>A directory with a fixed set of entries, put in when it is made.</summary>
[Savable("static-directory")]
public partial class StaticDirectory : SyntheticDirectory
{
    [Saved(1)] private List<MemoryEntry> _entries = [];

    public StaticDirectory(FileSystem fileSystem, uint permissions = 0x16D)
        : base(fileSystem, permissions, 0, 0)
    {
    }

    public override bool CachesNames => true;

    public StaticDirectory Add(string name, Inode inode)
    {
        _entries.Add(new MemoryEntry(name, inode, _entries.Count + 2));
        if (inode.IsDirectory)
            LinkCount++;
        return this;
    }

    public override Result<Inode> Lookup(string name)
    {
        foreach (MemoryEntry entry in _entries)
        {
            if (entry.Name == name)
                return entry.Inode!;
        }

        return Errno.ENOENT;
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        for (int i = (int)Math.Min(position - 2, _entries.Count); i < _entries.Count; i++)
        {
            if (!reader.Add(_entries[i].Name, _entries[i].Inode!.Number, _entries[i].Inode!.Mode, i + 3))
                break;
        }

        return Errno.None;
    }
}

/// <summary>A file whose content the kernel makes up when it is read from the start. Derive and override <see cref="Generate"/> (and
/// <see cref="Accept"/> for writable ones).</summary>
[Savable("synthetic-inode")]
public abstract partial class SyntheticInode : Inode
{
    protected SyntheticInode(FileSystem fileSystem, uint permissions, uint uid = 0, uint gid = 0)
        : base(fileSystem, S.IFREG | permissions, uid, gid)
    {
    }

    protected SyntheticInode(FileSystem fileSystem, ulong number, uint permissions, uint uid = 0, uint gid = 0)
        : base(fileSystem, number, S.IFREG | permissions, uid, gid)
    {
    }

    /// <summary>The content for this reader, a byte per char.</summary>
    public abstract Result<string> Generate(Task? caller);

    /// <summary>One write(2) with its whole text; the number of bytes taken.</summary>
    public virtual Result<long> Accept(Task caller, string text, long offset) => Errno.EINVAL;

    public override long Blocks => 0;

    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags) => new SyntheticFile(path, this, flags);

    /// <summary>O_TRUNC is accepted and does nothing.</summary>
    public override Errno Truncate(long length) => Errno.None;
}

/// <summary>An open <see cref="SyntheticInode"/>: keeps the text that its first read saw until it is read from the start again.</summary>
[Savable("synthetic-file")]
public sealed partial class SyntheticFile : InodeFile
{
    [Saved(1)] private SyntheticInode _source;
    [Saved(2)] private string? _text;

    internal SyntheticFile(in VfsPath path, SyntheticInode source, OpenFlags flags)
        : base(path, source, flags)
    {
        _source = source;
    }

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        Result<long> moved = ReadAt(caller, destination, Offset);
        if (moved.IsOk)
            Offset += moved.Value;
        return moved;
    }

    public override Result<long> ReadAt(Task caller, in UserBuffer destination, long offset)
    {
        if (_text is null || offset == 0)
        {
            if (!_source.Generate(caller).TryGet(out string? text, out Errno error))
                return error;
            _text = text;
        }

        if (offset >= _text.Length || destination.Length == 0)
            return 0;
        int count = (int)Math.Min(destination.Length, _text.Length - offset);
        byte[] bytes = Encoding.Latin1.GetBytes(_text, (int)offset, count);
        int moved = destination.CopyOut(bytes);
        return moved > 0 ? moved : Errno.EFAULT;
    }

    public override Result<long> Write(Task caller, in UserBuffer source)
    {
        Result<long> moved = WriteAt(caller, source, Offset);
        if (moved.IsOk)
            Offset += moved.Value;
        return moved;
    }

    public override Result<long> WriteAt(Task caller, in UserBuffer source, long offset)
    {
        var bytes = new byte[Math.Min(source.Length, 65536)];
        int got = source.CopyIn(bytes);
        if (got < bytes.Length)
            return Errno.EFAULT;
        return _source.Accept(caller, Encoding.Latin1.GetString(bytes), offset);
    }

    public override Result<long> Seek(long offset, int whence)
    {
        long target = whence switch
        {
            0 => offset,
            1 => Offset + offset,
            2 => (_text?.Length ?? 0) + offset,
            _ => -1,
        };
        if (target < 0)
            return Errno.EINVAL;
        return Offset = target;
    }

    public override Errno Truncate(long length) => Errno.None;
}

/// <summary>A symbolic link whose text the kernel makes up, or that jumps (/proc/self, /proc/PID/exe).</summary>
[Savable("synthetic-link")]
public abstract partial class SyntheticLink : Inode
{
    protected SyntheticLink(FileSystem fileSystem, uint uid = 0, uint gid = 0)
        : base(fileSystem, S.IFLNK | 0x1FF, uid, gid)
    {
    }

    protected SyntheticLink(FileSystem fileSystem, ulong number, uint uid = 0, uint gid = 0)
        : base(fileSystem, number, S.IFLNK | 0x1FF, uid, gid)
    {
    }

    public override long Blocks => 0;

    public abstract override Result<string> ReadLink(Task? caller);
}
