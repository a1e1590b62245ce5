using System.Collections;

namespace RestoreAgent.Agent.Processes;

/// <summary>What sentry and gofer see of the agent's environment: the runtime's own settings, never credentials.</summary>
public static class ProcessEnvironment
{
    public static IReadOnlyList<string> ForPrograms { get; } =
        [.. Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Where(IsForPrograms).Select(e => $"{e.Key}={e.Value}")];

    private static bool IsForPrograms(DictionaryEntry entry) =>
        entry.Key is string name && (name.StartsWith("DOTNET_", StringComparison.Ordinal) || name.StartsWith("SENTRY_", StringComparison.Ordinal) || name == "PATH");
}
