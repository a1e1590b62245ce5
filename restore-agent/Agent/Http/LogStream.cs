using RestoreAgent.Agent.Sandboxes;

namespace RestoreAgent.Agent.Http;

/// <summary>Sends a sandbox's log, as bytes.</summary>
public static class LogStream
{
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(100);

    /// <summary>Sends what there is; when following also what comes, until the sandbox has ended.</summary>
    public static async Task SendAsync(Sandbox sandbox, bool follow, HttpContext context)
    {
        if (sandbox.Identity.Log is not { } path)
            throw AgentException.Conflict($"the sandbox {sandbox.Identity.Name} has no log, its output goes to the client that started it; run it with --detach");
        context.Response.ContentType = "application/octet-stream";
        await using FileStream log = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0, useAsync: true);
        while (true)
        {
            bool last = !follow || sandbox.Exit.IsCompleted;
            await log.CopyToAsync(context.Response.Body, context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
            if (last)
                return;
            await Task.WhenAny(sandbox.Exit, Task.Delay(LookAgain, context.RequestAborted));
        }
    }
}
