using System.Globalization;
using Netstack.Wire;
using Sentry.Kernel.Sockets.Netlink;

namespace Sentry.Kernel.Strace;

/// <summary>Writes what goes through sockets of AF_NETLINK: headers, the fixed parts and attributes of rtnetlink(7), acknowledgements.</summary>
internal static class NetlinkPrinter
{
    private const int MaxShown = 8192;

    /// <summary>Prints guest memory as messages when the descriptor is a netlink socket; false when it is not, or is too little.</summary>
    internal static bool TryPrint(CallPrinter p, int descriptor, ulong address, long length)
    {
        if (length < NetlinkLayout.Header || !p.Task.TryGetFile(descriptor, out FileObject? file) || file is not NetlinkSocket socket)
            return false;
        var bytes = new byte[Math.Min(length, MaxShown)];
        if (p.Task.Memory.Read(address, bytes) < bytes.Length)
            return false;
        List<(int Start, int End)> messages = Split(bytes);
        if (messages.Count == 0)
            return false;
        p.Append(messages.Count > 1 ? "[" : "");
        for (int i = 0; i < messages.Count; i++)
        {
            p.Append(i > 0 ? ", " : "");
            PrintMessage(p, socket.Protocol, bytes.AsSpan(messages[i].Start, messages[i].End - messages[i].Start));
        }

        p.Append(messages.Count > 1 ? "]" : "").Append(length > bytes.Length ? "..." : "");
        return true;
    }

    private static List<(int Start, int End)> Split(ReadOnlySpan<byte> bytes)
    {
        List<(int, int)> messages = [];
        for (int at = 0; bytes.Length - at >= NetlinkLayout.Header;)
        {
            int length = CallPrinter.Int(bytes, at);
            if (length < NetlinkLayout.Header)
                break;
            int end = Math.Min(at + length, bytes.Length);
            messages.Add((at, end));
            at = Math.Min(NetlinkLayout.Align(end), bytes.Length);
        }

        return messages;
    }

    private static void PrintMessage(CallPrinter p, int protocol, ReadOnlySpan<byte> message)
    {
        ushort type = CallPrinter.UShort(message, 4);
        bool hasBody = message.Length > NetlinkLayout.Header;
        p.Append(hasBody ? "[" : "");
        PrintHeader(p, protocol, message);
        if (hasBody)
        {
            p.Append(", ");
            PrintBody(p, protocol, type, message[NetlinkLayout.Header..]);
            p.Append("]");
        }
    }

    private static void PrintHeader(CallPrinter p, int protocol, ReadOnlySpan<byte> message)
    {
        ushort type = CallPrinter.UShort(message, 4);
        p.Append("{nlmsg_len=").Append((ulong)CallPrinter.UInt(message, 0)).Append(", nlmsg_type=").Flags(type, TypesOf(protocol, type));
        p.Append(", nlmsg_flags=").Flags(CallPrinter.UShort(message, 6), FlagsOf(protocol, type)).Append(", nlmsg_seq=").Append((ulong)CallPrinter.UInt(message, 8));
        p.Append(", nlmsg_pid=").Append((long)CallPrinter.Int(message, 12)).Append("}");
    }

    private static FlagTable TypesOf(int protocol, ushort type) => type < MessageType.Min ? NetlinkTables.ControlType : protocol switch
    {
        NetlinkProtocols.Route => NetlinkTables.RouteMessage,
        NetlinkProtocols.SocketDiagnosis => NetlinkTables.DiagnosisType,
        _ => NetlinkTables.GenericType,
    };

    private static FlagTable FlagsOf(int protocol, ushort type)
    {
        if (type < MessageType.Min)
            return type == MessageType.Error ? NetlinkTables.AckFlags : NetlinkTables.PlainFlags;
        if (protocol != NetlinkProtocols.Route)
            return NetlinkTables.GetFlags;
        return (type & 3) switch
        {
            0 => NetlinkTables.NewFlags,
            2 => NetlinkTables.GetFlags,
            _ => NetlinkTables.PlainFlags,
        };
    }

