using System.Globalization;
using System.Text;

namespace Sentry.FileSystems.Proc;

/// <summary>The mounts as /proc/PID/mounts, mountinfo and mountstats show them; those that the process's root does not reach are left out.</summary>
internal static class MountTables
{
    internal static Result<string> Mounts(ThreadGroup group, Task? task)
    {
        var text = new StringBuilder();
        foreach ((Mount mount, string place) in Visible(group, task))
            text.Append($"{Escape(mount.FileSystem.Source)} {Escape(place)} {mount.FileSystem.TypeName} {Options(mount)}{mount.FileSystem.DescribeOptions()} 0 0\n");
        return text.ToString();
    }

    internal static Result<string> MountInfo(ThreadGroup group, Task? task)
    {
        var text = new StringBuilder();
        foreach ((Mount mount, string place) in Visible(group, task))
        {
            ulong device = mount.FileSystem.Device;
            string root = MountPaths.RootWithin(mount.Root);
            text.Append(CultureInfo.InvariantCulture,
                $"{mount.Id} {mount.Parent?.Id ?? 1} {DeviceNumber.Major(device)}:{DeviceNumber.Minor(device)} {Escape(root)} {Escape(place)} {Options(mount)}{Propagation(mount)} - {mount.FileSystem.TypeName} {Escape(mount.FileSystem.Source)} {(mount.FileSystem.IsReadOnly ? "ro" : "rw")}{mount.FileSystem.DescribeOptions()}\n");
        }

        return text.ToString();
    }

    internal static Result<string> Statistics(ThreadGroup group, Task? task)
    {
        var text = new StringBuilder();
        foreach ((Mount mount, string place) in Visible(group, task))
            text.Append($"device {mount.FileSystem.Source} mounted on {place} with fstype {mount.FileSystem.TypeName}\n");
        return text.ToString();
    }

    private static IEnumerable<(Mount Mount, string Place)> Visible(ThreadGroup group, Task? task)
    {
        if (Processes.TaskOf(group, task) is not { } alive)
            yield break;
        foreach (Mount mount in alive.Mounts.All())
        {
            string place = new VfsPath(mount, mount.Root).Format(alive.Fs.Root, out bool reachable);
            if (reachable)
                yield return (mount, place);
        }
    }

    /// <summary>The optional fields, each with a blank in front.</summary>
    private static string Propagation(Mount mount)
    {
        var text = new StringBuilder();
        if (mount.Peers is { } peers)
            text.Append(CultureInfo.InvariantCulture, $" shared:{peers.Id}");
        if (mount.Master is { } master)
            text.Append(CultureInfo.InvariantCulture, $" master:{master.Id}");
        return mount.IsUnbindable ? text.Append(" unbindable").ToString() : text.ToString();
    }

    private static string Options(Mount mount)
    {
        var text = new StringBuilder(mount.IsReadOnly ? "ro" : "rw");
        foreach ((MountFlags flag, string name) in ((MountFlags, string)[])[(MountFlags.NoSuid, "nosuid"), (MountFlags.NoDev, "nodev"), (MountFlags.NoExec, "noexec"), (MountFlags.NoAtime, "noatime"), (MountFlags.NoDirAtime, "nodiratime")])
        {
            if ((mount.Flags & flag) != 0)
                text.Append(',').Append(name);
        }

        if ((mount.Flags & (MountFlags.NoAtime | MountFlags.StrictAtime)) == 0)
            text.Append(",relatime");
        if ((mount.Flags & MountFlags.NoSymlinkFollow) != 0)
            text.Append(",nosymfollow");
        return text.ToString();
    }

    /// <summary>Blanks and backslashes as octal (getmntent(3)).</summary>
    private static string Escape(string text) => text.Length == 0 ? "none" : text.Replace("\\", "\\134", StringComparison.Ordinal)
        .Replace(" ", "\\040", StringComparison.Ordinal).Replace("\t", "\\011", StringComparison.Ordinal).Replace("\n", "\\012", StringComparison.Ordinal);
}
