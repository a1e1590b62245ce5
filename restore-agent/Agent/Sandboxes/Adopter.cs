using RestoreAgent.Agent.Network;
using RestoreAgent.Agent.Processes;
using RestoreAgent.Agent.Snapshots;
using RestoreAgent.Api;
using Sentry.Control;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>Takes over the sandboxes that an earlier agent left behind, alive or ended, before this agent serves anyone.</summary>
public sealed class Adopter(AgentFolders folders, SandboxRecords records, SandboxTable table, NetworkService networks, SavePoints savePoints, ILogger<Adopter> logger)
{
    /// <summary>How long clients have to come back before what they started is ended.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(20);

    /// <summary>Adopts what there is, and clears away what is left of all else.</summary>
    public void Run()
    {
        HashSet<string> sentries = [], logs = ["agent.log", "gofer.log", "broker.log"];
        List<SandboxRecord> left = records.Load(out bool unread);
        foreach (SandboxRecord record in left)
        {
            if (Adopt(record) is not { } sandbox)
            {
                records.Delete(record.Identity.Id);
                continue;
            }

            table.Add(sandbox);
            records.Save(sandbox);
            if (sandbox.SentryId is { } id)
                sentries.Add(id);
            foreach (string? log in (string?[])[sandbox.Identity.Log, sandbox.CrashLog, sandbox.SentryId is { } running ? SentryFiles.Of(folders, running).Log : null])
            {
                if (log is not null)
                    logs.Add(Path.GetFileName(log));
            }

            _ = EndWithoutClientsAsync(sandbox);
        }

        if (unread)
            return; // what nobody seems to have may be its sandbox's
        networks.RemoveLeftOvers([.. table.All().Where(s => !s.Exit.IsCompleted).Select(s => s.Identity.Id)]);
        SentryFiles.DeleteOthers(folders, sentries);
        Clear(folders.Work, new HashSet<string>());
        Clear(folders.Logs, logs);
    }

    private static void Clear(string folder, IReadOnlySet<string> kept)
    {
        foreach (FileSystemInfo left in new DirectoryInfo(folder).EnumerateFileSystemInfos().Where(f => !kept.Contains(f.Name)))
        {
            if (left is DirectoryInfo directory)
                directory.Delete(recursive: true);
            else
                left.Delete();
        }
    }

    /// <returns>Null for one that has never begun: its client, if there is still one, asks for it again.</returns>
    private Sandbox? Adopt(SandboxRecord record)
    {
        if (record.Exit is null && IsOfThisBoot(record) && !HasBegun(record) && ChildProcess.Find(record.Sentry) is null)
            return null;
        Sandbox sandbox = new(record.Identity, Streams.Null(record.Identity.Log ?? "/dev/null"), NetworkOf(record), record.IsDetached)
        {
            OnSavePoint = savePoints.Reached,
            OnChanged = records.Save,
            CrashLog = record.CrashLog,
            Successor = record.Successor,
        };
        if (!sandbox.IsDetached)
            _ = sandbox.Exit.ContinueWith(_ => ForgetAsync(sandbox), TaskScheduler.Default);
        if (record.Exit is { } exit)
        {
            sandbox.Finish(exit);
            return sandbox;
        }

        SentryProcess? sentry = null;
        try
        {
            sentry = record.SentryId is { } id && IsOfThisBoot(record) ? SentryProcess.Adopt(folders, id, record.Sentry, record.Platform) : null;
            if (sentry is null && !HasBegun(record) && IsOfThisBoot(record))
                return Abandon(sandbox);
            if (sentry is null)
                sandbox.Finish(EndOf(record, sandbox));
            else
                sandbox.AdoptAsync(sentry, GoferProcess.Find(record.Gofer), record.Programs).GetAwaiter().GetResult();
        }
        catch (AgentException) when (sentry is { Ended.IsCompleted: true })
        {
            // It ended while it was being taken over; how, has been or is being found out.
            if (!sentry.HasBegun)
                return Abandon(sandbox);
            sandbox.Exit.GetAwaiter().GetResult();
        }
        catch (AgentException e)
        {
            logger.LogWarning("the sandbox {Sandbox} cannot be taken over and is ended: {Reason}", record.Identity.Name, e.Message);
            if (ChildProcess.Find(record.Sentry) is { } process)
            {
                process.End(0);
                process.Dispose();
            }

            if (!HasBegun(record))
                return Abandon(sandbox);
            sandbox.Finish(new ExitReport { ExitCode = Sandbox.SandboxFailed, Reason = e.Message });
        }

        return sandbox;
    }

    private static Sandbox? Abandon(Sandbox sandbox)
    {
        sandbox.Finish(new ExitReport { ExitCode = Sandbox.SandboxFailed, Reason = "the agent died while the sandbox was started" });
        sandbox.Released.GetAwaiter().GetResult(); // its record is not written after this
        return null;
    }

    private static bool IsOfThisBoot(SandboxRecord record) => record.BootId == ProcessIdentity.BootId;

    private bool HasBegun(SandboxRecord record) => record.SentryId is { } id && SentryFiles.Of(folders, id).HasBegun;

    private SandboxNetwork NetworkOf(SandboxRecord record)
    {
        SavedNetwork? saved = record.Exit is null ? record.Network : null;
        return networks.Adopt(saved, record.Identity.Id, [record.Identity.Name, record.Identity.HostName]);
    }

    /// <summary>How a sandbox ended that nobody saw end.</summary>
    private ExitReport EndOf(SandboxRecord record, Sandbox sandbox)
    {
        if (!IsOfThisBoot(record))
            return new ExitReport { ExitCode = Sandbox.SandboxFailed, Reason = "the host was started anew" };
        SentryFiles files = SentryFiles.Of(folders, record.SentryId ?? "");
        if (files.ReadEnd() is { } status)
            return files.HasMoved ? sandbox.ReportMove() : Sandbox.Report(status);
        string what = LogFiles.LastLine(files.Log) is { } line ? ": " + line : files.DescribeCall() is { } call ? " serving " + call : "";
        return new ExitReport { ExitCode = Sandbox.SandboxFailed, Reason = "the sentry died while there was no agent" + what };
    }

    // The client that waits for its end asks again; then nobody needs to see it any more.
    private async Task ForgetAsync(Sandbox sandbox)
    {
        await Task.Delay(Grace).ConfigureAwait(false);
        table.Remove(sandbox);
        records.Delete(sandbox.Identity.Id);
    }

    private async Task EndWithoutClientsAsync(Sandbox sandbox)
    {
        await Task.Delay(Grace).ConfigureAwait(false);
        sandbox.EndWithoutClients();
    }
}
