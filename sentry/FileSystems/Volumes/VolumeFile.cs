using System.Buffers;
using Gofer.Protocol;

namespace Sentry.FileSystems.Volumes;

/// <summary>A regular file of a volume. Its bytes are the host's: read, written and mapped through descriptors that the gofer donates.</summary>
[Savable("volume-regular")]
public sealed partial class VolumeRegular : VolumeInode
{
    [NotSaved("opened again")] private DonatedFile? _created;
    [NotSaved("known by comparing")] private bool _changed;

    internal VolumeRegular(VolumeFileSystem volume, VolumeDirectory? parent, string name, in NodeAttributes attributes)
        : base(volume, parent, name, attributes)
    {
    }

    /// <summary>Others have changed it between checkpoint and restore.</summary>
    public bool HasChanged => _changed;

    /// <summary>The descriptor that made it: good for the opening that asked for it, whatever its mode.</summary>
    internal void KeepForOpening(DonatedFile file)
    {
        _created?.Dispose();
        _created = file;
    }

    /// <summary>The host's file, opened as asked; ESTALE when its name leads to another now.</summary>
    internal Result<DonatedFile> OpenOnHost(OpenFlags flags)
    {
        if (_created is { } created)
        {
            _created = null;
            return created;
        }

        if (!GetPlace().TryGet(out (uint Directory, string Name) place, out Errno error)
            || !Volume.Client.OpenFor(place.Directory, place.Name, (int)(flags & OpenFlags.AccessMode)).TryGet(out DonatedFile? file, out error))
            return error;
        if (IsSame(file.Attributes))
            return file;
        file.Dispose();
        return Errno.ESTALE;
    }

    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags) =>
        OpenOnHost(flags).TryGet(out DonatedFile? file, out Errno error) ? new VolumeFile(path, this, flags, file) : error;

    public override Errno Truncate(long length) => Change(new NodeChange(NodeChange.HasSize, 0, 0, 0, length, 0, 0));

    /// <summary>A file that was open for writing is closed: the volume keeps its descriptor, as that of its last one, for syncfs(2). False when it has no name any
    /// more, and would take up room on the disk.</summary>
    internal bool KeepForSync(DonatedFile file)
    {
        if (!IsGone)
            Volume.KeepForSync(this, file);
        return !IsGone;
    }

    protected override void OnFoundAgain(in NodeAttributes attributes) => _changed = attributes.Size != Size || attributes.ModifyTime != ModifyTime;

    protected override void OnAllClosed()
    {
        _created?.Dispose();
        _created = null;
    }
}

/// <summary>An open regular file of a volume.</summary>
[Savable("volume-file")]
public sealed partial class VolumeFile : InodeFile
{
    private const int ChunkSize = 65536;

    [Saved(1)] private VolumeRegular _regular;
    [NotSaved("opened again")] private DonatedFile? _donated;

    internal VolumeFile(in VfsPath path, VolumeRegular regular, OpenFlags flags, DonatedFile donated)
        : base(path, regular, flags)
    {
        _regular = regular;
        _donated = donated;
    }

    public VolumeRegular Regular => _regular;

    /// <summary>The host's file, where it is open.</summary>
    internal DonatedFile? Donated => _donated;

