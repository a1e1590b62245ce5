using Sentry.Kernel;
using Sentry.Kernel.Files;

namespace Sentry.Main;

/// <summary>The streams that come with a restore: three for process 1, three for each program named after it. Each descriptor is one stream, however
/// many files of the image lead to it.</summary>
internal sealed class DonatedStreams : IDonatedStreams
{
    private readonly Dictionary<StreamIdentity, MainStream> _streams = [];

    public DonatedStreams(EventLoop loop, int[] programs, ReadOnlySpan<int> descriptors)
    {
        for (int i = 0; i < descriptors.Length; i++)
        {
            int pid = i < 3 ? 1 : programs[(i / 3) - 1];
            _streams[new StreamIdentity(pid, i % 3)] = new MainStream(descriptors[i], loop);
        }
    }

    /// <inheritdoc/>
    public IHostStream? Find(StreamIdentity identity) => _streams.GetValueOrDefault(identity);
}
