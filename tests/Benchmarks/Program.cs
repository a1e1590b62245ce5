using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using Sentry.Platform;
using Tests.Platform;

// Prints the median time of each operation of the notify platform: `dotnet publish`, then run as root.
// A bar that is exceeded makes the exit code 1.
(string Name, int Kind, int Count, double Bar)[] cases =
[
    ("getppid round trip", 0, 20_000, 3.5),
    ("mprotect (continued)", 1, 5_000, 5),
    ("mmap (prefilled batch)", 2, 2_000, 15),
    ("munmap (continued)", 3, 2_000, 8),
    ("fork + exit + wait", 4, 100, 600),
    ("vfork + exit + wait", 5, 100, 400),
    ("thread: create + end", 6, 100, 300),
];

Console.WriteLine($".NET {Environment.Version} {(RuntimeFeature.IsDynamicCodeSupported ? "JIT" : "AOT")}");
Stopwatch start = Stopwatch.StartNew();
using TestKernel kernel = new();
Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"platform ready in {start.Elapsed.TotalMilliseconds:f1} ms"));
bool slow = false;
foreach ((string name, int kind, int count, double bar) in cases)
{
    List<double> rounds = [];
    long begin = 0;
    kernel.Hook = (thread, call) =>
    {
        if (call.Number == 3020)
        {
            begin = Stopwatch.GetTimestamp();
            thread.Return(0);
            return true;
        }

        if (call.Number == 3021)
        {
            rounds.Add(Stopwatch.GetElapsedTime(begin).TotalMicroseconds / count);
            thread.Return(0);
            return true;
        }

        return false;
    };
    int status = kernel.Run("bench", kind.ToString(CultureInfo.InvariantCulture), count.ToString(CultureInfo.InvariantCulture));
    if (status != 0 || rounds.Count == 0)
    {
        Console.WriteLine($"{name,-26} FAILED with {status} {string.Join(", ", kernel.Lost)}");
        slow = true;
        continue;
    }

    rounds.Sort();
    double median = rounds[rounds.Count / 2];
    slow |= median > bar;
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-26} {median,9:f2} µs  (best {rounds[0]:f2}, worst {rounds[^1]:f2}; bar {bar})"));
}

kernel.Hook = null;
List<double> stops = [];
for (int i = 0; i < 50; i++)
{
    Stopwatch watch = new();
    kernel.Start("spin");
    IGuestThread thread = kernel.First.Threads[0];
    Thread.Sleep(1);
    watch.Start();
    thread.Stop();
    stops.Add(watch.Elapsed.TotalMicroseconds);
    kernel.Exit(kernel.First, 0);
    kernel.Platform.Run(kernel, kernel.Lock);
}

stops.Sort();
Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{"stop of a spinning thread",-26} {stops[25],9:f2} µs"));
return slow ? 1 : 0;
