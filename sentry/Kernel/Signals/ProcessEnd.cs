namespace Sentry.Kernel.Signals;

/// <summary>The way from a fatal signal to the end of a process.</summary>
internal static class ProcessEnd
{
    /// <summary>Given by the code that ends processes.</summary>
    internal static Action<ThreadGroup, int>? Handler { get; set; }

    internal static void KillGroup(ThreadGroup group, int waitStatus) => Handler?.Invoke(group, waitStatus);
}
