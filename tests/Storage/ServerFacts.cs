using System.Diagnostics;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Tests.Storage;

/// <summary>Says which server a test class runs against.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class NeedsServerAttribute(string script) : Attribute
{
    /// <summary>A script in eng/ with start and stop.</summary>
    public string Script { get; } = script;
}

/// <summary>A fact that is skipped, saying so, where its class's server is not installed.</summary>
[XunitTestCaseDiscoverer("Tests.Storage." + nameof(ServerFactDiscoverer), "Tests.Storage")]
public sealed class ServerFactAttribute : FactAttribute;

/// <summary>A theory that is skipped, saying so, where its class's server is not installed.</summary>
[XunitTestCaseDiscoverer("Tests.Storage." + nameof(ServerTheoryDiscoverer), "Tests.Storage")]
public sealed class ServerTheoryAttribute : TheoryAttribute;

public sealed class ServerFactDiscoverer(IMessageSink diagnostics) : FactDiscoverer(diagnostics)
{
    protected override IXunitTestCase CreateTestCase(ITestFrameworkDiscoveryOptions discoveryOptions, ITestMethod testMethod, IAttributeInfo factAttribute) =>
        Servers.WhyMissing(testMethod) is { } reason
            ? new SkippedTestCase(DiagnosticMessageSink, discoveryOptions, testMethod, reason)
            : base.CreateTestCase(discoveryOptions, testMethod, factAttribute);
}

public sealed class ServerTheoryDiscoverer(IMessageSink diagnostics) : TheoryDiscoverer(diagnostics)
{
    public override IEnumerable<IXunitTestCase> Discover(ITestFrameworkDiscoveryOptions discoveryOptions, ITestMethod testMethod, IAttributeInfo theoryAttribute) =>
        Servers.WhyMissing(testMethod) is { } reason
            ? [new SkippedTestCase(DiagnosticMessageSink, discoveryOptions, testMethod, reason)]
            : base.Discover(discoveryOptions, testMethod, theoryAttribute);
}

/// <summary>A test case that only says why it does not run.</summary>
public sealed class SkippedTestCase : XunitTestCase
{
    private string _reason = "";

    [Obsolete("for deserialization")]
    public SkippedTestCase()
    {
    }

    public SkippedTestCase(IMessageSink diagnostics, ITestFrameworkDiscoveryOptions options, ITestMethod method, string reason)
        : base(diagnostics, options.MethodDisplayOrDefault(), options.MethodDisplayOptionsOrDefault(), method) => _reason = reason;

    public override void Serialize(IXunitSerializationInfo data)
    {
        base.Serialize(data);
        data.AddValue("Reason", _reason);
    }

    public override void Deserialize(IXunitSerializationInfo data)
    {
        _reason = data.GetValue<string>("Reason");
        base.Deserialize(data);
    }

    protected override string GetSkipReason(IAttributeInfo factAttribute) => _reason;
}

/// <summary>Finds and runs the scripts in eng/.</summary>
internal static class Servers
{
    internal static string Root { get; } = FindRoot();

    internal static string? WhyMissing(ITestMethod method)
    {
        string? script = method.TestClass.Class.GetCustomAttributes(typeof(NeedsServerAttribute)).FirstOrDefault()?.GetNamedArgument<string>(nameof(NeedsServerAttribute.Script));
        return script switch
        {
            null => null,
            _ when IsInstalled(script) => null,
            _ => $"the {script} server is not installed; run eng/install-servers",
        };
    }

    internal static bool IsInstalled(string script) => script == "azurite"
        ? File.Exists(Path.Combine(Root, "artifacts/azurite/node_modules/.bin/azurite-blob")) && OnPath("node")
        : OnPath("radosgw") && OnPath("radosgw-admin") && OnPath("ceph-mon") && OnPath("ceph-osd") && OnPath("ceph-authtool") && OnPath("monmaptool");

    internal static async Task<Dictionary<string, string>> StartAsync(string script, string folder)
    {
        await RunAsync(script, "start", folder);
        return File.ReadAllLines(Path.Combine(folder, "env")).Select(l => l.Split('=', 2)).ToDictionary(p => p[0], p => p[1]);
    }

    internal static Task StopAsync(string script, string folder) => RunAsync(script, "stop", folder);

    private static async Task RunAsync(string script, string verb, string folder)
    {
        using Process process = Process.Start(new ProcessStartInfo(Path.Combine(Root, "eng", script), [verb, folder]) { RedirectStandardError = true })!;

        // Not to the end of the stream: the servers inherit it and live on.
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(2));
        await process.WaitForExitAsync(limit.Token);
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"eng/{script} {verb} failed; see {folder}/log");
    }

    private static bool OnPath(string program) => $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin".Split(':').Any(f => File.Exists(Path.Combine(f, program)));

    private static string FindRoot()
    {
        string root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "Snapshot.sln")))
            root = Path.GetDirectoryName(root) ?? throw new InvalidOperationException("Snapshot.sln not found above the test");
        return root;
    }
}

/// <summary>A server that the tests of one class share; started when it is installed, stopped after the last test.</summary>
public abstract class ServerFixture(string script) : IAsyncLifetime
{
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"{script}-{Guid.NewGuid():N}");

    public Dictionary<string, string> Settings { get; private set; } = [];

    public async Task InitializeAsync()
    {
        if (Servers.IsInstalled(script))
            Settings = await Servers.StartAsync(script, _folder);
    }

    public Task DisposeAsync() => Settings.Count > 0 ? Servers.StopAsync(script, _folder) : Task.CompletedTask;
}
