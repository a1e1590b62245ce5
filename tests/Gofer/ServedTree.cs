using Gofer;
using Gofer.Protocol;
using Sentry.Host;

namespace Tests.Gofer;

/// <summary>A directory with a server for it on a thread of this process, and a client.</summary>
public sealed class ServedTree : IDisposable
{
    private readonly Thread _thread;

    public ServedTree(int maxHandles = 256)
    {
        Folder = Directory.CreateTempSubdirectory("gofer-test").FullName;
        (UnixChannel first, UnixChannel second) = UnixChannel.CreatePair().Value;
        int root = HostFile.Open(Folder, 0x200000 | 0x10000 | HostFile.OCloexec).Value;
        var server = new TreeServer(second.Detach(), root, maxHandles);
        _thread = new Thread(() =>
        {
            PeerWasSound = server.Run();
            server.Dispose();
        });
        _thread.Start();
        Raw = first.Descriptor;
        Client = new GoferClient(first.Detach());
    }

    public string Folder { get; }

    public GoferClient Client { get; }

    /// <summary>The client's socket, to be rude on.</summary>
    public int Raw { get; }

    public bool? PeerWasSound { get; private set; }

    public string PathOf(string name) => Path.Combine(Folder, name);

    public void WriteFile(string name, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(PathOf(name))!);
        File.WriteAllText(PathOf(name), text);
    }

    /// <summary>Closes the client's end and waits for the server to leave.</summary>
    public void Stop()
    {
        Client.Dispose();
        Assert.True(_thread.Join(TimeSpan.FromSeconds(10)));
    }

    public void Dispose()
    {
        Stop();
        Directory.Delete(Folder, true);
    }
}
