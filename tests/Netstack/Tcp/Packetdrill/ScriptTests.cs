namespace Tests.Netstack.Tcp.Packetdrill;

/// <summary>Scripts of our own, a behaviour each: its first line says which.</summary>
public sealed class ScriptTests
{
    public static TheoryData<string, bool> Names
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (string file in Directory.EnumerateFiles(Folder, "*.pkt").Order())
            {
                data.Add(Path.GetFileNameWithoutExtension(file), false);
                data.Add(Path.GetFileNameWithoutExtension(file), true);
            }

            return data;
        }
    }

    private static string Folder => Path.Combine(SourceFolder(), "..", "Scripts");

    [Theory]
    [MemberData(nameof(Names))]
    public void Script_IsFollowed(string name, bool offload) => new ScriptRunner(Script.Parse(File.ReadAllText(Path.Combine(Folder, name + ".pkt"))), offload).Run();

    private static string SourceFolder([System.Runtime.CompilerServices.CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
