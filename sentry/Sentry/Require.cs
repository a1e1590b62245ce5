using Sentry.Abi;

namespace Sentry.Main;

/// <summary>What the sentry cannot do without: a failure ends it with one line.</summary>
internal static class Require
{
    public static T Ok<T>(Result<T> result, string action) => result.IsOk ? result.Value : throw new SentryException($"cannot {action}: {result.Error}");

    public static void Ok(Errno error, string action)
    {
        if (error != Errno.None)
            throw new SentryException($"cannot {action}: {error}");
    }
}

/// <summary>The sentry cannot do what was asked of it; the message is one line for the user.</summary>
internal sealed class SentryException(string message) : Exception(message);
