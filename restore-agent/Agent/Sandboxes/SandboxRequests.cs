using RestoreAgent.Agent.Network;
using Sentry.Control;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>What a sandbox is, said to its sentry.</summary>
internal static class SandboxRequests
{
    public static StartRequest Start(SandboxIdentity identity, SandboxNetwork network, ConnectedNetwork connected, ProgramSpec program) => new()
    {
        Program = program,
        HostName = identity.HostName,
        Strace = identity.Strace,
        SaveAtCall = identity.SaveAtCall,
        CrashAtCall = identity.CrashAtCall,
        Links = connected.Links,
        HostNetwork = connected.HasBroker,
        Files = network.Files,
        Volumes = Volumes.ToSpecs(identity.Volumes),
        Tmpfs = identity.Tmpfs,
        Limits = identity.Limits,
    };

    /// <param name="programs">Those whose streams come along.</param>
    /// <param name="inPlace">The state is one that this sandbox saved itself.</param>
    public static RestoreRequest Restore(SandboxIdentity identity, SandboxNetwork network, ConnectedNetwork connected, ExecutedProgram[] programs, TerminalSpec[] terminals, bool hold, bool inPlace) => new()
    {
        ExecStreams = [.. programs.Select(p => p.Pid)],
        Limits = identity.Limits,
        Terminals = terminals,
        Strace = identity.Strace,
        SaveAtCall = identity.SaveAtCall,
        Links = connected.Links,
        HostNetwork = connected.HasBroker,
        Hold = hold,
        Kept = inPlace ? [] : network.Kept,
        NewIdentity = !inPlace && network.IsNewIdentity,
        HostName = !inPlace && network.IsNewIdentity ? identity.HostName : null,
        Files = !inPlace && (network.IsNewIdentity || network.ChangesFiles) ? network.Files : [],
    };
}
