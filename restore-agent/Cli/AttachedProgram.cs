using System.Runtime.InteropServices;
using System.Text.Json;
using RestoreAgent.Api;
using Sentry.Host;

namespace SnapshotRpc;

/// <summary>Hands a request with this process's standard streams to the agent, passes signals on, and ends as the program ends.</summary>
public static class AttachedProgram
{
    private const int SandboxFailed = 125;

    private static readonly PosixSignal[] Forwarded = [PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT];

    /// <summary>Runs a request to its end; a detached one to its start, of which <paramref name="started"/> is told.</summary>
    /// <returns>The exit code for this process.</returns>
    public static int Run(AttachRequest request, bool detached, int strace, Action<Started>? started = null)
    {
        using FrameChannel agent = new(AgentLauncher.Connect(UserFolders.AttachSocket(AgentLauncher.RuntimeFolder)));
        List<PosixSignalRegistration> registrations = [];
        try
        {
            if (!detached)
            {
                // Before the program can start: a signal in between is then its, not this process's end.
                foreach (PosixSignal signal in Forwarded)
                    registrations.Add(PosixSignalRegistration.Create(signal, context => Forward(agent, context)));
            }

            Span<int> descriptors = [0, 1, 2, strace];
            byte[] body = JsonSerializer.SerializeToUtf8Bytes(request with { StraceDescriptor = strace >= 0 }, ApiJson.Default.AttachRequest);
            agent.Send(body, detached && strace < 0 ? [] : descriptors[..(strace >= 0 ? 4 : 3)]);
            while (agent.Receive(out _) is { } frame)
            {
                AttachReply reply = JsonSerializer.Deserialize(frame, ApiJson.Default.AttachReply) ?? new AttachReply();
                if (reply.Error is not null)
                    throw new CliException(reply.Error);
                if (reply.Started is not null)
                {
                    started?.Invoke(reply.Started);
                    if (detached)
                        return 0;
                }

                if (reply.Exit is null)
                    continue;
                if (reply.Exit.Reason is { } reason)
                    Console.Error.WriteLine("snapshot-rpc: " + reason);
                return reply.Exit.ExitCode;
            }

            throw new CliException("the agent has gone, and the sandbox with it; snapshot-rpc agent start starts a new one");
        }
        catch (IOException e)
        {
            Console.Error.WriteLine("snapshot-rpc: the connection to the agent failed: " + e.Message);
            return SandboxFailed;
        }
        finally
        {
            foreach (PosixSignalRegistration registration in registrations)
                registration.Dispose();
        }
    }

    private static void Forward(FrameChannel agent, PosixSignalContext context)
    {
        const int Hangup = 1, Interrupt = 2, Quit = 3, Terminate = 15;
        context.Cancel = true;
        int number = context.Signal switch
        {
            PosixSignal.SIGHUP => Hangup,
            PosixSignal.SIGINT => Interrupt,
            PosixSignal.SIGQUIT => Quit,
            _ => Terminate,
        };
        try
        {
            agent.Send(JsonSerializer.SerializeToUtf8Bytes(new AttachSignal { Signal = number }, ApiJson.Default.AttachSignal));
        }
        catch (IOException)
        {
            // the program has just ended
        }
    }
}
