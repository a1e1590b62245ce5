using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Storage;

/// <summary>
/// A store over a network that does not give up soon: what the store beneath calls unreachable is tried again, ever more seldom, for as long
/// as <see cref="StorePolicy.Patience"/> says. A server that has never answered is believed to be gone at once, because its address is
/// probably wrong. Puts may be repeated: a caller of <see cref="IObjectStore.PutIfAbsentAsync"/> may find its own object there.
/// </summary>
public sealed class PatientStore : IObjectStore
{
    private const int FirstPauseMilliseconds = 200, LastPauseMilliseconds = 10_000;

    private readonly IObjectStore _store;
    private readonly StorePolicy _policy;
    private readonly Transfer? _transfer;
    private readonly Experience _experience;

    public PatientStore(IObjectStore store, StorePolicy? policy = null)
        : this(store, policy ?? StorePolicy.Default, null, new Experience())
    {
    }

    private PatientStore(IObjectStore store, StorePolicy policy, Transfer? transfer, Experience experience) =>
        (_store, _policy, _transfer, _experience) = (store, policy, transfer, experience);

    /// <inheritdoc/>
    public string Location => _store.Location;

    /// <inheritdoc/>
    public IObjectStore With(Transfer transfer) => new PatientStore(_store.With(transfer), _policy, transfer, _experience);

    /// <inheritdoc/>
    public Task<bool> PutIfAbsentAsync(string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default) =>
        TryAsync(() => _store.PutIfAbsentAsync(key, content, cancellationToken), cancellationToken);

    /// <inheritdoc/>
    public Task ReplaceAsync(string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default) =>
        TryAsync(() => _store.ReplaceAsync(key, content, cancellationToken), cancellationToken);

    /// <inheritdoc/>
    public Task<int> GetAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken = default) =>
        TryAsync(() => _store.GetAsync(key, offset, destination, cancellationToken), cancellationToken);

    /// <inheritdoc/>
    public Task<long?> GetLengthAsync(string key, CancellationToken cancellationToken = default) =>
        TryAsync(() => _store.GetLengthAsync(key, cancellationToken), cancellationToken);

    /// <inheritdoc/>
    public async IAsyncEnumerable<StoredObject> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        // A listing that broke off is begun again; what was told already is passed over.
        string? last = null;
        Stopwatch? failing = null;
        for (int attempt = 1; ; attempt++)
        {
            StoreException? failure = null;
            IAsyncEnumerator<StoredObject> items = _store.ListAsync(prefix, cancellationToken).GetAsyncEnumerator(cancellationToken);
            await using (items.ConfigureAwait(false))
            {
                while (true)
                {
                    try
                    {
                        if (!await items.MoveNextAsync().ConfigureAwait(false))
                            break;
                    }
                    catch (StoreException e) when (e.Error == StoreError.Unreachable)
                    {
                        failure = e;
                        break;
                    }

                    if (last is not null && string.CompareOrdinal(items.Current.Key, last) <= 0)
                        continue;
                    (last, attempt, failing) = (items.Current.Key, 1, null);
                    yield return items.Current;
                }
            }

            if (failure is null)
            {
                Answered();
                yield break;
            }

            await PauseAsync(failure, failing ??= Stopwatch.StartNew(), attempt, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public Task DeleteAsync(string key, CancellationToken cancellationToken = default) =>
        TryAsync(() => _store.DeleteAsync(key, cancellationToken), cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _transfer is null ? _store.DisposeAsync() : ValueTask.CompletedTask;

    private Task TryAsync(Func<Task> request, CancellationToken cancellationToken) => TryAsync(
        async () =>
        {
            await request().ConfigureAwait(false);
            return true;
        },
        cancellationToken);

    private async Task<T> TryAsync<T>(Func<Task<T>> request, CancellationToken cancellationToken)
    {
        Stopwatch? failing = null;
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                T answer = await request().ConfigureAwait(false);
                Answered();
                return answer;
            }
            catch (StoreException e) when (e.Error == StoreError.Unreachable)
            {
                await PauseAsync(e, failing ??= Stopwatch.StartNew(), attempt, cancellationToken).ConfigureAwait(false);
            }
            catch (StoreException e) when (e.Error != StoreError.AccessDenied)
            {
                // A refusal is an answer too.
                Answered();
                throw;
            }
        }
    }

    private void Answered()
    {
        _experience.HasAnswered = true;
        _transfer?.Recovered();
    }

    private async Task PauseAsync(StoreException failure, Stopwatch failing, int attempt, CancellationToken cancellationToken)
    {
        if (!_experience.HasAnswered)
            throw failure;
        if (failing.Elapsed >= _policy.Patience)
            throw new StoreException(StoreError.Unreachable, $"{failure.Message} (tried for {failing.Elapsed.TotalSeconds:0} s)", failure);
        _transfer?.Stumbled(failure.Message);
        double longest = Math.Min(LastPauseMilliseconds, FirstPauseMilliseconds * Math.Pow(2, Math.Min(attempt - 1, 10)));
        TimeSpan left = _policy.Patience - failing.Elapsed;
        TimeSpan pause = TimeSpan.FromMilliseconds(longest * (0.5 + (Random.Shared.NextDouble() / 2)));
        await Task.Delay(pause < left ? pause : left, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>What the views of one store know together.</summary>
    private sealed class Experience
    {
        private volatile bool _hasAnswered;

        internal bool HasAnswered
        {
            get => _hasAnswered;
            set => _hasAnswered = value;
        }
    }
}
