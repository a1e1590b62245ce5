namespace Sentry.Kernel;

/// <summary>The state of a call that asked to be checkpointed at.</summary>
[Savable("save-point")]
public sealed partial class SavePointState : CallState
{
    public SavePointState()
    {
    }
}

/// <summary>The test aid --save-at-call: a chosen call number means "checkpoint this sandbox, restore it elsewhere, return 0".</summary>
public static class SavePoint
{
    /// <summary>The outcome of the call, at its first try and after the restore.</summary>
    internal static SyscallResult? Reach(Task task, CallContext call)
    {
        if (call.State is SavePointState)
            return SyscallResult.Ok;
        call.State = new SavePointState();
        task.Kernel.Host.OnSavePoint();
        return task.Block(InterruptMode.Restart);
    }

    /// <summary>Goes on without a checkpoint.</summary>
    public static void Skip(GuestKernel kernel)
    {
        foreach (Task task in kernel.Tasks.Values.ToArray())
        {
            if (task is { IsBlocked: true, Call.State: SavePointState })
                task.CompleteBlocked(SyscallResult.Ok);
        }
    }
}
