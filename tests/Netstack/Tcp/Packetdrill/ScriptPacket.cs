using System.Globalization;
using System.Text.RegularExpressions;

namespace Tests.Netstack.Tcp.Packetdrill;

/// <summary>A packet as a script describes it: "[ect0] P. 1:1001(1000) ack 1 win 257 &lt;sack 1:2,nop,nop&gt;".</summary>
public sealed partial class ScriptPacket
{
    public TcpFlags Flags { get; private set; }

    /// <summary>Bits of ECN; null when not said.</summary>
    public int? Ecn { get; private set; }

    public uint Seq { get; private set; }

    public int Length { get; private set; }

    public uint Ack { get; private set; }

    public int? Window { get; private set; }

    public int Urgent { get; private set; }

    /// <summary>Null for "&lt;...&gt;": any.</summary>
    public string[]? Options { get; private set; } = [];

    public static ScriptPacket Parse(string text)
    {
        Match match = Form().Match(text);
        if (!match.Success)
            throw new FormatException($"no packet: {text}");
        var packet = new ScriptPacket
        {
            Flags = ParseFlags(match.Groups["flags"].Value),
            Seq = uint.Parse(match.Groups["seq"].Value, CultureInfo.InvariantCulture),
            Length = int.Parse(match.Groups["len"].Value, CultureInfo.InvariantCulture),
        };
        packet.Ecn = match.Groups["ecn"].Value switch
        {
            "ect0" => 2,
            "ect1" => 1,
            "ce" => 3,
            "noecn" => 0,
            _ => null,
        };
        if (match.Groups["ack"].Success)
            packet.Ack = uint.Parse(match.Groups["ack"].Value, CultureInfo.InvariantCulture);
        if (match.Groups["win"].Success)
            packet.Window = int.Parse(match.Groups["win"].Value, CultureInfo.InvariantCulture);
        if (match.Groups["urg"].Success)
            packet.Urgent = int.Parse(match.Groups["urg"].Value, CultureInfo.InvariantCulture);
        string options = match.Groups["opts"].Value.Trim();
        packet.Options = options == "..." ? null : options.Length == 0 ? [] : [.. options.Split(',').Select(o => o.Trim())];
        return packet;
    }

    [GeneratedRegex(@"^(?:\[(?<ecn>\w+)\]\s*)?(?<flags>[SFRPEWCU.\-]+)\s+(?<seq>\d+):\d+\((?<len>\d+)\)(?:\s+ack\s+(?<ack>\d+))?(?:\s+win\s+(?<win>\d+))?(?:\s+urg\s+(?<urg>\d+))?(?:\s*<(?<opts>.*)>)?\s*$")]
    private static partial Regex Form();

    private static TcpFlags ParseFlags(string text)
    {
        TcpFlags flags = TcpFlags.None;
        foreach (char c in text)
        {
            flags |= c switch
            {
                'S' => TcpFlags.Syn,
                'F' => TcpFlags.Fin,
                'R' => TcpFlags.Rst,
                'P' => TcpFlags.Psh,
                'E' => TcpFlags.Ece,
                'W' or 'C' => TcpFlags.Cwr,
                'U' => TcpFlags.Urg,
                '.' => TcpFlags.Ack,
                _ => TcpFlags.None,
            };
        }

        return flags;
    }
}
