using RestoreAgent.Api;

namespace RestoreAgent.Agent.Http;

/// <summary>Turns exceptions into problem documents of one line.</summary>
public sealed class ProblemMiddleware(RequestDelegate next, ILogger<ProblemMiddleware> logger)
{
    public async Task InvokeAsync(HttpContext context)
    {
        try
        {
            await next(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // nobody is left to tell
        }
        catch (Exception e)
        {
            (int status, string message) = Errors.Describe(e);
            if (status >= StatusCodes.Status500InternalServerError)
                logger.LogError(e, "{Method} {Path}", context.Request.Method, context.Request.Path);
            if (context.Response.HasStarted)
                throw;
            context.Response.Clear();
            context.Response.StatusCode = status;
            Problem problem = new() { Title = System.Net.HttpStatusCode.BadRequest.GetType().GetEnumName(status) ?? "Error", Status = status, Error = message };
            await context.Response.WriteAsJsonAsync(problem, ApiJson.Default.Problem, "application/problem+json");
        }
    }
}
