using Sentry.Abi;
using Sentry.Host;

namespace Gofer.Protocol;

/// <summary>A regular file that the gofer has opened: of the base tree for reading, of a volume for what was asked.</summary>
public sealed class DonatedFile : IDisposable
{
    private int _descriptor;

    internal DonatedFile(int descriptor, in NodeAttributes attributes)
    {
        _descriptor = descriptor;
        Attributes = attributes;
    }

    /// <summary>What was opened, as it was then.</summary>
    public NodeAttributes Attributes { get; }

    public int Descriptor => _descriptor;

    /// <summary>pread(2) of as much as there is.</summary>
    public Result<int> ReadAt(Span<byte> destination, long offset)
    {
        int done = 0;
        while (done < destination.Length)
        {
            if (!HostFile.ReadAt(_descriptor, destination[done..], offset + done).TryGet(out int got, out Errno error))
                return done > 0 ? done : error;
            if (got == 0)
                break;
            done += got;
        }

        return done;
    }

    /// <summary>pwrite(2) of all; fewer when an error came in between.</summary>
    public Result<int> WriteAt(ReadOnlySpan<byte> source, long offset)
    {
        int done = 0;
        while (done < source.Length)
        {
            if (!HostFile.WriteAt(_descriptor, source[done..], offset + done).TryGet(out int put, out Errno error))
                return done > 0 ? done : error;
            done += put;
        }

        return done;
    }

    /// <summary>Puts bytes at the file's end; tells where they end.</summary>
    public Result<(int Written, long End)> Append(ReadOnlySpan<byte> source) => HostFile.Append(_descriptor, source);

    /// <summary>What it is now.</summary>
    public Result<NodeAttributes> GetAttributes()
    {
        Errno error = HostFile.StatX(_descriptor, out StatX stat);
        return error != Errno.None ? error : NodeAttributes.Of(stat);
    }

    public Errno Truncate(long length) => HostFile.Truncate(_descriptor, length);

    /// <summary>fallocate(2).</summary>
    public Errno Allocate(int mode, long offset, long length) => HostFile.Allocate(_descriptor, mode, offset, length);

    /// <summary>SEEK_DATA 3 and SEEK_HOLE 4 of lseek(2).</summary>
    public Result<long> Seek(long offset, int whence) => HostFile.Seek(_descriptor, offset, whence);

    /// <summary>fsync(2); may take long.</summary>
    public Errno Sync() => HostFile.Sync(_descriptor);

    /// <summary>fdatasync(2); may take long.</summary>
    public Errno SyncData() => HostFile.DataSync(_descriptor);

    /// <summary>syncfs(2) of the file system that it is in; may take long.</summary>
    public Errno SyncFileSystem() => HostFile.SyncFileSystem(_descriptor);

    /// <summary>The same opening once more, to be disposed of by itself.</summary>
    public Result<DonatedFile> Duplicate() => HostFile.Duplicate(_descriptor).TryGet(out int copy, out Errno error) ? new DonatedFile(copy, Attributes) : error;

    public Errno ChangeMode(uint permissions) => HostFile.ChangeMode(_descriptor, (int)permissions);

    public void Dispose()
    {
        if (_descriptor >= 0)
            HostFile.Close(_descriptor);
        _descriptor = -1;
    }
}
