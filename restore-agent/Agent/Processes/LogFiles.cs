using System.Text;

namespace RestoreAgent.Agent.Processes;

/// <summary>Reading what programs have logged.</summary>
public static class LogFiles
{
    private const int Tail = 4096, LongestLine = 300;

    /// <summary>The end of a log; null when there is none.</summary>
    public static string? ReadEnd(string path)
    {
        const int most = 16384;
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            file.Seek(-Math.Min(file.Length, most), SeekOrigin.End);
            byte[] bytes = new byte[most];
            return Encoding.UTF8.GetString(bytes, 0, file.ReadAtLeast(bytes, most, throwOnEndOfStream: false));
        }
        catch (IOException)
        {
            return null;
        }
    }

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
