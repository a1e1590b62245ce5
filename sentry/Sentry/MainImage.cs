using Sentry.Abi;
using Sentry.Host;
using Sentry.Kernel.Files;

namespace Sentry.Main;

/// <summary>The memory file of the image being restored; the agent keeps it unchanged while this sandbox lives.</summary>
internal sealed class MainImage : IImageMemory
{
    public MainImage(int descriptor)
    {
        Descriptor = descriptor;
        Require.Ok(HostFile.StatX(descriptor, out StatX status), "look at the memory file");
        Length = (long)status.Size;
    }

    public int Descriptor { get; }

    public long Length { get; }

    /// <inheritdoc/>
    public Result<int> ReadAt(Span<byte> destination, long offset) => HostFile.ReadAt(Descriptor, destination, offset);
}
