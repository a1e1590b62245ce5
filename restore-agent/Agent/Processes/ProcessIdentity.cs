using System.Globalization;

namespace RestoreAgent.Agent.Processes;

/// <summary>A process that a later agent can find again: its id alone may be another's by then, but not with the same start.</summary>
/// <param name="StartTime">Clock ticks since the boot (proc(5), stat).</param>
public sealed record ProcessIdentity(int ProcessId, long StartTime)
{
    /// <summary>Changes with each boot of the host.</summary>
    public static string BootId { get; } = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

    /// <summary>That of a running process; null when it has gone.</summary>
    public static ProcessIdentity? Of(int processId)
    {
        const int startField = 19;
        try
        {
            string stat = File.ReadAllText($"/proc/{processId}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return new ProcessIdentity(processId, long.Parse(fields[startField], CultureInfo.InvariantCulture));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or IndexOutOfRangeException)
        {
            return null;
        }
    }
}
