using RestoreAgent.Agent.Sandboxes;
using Sentry.Abi;
using Sentry.Control;
using Sentry.Host;

namespace RestoreAgent.Agent.Processes;

/// <summary>The files of a sentry, found again by its id: the socket at which it waits for its next agent, its flight record, its log.</summary>
public sealed class SentryFiles
{
    private const int ReadWrite = 2, CreateFile = 0x40, Exclusive = 0x80, OwnerOnly = 0x180, IdLength = 16, Waiting = 4;

    private readonly string _folder;

    private SentryFiles(AgentFolders folders, string id)
    {
        (_folder, Id) = (folders.Sentries, id);
        Log = Path.Combine(folders.Logs, $"sentry-{id}.log");
    }

    public string Id { get; }

    public string Socket => Path.Combine(_folder, Id + ".sock");

    public string Log { get; }

    private string Record => Path.Combine(_folder, Id + ".record");

    public static SentryFiles Create(AgentFolders folders) => new(folders, Guid.NewGuid().ToString("N")[..IdLength]);

    public static SentryFiles Of(AgentFolders folders, string id) => new(folders, id);

    /// <summary>Removes the files of sentries that are not among these, and ends those that still live: nobody has a record of them.</summary>
    public static void DeleteOthers(AgentFolders folders, IReadOnlySet<string> ids)
    {
        foreach (string file in Directory.EnumerateFiles(folders.Sentries))
        {
            if (ids.Contains(Path.GetFileNameWithoutExtension(file)))
                continue;
            if (file == Of(folders, Path.GetFileNameWithoutExtension(file)).Socket && UnixChannel.Connect(HostPath.FromText(file)) is { IsOk: true } alive)
                End(alive.Value);
            File.Delete(file);
        }
    }

    private static void End(UnixChannel sentry)
    {
        using ControlChannel channel = new(sentry);
        try
        {
            channel.Send(new EndRequest());
        }
        catch (IOException)
        {
            // it has just ended
        }
    }

    public UnixChannel Listen()
    {
        Result<UnixChannel> listening = UnixChannel.Listen(HostPath.FromText(Socket), OwnerOnly, Waiting);
        return listening.IsOk ? listening.Value : throw AgentException.Failed($"cannot listen at {Socket}: {listening.Error}");
    }

    public OpenDescriptor CreateRecord()
    {
        OpenDescriptor file = OpenDescriptor.Open(Record, ReadWrite | CreateFile | Exclusive, OwnerOnly);
        if (HostFile.Truncate(file.Value, FlightRecord.Size) is var error && error == Errno.None)
            return file;
        file.Dispose();
        throw AgentException.Failed($"cannot write {Record}: {error}");
    }

    /// <summary>The guest call that was being served when the sentry died; null when there was none.</summary>
    public string? DescribeCall() => FlightRecord.DescribeCall(ReadRecord());

    /// <summary>Whether the sentry ever had a program.</summary>
    public bool HasBegun => FlightRecord.HasBegun(ReadRecord());

    /// <summary>How the first program ended, as wait4(2) reports it; null when it did not.</summary>
    public int? ReadEnd() => FlightRecord.EndOf(ReadRecord());

    /// <summary>The sandbox has gone on in another sentry.</summary>
    public bool HasMoved => FlightRecord.HasMoved(ReadRecord());

    public void Delete(bool keepLog)
    {
        try
        {
            File.Delete(Socket);
            File.Delete(Record);
            if (!keepLog || new FileInfo(Log) is { Exists: true, Length: 0 })
                File.Delete(Log);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // what cannot be removed does no harm, and the next agent tries again
        }
    }

    private byte[] ReadRecord()
    {
        try
        {
            return File.ReadAllBytes(Record);
        }
        catch (IOException)
        {
            return [];
        }
    }
}
