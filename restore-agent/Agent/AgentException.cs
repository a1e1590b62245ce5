namespace RestoreAgent.Agent;

/// <summary>A request cannot be served; the message is one line that says what to do, the status is HTTP's.</summary>
public sealed class AgentException(int status, string message, Exception? inner = null)
    : Exception(message.ReplaceLineEndings(" ").Trim(), inner)
{
    public int Status { get; } = status;

    /// <summary>What was asked for is not there.</summary>
    public static AgentException NotFound(string message) => new(StatusCodes.Status404NotFound, message);

    /// <summary>The request itself is wrong.</summary>
    public static AgentException Invalid(string message) => new(StatusCodes.Status400BadRequest, message);

    /// <summary>It does not fit the present state.</summary>
    public static AgentException Conflict(string message) => new(StatusCodes.Status409Conflict, message);

    /// <summary>It should have worked.</summary>
    public static AgentException Failed(string message, Exception? inner = null) => new(StatusCodes.Status500InternalServerError, message, inner);
}
