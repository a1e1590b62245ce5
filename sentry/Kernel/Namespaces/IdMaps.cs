using System.Globalization;
using System.Text;

namespace Sentry.Kernel.Namespaces;

/// <summary>/proc/PID/uid_map, gid_map and setgroups (user_namespaces(7)).</summary>
public static class IdMaps
{
    private const int MaxExtents = 340;

    /// <summary>The map as a reader sees it: the outer ids are those of the reader's namespace or, for the same, of the parent.</summary>
    public static string Describe(UserNamespace target, UserNamespace? reader, bool groups)
    {
        UserNamespace seen = ReferenceEquals(target, reader) && target.Parent is { } parent ? parent : reader ?? target.Kernel.Namespaces.User;
        var text = new StringBuilder();
        foreach (IdExtent extent in groups ? target.Gids : target.Uids)
        {
            if (!(groups ? seen.TryGetGid(extent.Outside, out uint outer) : seen.TryGetUid(extent.Outside, out outer)))
                outer = uint.MaxValue;
            text.Append(CultureInfo.InvariantCulture, $"{extent.Inside,10} {outer,10} {extent.Count,10}\n");
        }

        return text.ToString();
    }

    /// <summary>One write sets the map, once. EPERM, EINVAL.</summary>
    public static Errno Write(Task writer, UserNamespace target, string text, bool groups)
    {
        if (groups ? target.HasGidMap : target.HasUidMap)
            return Errno.EPERM;
        Credentials credentials = writer.Credentials;
        if (target.Parent is not { } parent)
            return Errno.EPERM;
        if (!ReferenceEquals(writer.UserNamespace, target) && !ReferenceEquals(writer.UserNamespace, parent))
            return Errno.EPERM;
        if (!credentials.HasIn(target, Capability.CAP_SYS_ADMIN))
            return Errno.EPERM;
        if (!Parse(text).TryGet(out List<IdExtent>? extents, out Errno error))
            return error;
        if (!MayMap(writer, target, parent, extents, groups))
            return Errno.EPERM;
        var map = new IdExtent[extents.Count];
        for (int i = 0; i < map.Length; i++)
        {
            // Both ends of a run must be in the parent's map for the run to be one there.
            IdExtent extent = extents[i];
            uint last = extent.Outside + (extent.Count - 1);
            if (!(groups ? parent.TryMakeGid(extent.Outside, out uint first) : parent.TryMakeUid(extent.Outside, out first))
                || !(groups ? parent.TryMakeGid(last, out uint end) : parent.TryMakeUid(last, out end)) || end - first != extent.Count - 1)
                return Errno.EPERM;
            map[i] = new IdExtent { Inside = extent.Inside, Outside = first, Count = extent.Count };
        }

        if (groups)
            target.SetGids(map);
        else
            target.SetUids(map);
        return Errno.None;
    }

    /// <summary>Either the writer may set ids in the parent, or it maps just itself (user_namespaces(7), "Defining user and group ID mappings").</summary>
    private static bool MayMap(Task writer, UserNamespace target, UserNamespace parent, List<IdExtent> extents, bool groups)
    {
        Credentials credentials = writer.Credentials;
        if (!groups && extents.Exists(static e => e.Outside == 0) && ReferenceEquals(writer.UserNamespace, target) && !target.ParentMayMapFiles && parent.Parent is null)
            return false;
        if (extents is [{ Count: 1 } single] && credentials.EffectiveUid == target.CreatorUid)
        {
            if (!groups && parent.TryMakeUid(single.Outside, out uint uid) && uid == credentials.EffectiveUid)
                return true;
            if (groups && parent.TryMakeGid(single.Outside, out uint gid) && gid == credentials.EffectiveGid && target.SetgroupsDenied)
                return true;
        }

        return credentials.HasIn(parent, groups ? Capability.CAP_SETGID : Capability.CAP_SETUID);
    }

    private static Result<List<IdExtent>> Parse(string text)
    {
        List<IdExtent> extents = [];
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] parts = line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (parts.Length != 3 || !TryNumber(parts[0], out uint inside) || !TryNumber(parts[1], out uint outside) || !TryNumber(parts[2], out uint count) || count == 0)
                return Errno.EINVAL;
            if (inside + count < inside || outside + count < outside || extents.Count >= MaxExtents)
                return Errno.EINVAL;
            foreach (IdExtent other in extents)
            {
                if ((inside < other.Inside + other.Count && other.Inside < inside + count) || (outside < other.Outside + other.Count && other.Outside < outside + count))
                    return Errno.EINVAL;
            }

            extents.Add(new IdExtent { Inside = inside, Outside = outside, Count = count });
        }

        return extents.Count == 0 ? Errno.EINVAL : extents;
    }

    private static bool TryNumber(string text, out uint value) => uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);

    public static string DescribeSetgroups(UserNamespace target) => target.SetgroupsDenied ? "deny\n" : "allow\n";

    public static Errno WriteSetgroups(Task writer, UserNamespace target, string text)
    {
        if (!writer.Credentials.HasIn(target, Capability.CAP_SYS_ADMIN))
            return Errno.EPERM;
        switch (text.TrimEnd('\n', '\0', ' '))
        {
            case "allow":
                return target.SetgroupsDenied ? Errno.EPERM : Errno.None;
            case "deny":
                // Once there is a map, groups may have been dropped by it (CVE-2014-8989).
                if (target.HasGidMap && !target.SetgroupsDenied)
                    return Errno.EPERM;
                target.SetgroupsDenied = true;
                return Errno.None;
            default:
                return Errno.EINVAL;
        }
    }
}
