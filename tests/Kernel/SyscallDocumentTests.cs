namespace Tests.Kernel;

/// <summary>docs/syscalls.md says what the table says. UPDATE_DOCS=1 in the environment writes it anew instead of comparing.</summary>
public sealed class SyscallDocumentTests
{
    [Fact]
    public void Document_IsUpToDate()
    {
        string root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "Snapshot.sln")))
            root = Path.GetDirectoryName(root) ?? throw new InvalidOperationException("Snapshot.sln not found above the test");
        string path = Path.Combine(root, "docs", "syscalls.md");
        string text = SyscallDocument.Render();
        if (Environment.GetEnvironmentVariable("UPDATE_DOCS") == "1")
            File.WriteAllText(path, text);
        Assert.True(File.Exists(path) && File.ReadAllText(path) == text, "docs/syscalls.md is out of date: run UPDATE_DOCS=1 ./test Kernel and commit it");
    }
}
