using Sentry.Kernel;

namespace Sentry.Main;

/// <summary>What a sentry that fails leaves in its log: the guest call it served, where it failed, and a last line that says it in one.</summary>
internal static class CrashReport
{
    /// <summary>What the sentry ends with.</summary>
    public const int ExitCode = 3;

    public static void Write(GuestKernel? kernel, Exception exception)
    {
        string? call = Describe(kernel);
        Console.Error.WriteLine($"sentry: crashed{(call is null ? "" : " serving " + call)}");
        Console.Error.WriteLine(exception);
        Console.Error.WriteLine($"crashed{(call is null ? "" : " serving " + call)}: {exception.GetType().Name}: {exception.Message.ReplaceLineEndings(" ")}");
    }

    private static string? Describe(GuestKernel? kernel)
    {
        try
        {
            return kernel?.Dispatcher.DescribeServing();
        }
        catch (Exception e)
        {
            // The state that made the kernel fail may make printing fail as well.
            return $"a call that cannot be printed ({e.GetType().Name})";
        }
    }
}
