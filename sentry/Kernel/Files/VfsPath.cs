using System.Text;

namespace Sentry.Kernel.Files;

/// <summary>A place: a dentry as seen through a mount (struct path).</summary>
[Savable("path")]
public partial struct VfsPath : IEquatable<VfsPath>
{
    [Saved(1)] private Mount? _mount;
    [Saved(2)] private Dentry? _dentry;

    public VfsPath(Mount mount, Dentry dentry)
    {
        _mount = mount;
        _dentry = dentry;
    }

    public readonly Mount Mount => _mount!;

    public readonly Dentry Dentry => _dentry!;

    public readonly Inode Inode => _dentry!.Inode;

    /// <summary>False in a default value: there is no place.</summary>
    public readonly bool IsSet => _dentry is not null;

    /// <summary>The top of what is mounted here, when something is.</summary>
    public readonly VfsPath CrossMounts()
    {
        VfsPath at = this;
        while (at.Dentry.IsMountPoint && at.Mount.FindChild(at.Dentry) is { } covering)
            at = new VfsPath(covering, covering.Root);
        return at;
    }

    /// <summary>The directory above, across mounts, never above <paramref name="root"/>.</summary>
    public readonly VfsPath Up(in VfsPath root)
    {
        VfsPath at = this;
        for (; ; )
        {
            if (at.Equals(root))
                return at;
            if (!ReferenceEquals(at.Dentry, at.Mount.Root))
            {
                return at.Dentry.Parent is { } parent ? new VfsPath(at.Mount, parent).CrossMounts() : at;
            }

            if (at.Mount.Parent is null)
                return at;
            at = new VfsPath(at.Mount.Parent, at.Mount.MountPoint!);
        }
    }

    /// <summary>The absolute path as seen from <paramref name="root"/> (d_path). <paramref name="reachable"/> is false when it is not below it.</summary>
    public readonly string Format(in VfsPath root, out bool reachable)
    {
        var names = new List<string>();
        VfsPath at = this;
        reachable = true;
        while (!at.Equals(root))
        {
            if (ReferenceEquals(at.Dentry, at.Mount.Root))
            {
                if (at.Mount.Parent is null)
                {
                    reachable = false;
                    break;
                }

                at = new VfsPath(at.Mount.Parent, at.Mount.MountPoint!);
                continue;
            }

            names.Add(at.Dentry.Name);
            if (at.Dentry.Parent is null)
            {
                // The root of a file system that is mounted nowhere shows its own name (memfd:x).
                reachable = false;
                break;
            }

            at = new VfsPath(at.Mount, at.Dentry.Parent);
        }

        if (names.Count == 0)
            return "/";
        var text = new StringBuilder();
        for (int i = names.Count - 1; i >= 0; i--)
            text.Append('/').Append(names[i]);
        return text.ToString();
    }

    /// <summary>As <c>/proc/PID/fd</c> shows it: with " (deleted)" when the name is gone.</summary>
    public readonly string Describe(in VfsPath root)
    {
        string text = Format(root, out _);
        return Dentry.IsUnlinked ? text + " (deleted)" : text;
    }

    public readonly bool Equals(VfsPath other) => ReferenceEquals(_dentry, other._dentry) && ReferenceEquals(_mount, other._mount);

    public override readonly bool Equals(object? obj) => obj is VfsPath other && Equals(other);

    public override readonly int GetHashCode() => HashCode.Combine(_mount, _dentry);
}
