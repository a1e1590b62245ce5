using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
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
        using HttpClient http = Connect();
        using JsonDocument document = JsonDocument.Parse(await http.GetStringAsync("openapi/v1.json"));
        string[] paths = [.. document.RootElement.GetProperty("paths").EnumerateObject().Select(p => p.Name)];
        Assert.Contains("/v1/sandboxes/{name}/checkpoint", paths);
        Assert.Contains("/v1/snapshots/{name}/restore", paths);
        Assert.Contains("/v1/doctor", paths);
    }

    [Fact]
    public async Task Run_Detached_IsListedUntilDeleted()
    {
        using HttpClient http = Connect();
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
        using HttpClient http = Connect();
        RunRequest request = new() { RootFolder = "/", Program = new ProgramOptions { Arguments = ["true"] } };
        using HttpResponseMessage response = await http.PostAsJsonAsync("v1/sandboxes", request, ApiJson.Default.RunRequest);
        Started? started = await response.Content.ReadFromJsonAsync(ApiJson.Default.Started);
        Assert.NotNull(started!.AttachToken);
    }

    [Theory]
    [InlineData("{")]
    [InlineData("{}")]
    [InlineData("{\"rootFolder\":\"relative\",\"detach\":true,\"program\":{\"arguments\":[\"true\"]}}")]
    [InlineData("{\"rootFolder\":\"/\",\"detach\":true,\"program\":{\"arguments\":[]}}")]
    public async Task Run_WrongBody_IsAProblemOfOneLine(string body)
    {
        using HttpClient http = Connect();
        using StringContent content = new(body, Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await http.PostAsync(new Uri("v1/sandboxes", UriKind.Relative), content);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Problem? problem = await response.Content.ReadFromJsonAsync(ApiJson.Default.Problem);
        Assert.False(string.IsNullOrWhiteSpace(problem!.Error));
        Assert.DoesNotContain('\n', problem.Error);
    }

    [Fact]
    public void Sockets_AreTheOwnersAlone()
    {
        const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        Assert.Equal(Owner, File.GetUnixFileMode(agent.HttpSocket) & (UnixFileMode)0x1B6);
        Assert.Equal(Owner, File.GetUnixFileMode(agent.AttachSocket) & (UnixFileMode)0x1B6);
    }

    private HttpClient Connect() => new(new SocketsHttpHandler
    {
        ConnectCallback = async (_, cancellation) =>
        {
            Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(agent.HttpSocket), cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        },
    })
    { BaseAddress = new Uri("http://agent/") };
}
