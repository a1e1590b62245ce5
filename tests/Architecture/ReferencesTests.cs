using System.Xml.Linq;

namespace Tests.Architecture;

/// <summary>References point down only: the layers of docs/architecture.md, read from the project files.</summary>
public sealed class ReferencesTests
{
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Sentry.Abi"] = [],
        ["Sentry.Host"] = ["Sentry.Abi"],
        ["Sentry.Platform"] = ["Sentry.Abi"],
        ["Sentry.Platform.Notify"] = ["Sentry.Abi", "Sentry.Host", "Sentry.Platform"],
        ["Netstack.Wire"] = ["Snapshot.State", "Snapshot.State.Generators"],
        ["Netstack.Stack"] = ["Sentry.Abi", "Netstack.Wire", "Snapshot.State", "Snapshot.State.Generators"],
        ["Netstack.Links"] = ["Netstack.Wire", "Netstack.Stack"],
        ["Sentry.Kernel"] = ["Sentry.Abi", "Sentry.Platform", "Netstack.Wire", "Netstack.Stack", "Snapshot.State", "Snapshot.State.Generators"],
        ["Sentry.FileSystems"] = ["Sentry.Abi", "Sentry.Kernel", "Gofer.Protocol", "Netstack.Wire", "Netstack.Stack", "Snapshot.State", "Snapshot.State.Generators"],
        ["Sentry.Control"] = ["Sentry.Host"],
        ["Sentry"] = ["Sentry.Abi", "Sentry.Host", "Sentry.Platform", "Sentry.Platform.Notify", "Sentry.Kernel", "Sentry.FileSystems", "Sentry.Control", "Gofer.Protocol", "Broker.Protocol", "Netstack.Wire", "Netstack.Stack", "Netstack.Links", "Snapshot.State"],
        ["Gofer.Protocol"] = ["Sentry.Abi", "Sentry.Host"],
        ["Gofer"] = ["Sentry.Abi", "Sentry.Host", "Gofer.Protocol"],
        ["Broker.Protocol"] = ["Sentry.Abi", "Sentry.Host"],
        ["Broker"] = ["Sentry.Abi", "Sentry.Host", "Broker.Protocol"],
        ["Snapshot.State"] = [],
        ["Snapshot.State.Generators"] = [],
        ["Storage"] = [],
        ["Storage.S3"] = ["Storage"],
        ["Storage.AzureBlob"] = ["Storage"],
        ["Snapshot.Images"] = ["Snapshot.State", "Storage"],
        ["RestoreAgent.Api"] = [],
        ["Agent"] = ["RestoreAgent.Api", "Snapshot.Images", "Storage", "Storage.S3", "Storage.AzureBlob", "Sentry.Control", "Sentry.Host", "Netstack.Wire", "Netstack.Stack", "Netstack.Links"],
        ["Cli"] = ["RestoreAgent.Api", "Sentry.Host"],
    };

    private static readonly string[] Unsafe = ["Sentry.Host", "Sentry.Platform.Notify", "Snapshot.Images"];

    [Fact]
    public void Projects_ReferenceOnlyWhatIsBelowThem()
    {
        List<string> wrong = [];
        foreach ((string name, XDocument project) in Projects())
        {
            if (!Allowed.TryGetValue(name, out string[]? allowed))
            {
                wrong.Add($"{name} is not in the table of layers");
                continue;
            }

            foreach (string target in project.Descendants("ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value)))
            {
                if (!allowed.Contains(target))
                    wrong.Add($"{name} references {target}");
            }
        }

        Assert.Empty(wrong);
    }

    [Fact]
    public void UnsafeCode_IsAllowedOnlyWhereListed()
    {
        IEnumerable<string> found = Projects().Where(p => p.Project.Descendants("AllowUnsafeBlocks").Any(e => e.Value == "true")).Select(p => p.Name);
        Assert.Empty(found.Except(Unsafe));
    }

    private static IEnumerable<(string Name, XDocument Project)> Projects()
    {
        string root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "Snapshot.sln")))
            root = Path.GetDirectoryName(root) ?? throw new InvalidOperationException("Snapshot.sln not found above the test");
        string[] folders = ["sentry", "gofer", "netstack", "snapshot", "storage-adapters", "restore-agent"];
        foreach (string folder in folders.Select(f => Path.Combine(root, f)).Where(Directory.Exists))
        {
            foreach (string file in Directory.EnumerateFiles(folder, "*.csproj", SearchOption.AllDirectories))
                yield return (Path.GetFileNameWithoutExtension(file), XDocument.Load(file));
        }
    }
}
