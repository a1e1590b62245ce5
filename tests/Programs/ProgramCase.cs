using Xunit.Abstractions;

namespace Tests.Programs;

/// <summary>A shell script with fixed input whose standard output and exit code are the same wherever it runs.</summary>
/// <remarks>The tables are Cases/*.cases: <c>#: name needs=a,b seconds=n</c>, then the script up to the next such line. <c>needs</c> names programs (or
/// <c>numpy</c>, a Python module) without which the case does not exist on this machine.</remarks>
public sealed record ProgramCase : IXunitSerializable
{
    public string Group { get; private set; } = "";

    public string Name { get; private set; } = "";

    public string Script { get; private set; } = "";

    public string[] Needs { get; private set; } = [];

    public TimeSpan Timeout { get; private set; } = TimeSpan.FromSeconds(30);

    public override string ToString() => $"{Group}/{Name}";

    /// <summary>What is run: the script in a fresh folder.</summary>
    public string[] Arguments => ["/bin/sh", "-c", $"umask 022\ncd \"$(mktemp -d)\" || exit 99\n{Script}"];

    /// <summary>The cases of all tables that this machine has the programs for.</summary>
    public static IEnumerable<ProgramCase> All()
    {
        foreach (string path in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Cases"), "*.cases").Order())
        {
            foreach (ProgramCase each in Parse(Path.GetFileNameWithoutExtension(path), File.ReadLines(path)))
            {
                if (each.Needs.All(IsInstalled))
                    yield return each;
            }
        }
    }

    public static IEnumerable<object[]> Rows() => All().Select(each => new object[] { each });

    public void Serialize(IXunitSerializationInfo info)
    {
        info.AddValue(nameof(Group), Group);
        info.AddValue(nameof(Name), Name);
        info.AddValue(nameof(Script), Script);
        info.AddValue(nameof(Timeout), (long)Timeout.TotalSeconds);
    }

    public void Deserialize(IXunitSerializationInfo info)
    {
        Group = info.GetValue<string>(nameof(Group));
        Name = info.GetValue<string>(nameof(Name));
        Script = info.GetValue<string>(nameof(Script));
        Timeout = TimeSpan.FromSeconds(info.GetValue<long>(nameof(Timeout)));
    }

    private static IEnumerable<ProgramCase> Parse(string group, IEnumerable<string> lines)
    {
        ProgramCase? current = null;
        foreach (string line in lines)
        {
            if (!line.StartsWith("#: ", StringComparison.Ordinal))
            {
                if (current is not null)
                    current.Script += line + "\n";
                continue;
            }

            if (current is not null)
                yield return current;
            string[] words = line[3..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            current = new ProgramCase { Group = group, Name = words[0], Needs = group == "busybox" ? ["busybox"] : [] };
            foreach (string word in words[1..])
            {
                string[] pair = word.Split('=', 2);
                if (pair[0] == "needs")
                    current.Needs = pair[1].Split(',');
                else
                    current.Timeout = TimeSpan.FromSeconds(int.Parse(pair[1]));
            }
        }

        if (current is not null)
            yield return current;
    }

    private static bool IsInstalled(string program) => program switch
    {
        "numpy" => Directory.Exists("/usr/lib/python3/dist-packages/numpy"),
        ['/', ..] => File.Exists(program),
        _ => Programs.Path.Split(':').Any(folder => File.Exists(Path.Combine(folder, program))),
    };
}
