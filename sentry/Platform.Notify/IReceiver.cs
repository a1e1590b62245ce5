namespace Sentry.Platform.Notify;

/// <summary>What the reception needs of the thread that usually receives.</summary>
internal interface IReceiver
{
    /// <summary>Called before the caller receives itself: afterwards no other thread does, and what one had in hand has been accepted.</summary>
    void TakeOver();

    /// <summary>Whether this thread may receive: it holds the kernel lock, or nothing else runs.</summary>
    bool IsExclusive { get; }

    /// <summary>Runs an action on the receiver's thread.</summary>
    void Post(Action action);

    /// <summary>Reports the unexpected end of a process to <see cref="Reception.OnProcessEnded"/>.</summary>
    void Watch(int pidfd, int processId);
}
