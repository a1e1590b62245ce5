using System.Globalization;

namespace Sentry.Kernel.Ipc;

/// <summary>The settings of an IPC namespace below /proc/sys (sysvipc(7), mq_overview(7)).</summary>
public static class IpcSettings
{
    private sealed record Setting(string Path, Func<IpcNamespace, long> Get, Action<IpcNamespace, long> Set, long Lowest, long Highest);

    private static readonly Setting[] Numbers =
    [
        new("kernel/msgmax", static i => i.MessageSizeLimit, static (i, v) => i.MessageSizeLimit = (int)v, 0, int.MaxValue),
        new("kernel/msgmnb", static i => i.QueueSizeLimit, static (i, v) => i.QueueSizeLimit = (int)v, 0, int.MaxValue),
        new("kernel/msgmni", static i => i.Queues.Limit, static (i, v) => i.Queues.Limit = (int)v, 0, IpcIds.Slots),
        new("kernel/msg_next_id", static i => i.Queues.NextId, static (i, v) => i.Queues.NextId = (int)v, 0, int.MaxValue),
        new("kernel/sem_next_id", static i => i.Semaphores.NextId, static (i, v) => i.Semaphores.NextId = (int)v, 0, int.MaxValue),
        new("kernel/shm_next_id", static i => i.Segments.NextId, static (i, v) => i.Segments.NextId = (int)v, 0, int.MaxValue),
        new("kernel/shmmni", static i => i.Segments.Limit, static (i, v) => i.Segments.Limit = (int)v, 0, IpcIds.Slots),
        new("fs/mqueue/msg_default", static i => i.DefaultQueueLength, static (i, v) => i.DefaultQueueLength = (int)v, 1, 65536),
        new("fs/mqueue/msg_max", static i => i.LongestQueue, static (i, v) => i.LongestQueue = (int)v, 1, 65536),
        new("fs/mqueue/msgsize_default", static i => i.DefaultQueueMessageSize, static (i, v) => i.DefaultQueueMessageSize = (int)v, 128, 16 << 20),
        new("fs/mqueue/msgsize_max", static i => i.LargestQueueMessage, static (i, v) => i.LargestQueueMessage = (int)v, 128, 16 << 20),
        new("fs/mqueue/queues_max", static i => i.MqueueLimit, static (i, v) => i.MqueueLimit = (int)v, 0, int.MaxValue),
    ];

    /// <summary>All settings, below /proc/sys.</summary>
    public static IEnumerable<string> Paths => Numbers.Select(static s => s.Path).Concat(["kernel/sem", "kernel/shmall", "kernel/shmmax"]);

    /// <summary>The value as text; null for a path that is none of these.</summary>
    public static string? Get(IpcNamespace ipc, string path) => path switch
    {
        "kernel/sem" => string.Create(CultureInfo.InvariantCulture, $"{ipc.SetSizeLimit}\t{ipc.SemaphoreLimit}\t{ipc.OperationLimit}\t{ipc.Semaphores.Limit}"),
        "kernel/shmall" => ipc.SegmentPageLimit.ToString(CultureInfo.InvariantCulture),
        "kernel/shmmax" => ipc.SegmentSizeLimit.ToString(CultureInfo.InvariantCulture),
        _ => Find(path)?.Get(ipc).ToString(CultureInfo.InvariantCulture),
    };

