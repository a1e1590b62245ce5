using System.Collections.Concurrent;
using RestoreAgent.Agent.Network;
using RestoreAgent.Agent.Processes;
using RestoreAgent.Agent.Snapshots;
using RestoreAgent.Api;
using Sentry.Control;
using Sentry.Host;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>Starts sandboxes and programs in them; what both the HTTP API and the attach socket call.</summary>
public sealed class SandboxService(AgentFolders folders, SandboxTable table, SandboxRecords records, SentryPool pool, NetworkService networks, RestoreService restores, SavePoints savePoints)
{
    private const int KeyLength = 32;
    private static readonly TimeSpan AttachWithin = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan KillWithin = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<string, PendingAttach> _pending = new();

    /// <summary>Runs a program in a new sandbox. Takes over the streams, which are null when detached.</summary>
    public async Task<(Sandbox Sandbox, Started Started)> RunAsync(RunRequest request, Streams? streams, WindowSize? window, string? id = null)
    {
        Sandbox? sandbox = null;
        try
        {
            string root = CheckRoot(request.RootFolder);
            ProgramSpec program = Programs.ToSpec(request.Program, root, []);
            VolumeOptions[] volumes = Volumes.ForRun(request.Volumes, request.Tmpfs);
            SandboxIdentity identity = Identify(request, id ?? NewId(), root, request.Program, request.HostName ?? request.Name ?? "sandbox") with
            {
                Volumes = volumes,
                Tmpfs = Volumes.ToSpecs(request.Tmpfs),
            };
            sandbox = Add(identity, NetworkPlan.Make(request.Network, null), ref streams);
            Task<SentryProcess> taken = pool.TakeAsync(request.Platform);
            GoferProcess gofer = StartGofer(identity, taken);
            SentryProcess sentry = await taken.ConfigureAwait(false);
            Reply reply = await ExclusivelyAsync(sandbox, () => sandbox.StartAsync(sentry, gofer, program, window)).ConfigureAwait(false);
            return (sandbox, Describe(sandbox, reply.Pid, 0));
        }
        catch (Exception e)
        {
            streams?.Dispose();
            Discard(sandbox, e);
            throw;
        }
    }

    /// <summary>Restores a snapshot into a new sandbox. Takes over the streams, which are null when detached.</summary>
    public async Task<(Sandbox Sandbox, Started Started)> RestoreAsync(string snapshot, RestoreSnapshotRequest request, Streams? streams, WindowSize? window, string? id = null, Operation? operation = null)
    {
        Sandbox? sandbox = null;
        Task<SentryProcess>? taken = null;
        GoferProcess? gofer = null;
        try
        {
            CheckWaiting(request);
            taken = request.WaitSeconds > 0 ? pool.TakeAsync(request.Platform) : null;
            using FoundImage image = await restores.FindAsync(snapshot, request, operation?.Cancelled ?? default).ConfigureAwait(false);

            // A dump whose sandbox goes on here: its ports are free from now on, its place on a switch when this one takes it.
            image.Pending?.Source.Network.Unpublish();
            string root = CheckRoot(image.RootFolder);
            NetworkPlan plan = NetworkPlan.Make(request.Network, image.Network, handedOver: image.Pending is not null);
            string hostName = plan.Options.NewIdentity && request.Name is not null ? request.Name : image.HostName;
            SandboxIdentity identity = Identify(request, id ?? NewId(), root, image.Program, hostName) with
            {
                RestoredFrom = snapshot,
                Volumes = Volumes.ForRestore(image.Volumes, request.Volumes, snapshot),
            };
            taken ??= pool.TakeAsync(request.Platform);
            gofer = GoferProcess.Start(folders, root, identity.Volumes);
            Task<PreparedImage> preparing = restores.PrepareAsync(image, operation);
            try
            {
                sandbox = Add(identity, plan, ref streams);
            }
            catch
            {
                _ = preparing.ContinueWith(p => p.Result.Dispose(), TaskContinuationOptions.OnlyOnRanToCompletion);
                throw;
            }

            using PreparedImage prepared = await preparing.ConfigureAwait(false);
            SentryProcess sentry = await taken.ConfigureAwait(false);
            GoferProcess serving = gofer;
            (taken, gofer) = (null, null);
            Func<SentryProcess, Task>? handOver = image.Pending is { } source ? successor => source.HandOverAsync(sandbox.Identity.Name, successor) : null;
            Reply reply = await ExclusivelyAsync(sandbox, () => sandbox.RestoreAsync(sentry, serving, prepared.Files.State, prepared.Files.Memory, window, inPlace: false, handOver)).ConfigureAwait(false);
            return (sandbox, Describe(sandbox, 1, reply.PauseNanoseconds));
        }
        catch (Exception e)
        {
            _ = taken?.ContinueWith(t => t.Result.Dispose(), TaskContinuationOptions.OnlyOnRanToCompletion);
            gofer?.Dispose();
            streams?.Dispose();
            Discard(sandbox, e);
            throw;
        }
    }

