using System.Collections.Concurrent;
using Sentry.Abi;

namespace Sentry.Host;

/// <summary>
/// Starts processes from a many-threaded runtime: a clone3(2) that shares memory and suspends the caller (as vfork does), whose child
/// runs emitted code only (<see cref="ChildScript"/>). Unlike System.Diagnostics.Process it passes descriptors,
/// makes namespaces and leaves the reaping of children to the holder of the pidfd.
/// </summary>
public static class ProcessSpawner
{
    private static readonly BlockingCollection<Action> _requests = [];

    // The parent-death signal is sent when the thread that cloned ends, not its process, so one thread that never ends spawns all.
    private static readonly Lazy<Thread> _thread = new(StartThread);

    /// <summary>Starts a process; the errno of the step that failed otherwise (execve's ENOENT, clone's EPERM, …).</summary>
    public static Result<SpawnedProcess> Spawn(SpawnOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return OnLastingThread(() =>
        {
            ChildScript script = new();
            Write(script, options);
            Result<SpawnedProcess> result = script.Start(ChildScript.CloneVfork | (long)options.Namespaces);
            script.Free();
            return result;
        });
    }

    /// <summary>Runs a function on the thread that never ends, as children with a parent-death signal need.</summary>
    public static T OnLastingThread<T>(Func<T> function)
    {
        _ = _thread.Value;
        TaskCompletionSource<T> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _requests.Add(() =>
        {
            try
            {
                done.SetResult(function());
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        });
        return done.Task.GetAwaiter().GetResult();
    }

    private static Thread StartThread()
    {
        Thread thread = new(() =>
        {
            foreach (Action request in _requests.GetConsumingEnumerable())
                request();
        })
        {
            IsBackground = true,
            Name = "spawner",
        };
        thread.Start();
        return thread;
    }

    private static void Write(ChildScript script, SpawnOptions options)
    {
        SetIdentity(script, options);
        PassDescriptors(script, options.Descriptors);
        ResetSignals(script);
        if (options.WorkingDirectory is { } directory)
            script.Add(Sysno.chdir, script.Put(directory));

        long path = script.Put(options.Path);
        long arguments = script.PutAll(options.Arguments);
        long environment = script.PutAll(options.Environment);
        script.Add(Sysno.execve, path, arguments, environment);
    }

    private static void SetIdentity(ChildScript script, SpawnOptions options)
    {
        if (options.DieWithParent)
            script.Add(Sysno.prctl, 1, 9);
        if (options.NewSession)
            script.Add(Sysno.setsid);
        if (!options.Namespaces.HasFlag(NamespaceFlags.User) || !options.MapToRoot)
            return;
        PutFile(script, "/proc/self/setgroups", "deny");
        PutFile(script, "/proc/self/uid_map", $"0 {HostProcess.EffectiveUserId} 1");
        PutFile(script, "/proc/self/gid_map", $"0 {HostProcess.EffectiveGroupId} 1");
    }

    // Every source is first moved above all targets, then to its place: the two sets may overlap.
    private static void PassDescriptors(ChildScript script, IReadOnlyList<int> descriptors)
    {
        const int DuplicateCloseOnExec = 1030;
        int secondPass = script.Count + descriptors.Count(d => d >= 0);
        for (int i = 0; i < descriptors.Count; i++)
        {
            if (descriptors[i] >= 0)
                script.Add(Sysno.fcntl, descriptors[i], DuplicateCloseOnExec, descriptors.Count, resultTo: script.ArgumentOf(secondPass + i, 0));
        }

        for (int i = 0; i < descriptors.Count; i++)
        {
            if (descriptors[i] >= 0)
                script.Add(Sysno.dup3, 0, i);
            else
                script.Add(Sysno.close, i, mayFail: true);
        }

        script.Add(Sysno.close_range, descriptors.Count, uint.MaxValue);
    }

    // Handlers are reset by the clone; what the runtime ignores (SIGPIPE) would stay ignored across execve.
    private static void ResetSignals(ChildScript script)
    {
        const int Signals = 64, Kill = 9, Stop = 19;
        long zero = script.Put(new byte[32]);
        for (int signal = 1; signal <= Signals; signal++)
        {
            if (signal is not (Kill or Stop))
                script.Add(Sysno.rt_sigaction, signal, zero, 0, 8, mayFail: true);
        }

        script.Add(Sysno.rt_sigprocmask, 2, zero, 0, 8);
    }

    private static void PutFile(ChildScript script, string path, string content)
    {
        const int WriteOnly = 1;
        int open = script.Count;
        script.Add(Sysno.open, script.Put(path), WriteOnly, resultTo: script.ArgumentOf(open + 1, 0));
        script.Add(Sysno.write, 0, script.Put(content), content.Length);
    }
}
