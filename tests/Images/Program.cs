using Snapshot.Images;
using Storage;

namespace Tests.Images;

/// <summary>Run as a program of its own, this assembly writes one snapshot, to be killed while it does: STORE NAME STATE MEMORY.</summary>
public static class Program
{
    public static async Task<int> Main(string[] args)
    {
        await using LocalStore store = new(args[0]);
        Console.WriteLine("writing");
        await ImageWriter.WriteAsync(store, new SnapshotInfo { Name = args[1] }, args[2], args[3], null);
        Console.WriteLine("written");
        return 0;
    }
}
