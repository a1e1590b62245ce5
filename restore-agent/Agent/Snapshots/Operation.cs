using RestoreAgent.Api;
using Storage;

namespace RestoreAgent.Agent.Snapshots;

/// <summary>Something that takes as long as a store does: how far it is, how fast it may go, and whether anybody still wants it.</summary>
/// <param name="phase">What it begins with.</param>
/// <param name="rate">Bytes per second, each way; null for as many as there are.</param>
/// <param name="cancelled">Ends it; what has been transferred is kept for the next attempt.</param>
public sealed class Operation(string phase, long? rate, CancellationToken cancelled)
{
    private volatile string _phase = phase;
    private volatile Transfer? _source;

    public CancellationToken Cancelled => cancelled;

    public Transfer Transfer { get; } = new(rate);

    /// <summary>What is being done, as <see cref="TransferProgress.Phase"/>.</summary>
    public string Phase
    {
        get => _phase;
        set => _phase = value;
    }

    /// <summary>For what also comes from another store.</summary>
    public Transfer AddSource(long? rate) => _source = new Transfer(rate);

    public TransferProgress Describe() => new()
    {
        Phase = Phase,
        Done = Transfer.Done,
        Total = Transfer.Total,
        Moved = Transfer.Moved + (_source?.Moved ?? 0),
        Retries = Transfer.Retries + (_source?.Retries ?? 0),
        Trouble = Transfer.Trouble ?? _source?.Trouble,
    };
}
