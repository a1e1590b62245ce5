namespace Tests.Agent;

/// <summary>checkpoint, restore and their failures, with a real store and image format under a stand-in sentry.</summary>
public sealed class SnapshotTests(AgentFixture agent) : IClassFixture<AgentFixture>
{
    [Fact]
    public void SaveAtCall_ThreeTimes_StreamsGoOn()
    {
        (int code, string output, string error) = agent.Client("run", "--rootfs", agent.Root, "--save-at-call", "500", "--", "fake", "count", "3");
        Assert.Equal((3, "before 3\nbefore 2\nbefore 1\n", ""), (code, output, error));
    }

    [Fact]
    public void Checkpoint_AndRestore_BringsTheSandboxBack()
    {
        Assert.Equal(0, agent.Client("run", "--rootfs", agent.Root, "--name", "first", "--detach", "--", "fake", "hold", "some text").ExitCode);
        (int code, string output, string error) = agent.Client("checkpoint", "first", "one");
        Assert.True(code == 0, error);
        Assert.StartsWith("one: 4.0 KiB of memory", output);
        Assert.Contains("checkpointed as one", agent.Client("ps").Output);
        Assert.Contains("one", agent.Client("snapshots").Output);
        Assert.Contains(agent.Root, agent.Client("inspect", "one").Output);

        Assert.Equal(0, agent.Client("restore", "one", "--name", "second", "--detach").ExitCode);
        Assert.Equal("restored some text\n", agent.Client("logs", "second").Output);
        Assert.Equal(0, agent.Client("rm", "-f", "first", "second").ExitCode);
        Assert.Equal(0, agent.Client("snapshots", "rm", "one").ExitCode);
        Assert.Equal(125, agent.Client("restore", "one").ExitCode);
    }

    [Fact]
    public async Task Restore_Waits_AndGoesOnFromTheDump()
    {
        // A restore that has not come to its wait when the checkpoint is done finds the image in the store, which is right as well, but not what is tested.
        for (int attempt = 0, handed = 0; handed == 0; attempt++)
        {
            Assert.True(attempt < 20, "no restore was handed a dump");
            string first = $"moved-{attempt}", second = $"goes-on-{attempt}", image = $"dump-{attempt}";
            Assert.Equal(0, agent.Client("run", "--rootfs", agent.Root, "--name", first, "--detach", "--", "fake", "hold", "x").ExitCode);
            Task<(int ExitCode, string Output, string Error)> restore = Task.Run(() => agent.Client("restore", image, "--wait", "60", "--name", second, "--detach"));
            await Task.WhenAny(restore, Task.Delay(200 * attempt));
            (int code, _, string error) = agent.Client("checkpoint", first, image);
            Assert.True(code == 0, error);
            (code, _, error) = await restore;
            Assert.True(code == 0, error);
            Assert.Equal(0, agent.Client("snapshots", "rm", image).ExitCode);
            if (agent.Client("ps").Output.Contains($"went on as {second}", StringComparison.Ordinal))
            {
                handed++;
                Assert.Equal("restored x, held\nbegun with 1 frames\n", agent.Client("logs", second).Output);
            }

            Assert.Equal(0, agent.Client("rm", "-f", first, second).ExitCode);
        }
    }

    [Fact]
    public async Task Restore_WaitsForWhatCannotBe_IsToldBefore()
    {
        Assert.Equal(0, agent.Client("run", "--rootfs", agent.Root, "--name", "stays", "--detach", "--", "fake", "hold", "x").ExitCode);
        Task<(int ExitCode, string Output, string Error)> restore = Task.Run(() => agent.Client("restore", "kept", "--wait", "60", "--name", "fails", "--netns", "nowhere-at-all", "--detach"));
        (int code, _, string error) = await restore;
        Assert.Equal(125, code);
        Assert.Contains("no network namespace nowhere-at-all", error); // told before it waits
        (code, _, error) = agent.Client("checkpoint", "stays", "kept");
        Assert.True(code == 0, error);
        Assert.Equal(0, agent.Client("restore", "kept", "--name", "again", "--detach").ExitCode);
        Assert.Equal(0, agent.Client("rm", "-f", "stays", "again").ExitCode);
        Assert.Equal(0, agent.Client("snapshots", "rm", "kept").ExitCode);
    }

    [Fact]
    public void Restore_WaitsInVain_SaysSo()
    {
        (int code, _, string error) = agent.Client("restore", "never", "--wait", "1");
        Assert.Equal(125, code);
        Assert.Contains("has no snapshot never after 1 s", error);
    }

