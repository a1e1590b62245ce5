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
            string root = RootWithin(mount.Root);
            text.Append(CultureInfo.InvariantCulture,
                $"{mount.Id} {mount.Parent?.Id ?? 1} {DeviceNumber.Major(device)}:{DeviceNumber.Minor(device)} {Escape(root)} {Escape(place)} {Options(mount)} - {mount.FileSystem.TypeName} {Escape(mount.FileSystem.Source)} {(mount.IsReadOnly ? "ro" : "rw")}{mount.FileSystem.DescribeOptions()}\n");
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
        foreach (Mount mount in group.Kernel.Mounts.All())
        {
            string place = new VfsPath(mount, mount.Root).Format(alive.Fs.Root, out bool reachable);
            if (reachable)
                yield return (mount, place);
        }
    }

    /// <summary>The path of a bind mount's root within its file system.</summary>
    private static string RootWithin(Dentry root)
    {
        string path = "";
        for (Dentry at = root; at.Parent is not null; at = at.Parent)
            path = "/" + at.Name + path;
        return path.Length == 0 ? "/" : path;
    }

    private static string Options(Mount mount)
    {
        var text = new StringBuilder(mount.IsReadOnly ? "ro" : "rw");
        foreach ((MountFlags flag, string name) in ((MountFlags, string)[])[(MountFlags.NoSuid, "nosuid"), (MountFlags.NoDev, "nodev"), (MountFlags.NoExec, "noexec"), (MountFlags.NoAtime, "noatime"), (MountFlags.NoDirAtime, "nodiratime")])
        {
            if ((mount.Flags & flag) != 0)
                text.Append(',').Append(name);
        }

        if ((mount.Flags & MountFlags.NoAtime) == 0)
            text.Append(",relatime");
        return text.ToString();
    }

    /// <summary>Blanks and backslashes as octal (getmntent(3)).</summary>
    private static string Escape(string text) => text.Length == 0 ? "none" : text.Replace("\\", "\\134", StringComparison.Ordinal)
        .Replace(" ", "\\040", StringComparison.Ordinal).Replace("\t", "\\011", StringComparison.Ordinal).Replace("\n", "\\012", StringComparison.Ordinal);
}
