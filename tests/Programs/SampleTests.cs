namespace Tests.Programs;

/// <summary>A fact that is skipped, saying so, where the emulator of Azure Blob storage is not installed.</summary>
public sealed class AzuriteFactAttribute : FactAttribute
{
    public AzuriteFactAttribute()
    {
        if (!Directory.Exists(Path.Combine(Samples.Project, "artifacts/azurite/node_modules")))
            Skip = "Azurite is not installed; eng/install-servers says why";
    }
}

internal static class Samples
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    /// <summary>The folder above artifacts/bin.</summary>
    public static string Project { get; } = Path.GetFullPath("../../..", Programs.Client!);

    /// <summary>Plays a story to its end; what it printed.</summary>
    public static string Play(string name)
    {
        Outcome outcome = Programs.Finish(Programs.Start([Path.Combine(Project, "samples", name, "run")]), Limit);
        Assert.True(outcome.ExitCode == 0, $"samples/{name}/run ended with {outcome.ExitCode}: {outcome.Output}{outcome.Error}");
        return outcome.Output;
    }
}

/// <summary>The stories of samples/, as a reader plays them.</summary>
public class SampleTests
{
    [Fact]
    public void WarmStart_EveryCloneAnswers()
    {
        string output = Samples.Play("warm-start");
        Assert.Contains("clone 3: sum to 3000 is 4501500", output, StringComparison.Ordinal);
    }

    [Fact]
    public void LongCompile_EndsAfterTheDeathOfItsSandbox()
    {
        string output = Samples.Play("long-compile");
        Assert.Contains("killed the sentry", output, StringComparison.Ordinal);
        Assert.Contains("the program says", output, StringComparison.Ordinal);
    }

    [AzuriteFact]
    public void MoveRedis_KeepsItsKeysOnAnotherHost()
    {
        string output = Samples.Play("move-redis");
        Assert.Contains("lima: 20002 keys, cart:2 is a bicycle", output, StringComparison.Ordinal);
    }
}