    /// <summary>Runs a further program in a sandbox. Takes over the streams, which are null when detached.</summary>
    public async Task<(Sandbox Sandbox, ExecutedProgram Program)> ExecAsync(string name, ExecProgramRequest request, Streams? streams, WindowSize? window, string? key = null)
    {
        try
        {
            Sandbox sandbox = table.Get(name);
            ProgramSpec program = Programs.ToSpec(request.Program, sandbox.Identity.RootFolder, sandbox.Identity.Program.Environment);
            Streams given = streams ?? Streams.Null(sandbox.Identity.Log ?? "/dev/null");
            streams = null;
            return (sandbox, await sandbox.ExecAsync(program, given, request.Program.Terminal, window, hasClient: !request.Detach, key).ConfigureAwait(false));
        }
        finally
        {
            streams?.Dispose();
        }
    }

    /// <summary>By name or id.</summary>
    public Sandbox Find(string name) => table.Get(name);

    /// <summary>What became of a client's earlier request, by its key; null when it was never carried out, or all of it is over and forgotten.</summary>
    public (Sandbox Sandbox, int Pid)? FindByKey(string key)
    {
        foreach (Sandbox sandbox in table.All())
        {
            if (sandbox.FindByKey(key) is { } pid)
                return (sandbox, pid);
        }

        return null;
    }

    /// <summary>Checks what a client wants to call its request.</summary>
    public string CheckKey(string key)
    {
        if (key.Length != KeyLength || key.AsSpan().ContainsAnyExcept("0123456789abcdef"))
            throw AgentException.Invalid($"a key is {KeyLength} hexadecimal digits");
        return FindByKey(key) is null ? key : throw AgentException.Conflict($"the key {key} is in use");
    }

    /// <summary>Keeps an HTTP request that wants streams until they come over the attach socket.</summary>
    public Started Await(AttachRequest request, string? name)
    {
        string id = NewId(), token = Guid.NewGuid().ToString("N");
        PendingAttach pending = new(request, id, Environment.TickCount64);
        foreach ((string old, PendingAttach other) in _pending)
        {
            if (Environment.TickCount64 - other.Since > AttachWithin.TotalMilliseconds)
                _pending.TryRemove(old, out _);
        }

        _pending[token] = pending;
        return new Started { Id = id, Name = request.Exec is null ? SandboxTable.NameFor(name, id) : request.Sandbox!, AttachToken = token };
    }

    /// <summary>The request of a token, once.</summary>
    public PendingAttach Redeem(string token) =>
        _pending.TryRemove(token, out PendingAttach? pending) && Environment.TickCount64 - pending.Since <= AttachWithin.TotalMilliseconds
            ? pending
            : throw AgentException.NotFound("the attach token is unknown or older than 30 seconds; make the request again");

    /// <summary>Sends a signal; SIGKILL to the first program ends the sandbox even when its sentry does not answer.</summary>
    public async Task SignalAsync(Sandbox sandbox, SignalProgramRequest request)
    {
        const int Kill = 9, Last = 64;
        if (request.Signal is < 1 or > Last)
            throw AgentException.Invalid($"there is no signal {request.Signal}");
        if (request.Signal != Kill || request.Pid > 1)
        {
            await sandbox.SignalAsync(request.Pid, request.Signal).ConfigureAwait(false);
            return;
        }

        if (sandbox.Exit.IsCompleted)
            throw AgentException.Conflict($"the sandbox {sandbox.Identity.Name} is not running");
        try
        {
            await sandbox.SignalAsync(request.Pid, Kill).WaitAsync(KillWithin).ConfigureAwait(false);
            await sandbox.Exit.WaitAsync(KillWithin).ConfigureAwait(false);
        }
        catch (Exception e) when (e is TimeoutException or AgentException)
        {
            sandbox.Kill("killed");
        }
    }

    /// <summary>Removes a sandbox from the list, with its log; one that runs only by force.</summary>
    public void Remove(Sandbox sandbox, bool force)
    {
        if (!sandbox.Exit.IsCompleted)
        {
            if (!force)
                throw AgentException.Conflict($"the sandbox {sandbox.Identity.Name} is running; snapshot-rpc kill it first, or rm -f");
            sandbox.Kill("removed");
        }

        Forget(sandbox);
    }