    public override bool IsRegularFile => true;

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        Result<long> moved = ReadAt(caller, destination, Offset);
        if (moved.IsOk)
            Offset += moved.Value;
        return moved;
    }

    public override Result<long> ReadAt(Task caller, in UserBuffer destination, long offset)
    {
        if (!Get().TryGet(out DonatedFile? file, out Errno error))
            return error;
        byte[] chunk = ArrayPool<byte>.Shared.Rent((int)Math.Min(ChunkSize, Math.Max(1, destination.Length)));
        try
        {
            long done = 0;
            while (done < destination.Length)
            {
                Span<byte> wanted = chunk.AsSpan(0, (int)Math.Min(chunk.Length, destination.Length - done));
                if (!file.ReadAt(wanted, offset + done).TryGet(out int got, out error))
                    return done > 0 ? done : error;
                int copied = destination.CopyOut(wanted[..got], done);
                done += copied;
                if (copied < got)
                    return done > 0 ? done : Errno.EFAULT;
                if (got < wanted.Length)
                    break;
            }

            return done;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(chunk);
        }
    }

    public override Result<long> Write(Task caller, in UserBuffer source)
    {
        Result<long> moved = Put(caller, source, Offset, out long end);
        if (moved.IsOk)
            Offset = end;
        return moved;
    }

    /// <summary>As on Linux, O_APPEND wins over the offset (BUGS of pwrite(2)).</summary>
    public override Result<long> WriteAt(Task caller, in UserBuffer source, long offset) => Put(caller, source, offset, out _);

    private Result<long> Put(Task? caller, UserBuffer source, long start, out long end)
    {
        end = start;
        if (source.Length == 0)
            return 0;
        bool appends = (Flags & OpenFlags.Append) != 0;
        if (!Get().TryGet(out DonatedFile? file, out Errno error))
            return error;
        if (appends)
        {
            if (!file.GetAttributes().TryGet(out NodeAttributes now, out error))
                return error;
            start = end = now.Size;
        }

        if (!FindWriteLimit(caller, start).TryGet(out long limit, out error))
            return error;
        source = source.Take(Math.Min(source.Length, limit - start));
        byte[] chunk = ArrayPool<byte>.Shared.Rent((int)Math.Min(ChunkSize, source.Length));
        try
        {
            long done = 0;
            while (done < source.Length)
            {
                int count = (int)Math.Min(chunk.Length, source.Length - done);
                int taken = source.CopyIn(chunk.AsSpan(0, count), done);
                if (taken == 0)
                    return done > 0 ? done : Errno.EFAULT;
                int put;
                if (appends)
                {
                    if (!file.Append(chunk.AsSpan(0, taken)).TryGet(out (int Written, long End) appended, out error))
                        return done > 0 ? done : error;
                    (put, end) = appended;
                }
                else
                {
                    if (!file.WriteAt(chunk.AsSpan(0, taken), start + done).TryGet(out put, out error))
                        return done > 0 ? done : error;
                    end = start + done + put;
                }

                done += put;
                if (put < count)
                    break;
            }

            _regular.Doubt();
            _regular.Volume.LastWriter = this;
            return done;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(chunk);
        }
    }

    public override Result<FileStatus> GetStatus()
    {
        // What is gone has the attributes that it was last seen with.
        return Get().TryGet(out DonatedFile? file, out _) && file.GetAttributes().TryGet(out NodeAttributes now, out _) ? _regular.GetStatus(now) : _regular.GetStatus();
    }

    public override Result<long> Seek(long offset, int whence)
    {
        long target;
        switch (whence)
        {
            case 0:
                target = offset;
                break;
            case 1:
                target = Offset + offset;
                break;
            case 2 or 3 or 4:
                if (!Get().TryGet(out DonatedFile? file, out Errno error) || !file.Seek(offset, whence).TryGet(out target, out error))
                    return error;
                break;
            default:
                return Errno.EINVAL;
        }

        return target < 0 ? Errno.EINVAL : Offset = target;
    }

    public override Errno Truncate(long length)
    {
        if (!Get().TryGet(out DonatedFile? file, out Errno error))
            return error;
        _regular.Doubt();
        return file.Truncate(length);
    }

    public override Errno Allocate(int mode, long offset, long length)
    {
        if (!Get().TryGet(out DonatedFile? file, out Errno error))
            return error;
        _regular.Doubt();
        return file.Allocate(mode, offset, length);
    }

    public override Errno Sync() => Get().TryGet(out _, out Errno error) ? Errno.None : error;

    public override HostSync? StartSync(bool dataOnly) => Get() is { IsOk: true } open ? VolumeSync.Of(open.Value, dataOnly ? SyncScope.Data : SyncScope.File) : null;

    public override bool SyncsWrites => (Flags & (OpenFlags.DSync | OpenFlags.Sync)) != 0;

    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        const uint fionRead = 0x541B;
        if (request != fionRead)
            return Errno.ENOTTY;
        if (!GetStatus().TryGet(out FileStatus status, out Errno error))
            return error;
        return caller.TryWrite(argument, (int)Math.Clamp(status.Size - Offset, int.MinValue, int.MaxValue)) ? 0 : Errno.EFAULT;
    }

    /// <summary>The host's own pages, also beyond the end of the file: there the host raises SIGBUS, and knows when the file has grown.</summary>
    public override Errno GetHostExtents(ulong offset, ulong length, bool shared, bool writable, List<HostExtent> extents)
    {
        if (!Get().TryGet(out DonatedFile? file, out Errno error))
            return error;
        extents.Add(new HostExtent(offset, length, file.Descriptor, (long)offset));
        return Errno.None;
    }

    protected override void OnRelease()
    {
        base.OnRelease();
        _regular.Volume.ForgetWriter(this);
        if (_donated is { } file && !(CanWrite && _regular.KeepForSync(file)))
            file.Dispose();
        _donated = null;
    }

    private Result<DonatedFile> Get()
    {
        if (_donated is { } open)
            return open;
        if (_regular.IsGone || !_regular.OpenOnHost(Flags).TryGet(out DonatedFile? file, out Errno error))
            return Errno.ESTALE;
        return _donated = file;
    }
}
