using Sentry.Control;
using Sentry.Host;
using Sentry.Main;

// sentry --control-fd N [--platform NAME]: born by the agent with one end of a control socket; everything else comes over it.
int control = -1;
string platform = "notify";
for (int i = 0; i + 1 < args.Length; i += 2)
{
    if (args[i] == "--control-fd" && int.TryParse(args[i + 1], out int number))
        control = number;
    else if (args[i] == "--platform")
        platform = args[i + 1];
}

if (control < 0)
{
    Console.Error.WriteLine("sentry: started by restore-agent with --control-fd; it has no use of its own");
    return 2;
}

try
{
    using var channel = new ControlChannel(control);
    using var sandbox = new Sandbox(channel, platform);
    sandbox.Run();
    return 0;
}
catch (Exception e) when (e is SentryException or IOException)
{
    Console.Error.WriteLine($"sentry: {e.Message}");
    return 1;
}
