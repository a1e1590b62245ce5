using Snapshot.State;
using Storage;

namespace RestoreAgent.Agent;

/// <summary>What users are told of an exception, and with which HTTP status.</summary>
public static class Errors
{
    public static (int Status, string Message) Describe(Exception exception) => exception switch
    {
        AgentException e => (e.Status, e.Message),
        StoreException e => (StatusOf(e.Error), e.Message),
        InvalidImageException e => (StatusCodes.Status422UnprocessableEntity, OneLine(e.Message)),
        BadHttpRequestException e => (e.StatusCode, OneLine(e.InnerException?.Message ?? e.Message)),
        AggregateException { InnerException: { } inner } => Describe(inner),
        TimeoutException => (StatusCodes.Status504GatewayTimeout, "the sandbox does not answer in time; snapshot-rpc rm -f ends it"),
        IOException e when IsDiskFull(e) => (StatusCodes.Status507InsufficientStorage, "the disk is full: " + OneLine(e.Message)),
        _ => (StatusCodes.Status500InternalServerError, $"{exception.GetType().Name}: {OneLine(exception.Message)}; the agent's log says more"),
    };

    private static int StatusOf(StoreError error) => error switch
    {
        StoreError.NotFound => StatusCodes.Status404NotFound,
        StoreError.Exists => StatusCodes.Status409Conflict,
        StoreError.Invalid => StatusCodes.Status400BadRequest,
        StoreError.AccessDenied => StatusCodes.Status403Forbidden,
        StoreError.NoSpace => StatusCodes.Status507InsufficientStorage,
        _ => StatusCodes.Status502BadGateway,
    };

    private static bool IsDiskFull(IOException e)
    {
        const int NoSpace = 28, QuotaExceeded = 122;
        return (e.HResult & 0xFFFF) is NoSpace or QuotaExceeded;
    }

    private static string OneLine(string message) => message.ReplaceLineEndings(" ").Trim();
}
