// A guest: threads, garbage collection, exceptions, sockets, child processes, files, signals of the .NET runtime.
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

long primes = 0;
Parallel.For(0, 200_000, n =>
{
    if (n < 2)
        return;
    for (int d = 2; d * d <= n; d++)
    {
        if (n % d == 0)
            return;
    }

    Interlocked.Increment(ref primes);
});
Console.WriteLine($"primes {primes}");

int counter = 0;
object gate = new();
Thread[] threads = [.. Enumerable.Range(0, 16).Select(_ => new Thread(() =>
{
    for (int i = 0; i < 20_000; i++)
    {
        lock (gate)
            counter++;
    }
}))];
foreach (Thread thread in threads)
    thread.Start();
foreach (Thread thread in threads)
    thread.Join();
Console.WriteLine($"counter {counter}");

ConcurrentDictionary<int, byte[]> kept = new();
Parallel.For(0, 200_000, i => kept[i % 500] = new byte[1024]);
GC.Collect();
GC.WaitForPendingFinalizers();
GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
Console.WriteLine($"kept {kept.Count} {GC.CollectionCount(2) > 0}");

// A spinning thread must be stopped by the collector, which takes a signal.
bool stop = false;
var spinner = new Thread(() =>
{
    long n = 0;
    while (!Volatile.Read(ref stop))
        n++;
});
spinner.Start();
for (int i = 0; i < 20; i++)
    GC.Collect();
stop = true;
spinner.Join();

try
{
    Console.WriteLine(((string?)null)!.Length);
}
catch (NullReferenceException)
{
    Console.WriteLine("null");
}

try
{
    int zero = args.Length;
    Console.WriteLine(1 / zero);
}
catch (DivideByZeroException)
{
    Console.WriteLine("division");
}

using var listener = new TcpListener(IPAddress.Loopback, 0);
listener.Start();
Task server = Task.Run(async () =>
{
    for (int i = 0; i < 50; i++)
    {
        using TcpClient client = await listener.AcceptTcpClientAsync();
        await client.GetStream().CopyToAsync(client.GetStream());
    }
});
long echoed = 0;
for (int i = 0; i < 50; i++)
{
    using var client = new TcpClient();
    await client.ConnectAsync(IPAddress.Loopback, ((IPEndPoint)listener.LocalEndpoint).Port);
    await client.GetStream().WriteAsync(new byte[i * 100]);
    client.Client.Shutdown(SocketShutdown.Send);
    byte[] buffer = new byte[8192];
    for (int read; (read = await client.GetStream().ReadAsync(buffer)) > 0;)
        echoed += read;
}

await server;
Console.WriteLine($"echoed {echoed}");

var start = new ProcessStartInfo("/bin/sh", ["-c", "cat; exit 4"]) { RedirectStandardInput = true, RedirectStandardOutput = true };
using Process child = Process.Start(start)!;
await child.StandardInput.WriteAsync("through a child\n");
child.StandardInput.Close();
Console.Write(await child.StandardOutput.ReadToEndAsync());
await child.WaitForExitAsync();
Console.WriteLine(child.ExitCode);

string path = Path.GetTempFileName();
await File.WriteAllTextAsync(path, string.Concat(Enumerable.Repeat("line\n", 50_000)));
Console.WriteLine(Convert.ToHexString(SHA256.HashData(await File.ReadAllBytesAsync(path))));
using (var watcher = new FileSystemWatcher(Path.GetDirectoryName(path)!, Path.GetFileName(path)))
{
    using var seen = new ManualResetEventSlim();
    watcher.Deleted += (_, _) => seen.Set();
    watcher.EnableRaisingEvents = true;
    File.Delete(path);
    Console.WriteLine($"watched {seen.Wait(5000)}");
}

using var signalled = new ManualResetEventSlim();
using (PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
{
    context.Cancel = true;
    signalled.Set();
}))
{
    Process.Start("/bin/sh", ["-c", $"kill -HUP {Environment.ProcessId}"]).WaitForExit();
    Console.WriteLine($"signalled {signalled.Wait(5000)}");
}

using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
int ticks = 0;
while (ticks < 5 && await timer.WaitForNextTickAsync())
    ticks++;
Console.WriteLine($"ticks {ticks} {Encoding.UTF8.GetByteCount("ünïcödé")}");
return 9;
