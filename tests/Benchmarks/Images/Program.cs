using System.Diagnostics;
using System.Globalization;
using Snapshot.Images;
using Storage;
using Storage.AzureBlob;
using Storage.S3;

namespace Benchmarks.Images;

/// <summary>
/// How fast images are written and read: [store URL [MiB [rounds]]]; or, with raw FOLDER URL, how long the packs of a local store take to another
/// without any snapshot work, in ms. Memory as a program leaves it: a third text-like, a third pointers and small
/// integers, a sixth random, a sixth zero. Prints the median of the rounds, and the
/// processor time of the cheapest, which tells more on a busy machine.
/// </summary>
public static class Program
{
    private const int PageSize = 4096;

    public static async Task<int> Main(string[] args)
    {
        string folder = Directory.CreateTempSubdirectory("bench-images-").FullName;
        try
        {
            if (args is ["raw", { } packs, { } url])
            {
                Console.WriteLine((await UploadAsync(packs, StoreUrl.Parse(url))).ToString("f1", CultureInfo.InvariantCulture));
                return 0;
            }

            await using IObjectStore store = Open(StoreUrl.Parse(args.Length > 0 ? args[0] : $"file://{folder}/store"));
            int megabytes = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 256;
            int rounds = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 5;
            await RunAsync(store, folder, megabytes, rounds);
            return 0;
        }
        catch (StoreException e)
        {
            Console.Error.WriteLine(e.Message);
            return 1;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static IObjectStore Open(StoreUrl url) => url.Kind switch
    {
        StoreKind.S3 => S3Store.Open(url),
        StoreKind.AzureBlob => AzureBlobStore.Open(url),
        _ => new LocalStore(url.Root),
    };

    private static async Task<double> UploadAsync(string folder, StoreUrl url)
    {
        const int AtATime = 3; // as PackWriter
        await using IObjectStore store = Open(url);
        List<byte[]> packs = [.. Directory.EnumerateFiles(Path.Combine(folder, "packs")).Select(File.ReadAllBytes)];
        await store.PutIfAbsentAsync("warm", packs[0]);
        int number = 0;
        long start = Stopwatch.GetTimestamp();
        await Parallel.ForEachAsync(packs, new ParallelOptions { MaxDegreeOfParallelism = AtATime },
            async (pack, token) => await store.PutIfAbsentAsync($"raw/{Interlocked.Increment(ref number)}", pack, token));
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    private static async Task RunAsync(IObjectStore store, string folder, int megabytes, int rounds)
    {
        string state = Path.Combine(folder, "state");
        string memory = Path.Combine(folder, "memory");
        File.WriteAllBytes(state, new byte[1 << 20]);
        ImageCache cache = new(Path.Combine(folder, "cache"));
        List<(double Wall, double Cpu)> write = [], rewrite = [], read = [], open = [], seed = [];
        WrittenImage? written = null;
        for (int round = 0; round < rounds; round++)
        {
            Fill(memory, megabytes, round);
            string name = $"bench-{Guid.NewGuid():N}";
            written = await TimeAsync(write, () => ImageWriter.WriteAsync(store, new SnapshotInfo { Name = name }, state, memory, null));
            await TimeAsync(rewrite, () => ImageWriter.WriteAsync(store, new SnapshotInfo { Name = name + "-again" }, state, memory, null));
            ImageReader reader = await ImageReader.OpenAsync(store, name);
            (await TimeAsync(read, () => cache.GetAsync(reader))).Dispose();
            (await TimeAsync(open, async () => await cache.GetAsync(await ImageReader.OpenAsync(store, name)))).Dispose();
            cache.Remove(reader.ManifestId);
            using ScratchFolder scratch = cache.CreateScratchFolder();
            string s = Path.Combine(scratch.Path, "s"), m = Path.Combine(scratch.Path, "m");
            File.Copy(state, s);
            File.Copy(memory, m);
            (await TimeAsync(seed, () => Task.FromResult(cache.Seed(reader.ManifestId, s, m)))).Dispose();
            cache.Remove(reader.ManifestId);
            await SnapshotCatalog.DeleteAsync(store, name);
            await SnapshotCatalog.DeleteAsync(store, name + "-again");
            await SnapshotCatalog.CollectGarbageAsync(store, TimeSpan.Zero);
        }

        Console.WriteLine($"{megabytes} MiB of memory, {written!.StoredBytes >> 20} MiB stored, {written.Chunks} chunks, {Environment.ProcessorCount} CPUs, {store.Location.Split("?")[0]}");
        Print("write, publish", write, megabytes);
        Print("write again, all chunks known", rewrite, megabytes);
        Print("materialize into the cache", read, megabytes);
        Print("open by name, cached", open, 0);
        Print("seed the cache", seed, 0);
    }

    private static async Task<T> TimeAsync<T>(List<(double Wall, double Cpu)> times, Func<Task<T>> action)
    {
        TimeSpan cpu = Environment.CpuUsage.TotalTime;
        long start = Stopwatch.GetTimestamp();
        T result = await action();
        times.Add((Stopwatch.GetElapsedTime(start).TotalMilliseconds, (Environment.CpuUsage.TotalTime - cpu).TotalMilliseconds));
        return result;
    }

    private static void Print(string what, List<(double Wall, double Cpu)> times, int megabytes)
    {
        times.Sort();
        double median = times[times.Count / 2].Wall;
        string rate = megabytes > 0 ? $"{megabytes / median * 1000,8:f0} MiB/s" : "";
        Console.WriteLine($"  {what,-32}{median,9:f1} ms{rate}   (best {times[0].Wall:f1}; processor time {times.Min(t => t.Cpu):f0})");
    }

    private static void Fill(string path, int megabytes, int seed)
    {
        Random random = new(seed);
        using FileStream file = new(path, FileMode.Create);
        byte[] region = new byte[64 * PageSize];
        for (long written = 0; written < (long)megabytes << 20; written += region.Length)
        {
            int kind = random.Next(6);
            for (int i = 0; kind is 0 or 1 && i < region.Length; i++)
                region[i] = (byte)"etaoin shrdlu cmfwyp"[random.Next(random.Next(1, 20))];
            for (int i = 0; kind is 2 or 3 && i < region.Length; i += 8)
                BitConverter.TryWriteBytes(region.AsSpan(i), random.Next(3) == 0 ? 0x7f00_0000_0000 + (random.Next(1 << 20) * 16L) : random.Next(100));
            if (kind == 4)
                random.NextBytes(region);
            if (kind == 5)
                region.AsSpan().Clear();
            file.Write(region);
        }
    }
}
