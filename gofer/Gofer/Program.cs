using System.Text;
using Gofer;
using Gofer.Protocol;
using Sentry.Abi;
using Sentry.Host;

// gofer --fd N --root DIRECTORY [--volume DIRECTORY | --read-only-volume DIRECTORY]…: serves the trees over the socket that is descriptor N until its peer is gone.
int socket = -1;
string? root = null;
bool confined = true;
List<(string Path, bool Writable)> volumes = [];
for (int i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--fd" when i + 1 < args.Length && int.TryParse(args[i + 1], out socket):
            i++;
            break;
        case "--root" when i + 1 < args.Length:
            root = HostPath.FromText(args[++i]);
            break;
        case "--volume" or "--read-only-volume" when i + 1 < args.Length && volumes.Count < GoferLimits.MaxVolumes:
            bool writable = args[i] == "--volume";
            volumes.Add((HostPath.FromText(args[++i]), writable));
            break;
        case "--unconfined":
            // For development under the JIT, which needs files of the host while it runs.
            confined = false;
            break;
        default:
            return Fail("usage: gofer --fd N --root DIRECTORY [--volume DIRECTORY | --read-only-volume DIRECTORY]…");
    }
}

if (socket < 0 || root is null)
    return Fail("usage: gofer --fd N --root DIRECTORY [--volume DIRECTORY | --read-only-volume DIRECTORY]…");

int maxHandles = 512;
if (HostProcess.GetLimit(7).TryGet(out (ulong Soft, ulong Hard) limit, out _))
{
    ulong wanted = Math.Min(limit.Hard, 16384 + 64);
    if (HostProcess.SetLimit(7, wanted, limit.Hard) == Errno.None)
        maxHandles = (int)Math.Max(64, (long)wanted - 64);
}

var trees = new VolumeRoot[volumes.Count];
for (int i = 0; i < trees.Length; i++)
{
    // Taken before the rest of the host's files goes away.
    if (!Confinement.TakeVolume(volumes[i].Path, volumes[i].Writable).TryGet(out int volume, out Errno failed))
        return Fail($"{HostPath.ToText(volumes[i].Path)}: {failed}");
    trees[i] = new VolumeRoot(volume, volumes[i].Writable);
}

if (confined)
{
    Errno entered = Confinement.EnterTree(root);
    if (entered != Errno.None)
        return Fail($"{HostPath.ToText(root)}: {entered}");
    root = "/";
}

const int OPath = 0x200000, ODirectory = 0x10000;
Result<int> tree = HostFile.Open(root, OPath | ODirectory | HostFile.OCloexec);
if (tree.IsError)
    return Fail($"{HostPath.ToText(root)}: {tree.Error}");
using var server = new TreeServer(socket, tree.Value, maxHandles, trees);
if (confined)
{
    Errno dropped = Confinement.DropRights(changesFiles: volumes.Exists(static v => v.Writable));
    if (dropped != Errno.None)
        return Fail($"cannot confine myself: {dropped}");
}

return server.Run() ? 0 : Fail("the sentry broke the protocol");

static int Fail(string message)
{
    HostFile.Write(2, Encoding.UTF8.GetBytes($"gofer: {message}\n"));
    return 1;
}
