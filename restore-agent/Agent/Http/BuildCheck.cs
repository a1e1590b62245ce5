using RestoreAgent.Api;
using Sentry.Host;

namespace RestoreAgent.Agent.Http;

/// <summary>Tells our own client when it is of another build than this agent. Clients of other making name no build and keep to the contract.</summary>
public sealed class BuildCheck(RequestDelegate next)
{
    private static readonly PathString[] ForEveryone = ["/v1/version", "/v1/stop"];

    public static ProtocolBuild Build { get; } = new("API", ProtocolFingerprint.Value);

    /// <param name="client">What the client says it is.</param>
    /// <exception cref="AgentException">It is of another build.</exception>
    public static void Check(string client)
    {
        if (Build.Refuse(client, "snapshot-rpc", "this agent", "snapshot-rpc agent restart replaces the agent, and sandboxes go on") is { } refusal)
            throw AgentException.Conflict(refusal);
    }

    public Task InvokeAsync(HttpContext context)
    {
        context.Response.OnStarting(() =>
        {
            context.Response.Headers[ApiHeaders.Build] = Build.Identity;
            return Task.CompletedTask;
        });
        if (context.Request.Headers[ApiHeaders.Build] is [{ } client] && !ForEveryone.Contains(context.Request.Path))
            Check(client);
        return next(context);
    }
}
