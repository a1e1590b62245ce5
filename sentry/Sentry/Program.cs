using Sentry.Control;
using Sentry.Host;
using Sentry.Main;

// sentry --control-fd N [--adopt-fd N] [--record-fd N] [--platform NAME]: born by the agent with one end of a control socket, the socket at which
// later agents come, and the file of its flight record; everything else comes over the control socket.
int control = -1, adopt = -1, record = -1;
string platform = "notify";
for (int i = 0; i + 1 < args.Length; i += 2)
{
    if (args[i] == "--platform")
        platform = args[i + 1];
    else if (int.TryParse(args[i + 1], out int number))
        (control, adopt, record) = args[i] switch { "--control-fd" => (number, adopt, record), "--adopt-fd" => (control, number, record), "--record-fd" => (control, adopt, number), _ => (control, adopt, record) };
}

if (control < 0)
{
    Console.Error.WriteLine("sentry: started by restore-agent with --control-fd; it has no use of its own");
    return 2;
}

Sandbox? sandbox = null;
try
{
    var channel = new ControlChannel(control);
    using (sandbox = new Sandbox(channel, adopt, record, platform))
        sandbox.Run(channel);
    return 0;
}
catch (Exception e) when (e is SentryException or IOException && sandbox?.Kernel is null)
{
    Console.Error.WriteLine($"sentry: {e.Message}");
    return 1;
}
catch (Exception e)
{
    // The threads that serve this sandbox have nothing left to serve; the report must be the log's last word.
    CrashReport.Write(sandbox?.Kernel, e);
    Environment.Exit(CrashReport.ExitCode);
    return CrashReport.ExitCode;
}
