using Sentry.Abi;
using Sentry.Control;
using Sentry.Host;
using Sentry.Kernel;
using Sentry.Kernel.Tasks;

namespace Sentry.Main;

/// <summary>What <c>inspect</c> and <c>ps</c> show of a running sandbox.</summary>
internal static class Inspector
{
    private const int MaxArgumentBytes = 4096;

    public static SandboxInspection Inspect(GuestKernel kernel)
    {
        List<ProcessInspection> processes = [];
        foreach (ThreadGroup group in kernel.Processes.Values)
        {
            processes.Add(new ProcessInspection
            {
                Pid = group.Pid,
                ParentPid = group.Parent?.Pid ?? 0,
                Name = HostPath.ToText(group.Tasks.Count > 0 ? group.Tasks[0].Name : ""),
                Threads = group.Tasks.Count,
                State = State(group),
                Arguments = Arguments(group),
            });
        }

        Dictionary<string, long> unimplemented = [];
        foreach ((int number, long count) in kernel.Unimplemented)
            unimplemented[Sysno.Name(number)] = count;
        return new SandboxInspection
        {
            Processes = [.. processes],
            UnimplementedCalls = unimplemented,
            SystemCalls = kernel.Dispatcher.CallCount,
            SentryThreads = CountThreads(),
            Sockets = SocketInspector.Inspect(kernel.Network, out int sockets),
            SocketCount = sockets,
        };
    }

    private static string State(ThreadGroup group)
    {
        if (group.WaitStatus is not null)
            return "zombie";
        if (group.Job.IsStopped)
            return "stopped";
        return group.Tasks.Exists(static t => t.State == TaskState.Running) ? "running" : "sleeping";
    }

    private static string[] Arguments(ThreadGroup group)
    {
        if (group.Tasks.Count == 0)
            return [];
        (ulong start, ulong end) = group.Tasks[0].Memory.Arguments;
        byte[] bytes = new byte[(int)Math.Min(MaxArgumentBytes, end - start)];
        int got = group.Tasks[0].Memory.Read(start, bytes);
        return System.Text.Encoding.UTF8.GetString(bytes.AsSpan(0, got)).TrimEnd('\0').Split('\0');
    }

    private static int CountThreads()
    {
        // The sentry sees its own /proc.
        Result<int> folder = HostFile.Open("/proc/self/task", 0x10000);
        if (folder.IsError)
            return 0;
        Span<byte> entries = new byte[8192];
        int count = 0;
        while (HostFile.GetDirectoryEntries(folder.Value, entries) is { IsOk: true, Value: > 0 } got)
        {
            for (int at = 0; at < got.Value; at += entries[at + 16] | (entries[at + 17] << 8))
            {
                if (entries[at + 19] != '.')
                    count++;
            }
        }

        HostFile.Close(folder.Value);
        return count;
    }
}
