using System.Text.Json;
using System.Text.Json.Serialization;
using RestoreAgent.Agent.Network;
using RestoreAgent.Agent.Processes;
using RestoreAgent.Api;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>What a later agent must know of a sandbox to go on with it.</summary>
public sealed record SandboxRecord
{
    public required SandboxIdentity Identity { get; init; }

    /// <summary>The boot of the host that <see cref="Sentry"/> and <see cref="Gofer"/> belong to.</summary>
    public required string BootId { get; init; }

    public bool IsDetached { get; init; }

    public string? SentryId { get; init; }

    public string Platform { get; init; } = "";

    public ProcessIdentity? Sentry { get; init; }

    public ProcessIdentity? Gofer { get; init; }

    public RecordedProgram[] Programs { get; init; } = [];

    public SavedNetwork? Network { get; init; }

    /// <summary>The name of the sandbox that is to go on in its place.</summary>
    public string? Successor { get; init; }

    /// <summary>Set once it has ended.</summary>
    public ExitReport? Exit { get; init; }

    /// <summary>The sentry's log, when it has failed.</summary>
    public string? CrashLog { get; init; }
}

/// <summary>A program that was started by exec.</summary>
/// <param name="HasClient">Its client has its streams: without that client it is to end.</param>
public sealed record RecordedProgram(int Pid, bool Terminal, bool HasClient, string? Key);

/// <summary>The codec of <see cref="SandboxRecord"/>.</summary>
[JsonSerializable(typeof(SandboxRecord))]
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault)]
public sealed partial class SandboxRecordJson : JsonSerializerContext;

/// <summary>The records of sandboxes, a file each; written whole or not at all.</summary>
public sealed class SandboxRecords(AgentFolders folders, ILogger<SandboxRecords> logger)
{
    private readonly Lock _lock = new();

    /// <summary>Keeps what is true of a sandbox now; nothing once it has ended and nobody is to see it any more.</summary>
    public void Save(Sandbox sandbox)
    {
        lock (_lock)
        {
            string file = PathOf(sandbox.Identity.Id);
            try
            {
                if (sandbox.Exit.IsCompleted && !sandbox.IsDetached)
                {
                    File.Delete(file);
                    return;
                }

                File.WriteAllBytes(file + ".new", JsonSerializer.SerializeToUtf8Bytes(sandbox.ToRecord(), SandboxRecordJson.Default.SandboxRecord));
                File.Move(file + ".new", file, overwrite: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                logger.LogWarning("the sandbox {Sandbox} would not be found by a later agent: {Reason}", sandbox.Identity.Name, e.Message);
            }
        }
    }

    public void Delete(string id)
    {
        lock (_lock)
            File.Delete(PathOf(id));
    }

    /// <summary>All there are. What cannot be read may be of another build, whose agent finds its sandbox again: it stays.</summary>
    /// <param name="unread">Whether there was any of that.</param>
    public List<SandboxRecord> Load(out bool unread)
    {
        unread = false;
        List<SandboxRecord> records = [];
        foreach (string file in Directory.EnumerateFiles(folders.Sandboxes))
        {
            if (!file.EndsWith(".json", StringComparison.Ordinal))
            {
                File.Delete(file); // half a record, whose predecessor is there
                continue;
            }

            try
            {
                records.Add(JsonSerializer.Deserialize(File.ReadAllBytes(file), SandboxRecordJson.Default.SandboxRecord) ?? throw new JsonException("it is null"));
            }
            catch (JsonException e)
            {
                unread = true;
                logger.LogWarning("{File} is no record of a sandbox, or one of another build's: {Reason}", file, e.Message);
            }
        }

        return records;
    }

    private string PathOf(string id) => Path.Combine(folders.Sandboxes, id + ".json");
}
