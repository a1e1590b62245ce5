namespace Sentry.Kernel.Files;

/// <summary>Copying, attaching and detaching trees of mounts, with what propagates (mount_namespaces(7), "Bind semantics" and following).</summary>
internal static class MountTrees
{
    /// <summary>A copy of a mount from a dentry on, with what is mounted below when <paramref name="recursive"/>; attached nowhere. Copies of shared mounts are their peers,
    /// those of slaves slaves. Null when the mount itself is unbindable and <paramref name="keepUnbindable"/> is false; such mounts below are left out.</summary>
    internal static Mount? Copy(Mount from, Dentry root, MountRegistry registry, bool recursive, Dictionary<Mount, Mount>? copies = null, bool keepUnbindable = false)
    {
        if (from.IsUnbindable && !keepUnbindable)
            return null;
        var copy = new Mount(registry, from.FileSystem, root, from.Flags);
        if (from.Master is { } master)
            copy.BecomeSlave(master);
        if (from.Peers is { } peers)
            copy.JoinPeers(peers);
        else if (from.IsUnbindable)
            copy.MakePrivate(unbindable: true);
        copies?.Add(from, copy);
        if (!recursive)
            return copy;
        foreach (Mount child in from.Children)
        {
            if (root.IsAncestorOf(child.MountPoint!) && Copy(child, child.Root, registry, true, copies, keepUnbindable) is { } below)
            {
                below.IsLocked = child.IsLocked;
                below.Attach(copy, child.MountPoint!);
            }
        }

        return copy;
    }

    /// <summary>Attaches a tree, and copies of it wherever the place propagates to.</summary>
    internal static void Attach(Mount tree, Mount parent, Dentry at, MountRegistry registry)
    {
        if (parent.Peers is { } peers)
        {
            foreach (Mount mount in tree.Tree().ToArray())
                mount.MakeShared(registry);
            var groups = new Dictionary<(PeerGroup Place, Mount Source), PeerGroup>();
            foreach (Mount mount in tree.Tree())
                groups[(peers, mount)] = mount.Peers!;
            foreach ((Mount place, PeerGroup? group, PeerGroup? master) in Receivers(parent).ToArray())
            {
                // A new copy of the parent is a peer of it already, and attached nowhere.
                if (place.Namespace is null || !ReferenceEquals(place.FileSystem, parent.FileSystem) || !place.Root.IsAncestorOf(at))
                    continue;
                Mount copy = CopyTo(tree, group, master, groups, registry);
                if (!ReferenceEquals(place.Namespace?.Owner, parent.Namespace?.Owner))
                {
                    foreach (Mount mount in copy.Tree())
                        mount.IsLocked = true;
                }

                copy.Attach(place, at);
            }
        }

        tree.Attach(parent, at);
    }

    /// <summary>Whether a copy of a mount from a dentry on would show what a locked mount covers.</summary>
    internal static bool HasLocked(Mount mount, Dentry root) => mount.Children.Exists(c => c.IsLocked && root.IsAncestorOf(c.MountPoint!));

    /// <summary>A propagated copy: a peer among the copies at places of the same group, or a slave of the copies at the place's master.</summary>
    private static Mount CopyTo(Mount tree, PeerGroup? group, PeerGroup? master, Dictionary<(PeerGroup Place, Mount Source), PeerGroup> groups, MountRegistry registry)
    {
        var copies = new Dictionary<Mount, Mount>();
        Mount copy = Copy(tree, tree.Root, registry, true, copies, keepUnbindable: true)!;
        foreach ((Mount source, Mount made) in copies)
        {
            made.MakePrivate(unbindable: false);
            if (master is not null && groups.TryGetValue((master, source), out PeerGroup? followed))
                made.BecomeSlave(followed);
            if (group is null)
                continue;
            if (groups.TryGetValue((group, source), out PeerGroup? peers))
            {
                made.JoinPeers(peers);
            }
            else
            {
                made.MakeShared(registry);
                groups[(group, source)] = made.Peers!;
            }
        }

        return copy;
    }

    /// <summary>Where an event at a mount is seen too: its peers, its slaves, theirs. With each its group, and whom it follows.</summary>
    private static IEnumerable<(Mount Place, PeerGroup? Group, PeerGroup? Master)> Receivers(Mount origin)
    {
        var left = new Queue<PeerGroup>();
        var seen = new HashSet<PeerGroup>();
        if (origin.Peers is not { } first)
            yield break;
        left.Enqueue(first);
        seen.Add(first);
        while (left.TryDequeue(out PeerGroup? group))
        {
            if (ReferenceEquals(group, first))
            {
                foreach (Mount peer in group.Members)
                {
                    if (!ReferenceEquals(peer, origin))
                        yield return (peer, group, null);
                }
            }

            foreach (Mount slave in group.Slaves)
            {
                if (slave.Peers is not { } own)
                {
                    yield return (slave, null, group);
                    continue;
                }

                if (!seen.Add(own))
                    continue;
                foreach (Mount member in own.Members)
                    yield return (member, own, group);
                left.Enqueue(own);
            }
        }
    }

    /// <summary>Takes a mount and all below out of the tree, and what it propagated as.</summary>
    internal static void Detach(Mount mount, GuestKernel kernel)
    {
        if (mount.Parent is { } parent)
        {
            foreach ((Mount place, _, _) in Receivers(parent).ToArray())
            {
                if (place.FindChild(mount.MountPoint!) is { Children.Count: 0 } copy && ReferenceEquals(copy.Root, mount.Root))
                    Drop(copy, kernel);
            }
        }

        Drop(mount, kernel);
    }

    private static void Drop(Mount mount, GuestKernel kernel)
    {
        foreach (Mount below in mount.Tree().Reverse().ToArray())
        {
            below.LeaveGroups();
            below.Detach();
            if (kernel.FileWatches != 0 && !IsMounted(below.FileSystem, kernel))
                FileNotifier.OnUnmount(below.FileSystem);
        }
    }

    private static bool IsMounted(FileSystem fileSystem, GuestKernel kernel)
    {
        foreach (Task task in kernel.Tasks.Values)
        {
            if (task.Mounts.All().Any(m => ReferenceEquals(m.FileSystem, fileSystem)))
                return true;
        }

        return false;
    }

    /// <summary>Whether any mount of a tree is shared.</summary>
    internal static bool HasUnbindable(Mount tree) => tree.Tree().Any(static m => m.IsUnbindable);
}