    /// <summary>EINVAL for what is no number or out of range.</summary>
    public static Errno Set(IpcNamespace ipc, string path, string text)
    {
        switch (path)
        {
            case "kernel/sem":
                return SetSemaphores(ipc, text);
            case "kernel/shmall" when ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong pages):
                ipc.SegmentPageLimit = pages;
                return Errno.None;
            case "kernel/shmmax" when ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong bytes):
                ipc.SegmentSizeLimit = bytes;
                return Errno.None;
        }

        if (Find(path) is not { } setting || !long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value) || value < setting.Lowest || value > setting.Highest)
            return Errno.EINVAL;
        setting.Set(ipc, value);
        return Errno.None;
    }

    private static Errno SetSemaphores(IpcNamespace ipc, string text)
    {
        string[] parts = text.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        int[] values = [ipc.SetSizeLimit, ipc.SemaphoreLimit, ipc.OperationLimit, ipc.Semaphores.Limit];
        if (parts.Length > values.Length)
            return Errno.EINVAL;
        for (int i = 0; i < parts.Length; i++)
        {
            if (!int.TryParse(parts[i], NumberStyles.None, CultureInfo.InvariantCulture, out values[i]))
                return Errno.EINVAL;
        }

        if (values[3] > IpcIds.Slots)
            return Errno.EINVAL;
        (ipc.SetSizeLimit, ipc.SemaphoreLimit, ipc.OperationLimit, ipc.Semaphores.Limit) = (values[0], values[1], values[2], values[3]);
        return Errno.None;
    }

    private static Setting? Find(string path) => Array.Find(Numbers, s => s.Path == path);
}

/// <summary>The tables of /proc/sysvipc (proc(5)).</summary>
public static class IpcTables
{
    public static string DescribeQueues(IpcNamespace ipc)
    {
        var text = new System.Text.StringBuilder("       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n");
        foreach (IpcObject each in ipc.Queues.Objects.Values)
        {
            var queue = (MessageQueue)each;
            text.Append(CultureInfo.InvariantCulture, $"{queue.Key,10} {queue.Id,10}  {Octal(queue.Mode),4}  {queue.Bytes,10} {queue.Count,10} {queue.LastSender,5} {queue.LastReceiver,5} ");
            text.Append(CultureInfo.InvariantCulture, $"{queue.Uid,5} {queue.Gid,5} {queue.CreatorUid,5} {queue.CreatorGid,5} {queue.SendTime,10} {queue.ReceiveTime,10} {queue.ChangeTime,10}\n");
        }

        return text.ToString();
    }

    public static string DescribeSemaphores(IpcNamespace ipc)
    {
        var text = new System.Text.StringBuilder("       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
        foreach (IpcObject each in ipc.Semaphores.Objects.Values)
        {
            var set = (SemaphoreSet)each;
            text.Append(CultureInfo.InvariantCulture, $"{set.Key,10} {set.Id,10}  {Octal(set.Mode),4} {set.Count,10} {set.Uid,5} {set.Gid,5} {set.CreatorUid,5} {set.CreatorGid,5} ");
            text.Append(CultureInfo.InvariantCulture, $"{set.OperationTime,10} {set.ChangeTime,10}\n");
        }

        return text.ToString();
    }

    public static string DescribeSegments(IpcNamespace ipc, GuestKernel kernel)
    {
        var text = new System.Text.StringBuilder("       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n");
        foreach (IpcObject each in ipc.Segments.Objects.Values)
        {
            var segment = (SharedSegment)each;
            text.Append(CultureInfo.InvariantCulture, $"{segment.Key,10} {segment.Id,10}  {Octal(segment.Mode),4} {segment.Size,21} {segment.CreatorPid,5} {segment.LastPid,5}  {segment.CountAttachments(kernel),5} ");
            text.Append(CultureInfo.InvariantCulture, $"{segment.Uid,5} {segment.Gid,5} {segment.CreatorUid,5} {segment.CreatorGid,5} {segment.AttachTime,10} {segment.DetachTime,10} {segment.ChangeTime,10} ");
            text.Append(CultureInfo.InvariantCulture, $"{segment.Pages * (long)Mappings.PageSize,21} {0,21}\n");
        }

        return text.ToString();
    }

    private static string Octal(uint mode) => Convert.ToString(mode, 8);
}

/// <summary>Makes the file system of message queues known to mount(2).</summary>
public static class Mqueues
{
    /// <summary>The queues of a namespace as a tree.</summary>
    public static Dentry GetRoot(GuestKernel kernel, IpcNamespace ipc) => ipc.GetMqueueRoot(kernel);
}
