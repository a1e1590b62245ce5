using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Control;

/// <summary>
/// Decides which of two sandboxes goes on, the dumped one or the one that was restored from the dump: who takes the baton. Both sentries have it (an eventfd of
/// one, read by whoever is first), so that whatever becomes of the agent meanwhile, just one does.
/// </summary>
public sealed class Baton : IDisposable
{
    private const int NonBlocking = 0x800;

    /// <summary>Takes over a descriptor that came with a message.</summary>
    public Baton(int descriptor) => Descriptor = descriptor;

    public int Descriptor { get; }

    /// <summary>Nobody has taken it.</summary>
    public bool IsFree
    {
        get
        {
            Span<PollDescriptor> poll = [new PollDescriptor { Descriptor = Descriptor, Events = PollDescriptor.In }];
            return HostEvents.Poll(poll, 0) is { IsOk: true, Value: 1 } && (poll[0].Ready & PollDescriptor.In) != 0;
        }
    }

    /// <exception cref="IOException">This process has no room for a descriptor.</exception>
    public static Baton Create()
    {
        Result<int> made = HostEvents.CreateEvent(1, NonBlocking);
        return made.IsOk ? new Baton(made.Value) : throw new IOException($"cannot make an eventfd: {made.Error}");
    }

    /// <summary>False when the other was first.</summary>
    public bool TryTake()
    {
        Span<byte> count = stackalloc byte[8];
        return HostFile.Read(Descriptor, count).IsOk;
    }

    /// <summary>Who has taken it can't go on after all.</summary>
    public void PutBack() => HostEvents.Signal(Descriptor);

    public void Dispose() => HostFile.Close(Descriptor);
}
