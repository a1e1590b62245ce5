namespace Sentry.Kernel.Files;

/// <summary>The signals that file operations raise, in one place.</summary>
internal static class SignalHooks
{
    /// <summary>EPIPE comes with SIGPIPE (write(2)).</summary>
    internal static void SendBrokenPipe(Task task) => SignalDelivery.RaisePipe(task);

    /// <summary>A write beyond RLIMIT_FSIZE comes with SIGXFSZ (setrlimit(2)).</summary>
    internal static void SendFileSizeExceeded(Task task) => SignalDelivery.SendToTask(task, SignalInfo.User(Signal.SIGXFSZ, task), task);
}
