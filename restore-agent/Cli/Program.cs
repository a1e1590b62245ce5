using System.CommandLine;
using SnapshotRpc;

const int Failed = 125;
try
{
    ParseResult parsed = CommandLine.Build().Parse(args);
    if (parsed.Errors.Count > 0)
        throw new CliException($"{parsed.Errors[0].Message} See {CommandLine.NameOf(parsed)} --help.");
    return parsed.Invoke(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
}
catch (CliException e)
{
    Console.Error.WriteLine("snapshot-rpc: " + e.Message);
    return Failed;
}
