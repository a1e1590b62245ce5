using RestoreAgent.Api;
using Sentry.Abi;
using Sentry.Control;
using Sentry.Host;

namespace RestoreAgent.Agent.Processes;

/// <summary>The descriptors of a program's standard streams, and of its strace output when there is one. Owns them.</summary>
public sealed class Streams : IDisposable
{
    private const int ReadWrite = 2, WriteOnly = 1, Create = 0x40, Append = 0x400, PrivateFile = 0x180;
    private int _disposed;

    /// <summary>Takes over descriptors.</summary>
    public Streams(int input, int output, int error, int strace = -1, int terminal = -1) => (Input, Output, Error, Strace, Terminal) = (input, output, error, strace, terminal);

    public int Input { get; }

    public int Output { get; }

    public int Error { get; }

    /// <summary>-1 for none.</summary>
    public int Strace { get; }

    /// <summary>A socket that carries what is typed to a terminal and what it shows; -1 for none.</summary>
    public int Terminal { get; }

    /// <summary>The socket as messages take it, at their end.</summary>
    public int[] TerminalDescriptors => Terminal >= 0 ? [Terminal] : [];

    /// <summary>The terminal of a program that has these streams. Where nobody looks at it, what it shows goes to the output.</summary>
    public TerminalSpec ForTerminal(int pid, WindowSize? window) => new()
    {
        Pid = pid,
        Rows = window?.Rows ?? 0,
        Columns = window?.Columns ?? 0,
        Attached = Terminal >= 0,
        Log = Terminal < 0,
    };

    /// <summary>As messages take them: three, and the strace output when asked.</summary>
    public int[] ForStart(bool strace) => strace ? [Input, Output, Error, Strace >= 0 ? Strace : Error] : [Input, Output, Error];

    /// <summary>Nothing to read; what is written is appended to a log.</summary>
    public static Streams Null(string log)
    {
        int output = Open(log, WriteOnly | Create | Append);
        try
        {
            return new Streams(Open("/dev/null", ReadWrite), output, Duplicate(output));
        }
        catch
        {
            HostFile.Close(output);
            throw;
        }
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        foreach (int descriptor in (int[])[Input, Output, Error, Strace, Terminal])
        {
            if (descriptor >= 0)
                HostFile.Close(descriptor);
        }
    }

    private static int Open(string path, int flags)
    {
        Result<int> opened = HostFile.Open(HostPath.FromText(path), flags | HostFile.OCloexec, PrivateFile);
        return opened.IsOk ? opened.Value : throw AgentException.Failed($"cannot open {path}: {opened.Error}");
    }

    private static int Duplicate(int descriptor)
    {
        Result<int> copy = HostFile.Duplicate(descriptor);
        return copy.IsOk ? copy.Value : throw AgentException.Failed($"cannot duplicate a descriptor: {copy.Error}");
    }
}
