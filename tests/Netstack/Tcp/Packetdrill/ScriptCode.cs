using System.Buffers.Binary;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Tests.Netstack.Tcp.Packetdrill;

/// <summary>The Python between %{ and }% as far as scripts use it: assignments, and asserts that compare fields of tcp_info.</summary>
public sealed partial class ScriptCode
{
    private static readonly Dictionary<string, (int Offset, int Size)> Fields = MakeFields();

    private readonly Dictionary<string, long> _variables = new()
    {
        ["TCP_CA_Open"] = 0, ["TCP_CA_Disorder"] = 1, ["TCP_CA_CWR"] = 2, ["TCP_CA_Recovery"] = 3, ["TCP_CA_Loss"] = 4,
    };

    public void Run(string code, byte[] info)
    {
        code = code.Replace("\\\n", " ", StringComparison.Ordinal);
        foreach (string raw in code.Split(['\n', ';']))
        {
            string line = raw.Split('#')[0].Trim();
            if (line.Length == 0 || line.StartsWith("print", StringComparison.Ordinal))
                continue;
            Match assignment = Assignment().Match(line);
            if (line.StartsWith("assert ", StringComparison.Ordinal))
                Check(line[7..], info);
            else if (assignment.Success)
                _variables[assignment.Groups[1].Value] = assignment.Groups[2].Value == "+=" ? _variables[assignment.Groups[1].Value] + Value(assignment.Groups[3].Value, info) : Value(assignment.Groups[3].Value, info);
            else
                throw new FormatException($"code: {line}");
        }
    }

    [GeneratedRegex(@"^(\w+)\s*(\+?=)\s*([^=].*)$")]
    private static partial Regex Assignment();

    private void Check(string expression, byte[] info)
    {
        string condition = expression.Split(',')[0];
        string[] parts = Regex.Split(condition, "(<=|>=|==|<|>)");
        for (int i = 0; i + 2 < parts.Length; i += 2)
        {
            long left = Value(parts[i], info), right = Value(parts[i + 2], info);
            bool holds = parts[i + 1] switch
            {
                "<=" => left <= right,
                ">=" => left >= right,
                "<" => left < right,
                ">" => left > right,
                _ => left == right,
            };
            if (!holds)
                throw new ScriptException($"assert {condition.Trim()}: {left} {parts[i + 1]} {right} is false");
        }
    }

    private long Value(string text, byte[] info)
    {
        text = text.Trim();
        if (text.StartsWith("0x", StringComparison.Ordinal))
            return long.Parse(text[2..], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        if (long.TryParse(text, out long number))
            return number;
        if (_variables.TryGetValue(text, out long variable))
            return variable;
        if (!Fields.TryGetValue(text, out (int Offset, int Size) field))
            throw new FormatException($"unknown value: {text}");
        return field.Size switch
        {
            1 => info[field.Offset],
            4 => BinaryPrimitives.ReadUInt32LittleEndian(info.AsSpan(field.Offset)),
            _ => BinaryPrimitives.ReadInt64LittleEndian(info.AsSpan(field.Offset)),
        };
    }

    private static Dictionary<string, (int Offset, int Size)> MakeFields()
    {
        var fields = new Dictionary<string, (int, int)>();
        int at = 0;
        Add(1, "state", "ca_state", "retransmits", "probes", "backoff", "options", "wscale", "app_limited");
        Add(4, "rto", "ato", "snd_mss", "rcv_mss", "unacked", "sacked", "lost", "retrans", "fackets", "last_data_sent", "last_ack_sent", "last_data_recv", "last_ack_recv",
            "pmtu", "rcv_ssthresh", "rtt", "rttvar", "snd_ssthresh", "snd_cwnd", "advmss", "reordering", "rcv_rtt", "rcv_space", "total_retrans");
        Add(8, "pacing_rate", "max_pacing_rate", "bytes_acked", "bytes_received");
        Add(4, "segs_out", "segs_in", "notsent_bytes", "min_rtt", "data_segs_in", "data_segs_out");
        Add(8, "delivery_rate", "busy_time", "rwnd_limited", "sndbuf_limited");
        Add(4, "delivered", "delivered_ce");
        Add(8, "bytes_sent", "bytes_retrans");
        Add(4, "dsack_dups", "reord_seen", "rcv_ooopack", "snd_wnd", "rcv_wnd", "rehash");
        return fields;

        void Add(int size, params string[] names)
        {
            foreach (string name in names)
            {
                fields["tcpi_" + name] = (at, size);
                at += size;
            }
        }
    }
}

/// <summary>The stack does something else than the script says.</summary>
public sealed class ScriptException(string message) : Exception(message);
