using System.Text;

namespace RestoreAgent.Agent.Processes;

/// <summary>Reading what programs have logged.</summary>
public static class LogFiles
{
    private const int Tail = 4096, LongestLine = 300;

    /// <summary>The last line that says something, shortened; null when there is none.</summary>
    public static string? LastLine(string path)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            file.Seek(-Math.Min(file.Length, Tail), SeekOrigin.End);
            byte[] bytes = new byte[Tail];
            int count = file.ReadAtLeast(bytes, Tail, throwOnEndOfStream: false);
            string? line = Encoding.UTF8.GetString(bytes, 0, count).Split('\n').LastOrDefault(l => !string.IsNullOrWhiteSpace(l))?.Trim();
            return line is { Length: > LongestLine } ? line[..LongestLine] : line;
        }
        catch (IOException)
        {
            return null;
        }
    }
}