    private static void PrintBody(CallPrinter p, int protocol, ushort type, ReadOnlySpan<byte> body)
    {
        switch (type)
        {
            case MessageType.Error when body.Length >= sizeof(int) + NetlinkLayout.Header:
                PrintAcknowledgement(p, protocol, body);
                return;
            case MessageType.Done when body.Length >= sizeof(int):
                p.Append((long)CallPrinter.Int(body, 0));
                return;
        }

        if (protocol == NetlinkProtocols.Route && type >= MessageType.Min)
            PrintRouteBody(p, type, body);
        else if (protocol == NetlinkProtocols.SocketDiagnosis && type >= MessageType.Min && body.Length >= 2)
            p.Append("{sdiag_family=").Flags(body[0], FlagTables.Family).Append(", ").Append(string.Create(CultureInfo.InvariantCulture, $"sdiag_protocol={body[1]}, ")).Hexadecimal(body[2..]).Append("}");
        else
            p.Hexadecimal(body);
    }

    private static void PrintAcknowledgement(CallPrinter p, int protocol, ReadOnlySpan<byte> body)
    {
        int error = CallPrinter.Int(body, 0);
        p.Append("{error=").Append(error == 0 ? "0" : $"-{(Errno)(-error)}").Append(", msg=");
        ReadOnlySpan<byte> about = body[sizeof(int)..];
        int length = Math.Max(NetlinkLayout.Header, CallPrinter.Int(about, 0));
        if (error != 0 && about.Length >= length)
        {
            PrintMessage(p, protocol, about[..length]);
            about = about[Math.Min(about.Length, NetlinkLayout.Align(length))..];
        }
        else
        {
            PrintHeader(p, protocol, about);
            about = about[NetlinkLayout.Header..];
        }

        p.Append("}");
        PrintAttributes(p, about, NetlinkTables.Ack, 0);
    }

    private static void PrintRouteBody(CallPrinter p, ushort type, ReadOnlySpan<byte> body)
    {
        byte family = body[0];
        switch ((type - MessageType.Min) / 4)
        {
            case 0 when body.Length >= 16:
                p.Append("{ifi_family=").Flags(family, FlagTables.Family).Append(", ifi_type=").Flags(CallPrinter.UShort(body, 2), NetlinkTables.LinkType).Append(", ifi_index=");
                Interface(p, CallPrinter.Int(body, 4));
                p.Append(", ifi_flags=").Flags(CallPrinter.UInt(body, 8), NetlinkTables.LinkFlags).Append(", ifi_change=").Hex(CallPrinter.UInt(body, 12)).Append("}");
                PrintAttributes(p, body[16..], NetlinkTables.Link, family);
                break;
            case 1 when body.Length >= 8:
                p.Append("{ifa_family=").Flags(family, FlagTables.Family).Append(", ifa_prefixlen=").Append((long)body[1]).Append(", ifa_flags=").Flags(body[2], NetlinkTables.AddressFlags)
                    .Append(", ifa_scope=").Flags(body[3], NetlinkTables.Scope).Append(", ifa_index=");
                Interface(p, CallPrinter.Int(body, 4));
                p.Append("}");
                PrintAttributes(p, body[8..], NetlinkTables.Address, family);
                break;
            case 2 when body.Length >= 12:
                p.Append("{rtm_family=").Flags(family, FlagTables.Family).Append(", rtm_dst_len=").Append((long)body[1]).Append(", rtm_src_len=").Append((long)body[2]).Append(", rtm_tos=").Append((long)body[3])
                    .Append(", rtm_table=").Flags(body[4], NetlinkTables.Table).Append(", rtm_protocol=").Flags(body[5], NetlinkTables.RouteProtocol).Append(", rtm_scope=").Flags(body[6], NetlinkTables.Scope)
                    .Append(", rtm_type=").Flags(body[7], NetlinkTables.RouteType).Append(", rtm_flags=").Flags(CallPrinter.UInt(body, 8), NetlinkTables.RouteFlags).Append("}");
                PrintAttributes(p, body[12..], NetlinkTables.Route, family);
                break;
            case 3 when body.Length >= 12:
                p.Append("{ndm_family=").Flags(family, FlagTables.Family).Append(", ndm_ifindex=");
                Interface(p, CallPrinter.Int(body, 4));
                p.Append(", ndm_state=").Flags(CallPrinter.UShort(body, 8), NetlinkTables.NeighbourState).Append(", ndm_flags=").Flags(body[10], NetlinkTables.NeighbourFlags)
                    .Append(", ndm_type=").Flags(body[11], NetlinkTables.RouteType).Append("}");
                PrintAttributes(p, body[12..], NetlinkTables.Neighbour, family);
                break;
            default:
                p.Append("{family=").Flags(family, FlagTables.Family).Append(", data=").Hexadecimal(body[1..]).Append("}");
                break;
        }
    }

