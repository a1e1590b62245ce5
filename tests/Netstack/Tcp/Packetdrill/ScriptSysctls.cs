using System.Globalization;
using System.Text.RegularExpressions;

namespace Tests.Netstack.Tcp.Packetdrill;

/// <summary>The sysctls that scripts set, and those that their common defaults do.</summary>
public static partial class ScriptSysctls
{
    public static void SetDefaults(StackSettings settings)
    {
        settings.ReceiveBuffer = [4096, 540000, 15 << 20];
        settings.SendBuffer = [4096, 256 << 10, 4194304];
        settings.SynRetries = 5;
        settings.SlowStartAfterIdle = false;
        settings.EarlyRetransmit = 4;
        settings.Ecn = 0;
    }

    public static void Apply(string command, StackSettings settings)
    {
        foreach (Match match in Assignment().Matches(command))
            Set(match.Groups["name"].Value, match.Groups["value"].Value.Trim('"'), settings);
    }

    [GeneratedRegex(@"(?:net[./]ipv4[./])(?<name>\w+)=(?<value>""[^""]*""|[^\s`]+)")]
    private static partial Regex Assignment();

    private static void Set(string name, string value, StackSettings settings)
    {
        int number = int.TryParse(value, out int parsed) ? parsed : 0;
        switch (name)
        {
            case "tcp_ecn":
                settings.Ecn = number;
                break;
            case "tcp_wmem":
                settings.SendBuffer = [.. value.Split(' ').Select(v => int.Parse(v, CultureInfo.InvariantCulture))];
                break;
            case "tcp_rmem":
                settings.ReceiveBuffer = [.. value.Split(' ').Select(v => int.Parse(v, CultureInfo.InvariantCulture))];
                break;
            case "tcp_min_tso_segs":
                settings.MinTsoSegments = number;
                break;
            case "tcp_tso_win_divisor":
                settings.TsoWindowDivisor = number;
                break;
            case "tcp_slow_start_after_idle":
                settings.SlowStartAfterIdle = number != 0;
                break;
            case "tcp_timestamps":
                settings.Timestamps = number != 0;
                break;
            case "tcp_sack":
                settings.Sack = number != 0;
                break;
            case "tcp_notsent_lowat":
                settings.NotSentLowWater = uint.Parse(value, CultureInfo.InvariantCulture);
                break;
            case "tcp_early_retrans":
                settings.EarlyRetransmit = number;
                break;
            case "tcp_congestion_control":
                settings.CongestionControl = value;
                break;
            case "tcp_mtu_probing":
                settings.MtuProbingMode = number;
                break;
            case "tcp_base_mss":
                settings.BaseMss = number;
                break;
            case "tcp_abort_on_overflow":
                settings.AbortOnOverflow = number != 0;
                break;
            case "tcp_syncookies":
                settings.SynCookies = number;
                break;
            case "tcp_pacing_ss_ratio":
                settings.PacingSlowStartRatio = number;
                break;
            case "tcp_reordering":
                settings.Reordering = number;
                break;
            default:
                throw new FormatException($"sysctl {name}");
        }
    }
}
