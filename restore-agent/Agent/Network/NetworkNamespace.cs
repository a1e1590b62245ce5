using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>A network namespace of the host by descriptor. A socket or TAP device belongs for good to the namespace it was made in, so only the
/// making needs a thread in there.</summary>
public sealed class NetworkNamespace : IDisposable
{
    /// <summary>A place of --netns that asks for a namespace of the sandbox's own.</summary>
    public const string New = "new";

    /// <summary>Where ip-netns(8) keeps named namespaces.</summary>
    private const string NamedFolder = "/run/netns";

    private const uint GetNamespaceType = 0xb703; // NS_GET_NSTYPE, ioctl_ns(2)
    private const int ReadOnly = 0, DetachMount = 2;

    private readonly string? _mounted;
    private int _descriptor;

    private NetworkNamespace(string name, int descriptor, string? mounted) => (Name, _descriptor, _mounted) = (name, descriptor, mounted);

    /// <summary>As people name it.</summary>
    public string Name { get; }

    public int Descriptor => _descriptor;

    /// <summary>Opens a namespace by its path or the name that ip-netns(8) gave it.</summary>
    public static NetworkNamespace Open(string place)
    {
        string path = place.Contains('/', StringComparison.Ordinal) ? Path.GetFullPath(place) : Path.Combine(NamedFolder, place);
        Result<int> opened = HostFile.Open(HostPath.FromText(path), ReadOnly | HostFile.OCloexec);
        if (opened.IsError)
        {
            throw AgentException.Invalid(opened.Error == Errno.ENOENT
                ? $"there is no network namespace {place}; ip netns add makes one, --netns {New} one for this sandbox alone"
                : $"cannot open the network namespace {place}: {opened.Error}");
        }

        Result<int> kind = HostFile.Ioctl(opened.Value, GetNamespaceType, 0);
        if (kind.IsOk && kind.Value == (int)NamespaceFlags.Network)
            return new NetworkNamespace(place, opened.Value, null);
        HostFile.Close(opened.Value);
        throw AgentException.Invalid($"{place} is no network namespace");
    }

    /// <summary>Makes a namespace that others can enter by its name (ip netns exec) and that goes with this object.</summary>
    public static NetworkNamespace CreateNamed(string name)
    {
        string path = Path.Combine(NamedFolder, name);
        Directory.CreateDirectory(NamedFolder);
        int descriptor = OnNewThread(() =>
        {
            int opened = Unshare();
            File.WriteAllBytes(path, []);
            Errno error = HostNamespaces.Mount("/proc/thread-self/ns/net", HostPath.FromText(path), null, HostNamespaces.MountBind);
            if (error == Errno.None)
                return opened;
            HostFile.Close(opened);
            File.Delete(path);
            throw AgentException.Failed($"cannot mount the network namespace at {path}: {error}");
        });
        return new NetworkNamespace(name, descriptor, path);
    }

    /// <summary>One that <see cref="CreateNamed"/> of an earlier agent has made.</summary>
    public static NetworkNamespace OpenNamed(string name)
    {
        using NetworkNamespace opened = Open(name);
        return new NetworkNamespace(name, Interlocked.Exchange(ref opened._descriptor, -1), Path.Combine(NamedFolder, name));
    }

    /// <summary>Makes a namespace without a name, in which nothing but a link's end is kept.</summary>
    public static NetworkNamespace CreateHidden() => new("hidden", OnNewThread(() =>
    {
        int opened = Unshare();

        // The link's end must not speak for itself: no router solicitations, no duplicate address detection.
        foreach (string which in (string[])["all", "default"])
        {
            string setting = $"/proc/sys/net/ipv6/conf/{which}/disable_ipv6";
            if (File.Exists(setting))
                File.WriteAllText(setting, "1");
        }

        return opened;
    }), null);

    /// <summary>Runs a function on a thread in this namespace.</summary>
    public T Run<T>(Func<T> function) => OnNewThread(() =>
    {
        Errno error = HostNamespaces.SetNamespace(_descriptor, NamespaceFlags.Network);
        return error == Errno.None ? function() : throw Refused(error, $"enter the network namespace {Name}");
    });

    /// <summary>Removes the mounts of namespaces that an agent before this one left behind.</summary>
    public static void RemoveLeftOver(string name)
    {
        string path = Path.Combine(NamedFolder, name);
        HostNamespaces.Unmount(HostPath.FromText(path), DetachMount);
        if (File.Exists(path))
            File.Delete(path);
    }

    public void Dispose()
    {
        int descriptor = Interlocked.Exchange(ref _descriptor, -1);
        if (descriptor < 0)
            return;
        HostFile.Close(descriptor);
        if (_mounted is not null)
            RemoveLeftOver(Path.GetFileName(_mounted));
    }

    /// <summary>What to tell of a refusal: most of them want privileges.</summary>
    internal static AgentException Refused(Errno error, string what) => error is Errno.EPERM or Errno.EACCES
        ? AgentException.Invalid($"cannot {what}: it needs CAP_NET_ADMIN and CAP_SYS_ADMIN (run the agent as root); --network sandbox without --netns needs none")
        : AgentException.Failed($"cannot {what}: {error}");

    private static int Unshare()
    {
        Errno error = HostNamespaces.Unshare(NamespaceFlags.Network);
        if (error != Errno.None)
            throw Refused(error, "make a network namespace");
        Result<int> opened = HostFile.Open("/proc/thread-self/ns/net", ReadOnly | HostFile.OCloexec);
        return opened.IsOk ? opened.Value : throw AgentException.Failed($"cannot open the new network namespace: {opened.Error}");
    }

    // The thread ends in the namespace it entered, so it is never one of the pool's.
    private static T OnNewThread<T>(Func<T> function)
    {
        T? result = default;
        Exception? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                result = function();
            }
            catch (Exception e)
            {
                failure = e;
            }
        }, 128 << 10)
        { IsBackground = true, Name = "namespace" };
        thread.Start();
        thread.Join();
        if (failure is not null)
            throw failure as AgentException ?? AgentException.Failed("in a network namespace: " + failure.Message, failure);
        return result!;
    }
}