    [Fact]
    public void Checkpoint_LeaveRunning_GoesOn()
    {
        agent.Client("run", "--rootfs", agent.Root, "--name", "goes-on", "--detach", "--", "fake", "hold", "x");
        Assert.Equal(0, agent.Client("checkpoint", "goes-on", "left", "--leave-running").ExitCode);
        Assert.Equal(125, agent.Client("checkpoint", "goes-on", "left", "--leave-running").ExitCode);
        Assert.Equal(0, agent.Client("checkpoint", "goes-on", "left", "--leave-running", "--replace").ExitCode);
        Assert.Equal(0, agent.Client("kill", "goes-on").ExitCode);
        agent.Client("rm", "-f", "goes-on");
    }

    [Fact]
    public void CopyVerifyDelete_WorkOnAnyStore()
    {
        string store = Path.Combine(agent.Folder, "copies");
        agent.Client("run", "--rootfs", agent.Root, "--name", "copied", "--detach", "--", "fake", "hold", "text");
        Assert.Equal(0, agent.Client("checkpoint", "copied", "original").ExitCode);
        (int code, string output, string error) = agent.Client("snapshots", "copy", "original", store, "--name", "copy");
        Assert.True(code == 0, error);
        Assert.Contains($"new in file://{store}", output);
        Assert.Equal(125, agent.Client("snapshots", "copy", "original", store, "--name", "copy").ExitCode);
        Assert.Equal(0, agent.Client("snapshots", "copy", $"{store}/copy", "--name", "back", "--json").ExitCode);
        Assert.Contains("copy", agent.Client("inspect", $"{store}/copy").Output);
        Assert.StartsWith("copy: ", agent.Client("snapshots", "verify", "--store", store).Output);
        Assert.Equal(0, agent.Client("snapshots", "verify", "original", "back", $"file://{store}/copy").ExitCode);

        Assert.Equal(0, agent.Client("snapshots", "rm", "original").ExitCode);
        Assert.Equal(0, agent.Client("restore", "back", "--name", "second", "--detach").ExitCode); // shares its chunks with what was deleted
        Assert.Equal("restored text\n", agent.Client("logs", "second").Output);
        foreach (string pack in Directory.GetFiles(Path.Combine(store, "packs")))
        {
            File.SetUnixFileMode(pack, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            byte[] bytes = File.ReadAllBytes(pack);
            bytes[^1] ^= 1;
            File.WriteAllBytes(pack, bytes);
        }

        (code, output, _) = agent.Client("snapshots", "verify", $"{store}/copy");
        Assert.Equal(1, code);
        Assert.Contains("damaged", output);
        Assert.Equal(125, agent.Client("snapshots", "verify", "no-such").ExitCode);
        Assert.Contains("freed in", agent.Client("snapshots", "gc", "--store", store).Output);
        Assert.Equal(0, agent.Client("rm", "-f", "copied", "second").ExitCode);
        Assert.Equal(0, agent.Client("snapshots", "rm", "back", $"{store}/copy").ExitCode);
        Assert.Contains("names a store but no snapshot", agent.Client("snapshots", "rm", "s3://bucket").Error);
    }

    [Fact]
    public void Checkpoint_StoreFails_SandboxGoesOnAndNothingIsLeft()
    {
        string store = Path.Combine(agent.Folder, "store");
        agent.Client("run", "--rootfs", agent.Root, "--name", "survivor", "--detach", "--", "fake", "hold", "x");
        Directory.CreateDirectory(store);
        File.WriteAllText(Path.Combine(store, "packs"), "in the way");
        File.WriteAllText(Path.Combine(store, "chunks"), "in the way");
        File.WriteAllText(Path.Combine(store, "snapshots"), "in the way");
        File.WriteAllText(Path.Combine(store, "objects"), "in the way");
        (int code, _, string error) = agent.Client("checkpoint", "survivor", "lost", "--store", store);
        Assert.Equal(125, code);
        Assert.Single(error.TrimEnd('\n').Split('\n'));
        Assert.Contains("running", agent.Client("ps").Output.Split('\n').Single(l => l.StartsWith("survivor", StringComparison.Ordinal)));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(agent.Folder, "state/work")));
        agent.Client("rm", "-f", "survivor");
    }

    [Fact]
    public void Restore_BaseFileDiffers_IsRefusedByName()
    {
        string file = Path.Combine(agent.Root, "etc/base");
        agent.Client("run", "--rootfs", agent.Root, "--name", "based", "--detach", "--", "fake", "hold", "base");
        (int code, _, string error) = agent.Client("checkpoint", "based", "on-base");
        Assert.True(code == 0, error);
        agent.Client("rm", "-f", "based");
        File.WriteAllText(file, "bose\n");
        (code, _, error) = agent.Client("restore", "on-base", "--name", "refused");
        File.WriteAllText(file, "base\n");
        Assert.Equal(125, code);
        Assert.Contains("/etc/base", error);
        Assert.DoesNotContain("refused", agent.Client("ps").Output);
    }
}
