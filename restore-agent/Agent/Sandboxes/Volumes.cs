using RestoreAgent.Api;
using Sentry.Control;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>Checks what users say of volumes and file systems in memory.</summary>
public static class Volumes
{
    private const int Most = 128;

    /// <summary>The volumes of a new sandbox.</summary>
    public static VolumeOptions[] ForRun(VolumeOptions[] asked, TmpfsOptions[] tmpfs)
    {
        if (asked.Length > Most)
            throw AgentException.Invalid($"a sandbox has at most {Most} volumes");
        VolumeOptions[] volumes = [.. asked.Select(v => v with { Source = CheckSource(v.Source, ""), Place = CheckPlace(v.Place) })];
        string? twice = volumes.Select(v => v.Place).Concat(tmpfs.Select(t => CheckPlace(t.Place))).GroupBy(p => p).FirstOrDefault(g => g.Count() > 1)?.Key;
        return twice is null ? volumes : throw AgentException.Invalid($"there is more than one volume at {twice}");
    }

    /// <summary>The volumes of a snapshot, some of them elsewhere.</summary>
    public static VolumeOptions[] ForRestore(VolumeOptions[] saved, VolumeOptions[] asked, string snapshot)
    {
        Dictionary<string, VolumeOptions> moved = [];
        foreach (VolumeOptions volume in asked)
        {
            string place = CheckPlace(volume.Place);
            if (!saved.Any(s => s.Place == place))
                throw AgentException.Invalid($"snapshot {snapshot} has no volume at {place}{(saved.Length == 0 ? "" : "; it has " + string.Join(", ", saved.Select(s => s.Place)))}");
            if (!moved.TryAdd(place, volume))
                throw AgentException.Invalid($"there is more than one volume at {place}");
        }

        return
        [
            .. saved.Select(s => moved.TryGetValue(s.Place, out VolumeOptions? elsewhere)
                ? s with { Source = CheckSource(elsewhere.Source, ""), ReadOnly = s.ReadOnly || elsewhere.ReadOnly }
                : s with { Source = CheckSource(s.Source, $" of snapshot {snapshot}; give --volume DIR:{s.Place}") }),
        ];
    }

    public static TmpfsSpec[] ToSpecs(TmpfsOptions[] options) => [.. options.Select(t => new TmpfsSpec
    {
        Place = CheckPlace(t.Place),
        Size = t.Size is >= 0 and <= 1L << 50 ? t.Size : throw AgentException.Invalid($"{t.Size} is no size of a file system"),
        Mode = t.Mode <= 0xFFF ? t.Mode : throw AgentException.Invalid($"{Convert.ToString(t.Mode, 8)} are no permissions of a folder"),
    })];

    public static VolumeSpec[] ToSpecs(VolumeOptions[] options) => [.. options.Select(v => new VolumeSpec { Place = v.Place, ReadOnly = v.ReadOnly })];

    private static string CheckSource(string source, string whose)
    {
        if (!Path.IsPathFullyQualified(source) || source.Contains('\0'))
            throw AgentException.Invalid($"the volume '{source}' must be an absolute path of a folder");
        return Directory.Exists(source) ? Path.TrimEndingDirectorySeparator(Path.GetFullPath(source))
            : throw AgentException.Invalid(File.Exists(source) ? $"the volume {source} is a file; volumes are folders" : $"there is no folder {source} for the volume{whose}");
    }

    private static string CheckPlace(string place)
    {
        if (!place.StartsWith('/') || place.Contains('\0'))
            throw AgentException.Invalid($"'{place}' must be an absolute path of the sandbox");
        string[] parts = place.Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length == 0 || parts.Any(p => p is "." or ".."))
            throw AgentException.Invalid($"'{place}' is no place for a volume: write a folder below /, without . and ..");
        return "/" + string.Join('/', parts);
    }
}
