using RestoreAgent.Agent.Sandboxes;
using RestoreAgent.Api;
using Sentry.Control;
using Snapshot.Images;
using Storage;

namespace RestoreAgent.Agent.Snapshots;

/// <summary>
/// The test aid --save-at-call: saves a sandbox where its program asks for it, destroys it and restores it in a new sentry, with the streams it has.
/// SNAPSHOT_SAVE_THROUGH_STORE=1 sends the image through a store and back.
/// </summary>
public sealed class SavePoints(AgentFolders folders, CheckpointService checkpoints, ILogger<SavePoints> logger)
{
    private readonly bool _throughStore = Environment.GetEnvironmentVariable("SNAPSHOT_SAVE_THROUGH_STORE") == "1";

    /// <summary>Begins the work; the guest waits at its call.</summary>
    public void Reached(Sandbox sandbox) => _ = Task.Run(async () =>
    {
        try
        {
            await SaveAndRestoreAsync(sandbox).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            logger.LogWarning("save point of {Sandbox}: {Reason}", sandbox.Identity.Name, e.Message);
            sandbox.Finish(new ExitReport { ExitCode = 125, Reason = "save point: " + e.Message });
        }
    });

    private async Task SaveAndRestoreAsync(Sandbox sandbox)
    {
        await sandbox.Gate.WaitAsync().ConfigureAwait(false);
        try
        {
            SandboxInspection inspection = _throughStore ? await sandbox.InspectAsync().ConfigureAwait(false) : new SandboxInspection();
            using DumpFolder folder = new(folders);
            Dump dump;
            using (OpenFiles files = folder.MakeFiles())
                dump = await sandbox.DumpAsync(files.State, files.Memory, stop: true).ConfigureAwait(false);
            await sandbox.StopAsync().ConfigureAwait(false);
            if (!_throughStore)
            {
                await checkpoints.ResumeAsync(sandbox, folder.StateFile, folder.MemoryFile).ConfigureAwait(false);
                return;
            }

            await using LocalStore store = new(Path.Combine(folder.Folder, "store"));
            await checkpoints.WriteAsync(sandbox, "save-point", store, folder, dump, inspection, replace: false).ConfigureAwait(false);
            ImageReader reader = await ImageReader.OpenAsync(store, "save-point").ConfigureAwait(false);
            using DumpFolder back = new(folders);
            await reader.MaterializeAsync(back.StateFile, back.MemoryFile).ConfigureAwait(false);
            await checkpoints.ResumeAsync(sandbox, back.StateFile, back.MemoryFile).ConfigureAwait(false);
        }
        finally
        {
            sandbox.Gate.Release();
        }
    }
}