    /// <summary>What can be known to be wrong before a snapshot is there is told then, not when a sandbox has stopped for it.</summary>
    private void CheckWaiting(RestoreSnapshotRequest request)
    {
        if (request.WaitSeconds <= 0)
            return;
        if (request.Name is { } name && table.Contains(SandboxTable.NameFor(name, "")))
            throw SandboxTable.Taken(name);
        NetworkPlan plan = NetworkPlan.Make(request.Network, null);
        if (plan is { UsesNamespace: true, Options.Namespace: not NetworkNamespace.New })
            NetworkNamespace.Open(plan.Options.Namespace!).Dispose();
    }

    private static string NewId() => Guid.NewGuid().ToString("N");

    private static string CheckRoot(string root)
    {
        if (!Path.IsPathFullyQualified(root))
            throw AgentException.Invalid($"the root file system '{root}' must be an absolute path");
        return Directory.Exists(root) ? Path.TrimEndingDirectorySeparator(Path.GetFullPath(root))
            : throw AgentException.Invalid($"the root file system {root} is no folder");
    }

    private static Started Describe(Sandbox sandbox, int pid, long restoreNanoseconds) => new()
    {
        Id = sandbox.Identity.Id,
        Name = sandbox.Identity.Name,
        Pid = pid,
        Terminal = sandbox.Identity.Program.Terminal,
        RestoreNanoseconds = restoreNanoseconds,
    };

    private static async Task<Reply> ExclusivelyAsync(Sandbox sandbox, Func<Task<Reply>> action)
    {
        await sandbox.Gate.WaitAsync().ConfigureAwait(false);
        try
        {
            return await action().ConfigureAwait(false);
        }
        finally
        {
            sandbox.Gate.Release();
        }
    }

    private SandboxIdentity Identify(NewSandbox request, string id, string root, ProgramOptions program, string hostName) => new()
    {
        Id = id,
        Name = SandboxTable.NameFor(request.Name, id),
        RootFolder = root,
        Program = program,
        HostName = hostName,
        Detached = request.Detach,
        Log = request.Detach ? Path.Combine(folders.Logs, id + ".log") : null,
        Strace = request.Strace,
        SaveAtCall = request.SaveAtCall,
        Limits = Limits.ToSpec(request.Limits),
        CrashAtCall = request.CrashAtCall,
        Created = DateTimeOffset.UtcNow,
    };

    private Sandbox Add(SandboxIdentity identity, NetworkPlan plan, ref Streams? streams)
    {
        if (!identity.Detached && streams is null)
            throw AgentException.Invalid("an attached sandbox needs its standard streams over the attach socket");
        if (table.Contains(identity.Name))
            throw SandboxTable.Taken(identity.Name);
        SandboxNetwork network = networks.Create(plan, identity.Id, [identity.Name, identity.HostName]);
        Sandbox sandbox = new(
            identity,
            streams ??= Streams.Null(identity.Log!),
            network,
            identity.Detached)
        {
            OnSavePoint = savePoints.Reached,
            OnChanged = records.Save,
        };
        try
        {
            table.Add(sandbox);
        }
        catch
        {
            network.Dispose();
            throw;
        }

        streams = null;
        _ = sandbox.Exit.ContinueWith(
            _ =>
            {
                if (!sandbox.IsDetached)
                    table.Remove(sandbox);
            },
            TaskScheduler.Default);
        return sandbox;
    }

    private GoferProcess StartGofer(SandboxIdentity identity, Task<SentryProcess> taken)
    {
        try
        {
            return GoferProcess.Start(folders, identity.RootFolder, identity.Volumes);
        }
        catch
        {
            _ = taken.ContinueWith(t => t.Result.Dispose(), TaskContinuationOptions.OnlyOnRanToCompletion);
            throw;
        }
    }

    private void Discard(Sandbox? sandbox, Exception reason)
    {
        if (sandbox is null)
            return;
        sandbox.Kill(reason.Message);
        Forget(sandbox);
    }

    private void Forget(Sandbox sandbox)
    {
        table.Remove(sandbox);
        records.Delete(sandbox.Identity.Id);
        foreach (string? log in (string?[])[sandbox.Identity.Log, sandbox.CrashLog])
        {
            if (log is not null)
                File.Delete(log);
        }
    }
}

/// <summary>A request that waits for its streams.</summary>
public sealed record PendingAttach(AttachRequest Request, string Id, long Since);
