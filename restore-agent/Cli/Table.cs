using System.Globalization;
using System.Text;

namespace SnapshotRpc;

/// <summary>Columns of text.</summary>
public static class Table
{
    /// <summary>Prints rows with columns as wide as their widest cell.</summary>
    public static void Print(params IReadOnlyList<string[]> rows)
    {
        if (rows.Count == 0)
            return;
        int[] widths = new int[rows[0].Length];
        foreach (string[] row in rows)
        {
            for (int i = 0; i < row.Length; i++)
                widths[i] = Math.Max(widths[i], row[i].Length);
        }

        StringBuilder text = new();
        foreach (string[] row in rows)
        {
            StringBuilder line = new();
            for (int i = 0; i < row.Length; i++)
                line.Append(row[i].PadRight(widths[i] + 2));
            text.AppendLine(line.ToString().TrimEnd());
        }

        Console.Out.Write(text);
    }

    /// <summary>A number of bytes for people.</summary>
    public static string Bytes(long bytes) => bytes switch
    {
        >= 1L << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 30):0.0} GiB"),
        >= 1L << 20 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 20):0.0} MiB"),
        >= 1L << 10 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 10):0.0} KiB"),
        _ => $"{bytes} B",
    };

    public static string Milliseconds(long nanoseconds) => string.Create(CultureInfo.InvariantCulture, $"{nanoseconds / 1e6:0.0} ms");

    /// <summary>Control characters of names and arguments made visible, so that they cannot play tricks with a terminal.</summary>
    public static string Visible(string text)
    {
        StringBuilder visible = new();
        foreach (char c in text)
            visible.Append(char.IsControl(c) ? $"\\x{(int)c:x2}" : c.ToString());
        return visible.ToString();
    }
}
