namespace Storage;

/// <summary>How long a server may take before it is given up.</summary>
public sealed record StorePolicy
{
    public static StorePolicy Default { get; } = new();

    /// <summary>A request of which nothing has moved for so long is made anew. A slow one is left alone.</summary>
    public TimeSpan Idle { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>A server that has answered before is asked again for so long (<see cref="PatientStore"/>).</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(1);
}
