using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using RestoreAgent.Api;

namespace Tests.Agent;

/// <summary>The HTTP API without the client.</summary>
public sealed class HttpTests(AgentFixture agent) : IClassFixture<AgentFixture>
{
    [Fact]
    public async Task OpenApi_DescribesEveryEndpoint()
    {
        using HttpClient http = agent.Connect();
        using JsonDocument document = JsonDocument.Parse(await http.GetStringAsync("openapi/v1.json"));
        string[] paths = [.. document.RootElement.GetProperty("paths").EnumerateObject().Select(p => p.Name)];
        Assert.Contains("/v1/sandboxes/{name}/checkpoint", paths);
        Assert.Contains("/v1/snapshots/{name}/restore", paths);
        Assert.Contains("/v1/doctor", paths);
    }

    [Fact]
    public async Task Run_Detached_IsListedUntilDeleted()
    {
        using HttpClient http = agent.Connect();
        RunRequest request = new() { RootFolder = "/", Name = "by-http", Detach = true, Program = new ProgramOptions { Arguments = ["sh", "-c", "echo out; exit 2"] } };
        using HttpResponseMessage response = await http.PostAsJsonAsync("v1/sandboxes", request, ApiJson.Default.RunRequest);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        ExitReport? exit = await http.GetFromJsonAsync("v1/sandboxes/by-http/wait", ApiJson.Default.ExitReport);
        Assert.Equal(2, exit!.ExitCode);
        Assert.Equal("out\n", await http.GetStringAsync("v1/sandboxes/by-http/logs"));
        Assert.Equal(HttpStatusCode.NoContent, (await http.DeleteAsync(new Uri("v1/sandboxes/by-http", UriKind.Relative))).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await http.GetAsync(new Uri("v1/sandboxes/by-http", UriKind.Relative))).StatusCode);
    }

    [Fact]
    public async Task Run_Attached_WaitsForItsToken()
    {
        using HttpClient http = agent.Connect();
        RunRequest request = new() { RootFolder = "/", Program = new ProgramOptions { Arguments = ["true"] } };
        using HttpResponseMessage response = await http.PostAsJsonAsync("v1/sandboxes", request, ApiJson.Default.RunRequest);
        Started? started = await response.Content.ReadFromJsonAsync(ApiJson.Default.Started);
        Assert.NotNull(started!.AttachToken);
    }

    [Theory]
    [InlineData("{", "")]
    [InlineData("{}", "rootFolder")]
    [InlineData("null", "")]
    [InlineData("[]", "")]
    [InlineData("{\"rootFolder\":\"relative\",\"detach\":true,\"program\":{\"arguments\":[\"true\"]}}", "absolute path")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":[]}}", "program")]
    [InlineData("{\"rootFolder\":null,\"detach\":true,\"program\":{\"arguments\":[\"true\"]}}", "rootFolder")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":null}", "program")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{}}", "arguments")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":null}}", "arguments")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":[null]}}", "arguments")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":[1]}}", "arguments")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":[\"true\"],\"environment\":null}}", "environment")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":[\"true\"],\"environment\":[null]}}", "environment")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":[\"true\"]},\"volumes\":null}", "volumes")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":[\"true\"]},\"volumes\":[null]}", "volumes")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":[\"true\"]},\"volumes\":[{}]}", "source")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":[\"true\"]},\"tmpfs\":[null]}", "tmpfs")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":[\"true\"]},\"tmpfs\":[{\"place\":null}]}", "place")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":[\"true\"]},\"network\":{\"publish\":[null]}}", "publish")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":[\"true\"]},\"detach\":null}", "detach")]
    public Task Run_WrongBody_IsAProblemOfOneLineThatNamesTheField(string body, string named) => AssertProblem("v1/sandboxes", body, named);

    [Theory]
    [InlineData("v1/sandboxes/wrong/exec", "{}", "program")]
    [InlineData("v1/sandboxes/wrong/exec", "{\"program\":{\"arguments\":null}}", "arguments")]
    [InlineData("v1/sandboxes/wrong/signal", "{\"signal\":null}", "signal")]
    [InlineData("v1/sandboxes/wrong/checkpoint", "{}", "snapshot")]
    [InlineData("v1/sandboxes/wrong/checkpoint", "{\"snapshot\":null}", "snapshot")]
    [InlineData("v1/snapshots/wrong/restore", "{\"detach\":true,\"volumes\":null}", "volumes")]
    [InlineData("v1/snapshots/wrong/restore", "{\"detach\":true,\"waitSeconds\":null}", "waitSeconds")]
    [InlineData("v1/snapshots/wrong/copy", "{\"replace\":null}", "replace")]
    [InlineData("v1/snapshots/wrong/copy", "null", "")]
    public Task Post_WrongBody_IsAProblemOfOneLineThatNamesTheField(string path, string body, string named) => AssertProblem(path, body, named);

    private async Task AssertProblem(string path, string body, string named)
    {
        using HttpClient http = agent.Connect();
        using StringContent content = new(body, Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await http.PostAsync(new Uri(path, UriKind.Relative), content);
        Problem? problem = await response.Content.ReadFromJsonAsync(ApiJson.Default.Problem);
        Assert.Equal((HttpStatusCode.BadRequest, problem!.Error), (response.StatusCode, problem.Error));
        Assert.False(string.IsNullOrWhiteSpace(problem.Error));
        Assert.Contains(named, problem.Error, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', problem.Error);
    }

    [Fact]
    public void Sockets_AreTheOwnersAlone()
    {
        const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        Assert.Equal(Owner, File.GetUnixFileMode(agent.HttpSocket) & (UnixFileMode)0x1B6);
        Assert.Equal(Owner, File.GetUnixFileMode(agent.AttachSocket) & (UnixFileMode)0x1B6);
    }
}
