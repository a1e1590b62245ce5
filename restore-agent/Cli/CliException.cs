namespace SnapshotRpc;

/// <summary>The command cannot be carried out; the message is one line that says what to do.</summary>
public sealed class CliException(string message) : Exception(message);
