using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Platform.Notify;

/// <summary>Processes that have been killed and not yet been reaped. What they have mapped they may write to until they are gone, so their mailboxes
/// are free only then.</summary>
internal sealed class EndedProcesses(MailboxPool mailboxes)
{
    private const int AtOnce = 4;

    private readonly Queue<(int Process, int[] Mailboxes)> _processes = [];

    public bool IsEmpty => _processes.Count == 0;

    public bool Contains(int process) => _processes.Any(p => p.Process == process);

    public void Add(int process, params int[] mailboxes) => _processes.Enqueue((process, mailboxes));

    /// <summary>Collects some that have ended, without waiting; whether there were any.</summary>
    public bool Reap()
    {
        bool any = false;
        for (int i = Math.Min(_processes.Count, AtOnce); i > 0; i--)
        {
            (int Process, int[] Mailboxes) ended = _processes.Dequeue();
            if (HostProcess.Reap(ended.Process, noHang: true) is { IsOk: true, Value: 0 })
            {
                _processes.Enqueue(ended);
                continue;
            }

            any = true;
            foreach (int mailbox in ended.Mailboxes)
                mailboxes.Return(mailbox);
        }

        return any;
    }
}
