using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using RestoreAgent.Agent.Snapshots;
using RestoreAgent.Api;

namespace RestoreAgent.Agent.Http;

/// <summary>Answers of requests that take long: with the result alone, or, for a client that accepts lines of JSON, with how far it is until then.</summary>
public static class ProgressStream
{
    private const string ContentType = "application/x-ndjson";
    private static readonly TimeSpan TellEvery = TimeSpan.FromMilliseconds(200);

    public static async Task AnswerAsync<T>(HttpContext context, Operation operation, Func<Operation, Task<T>> work, JsonTypeInfo<T> type, JsonTypeInfo<ProgressLine<T>> lineType)
        where T : class
    {
        if (!context.Request.Headers.Accept.ToString().Contains(ContentType, StringComparison.OrdinalIgnoreCase))
        {
            await context.Response.WriteAsJsonAsync(await work(operation), type, contentType: null, context.RequestAborted);
            return;
        }

        // What fails soon is answered with a status, as every other request.
        Task<T> running = work(operation);
        if (await Task.WhenAny(running, Task.Delay(TellEvery)) == running && !running.IsCompletedSuccessfully)
            await running;
        context.Response.ContentType = ContentType;
        while (!running.IsCompleted)
        {
            if (!context.RequestAborted.IsCancellationRequested)
                await WriteAsync(context, new ProgressLine<T> { Progress = operation.Describe() }, lineType);
            await Task.WhenAny(running, Task.Delay(TellEvery));
        }

        await WriteAsync(context, await OutcomeAsync(running), lineType);
    }

    private static async Task<ProgressLine<T>> OutcomeAsync<T>(Task<T> running)
        where T : class
    {
        try
        {
            return new ProgressLine<T> { Result = await running };
        }
        catch (Exception e)
        {
            (int status, string message) = Errors.Describe(e);
            return new ProgressLine<T> { Problem = new Problem { Status = status, Error = message } };
        }
    }

    private static async Task WriteAsync<T>(HttpContext context, ProgressLine<T> line, JsonTypeInfo<ProgressLine<T>> type)
        where T : class
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(line, type);
        try
        {
            await context.Response.Body.WriteAsync((byte[])[.. json, (byte)'\n'], context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // Nobody is left to tell; the work has been told so as well.
        }
    }
}
