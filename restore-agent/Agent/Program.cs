using RestoreAgent.Agent;
using RestoreAgent.Agent.Attach;
using RestoreAgent.Agent.Http;
using RestoreAgent.Agent.Network;
using RestoreAgent.Agent.Processes;
using RestoreAgent.Agent.Sandboxes;
using RestoreAgent.Agent.Snapshots;
using RestoreAgent.Api;
using Sentry.Abi;
using Sentry.Host;
using Snapshot.Images;

// Sockets, logs and snapshots are the user's alone.
const int OwnerOnlyMask = 0x3F, Locked = 0, LockExclusiveNow = 2 | 4, ReadWriteCreate = 2 | 0x40;
HostSyscall.Call(Sysno.umask, OwnerOnlyMask);

AgentFolders folders;
try
{
    folders = AgentFolders.OfUser();
}
catch (AgentException e)
{
    Console.Error.WriteLine("restore-agent: " + e.Message);
    return 1;
}

// The lock is held for as long as this process lives: of several agents that start at once, one stays.
Result<int> lockFile = HostFile.Open(HostPath.FromText(folders.Lock), ReadWriteCreate | HostFile.OCloexec, 0x180);
if (lockFile.IsError || (int)HostFile.Lock(lockFile.Value, LockExclusiveNow) != Locked)
{
    Console.Error.WriteLine($"restore-agent: another agent runs at {folders.Runtime}");
    return 0;
}

File.Delete(folders.HttpSocket);

// Without this the host would watch every folder below the working directory, which is often "/", for changes of its settings.
WebApplicationBuilder builder = WebApplication.CreateSlimBuilder([.. args, "--hostBuilder:reloadConfigOnChange=false"]);
builder.Logging.ClearProviders().AddSimpleConsole(o => (o.SingleLine, o.TimestampFormat) = (true, "yyyy-MM-ddTHH:mm:ss.fffZ ")).SetMinimumLevel(LogLevel.Warning);
builder.WebHost.ConfigureKestrel(kestrel =>
{
    kestrel.AddServerHeader = false;
    kestrel.Limits.MaxRequestBodySize = 16 << 20;
    kestrel.ListenUnixSocket(folders.HttpSocket, listen => listen.Use(next => connection => PeerCheck.CheckAsync(connection, () => next(connection))));
});
builder.Services.ConfigureHttpJsonOptions(o => StrictJson.Apply(o.SerializerOptions));
builder.Services.Configure<RouteHandlerOptions>(o => o.ThrowOnBadRequest = true);
builder.Services.AddOpenApi();
builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = TimeSpan.FromSeconds(3));
builder.Services
    .AddSingleton(folders)
    .AddSingleton(_ => new ImageCache(folders.Cache))
    .AddSingleton<Stores>()
    .AddSingleton(s => new SentryPool(folders, s.GetRequiredService<ILogger<SentryPool>>()))
    .AddSingleton<NetworkService>()
    .AddSingleton<SandboxTable>()
    .AddSingleton<SandboxRecords>()
    .AddSingleton<Adopter>()
    .AddSingleton<Shutdown>()
    .AddSingleton<SnapshotService>()
    .AddSingleton<PendingSnapshots>()
    .AddSingleton<CheckpointService>()
    .AddSingleton<RestoreService>()
    .AddSingleton<SavePoints>()
    .AddSingleton<SandboxService>()
    .AddSingleton<AttachServer>();

WebApplication app = builder.Build();
app.UseMiddleware<ProblemMiddleware>();
app.UseMiddleware<BuildCheck>();
Endpoints.Map(app);
app.Services.GetRequiredService<Adopter>().Run();
app.Services.GetRequiredService<SentryPool>().Begin();
await app.StartAsync();
AttachServer attached = app.Services.GetRequiredService<AttachServer>();
attached.Start();
await app.WaitForShutdownAsync();
if (app.Services.GetRequiredService<Shutdown>().KeepsSandboxes)
{
    // The next agent finds them, and what is in the making goes wrong here as it does when this process is killed: clients ask the next agent again.
    File.Delete(folders.AttachSocket);
    File.Delete(folders.HttpSocket);
    Environment.Exit(0);
}

Sandbox[] sandboxes = app.Services.GetRequiredService<SandboxTable>().All();
foreach (Sandbox sandbox in sandboxes)
{
    sandbox.Kill("the agent stops");
    app.Services.GetRequiredService<SandboxRecords>().Delete(sandbox.Identity.Id);
}

await attached.TellAsync(TimeSpan.FromSeconds(2));
await Task.WhenAny(Task.WhenAll(sandboxes.Select(s => s.Released)), Task.Delay(TimeSpan.FromSeconds(8)));
File.Delete(folders.AttachSocket);
File.Delete(folders.HttpSocket);
await app.DisposeAsync();
return 0;
