using Netstack.Stack;

namespace Sentry.Kernel;

/// <summary>What the kernel needs of the world outside, given to it by the sentry's main program. Not saved.</summary>
public interface IKernelHost : IStackHost
{
    IPlatform Platform { get; }

    IHostClock Clock { get; }

    long IStackHost.Realtime => Clock.Realtime;

    /// <summary>Where the data of tmpfs, overlay and shared memory lives.</summary>
    IFileArena Arena { get; }

    /// <summary>A guest call is about to be served: noted where it is found after a crash.</summary>
    /// <param name="name">Of the thread.</param>
    void BeginCall(int pid, int tid, int number, in SyscallArgs args, string name);

    /// <summary>The call has been served.</summary>
    void EndCall();

    /// <summary>A line for the operator's log.</summary>
    void Log(string message);

    /// <summary>A program started from outside has ended with this wait status; with process 1 the sandbox is over.</summary>
    void OnProgramExited(int pid, int waitStatus);

    /// <summary>Has something done that may take long, on a thread of its own.</summary>
    void RunAside(IHostWork work);

    /// <summary>A task reached the call number that --save-at-call names and waits for a checkpoint.</summary>
    void OnSavePoint();
}

/// <summary>Something that the host may take long for.</summary>
public interface IHostWork
{
    /// <summary>Without the kernel lock; may use nothing of the kernel's.</summary>
    void Run();

    /// <summary>Afterwards, under the kernel lock.</summary>
    void OnDone();
}

/// <summary>Page-granular storage in one host file, mapped into the sentry and mappable into guests.</summary>
public interface IFileArena
{
    /// <summary>To map pieces into guests.</summary>
    int HostDescriptor { get; }

    /// <summary>A zero-filled piece; length a multiple of 4096. ENOSPC when the arena is full.</summary>
    Result<long> Allocate(long length);

    /// <summary>Gives a piece back; its pages are freed on the host.</summary>
    /// <param name="wasMapped">Guests have had it mapped, and their threads may be on their way to unmapping it: it must not become someone else's before they have.</param>
    void Free(long offset, long length, bool wasMapped);

    /// <summary>The bytes of a piece, directly.</summary>
    Span<byte> GetSpan(long offset, int length);
}

/// <summary>A host descriptor given to the sandbox (standard streams of the caller, a log): the only way bytes leave through files.</summary>
public interface IHostStream
{
    /// <summary>Bytes read, 0 at the end, EAGAIN when there is nothing yet.</summary>
    Result<int> Read(Span<byte> destination);

    /// <summary>Bytes written, EAGAIN when full, EPIPE when the other end is gone.</summary>
    Result<int> Write(ReadOnlySpan<byte> source);

    /// <summary>What it is ready for now.</summary>
    PollEvents Poll();

    /// <summary>Calls <paramref name="waiter"/> under the kernel lock when any of the events may have come; one watcher, replaced by a later call.</summary>
    void Watch(IHostStreamWatcher waiter, PollEvents events);

    /// <summary>Gives the host descriptor back.</summary>
    void Close();
}

/// <summary>Told when a host stream may have become ready.</summary>
public interface IHostStreamWatcher
{
    void OnReady(PollEvents events);
}
