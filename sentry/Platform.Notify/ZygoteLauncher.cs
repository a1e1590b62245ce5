using System.Runtime.InteropServices;
using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Platform.Notify;

/// <summary>
/// Starts the zygote: the stub program in a process without privileges, namespaces of its own and the filter installed. It is a child
/// that shares this process's descriptor table until it executes, so the listener appears here directly.
/// </summary>
internal static class ZygoteLauncher
{
    private const int KillSignal = 9, NoRandomization = 0x40000;
    private const uint NewListener = 8, WaitKillable = 32;

    /// <summary>The process is about to execute the program when this returns: it waits for the listener's answer, with
    /// <c>Image</c> still needed in the descriptor table.</summary>
    public static (SpawnedProcess Process, Listener Listener, int Image) Launch(StubProgram program)
    {
        int image = Check(HostFile.CreateMemory("stub", flags: 0x10), "memfd_create");
        if (HostFile.Write(image, program.Image).Value != program.Image.Length)
            throw new InvalidOperationException("the stub program could not be written");

        (SpawnedProcess process, int listener) = ProcessSpawner.OnLastingThread(() => Start(image));
        return (process, new Listener(listener), image);
    }

    private static (SpawnedProcess Process, int Listener) Start(int image)
    {
        const long Pending = long.MaxValue;
        ChildScript script = new();
        long listener = script.PutWord(Pending);

        script.Add(Sysno.personality, NoRandomization, mayFail: true);
        script.Add(Sysno.prctl, 1, KillSignal);
        LeaveNamespaces(script);
        DropPrivileges(script);
        long filter = script.Put(MemoryMarshal.AsBytes(StubFilter.Build().AsSpan()));
        long program = script.Put(MemoryMarshal.AsBytes<long>([StubFilter.Build().Length, filter]));
        script.Add(Sysno.prctl, 38, 1); // PR_SET_NO_NEW_PRIVS
        script.Add(Sysno.seccomp, 1, NewListener | WaitKillable, program, resultTo: listener);

        // This is the first call that is notified; the sentry lets it continue. An empty path with AT_EMPTY_PATH executes the descriptor.
        long empty = script.Put("");
        script.Add(Sysno.execveat, image, empty, script.PutAll(["stub"]), script.PutAll([]), 0x1000);

        Result<SpawnedProcess> process = script.Start(ChildScript.CloneFiles);
        if (process.IsError)
            throw new InvalidOperationException($"the zygote could not be started: {process.Error}");
        while (ChildScript.ReadWord(listener) == Pending)
        {
            if (script.Error != 0)
                throw new InvalidOperationException($"the zygote could not set itself up: {(Errno)(-script.Error)}");
            Thread.Yield();
        }

        return (process.Value, (int)ChildScript.ReadWord(listener));
    }

    // Stubs need nothing of any namespace. What the host refuses (an ordinary user without user namespaces) the filter still covers.
    private static void LeaveNamespaces(ChildScript script)
    {
        foreach (NamespaceFlags kind in (ReadOnlySpan<NamespaceFlags>)[NamespaceFlags.Ipc, NamespaceFlags.Uts, NamespaceFlags.Network, NamespaceFlags.Mount])
        {
            // Process 1 is the sentry as the agent starts it: its namespaces are empty already.
            if (HostProcess.ProcessId != 1 || kind == NamespaceFlags.Mount)
                script.Add(Sysno.unshare, (long)kind, mayFail: true);
        }
    }

    private static void DropPrivileges(ChildScript script)
    {
        const int DropFromBoundingSet = 24, Capabilities = 41, CoreLimit = 4, QueueLimit = 12;
        for (int capability = 0; capability < Capabilities; capability++)
            script.Add(Sysno.prctl, DropFromBoundingSet, capability, mayFail: true);
        long header = script.Put(MemoryMarshal.AsBytes<uint>([0x20080522, 0]));
        script.Add(Sysno.capset, header, script.Put(new byte[24]));
        long zero = script.Put(new byte[16]);
        foreach (int resource in (ReadOnlySpan<int>)[CoreLimit, QueueLimit])
            script.Add(Sysno.prlimit64, 0, resource, zero, 0, mayFail: true);
    }

    private static int Check(Result<int> result, string what) => result.IsOk ? result.Value : throw new InvalidOperationException($"{what}: {result.Error}");
}