    /// <summary>", [{nla_len=8, nla_type=RTA_OIF}, 1]", or a list of such.</summary>
    private static void PrintAttributes(CallPrinter p, ReadOnlySpan<byte> bytes, Dictionary<int, (string Name, NetlinkValue Value)> names, byte family)
    {
        int count = 0;
        for (var counting = new AttributeReader(bytes); counting.MoveNext();)
            count++;
        if (count == 0)
            return;
        p.Append(count > 1 ? ", [" : ", ");
        bool first = true;
        for (var reader = new AttributeReader(bytes); reader.MoveNext();)
        {
            p.Append(first ? "" : ", ").Append(reader.Value.Length > 0 ? "[" : "");
            first = false;
            p.Append("{nla_len=").Append((long)reader.Value.Length + NetlinkLayout.Attribute).Append(", nla_type=");
            bool known = names.TryGetValue(reader.Type, out (string Name, NetlinkValue Value) row);
            if (known)
                p.Append(row.Name);
            else
                p.Hex((uint)reader.Type);
            p.Append("}");
            if (reader.Value.Length == 0)
                continue;
            p.Append(", ");
            PrintValue(p, reader.Value, known ? row.Value : NetlinkValue.Hex, family);
            p.Append("]");
        }

        p.Append(count > 1 ? "]" : "");
    }

    private static void PrintValue(CallPrinter p, ReadOnlySpan<byte> value, NetlinkValue kind, byte family)
    {
        switch (kind)
        {
            case NetlinkValue.U8 when value.Length == 1:
                p.Append((long)value[0]);
                break;
            case NetlinkValue.U16 when value.Length == 2:
                p.Append((long)CallPrinter.UShort(value, 0));
                break;
            case NetlinkValue.U32 when value.Length == 4:
                p.Append((ulong)CallPrinter.UInt(value, 0));
                break;
            case NetlinkValue.U64 when value.Length == 8:
                p.Append(CallPrinter.ULong(value, 0));
                break;
            case NetlinkValue.Interface when value.Length == 4:
                Interface(p, CallPrinter.Int(value, 0));
                break;
            case NetlinkValue.Text:
                p.Quote(value[^1] == 0 ? value[..^1] : value);
                break;
            case NetlinkValue.LinkAddress when value.Length == 6:
                p.Append(MacAddress.FromBytes(value).ToString());
                break;
            case NetlinkValue.Address when value.Length == 4 && family != AF.Inet6:
                p.Append($"inet_addr(\"{InetAddress.FromBytes(value)}\")");
                break;
            case NetlinkValue.Address when value.Length == 16:
                p.Append($"inet_pton(AF_INET6, \"{new System.Net.IPAddress(value)}\")");
                break;
            default:
                p.Hexadecimal(value);
                break;
        }
    }

    private static void Interface(CallPrinter p, int index)
    {
        if (index != 0 && p.Task.Network.Stack.FindInterface(index) is { } found)
            p.Append($"if_nametoindex(\"{found.Name}\")");
        else
            p.Append((long)index);
    }
}
