using System.Text;

namespace Tests.Netstack.Tcp.Packetdrill;

/// <summary>Upstream's own scripts, where they are at hand: PACKETDRILL_SCRIPTS names the folder gtests/net/tcp of its repository. They are run with links that cut
/// segments and with links that do not; a report goes to the test output.</summary>
public sealed class UpstreamScriptTests(Xunit.Abstractions.ITestOutputHelper output)
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Scripts_DoWhatTheySay(bool offload)
    {
        if (Environment.GetEnvironmentVariable("PACKETDRILL_SCRIPTS") is not { Length: > 0 } folder)
            return;
        var report = new StringBuilder();
        int passed = 0, failed = 0, other = 0;
        foreach (string file in Directory.EnumerateFiles(folder, "*.pkt", SearchOption.AllDirectories).Order())
        {
            if (file.Contains("fastopen", StringComparison.Ordinal) || file.Contains("zerocopy", StringComparison.Ordinal) || file.Contains("timestamping", StringComparison.Ordinal))
                continue;
            string name = Path.GetRelativePath(folder, file);
            try
            {
                new ScriptRunner(Script.Parse(File.ReadAllText(file)), offload).Run();
                passed++;
                report.AppendLine($"pass {name}");
            }
            catch (FormatException e)
            {
                other++;
                report.AppendLine($"????  {name}: {e.Message}");
            }
            catch (ScriptException e)
            {
                if (e.Message.Contains("FormatException", StringComparison.Ordinal))
                    other++;
                failed++;
                report.AppendLine($"FAIL {name}: {e.Message}");
            }
        }

        report.AppendLine($"{passed} passed, {failed} failed, {other} not understood");
        output.WriteLine(report.ToString());
        if (Environment.GetEnvironmentVariable("PACKETDRILL_REPORT") is { Length: > 0 } path)
            File.WriteAllText(path + (offload ? ".offload" : ".plain"), report.ToString());
    }
}
