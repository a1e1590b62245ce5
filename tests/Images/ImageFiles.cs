using Snapshot.Images;
using Storage;

namespace Tests.Images;

/// <summary>A folder with a checkpoint's files in it, and what is needed to look at them again.</summary>
internal sealed class ImageFiles : IDisposable
{
    internal ImageFiles()
    {
        Folder = Directory.CreateTempSubdirectory("images-").FullName;
        Store = new LocalStore(Path.Combine(Folder, "store"));
    }

    internal string Folder { get; }

    internal string StoreFolder => Path.Combine(Folder, "store");

    internal LocalStore Store { get; }

    internal string StateFile => Path.Combine(Folder, "state");

    internal string MemoryFile => Path.Combine(Folder, "memory");

    internal List<long> Ranges { get; } = [];

    /// <summary>A state of compressible bytes and a sparse memory file whose data is partly random, partly text, partly zero.</summary>
    internal void Make(int seed, int stateLength = 100_000, int regions = 6, int regionLength = 300_000)
    {
        Random random = new(seed);
        byte[] state = new byte[stateLength];
        for (int i = 0; i < state.Length; i++)
            state[i] = (byte)(random.Next(20) + 'a');
        File.WriteAllBytes(StateFile, state);
        Ranges.Clear();
        using FileStream memory = new(MemoryFile, FileMode.Create);
        long position = 0;
        for (int r = 0; r < regions; r++)
        {
            position += 4096L * random.Next(0, 3000);
            byte[] content = new byte[((regionLength / 4096) + random.Next(20)) * 4096];
            if (r % 3 == 0)
                random.NextBytes(content);
            else
                content.AsSpan(0, content.Length / 2).Fill((byte)r);
            memory.Position = position;
            memory.Write(content);
            Ranges.AddRange([position, content.Length]);
            position += content.Length;
        }

        memory.SetLength(position + 40960);
    }

    internal Task<WrittenImage> WriteAsync(string name, bool replace = false, IObjectStore? store = null) => ImageWriter.WriteAsync(
        store ?? Store, new SnapshotInfo { Name = name, HostName = "guest" }, StateFile, MemoryFile, Ranges, new ImageWriterOptions { Replace = replace });

    internal string[] StoreObjects() =>
        [.. Directory.EnumerateFiles(StoreFolder, "*", SearchOption.AllDirectories).Where(f => !f.Contains("/.incoming/", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

    internal static void AssertSame(string expected, string actual)
    {
        byte[] a = File.ReadAllBytes(expected);
        byte[] b = File.ReadAllBytes(actual);
        Assert.Equal(a.Length, b.Length);
        Assert.Equal(-1, a.AsSpan().SequenceEqual(b) ? -1 : a.AsSpan().CommonPrefixLength(b));
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
