using System.Globalization;
using RestoreAgent.Api;
using Sentry.Control;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>Makes what a sentry is told to run out of what a user asked for.</summary>
public static class Programs
{
    private static readonly string[] DefaultEnvironment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"];

    /// <summary>What the sentry is told; <paramref name="inherited"/> is the environment of the sandbox for a further program in it.</summary>
    public static ProgramSpec ToSpec(ProgramOptions options, string rootFolder, IEnumerable<string> inherited)
    {
        if (options.Arguments.Length == 0 || options.Arguments[0].Length == 0)
            throw AgentException.Invalid("no program to run: write it after --");
        if (options.Arguments.Concat(options.Environment).Any(s => s.Contains('\0')))
            throw AgentException.Invalid("arguments and environment cannot contain NUL");
        if (options.Environment.FirstOrDefault(e => e.IndexOf('=', StringComparison.Ordinal) <= 0) is { } wrong)
            throw AgentException.Invalid($"'{wrong}' is no environment variable: write NAME=value");
        if (options.WorkingDirectory is { } directory && !directory.StartsWith('/'))
            throw AgentException.Invalid($"the working directory '{directory}' must be an absolute path of the sandbox");

        Dictionary<string, string> environment = [];
        foreach (string entry in DefaultEnvironment.Concat(inherited).Concat(options.Environment))
            environment[entry[..entry.IndexOf('=', StringComparison.Ordinal)]] = entry;
        (uint uid, uint gid) = ResolveUser(options.User, rootFolder);
        return new ProgramSpec
        {
            Arguments = options.Arguments,
            Environment = [.. environment.Values],
            WorkingDirectory = options.WorkingDirectory ?? "/",
            Uid = uid,
            Gid = gid,
        };
    }

    /// <summary>UID, UID:GID, NAME or NAME:GID; names are those of the tree's own /etc/passwd (passwd(5)).</summary>
    public static (uint Uid, uint Gid) ResolveUser(string? user, string rootFolder)
    {
        if (user is null)
            return (0, 0);
        string[] parts = user.Split(':');
        if (parts.Length > 2)
            throw AgentException.Invalid($"'{user}' is no user: write UID, UID:GID or a name");
        (uint uid, uint gid) = uint.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out uint number)
            ? (number, number)
            : FindUser(parts[0], rootFolder);
        if (parts.Length == 2 && !uint.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out gid))
            throw AgentException.Invalid($"'{parts[1]}' is no group id");
        return (uid, gid);
    }

    private static (uint Uid, uint Gid) FindUser(string name, string rootFolder)
    {
        string file = Path.Combine(rootFolder, "etc/passwd");
        IEnumerable<string> lines = File.Exists(file) ? File.ReadLines(file) : [];
        foreach (string line in lines)
        {
            string[] fields = line.Split(':');
            if (fields.Length >= 4 && fields[0] == name && uint.TryParse(fields[2], out uint uid) && uint.TryParse(fields[3], out uint gid))
                return (uid, gid);
        }

        throw AgentException.Invalid($"there is no user '{name}' in {file}; give a number");
    }
}
