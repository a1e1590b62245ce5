using Sentry.Host;

namespace RestoreAgent.Agent.Processes;

/// <summary>The namespaces that the agent's children are born in: a user who is not root needs a user namespace to have the others.</summary>
public static class Isolation
{
    /// <summary>Nothing of the host is left to a sentry: no mounts, network, System V objects or processes.</summary>
    public static NamespaceFlags Sentry { get; } = OfUser(NamespaceFlags.Mount | NamespaceFlags.Network | NamespaceFlags.Ipc | NamespaceFlags.Uts | NamespaceFlags.Pid);

    /// <summary>A gofer keeps the mounts until it has made its tree its root.</summary>
    public static NamespaceFlags Gofer { get; } = OfUser(NamespaceFlags.Mount | NamespaceFlags.Network | NamespaceFlags.Ipc | NamespaceFlags.Uts);

    /// <summary>A broker is there for the agent's own network, and has nothing else.</summary>
    public static NamespaceFlags Broker { get; } = OfUser(NamespaceFlags.Mount | NamespaceFlags.Ipc | NamespaceFlags.Uts);

    private static NamespaceFlags OfUser(NamespaceFlags flags) => HostProcess.EffectiveUserId == 0 ? flags : flags | NamespaceFlags.User;
}
