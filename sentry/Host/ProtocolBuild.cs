using System.Reflection;

namespace Sentry.Host;

/// <summary>
/// Which build of a protocol this program has. Programs that talk to each other are built together; those of two builds are told so in one line,
/// before one misunderstands the other.
/// </summary>
/// <param name="protocol">What it is called in messages.</param>
/// <param name="fingerprint">The same in two programs exactly when the sources of their protocol are the same.</param>
public sealed class ProtocolBuild(string protocol, string fingerprint)
{
    private const int ShortCommit = 8, Longest = 100;

    /// <summary>Version and commit of this program, which are for people: two builds of a commit may differ.</summary>
    public static string Version { get; } = Shorten((Assembly.GetEntryAssembly() ?? typeof(ProtocolBuild).Assembly).GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0");

    /// <summary>What this program tells its peer first.</summary>
    public string Identity { get; } = $"{Version}/{fingerprint}";

    /// <summary>Null when the peer speaks as this program does, else the line for the user.</summary>
    /// <param name="theirs">What the peer has told; null when it told nothing, as programs did that had no identity yet.</param>
    /// <param name="peer">"the gofer".</param>
    /// <param name="self">"this sentry".</param>
    /// <param name="remedy">What to do.</param>
    public string? Refuse(string? theirs, string peer, string self, string remedy)
    {
        if (theirs is not null && theirs.EndsWith("/" + fingerprint, StringComparison.Ordinal))
            return null;
        string what = theirs is null || theirs.Length > Longest || theirs.AsSpan().ContainsAnyExceptInRange(' ', '~') ? "unknown" : theirs;
        return $"{peer} is of another build, {what}, than {self}, {Identity} (version/{protocol}): {remedy}";
    }

    private static string Shorten(string version)
    {
        int plus = version.IndexOf('+', StringComparison.Ordinal);
        return plus >= 0 && version.Length > plus + 1 + ShortCommit ? version[..(plus + 1 + ShortCommit)] : version;
    }
}
