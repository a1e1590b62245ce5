namespace Sentry.Kernel.Files;

/// <summary>A read-only host file that the sandbox was given (a file of the base tree, the memory file of an image).</summary>
public interface IHostFile
{
    /// <summary>To map it into guests; good until the call in hand is over.</summary>
    int Descriptor { get; }

    /// <summary>pread: bytes read, fewer only at the end of the file.</summary>
    Result<int> ReadAt(Span<byte> destination, long offset);
}

/// <summary>The memory file of the image that this sandbox was restored from; a service of <see cref="IRestoreContext"/>. It never changes.</summary>
public interface IImageMemory : IHostFile
{
    long Length { get; }
}

/// <summary>A file of a read-only tree outside on which a guest file's data rests until written. Saved by its name there.</summary>
[Savable("lower-file")]
public abstract partial class LowerFile
{
    protected LowerFile()
    {
    }

    /// <summary>The host file, opened when it is not; the answer is used at once and not kept.</summary>
    public abstract Result<IHostFile> Open();
}

/// <summary>What a checkpoint does with file data that lives in the arena or in the image the sandbox came from: each answers with the offset in
/// the new image's memory file where these bytes will be.</summary>
public interface IFileDataSaver
{
    long SaveArena(long arenaOffset, long length);

    long SaveImage(long imageOffset, long length);
}

/// <summary>All living <see cref="FileData"/> that hold pages, and what they live from.</summary>
[Savable("file-data-registry")]
public sealed partial class FileDataRegistry : IAfterLoad
{
    [NotSaved("the restoring sentry's")] private IFileArena _arena = null!;
    [NotSaved("the restoring sentry's")] private IImageMemory? _image;
    [NotSaved("each puts itself in")] private readonly HashSet<FileData> _living = [];
    [NotSaved("a buffer")] private byte[]? _scratch;

    public FileDataRegistry(IFileArena arena) => _arena = arena;

    internal IFileArena Arena => _arena;

    internal IImageMemory Image => _image ?? throw new InvalidOperationException("no image");

    /// <summary>64 KiB for one copy at a time.</summary>
    internal byte[] Scratch => _scratch ??= new byte[65536];

    /// <summary>Pages held, in bytes, for statfs.</summary>
    public long BytesInUse
    {
        get
        {
            long sum = 0;
            foreach (FileData data in _living)
                sum += data.AllocatedBytes;
            return sum;
        }
    }

    internal void Add(FileData data) => _living.Add(data);

    internal void Remove(FileData data) => _living.Remove(data);

    /// <summary>For a checkpoint, all tasks stopped, before the state is written: gives every piece of file data its place in the image. What
    /// the saver is told must be copied before a guest or the kernel writes again.</summary>
    public void PrepareSave(IFileDataSaver saver)
    {
        foreach (FileData data in _living)
            data.PrepareSave(saver);
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase != RestorePhase.Host)
            return;
        _arena = context.Get<IKernelHost>().Arena;
        _image = context.Get<IImageMemory>();
    }
}
