using Sentry.Control;
using Sentry.Kernel;
using Sentry.Kernel.Files;

namespace Sentry.Main;

/// <summary>The streams that come with a restore: three for process 1, three for each program named after it, and those of terminals. Each descriptor
/// is one stream, however many files of the image lead to it.</summary>
internal sealed class DonatedStreams : IDonatedStreams
{
    private readonly Dictionary<StreamIdentity, MainStream> _streams = [];
    private readonly Dictionary<int, MainStream> _terminals = [];
    private readonly HashSet<int> _logged = [];

    public DonatedStreams(EventLoop loop, RestoreRequest request, ReadOnlySpan<int> descriptors, ReadOnlySpan<int> terminals)
    {
        for (int i = 0; i < descriptors.Length; i++)
        {
            int pid = i < 3 ? 1 : request.ExecStreams[(i / 3) - 1];
            _streams[new StreamIdentity(pid, i % 3)] = new MainStream(descriptors[i], loop);
        }

        foreach (TerminalSpec terminal in request.Terminals)
        {
            if (terminal.Log)
                _logged.Add(terminal.Pid);
            if (!terminal.Attached)
                continue;
            _terminals[terminal.Pid] = new MainStream(terminals[0], loop);
            terminals = terminals[1..];
        }
    }

    /// <inheritdoc/>
    public IHostStream? Find(StreamIdentity identity) => _streams.GetValueOrDefault(identity);

    /// <inheritdoc/>
    public IHostStream? FindTerminal(int pid) => _terminals.GetValueOrDefault(pid);

    /// <inheritdoc/>
    public IHostStream? FindLog(int pid) => _logged.Contains(pid) ? Find(new StreamIdentity(pid, 1)) : null;
}
