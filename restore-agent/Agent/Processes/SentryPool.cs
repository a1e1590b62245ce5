using System.Threading.Channels;

namespace RestoreAgent.Agent.Processes;

/// <summary>
/// Sentries that are started and wait for work, so that a run or restore does not wait for one to start. They know nothing of any sandbox.
/// </summary>
public sealed class SentryPool : IAsyncDisposable
{
    /// <summary>The platform that is kept ready.</summary>
    public const string DefaultPlatform = "notify";

    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(20);

    // A replacement is started a moment after one is taken: the program that took it needs the processors more.
    private static readonly TimeSpan ReplenishAfter = TimeSpan.FromMilliseconds(15);
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    private readonly AgentFolders _folders;
    private readonly ILogger<SentryPool> _logger;
    private readonly int _size;
    private readonly Channel<SentryProcess> _waiting = Channel.CreateUnbounded<SentryProcess>();
    private readonly SemaphoreSlim _taken = new(0);
    private readonly CancellationTokenSource _stop = new();
    private Task _keeper = Task.CompletedTask;

    public SentryPool(AgentFolders folders, ILogger<SentryPool> logger, int size = 2) => (_folders, _logger, _size) = (folders, logger, size);

    /// <summary>How many wait.</summary>
    public int Count => _waiting.Reader.Count;

    /// <summary>Fills the pool and keeps it filled. Not before what an earlier agent left is cleared away: that would take the files of these sentries along.</summary>
    public void Begin() => _keeper = Task.Run(KeepFilledAsync);

    /// <summary>A sentry that waits for start or restore; the caller owns it.</summary>
    public async Task<SentryProcess> TakeAsync(string? platform)
    {
        if (platform is null or DefaultPlatform)
        {
            while (_waiting.Reader.TryRead(out SentryProcess? sentry))
            {
                _taken.Release();
                if (!sentry.Ended.IsCompleted)
                    return sentry;
            }
        }

        return await StartAsync(platform ?? DefaultPlatform).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _keeper.ConfigureAwait(false);
        List<Task> ends = [];
        while (_waiting.Reader.TryRead(out SentryProcess? sentry))
        {
            sentry.Dispose();
            ends.Add(sentry.Ended);
        }

        // Their files go when they have ended.
        await Task.WhenAll(ends).ConfigureAwait(false);
        _stop.Dispose();
        _taken.Dispose();
    }

    private async Task<SentryProcess> StartAsync(string platform)
    {
        SentryProcess sentry = SentryProcess.Start(_folders, platform);
        try
        {
            await sentry.Ready.WaitAsync(StartTimeout).ConfigureAwait(false);
            return sentry;
        }
        catch (TimeoutException)
        {
            sentry.Dispose();
            throw AgentException.Failed($"a new sentry is not ready after {StartTimeout.TotalSeconds:0} s");
        }
    }

    private async Task KeepFilledAsync()
    {
        for (int i = 0; i < _size; i++)
            _taken.Release();
        try
        {
            while (true)
            {
                await _taken.WaitAsync(_stop.Token).ConfigureAwait(false);
                await Task.Delay(ReplenishAfter, _stop.Token).ConfigureAwait(false);
                try
                {
                    await _waiting.Writer.WriteAsync(await StartAsync(DefaultPlatform).ConfigureAwait(false)).ConfigureAwait(false);
                }
                catch (AgentException e)
                {
                    _logger.LogWarning("cannot prepare a sentry: {Reason}", e.Message);
                    _taken.Release();
                    await Task.Delay(RetryAfter, _stop.Token).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // the agent stops
        }
    }
}
