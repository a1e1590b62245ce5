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

foreach (string folder in (string[])[folders.Work, folders.Logs])
{
    foreach (FileSystemInfo left in new DirectoryInfo(folder).EnumerateFileSystemInfos().Where(f => f.Name != "agent.log"))
    {
        if (left is DirectoryInfo directory)
            directory.Delete(recursive: true);
        else
            left.Delete();
    }
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
builder.Services.ConfigureHttpJsonOptions(o => o.SerializerOptions.TypeInfoResolverChain.Insert(0, ApiJson.Default));
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
    .AddSingleton<SnapshotService>()
    .AddSingleton<PendingSnapshots>()
    .AddSingleton<CheckpointService>()
    .AddSingleton<RestoreService>()
    .AddSingleton<SavePoints>()
    .AddSingleton<SandboxService>()
    .AddSingleton<AttachServer>();

WebApplication app = builder.Build();
app.UseMiddleware<ProblemMiddleware>();
Endpoints.Map(app);
app.Services.GetRequiredService<NetworkService>().RemoveLeftOvers();
app.Services.GetRequiredService<SentryPool>();
await app.StartAsync();
app.Services.GetRequiredService<AttachServer>().Start();
await app.WaitForShutdownAsync();
foreach (Sandbox sandbox in app.Services.GetRequiredService<SandboxTable>().All())
    sandbox.Kill("the agent stops");
File.Delete(folders.AttachSocket);
File.Delete(folders.HttpSocket);
await app.DisposeAsync();
return 0;
