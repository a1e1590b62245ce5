using System.Net;
using System.Net.Sockets;

namespace Storage;

/// <summary>
/// Sits below the HTTP client of an SDK: bodies in both directions are counted and paced by the <see cref="Transfer"/> of the request, and a
/// request of which nothing moves any more fails, however long the whole of it may take. SDKs have only timeouts for whole requests, which
/// either end a slow upload or let a dead connection hang.
/// </summary>
internal sealed class TransferHandler : DelegatingHandler
{
    // An SDK hands nothing of its caller's down to the handler but the execution context.
    private static readonly AsyncLocal<Transfer?> Ambient = new();

    private readonly TimeSpan _idle;

    internal TransferHandler(StorePolicy policy)
        : base(new SocketsHttpHandler
        {
            ConnectTimeout = TimeSpan.FromSeconds(10),
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1),
            AutomaticDecompression = DecompressionMethods.None,
            AllowAutoRedirect = false,
            UseCookies = false,
        }) => _idle = policy.Idle;

    /// <summary>The transfer of the requests that this asynchronous method makes.</summary>
    internal static Transfer? Current
    {
        set => Ambient.Value = value;
    }

    internal static HttpClient CreateClient(StorePolicy policy) => new(new TransferHandler(policy), disposeHandler: true) { Timeout = Timeout.InfiniteTimeSpan };

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Transfer? transfer = Ambient.Value;

        // A server's leave to send costs a round trip for each upload, and most answer it with "go on".
        request.Headers.ExpectContinue = false;
        using CancellationTokenSource quiet = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        quiet.CancelAfter(_idle);
        if (request.Content is { } content)
            request.Content = new Body(content, stream => new Paced(stream, transfer, _idle, quiet));
        HttpResponseMessage response;
        try
        {
            response = await base.SendAsync(request, quiet.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw TimedOut(_idle, e);
        }
        catch (SocketException e)
        {
            // A connection that is reset as soon as it is made escapes the client as it is, and SDKs do not know it as a failure.
            throw new HttpRequestException(e.Message, e);
        }

        response.Content = Wrap(response.Content, await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false), transfer);
        return response;
    }

    private static HttpRequestException TimedOut(TimeSpan idle, Exception e) => new($"nothing moved for {idle.TotalSeconds} s", new TimeoutException(e.Message, e));

    private StreamContent Wrap(HttpContent content, Stream body, Transfer? transfer)
    {
        StreamContent wrapped = new(new Paced(body, transfer, _idle, null));
        foreach ((string name, IEnumerable<string> values) in content.Headers.NonValidated.Select(h => (h.Key, (IEnumerable<string>)h.Value)))
            wrapped.Headers.TryAddWithoutValidation(name, values);
        return wrapped;
    }

    /// <summary>A request's content, written through another stream.</summary>
    private sealed class Body : HttpContent
    {
        private readonly HttpContent _content;
        private readonly Func<Stream, Stream> _through;

        internal Body(HttpContent content, Func<Stream, Stream> through)
        {
            (_content, _through) = (content, through);
            foreach ((string name, IEnumerable<string> values) in content.Headers.NonValidated.Select(h => (h.Key, (IEnumerable<string>)h.Value)))
                Headers.TryAddWithoutValidation(name, values);
        }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => _content.CopyToAsync(_through(stream), context);

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken) =>
            _content.CopyToAsync(_through(stream), context, cancellationToken);

        protected override bool TryComputeLength(out long length)
        {
            length = _content.Headers.ContentLength ?? 0;
            return _content.Headers.ContentLength is not null;
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                _content.Dispose();
            base.Dispose(disposing);
        }
    }

    /// <summary>A stream whose bytes count.</summary>
    /// <param name="quiet">Ends the request when it is written to no more; null for a stream that is read, where each read is watched.</param>
    private sealed class Paced(Stream stream, Transfer? transfer, TimeSpan idle, CancellationTokenSource? quiet) : Stream
    {
        private const int WatchedPiece = 256 << 10, AnswerTimes = 4;

        private readonly int _piece = Math.Min(transfer?.PieceSize ?? WatchedPiece, WatchedPiece);

        public override bool CanRead => stream.CanRead;

        public override bool CanWrite => stream.CanWrite;

        public override bool CanSeek => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            while (buffer.Length > 0)
            {
                int count = Math.Min(buffer.Length, _piece);
                if (transfer is not null)
                {
                    // A wait of our own is no silence of the server's.
                    EndAfter(Timeout.InfiniteTimeSpan);
                    await transfer.PassAsync(count, cancellationToken).ConfigureAwait(false);
                }

                EndAfter(idle);
                await stream.WriteAsync(buffer[..count], cancellationToken).ConfigureAwait(false);
                buffer = buffer[count..];
            }

            // Megabytes may still be in the kernel's buffers, on their way.
            EndAfter(AnswerTimes * idle);
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override void Write(byte[] buffer, int offset, int count) => WriteAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            using CancellationTokenSource watched = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            watched.CancelAfter(idle);
            int count;
            try
            {
                count = await stream.ReadAsync(buffer[..Math.Min(buffer.Length, _piece)], watched.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
            {
                throw new IOException($"nothing came for {idle.TotalSeconds} s", e);
            }

            if (transfer is not null && count > 0)
                await transfer.PassAsync(count, cancellationToken).ConfigureAwait(false);
            return count;
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) => ReadAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

        public override void Flush() => stream.Flush();

        public override Task FlushAsync(CancellationToken cancellationToken) => stream.FlushAsync(cancellationToken);

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        private void EndAfter(TimeSpan time)
        {
            try
            {
                quiet!.CancelAfter(time);
            }
            catch (ObjectDisposedException)
            {
                // The server has answered before it had all: the rest is written for nobody.
            }
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing && quiet is null)
                stream.Dispose();
            base.Dispose(disposing);
        }
    }
}
