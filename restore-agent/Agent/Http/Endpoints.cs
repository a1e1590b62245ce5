using System.Reflection;
using RestoreAgent.Agent.Processes;
using RestoreAgent.Agent.Sandboxes;
using RestoreAgent.Agent.Snapshots;
using RestoreAgent.Api;
using Sentry.Control;

namespace RestoreAgent.Agent.Http;

/// <summary>The HTTP API; /openapi/v1.json describes it.</summary>
public static class Endpoints
{
    public static string Version { get; } =
        typeof(Endpoints).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0";

    public static void Map(WebApplication app)
    {
        app.MapOpenApi("/openapi/{documentName}.json");
        MapSandboxes(app.MapGroup("/v1/sandboxes"));
        MapSnapshots(app.MapGroup("/v1/snapshots"));

        app.MapPost("/v1/stores/collect", (string? store, SnapshotService snapshots) => snapshots.CollectAsync(store)).WithSummary("Deletes what no snapshot of a store needs");

        app.MapGet("/v1/version", (SandboxTable table, SentryPool pool, Stores stores) => new VersionReport
        {
            Version = Version,
            ProcessId = Environment.ProcessId,
            Sandboxes = table.Count,
            PooledSentries = pool.Count,
            DefaultStore = stores.Default,
        }).WithSummary("Which agent this is");
        app.MapGet("/v1/doctor", (AgentFolders folders) => Doctor.Examine(folders)).WithSummary("What this host offers");
        app.MapPost("/v1/stop", (bool? keep, Shutdown shutdown) =>
        {
            shutdown.Begin(keep ?? false);
            return Results.Accepted();
        }).WithSummary("Ends the agent, and with it all sandboxes unless they are to be kept for the next one");
    }

    private static void MapSandboxes(RouteGroupBuilder group)
    {
        group.MapGet("", (SandboxTable table) => table.All().Select(SandboxTable.Summarize).ToArray()).WithSummary("Lists sandboxes");
        group.MapPost("", async (RunRequest request, SandboxService service) => request.Detach
            ? (await service.RunAsync(request, null, null)).Started
            : service.Await(new AttachRequest { Run = request }, request.Name)).WithSummary("Runs a program in a new sandbox");
        group.MapGet("{name}", (string name, SandboxTable table) => SandboxTable.Summarize(table.Get(name))).WithSummary("A sandbox");
        group.MapDelete("{name}", (string name, bool? force, SandboxTable table, SandboxService service) =>
        {
            service.Remove(table.Get(name), force ?? false);
            return Results.NoContent();
        }).WithSummary("Removes a sandbox; with force one that runs");
        group.MapPost("{name}/signal", async (string name, SignalProgramRequest request, SandboxTable table, SandboxService service) =>
        {
            await service.SignalAsync(table.Get(name), request);
            return Results.NoContent();
        }).WithSummary("Sends a signal to a process of a sandbox");
        group.MapPost("{name}/exec", async (string name, ExecProgramRequest request, SandboxTable table, SandboxService service) =>
        {
            Sandbox sandbox = table.Get(name);
            if (!request.Detach)
                return service.Await(new AttachRequest { Exec = request, Sandbox = sandbox.Identity.Name }, null);
            (_, ExecutedProgram program) = await service.ExecAsync(name, request, null, null);
            return new Started { Id = sandbox.Identity.Id, Name = sandbox.Identity.Name, Pid = program.Pid };
        }).WithSummary("Runs a further program in a sandbox");
        group.MapGet("{name}/wait", (string name, SandboxTable table, HttpContext context) =>
            table.Get(name).Exit.WaitAsync(context.RequestAborted)).WithSummary("Waits until a sandbox has ended");
        group.MapGet("{name}/logs", (string name, bool? follow, SandboxTable table, HttpContext context) =>
            LogStream.SendAsync(table.Get(name), follow ?? false, context)).WithSummary("What a detached sandbox has printed");
        group.MapPost("{name}/checkpoint", (string name, CheckpointSandboxRequest request, SandboxTable table, CheckpointService checkpoints, HttpContext context) =>
            ProgressStream.AnswerAsync(context, new Operation("saving", request.Rate, context.RequestAborted), operation => checkpoints.CheckpointAsync(table.Get(name), request, operation),
                ApiJson.Default.CheckpointReport, ApiJson.Default.ProgressLineCheckpointReport)).Produces<CheckpointReport>().WithSummary("Saves a sandbox as a snapshot");
        group.MapGet("{name}/inspect", async (string name, SandboxTable table) =>
        {
            Sandbox sandbox = table.Get(name);
            SandboxInspection inspection = sandbox.Exit.IsCompleted ? new SandboxInspection() : await sandbox.InspectAsync();
            return new SandboxDetails
            {
                Summary = SandboxTable.Summarize(sandbox),
                Processes = [.. inspection.Processes.Select(ToDetails)],
                UnimplementedCalls = inspection.UnimplementedCalls,
                CrashReport = sandbox.CrashLog is { } log ? LogFiles.ReadEnd(log) : null,
                SystemCalls = inspection.SystemCalls,
                SentryThreads = inspection.SentryThreads,
                Network = sandbox.Network.Describe(inspection.Sockets, inspection.SocketCount),
            };
        }).WithSummary("What goes on in a sandbox");
    }

    private static void MapSnapshots(RouteGroupBuilder group)
    {
        group.MapGet("", (string? store, SnapshotService snapshots) => snapshots.ListAsync(store)).WithSummary("Lists the snapshots of a store");
        group.MapGet("{name}", (string name, string? store, SnapshotService snapshots) => snapshots.GetAsync(name, store)).WithSummary("A snapshot");
        group.MapDelete("{name}", async (string name, string? store, SnapshotService snapshots) =>
        {
            await snapshots.DeleteAsync(name, store);
            return Results.NoContent();
        }).WithSummary("Deletes a snapshot");
        group.MapPost("{name}/copy", (string name, CopySnapshotRequest request, SnapshotService snapshots, HttpContext context) =>
            ProgressStream.AnswerAsync(context, new Operation("copying", request.Rate, context.RequestAborted), operation => snapshots.CopyAsync(name, request, operation),
                ApiJson.Default.CopyReport, ApiJson.Default.ProgressLineCopyReport)).Produces<CopyReport>().WithSummary("Copies a snapshot to another store");
        group.MapPost("{name}/verify", (string name, string? store, long? rate, SnapshotService snapshots, HttpContext context) =>
            ProgressStream.AnswerAsync(context, new Operation("verifying", rate, context.RequestAborted), operation => snapshots.VerifyAsync(name, store, operation),
                ApiJson.Default.VerifyReport, ApiJson.Default.ProgressLineVerifyReport)).Produces<VerifyReport>().WithSummary("Reads all of a snapshot and checks it");
        group.MapPost("{name}/restore", async (string name, RestoreSnapshotRequest request, SandboxService service) => request.Detach
            ? (await service.RestoreAsync(name, request, null, null)).Started
            : service.Await(new AttachRequest { Restore = request, Snapshot = name }, request.Name)).WithSummary("Restores a snapshot into a new sandbox");
    }

    private static ProcessDetails ToDetails(ProcessInspection process) => new()
    {
        Pid = process.Pid,
        ParentPid = process.ParentPid,
        Name = process.Name,
        Threads = process.Threads,
        State = process.State,
        Arguments = process.Arguments,
    };
}
