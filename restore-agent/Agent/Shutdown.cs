namespace RestoreAgent.Agent;

/// <summary>How the agent is to end.</summary>
public sealed class Shutdown(IHostApplicationLifetime lifetime)
{
    /// <summary>Sandboxes go on, for the next agent.</summary>
    public bool KeepsSandboxes { get; private set; }

    public void Begin(bool keepSandboxes)
    {
        KeepsSandboxes = keepSandboxes;
        lifetime.StopApplication();
    }
}
