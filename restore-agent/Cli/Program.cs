using SnapshotRpc;

const int Failed = 125;
try
{
    return CommandLine.Build().Parse(args).Invoke(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
}
catch (CliException e)
{
    Console.Error.WriteLine("snapshot-rpc: " + e.Message);
    return Failed;
}
