using Sentry.Abi;
using Sentry.Host;
using Sentry.Kernel.Strace;

namespace Sentry.Main;

/// <summary>Writes the lines of --strace to the caller's descriptor. A reader that goes away ends the trace, not the sandbox.</summary>
internal sealed class StraceSink(int descriptor) : IStraceSink, IDisposable
{
    private bool _closed;

    /// <inheritdoc/>
    public void WriteLine(string line)
    {
        ReadOnlySpan<byte> bytes = System.Text.Encoding.Latin1.GetBytes(line + "\n");
        while (!_closed && bytes.Length > 0)
        {
            Result<int> written = HostFile.Write(descriptor, bytes);
            if (written.IsOk)
                bytes = bytes[written.Value..];
            else if (written.Error is not (Errno.EINTR or Errno.EAGAIN))
                _closed = true;
        }
    }

    public void Dispose()
    {
        _closed = true;
        HostFile.Close(descriptor);
    }
}
