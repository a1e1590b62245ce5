using RestoreAgent.Agent.Processes;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>The two files of a dump in a folder of their own, which goes with this object.</summary>
public sealed class DumpFolder : IDisposable
{
    private const int ReadWrite = 2, Create = 0x40, Exclusive = 0x80, PrivateFile = 0x180;

    public DumpFolder(AgentFolders folders)
    {
        Folder = Path.Combine(folders.Work, Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(Folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    public string Folder { get; }

    public string StateFile => Path.Combine(Folder, "state");

    public string MemoryFile => Path.Combine(Folder, "memory");

    /// <summary>Makes both files and opens them for a sentry to write.</summary>
    public OpenFiles MakeFiles() => OpenFiles.Open(StateFile, MemoryFile, ReadWrite | Create | Exclusive, PrivateFile);

    public void Dispose()
    {
        try
        {
            Directory.Delete(Folder, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // it is gone, as it should be
        }
    }
}

/// <summary>Descriptors of a state and a memory file.</summary>
public sealed class OpenFiles : IDisposable
{
    private int _disposed;

    private OpenFiles(int state, int memory) => (State, Memory) = (state, memory);

    public int State { get; }

    public int Memory { get; }

    public static OpenFiles Open(string stateFile, string memoryFile, int flags = 0, int mode = 0)
    {
        int state = OpenOne(stateFile, flags, mode);
        try
        {
            return new OpenFiles(state, OpenOne(memoryFile, flags, mode));
        }
        catch
        {
            HostFile.Close(state);
            throw;
        }
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return; // the numbers may be another's by now
        HostFile.Close(State);
        HostFile.Close(Memory);
    }

    private static int OpenOne(string path, int flags, int mode)
    {
        Result<int> opened = HostFile.Open(HostPath.FromText(path), flags | HostFile.OCloexec, mode);
        return opened.IsOk ? opened.Value : throw AgentException.Failed($"cannot open {path}: {opened.Error}");
    }
}

/// <summary>A descriptor of a file, which goes with this object.</summary>
public sealed class OpenDescriptor : IDisposable
{
    private OpenDescriptor(int value) => Value = value;

    public int Value { get; }

    public static OpenDescriptor Open(string path, int flags, int mode)
    {
        Result<int> opened = HostFile.Open(HostPath.FromText(path), flags | HostFile.OCloexec, mode);
        return opened.IsOk ? new OpenDescriptor(opened.Value) : throw AgentException.Failed($"cannot open {path}: {opened.Error}");
    }

    public void Dispose() => HostFile.Close(Value);
}
