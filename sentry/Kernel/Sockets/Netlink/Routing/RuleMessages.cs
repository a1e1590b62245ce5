using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>RTM_NEWRULE, RTM_DELRULE and RTM_GETRULE: policy routing (ip-rule(8)).</summary>
internal static class RuleMessages
{
    /// <summary>struct fib_rule_hdr.</summary>
    private const int HeaderSize = 12;

    private const int Destination = 1, Source = 2, Input = 3, Goto = 4, Priority = 6, Mark = 10, SuppressGroup = 13, SuppressPrefix = 14, Table = 15, Mask = 16, Output = 17, UidRange = 20, Protocol = 21,
        IpProtocolNumber = 22, SourcePorts = 23, DestinationPorts = 24, Known = 24;

    private const uint Invert = 2, InputDetached = 8, OutputDetached = 16;

    private static readonly AttributePolicy Policy = new(Known,
        new AttributeRule(Input, AttributeKind.Text, 15), new AttributeRule(Output, AttributeKind.Text, 15), new AttributeRule(Priority, AttributeKind.U32), new AttributeRule(Mark, AttributeKind.U32),
        new AttributeRule(Mask, AttributeKind.U32), new AttributeRule(Table, AttributeKind.U32), new AttributeRule(SuppressPrefix, AttributeKind.U32), new AttributeRule(SuppressGroup, AttributeKind.U32),
        new AttributeRule(Goto, AttributeKind.U32), new AttributeRule(UidRange, AttributeKind.Unspecified, 8), new AttributeRule(Protocol, AttributeKind.U8), new AttributeRule(IpProtocolNumber, AttributeKind.U8),
        new AttributeRule(SourcePorts, AttributeKind.Unspecified, 4), new AttributeRule(DestinationPorts, AttributeKind.Unspecified, 4));

    internal static Errno New(NetlinkRequest request)
    {
        Errno error = Read(request, out RoutingRule? rule, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        RoutingTable routes = request.Stack().Routes;
        if (!attributes.Has(Priority))
            rule!.Priority = routes.Rules.NextPriority(rule.IsV6);
        if (rule!.Action == RuleAction.Goto && rule.Target <= rule.Priority)
            return request.Refuse(Errno.EINVAL, "Backward goto not supported");
        if (rule.Action == RuleAction.ToTable && rule.Table == 0)
            return request.Refuse(Errno.EINVAL, "Invalid table");
        return routes.AddRule(rule, request.AddMode());
    }

    internal static Errno Delete(NetlinkRequest request)
    {
        Errno error = Read(request, out RoutingRule? pattern, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        RoutingTable routes = request.Stack().Routes;
        foreach (RoutingRule rule in routes.Rules.List)
        {
            if (rule.IsV6 == pattern!.IsV6 && Matches(rule, pattern, attributes))
            {
                routes.RemoveRule(rule);
                return Errno.None;
            }
        }

        return Errno.ENOENT;
    }

    /// <summary>Whether a rule is what a request to delete says; what that leaves out is any (rule_find).</summary>
    private static bool Matches(RoutingRule rule, RoutingRule pattern, AttributeTable given) =>
        (pattern.Action == 0 || rule.Action == pattern.Action) && (pattern.Table == 0 || rule.Table == pattern.Table) && (!given.Has(Priority) || rule.Priority == pattern.Priority) &&
        (!given.Has(Input) || rule.Input == pattern.Input) && (!given.Has(Output) || rule.Output == pattern.Output) && (!given.Has(Mark) || rule.Mark == pattern.Mark) &&
        (!given.Has(Mask) || rule.Mask == pattern.Mask) && (!given.Has(Protocol) || rule.Protocol == pattern.Protocol) && (pattern.TypeOfService == 0 || rule.TypeOfService == pattern.TypeOfService) &&
        (pattern.SourcePrefix == 0 || (rule.SourcePrefix == pattern.SourcePrefix && rule.Source == pattern.Source)) &&
        (pattern.DestinationPrefix == 0 || (rule.DestinationPrefix == pattern.DestinationPrefix && rule.Destination == pattern.Destination));

    private static Errno Read(NetlinkRequest request, out RoutingRule? rule, out AttributeTable attributes)
    {
        rule = null;
        Errno error = request.Parse(HeaderSize, Policy, strict: false, out attributes);
        byte family = request.Family();
        if (family is not (AF.Inet or AF.Inet6))
            return request.Refuse(Errno.EAFNOSUPPORT, "Rule family not supported");
        if (error != Errno.None)
            return error;
        ReadOnlySpan<byte> body = request.Body;
        bool isV6 = family == AF.Inet6;
        if (body[1] > (isV6 ? 128 : 32) || body[2] > (isV6 ? 128 : 32))
            return request.Refuse(Errno.EINVAL, "Invalid rule");
        foreach (int unsupported in (int[])[UidRange, IpProtocolNumber, SourcePorts, DestinationPorts])
        {
            if (attributes.Has(unsupported))
                return request.Refuse(Errno.EOPNOTSUPP, "Rules by user, protocol or port are not supported", attributes.OffsetOf(unsupported));
        }

        InetAddress any = isV6 ? InetAddress.AnyV6 : InetAddress.AnyV4;
        if ((body[1] > 0 && attributes[Destination].Length != any.Size) || (body[2] > 0 && attributes[Source].Length != any.Size))
            return request.Refuse(Errno.EINVAL, body[1] > 0 && attributes[Destination].Length != any.Size ? "Invalid dst address" : "Invalid src address");
        rule = new RoutingRule
        {
            IsV6 = isV6,
            Destination = attributes.Address(Destination) ?? any,
            DestinationPrefix = body[1],
            Source = attributes.Address(Source) ?? any,
            SourcePrefix = body[2],
            TypeOfService = body[3],
            Table = attributes.UInt32(Table, body[4]),
            Action = body[7],
            IsInverted = (request.UInt32(8) & Invert) != 0,
            Priority = attributes.UInt32(Priority),
            Input = attributes.Text(Input) ?? "",
            Output = attributes.Text(Output) ?? "",
            Mark = attributes.UInt32(Mark),
            Mask = attributes.Has(Mark) ? attributes.UInt32(Mask, uint.MaxValue) : 0,
            SuppressPrefix = attributes.Int32(SuppressPrefix, -1),
            Protocol = attributes.Byte(Protocol),
            Target = attributes.UInt32(Goto),
        };
        return Errno.None;
    }

    internal static Errno Dump(NetlinkRequest request)
    {
        byte family = request.Family();
        if (family is not (AF.Unspec or AF.Inet or AF.Inet6))
            return request.Dump([], error: Errno.EAFNOSUPPORT);
        if (request.IsStrict && request.Body.Length >= HeaderSize)
        {
            if (request.Body[1..HeaderSize].ContainsAnyExcept((byte)0))
                return request.Refuse(Errno.EINVAL, "Invalid values in header for fib rule dump request");
            if (request.Body.Length > HeaderSize)
                return request.Refuse(Errno.EINVAL, "Invalid data after header in fib rule dump request");
        }

        return request.Dump([.. request.Stack().Routes.Rules.List.Where(r => family == AF.Unspec || family == (r.IsV6 ? AF.Inet6 : AF.Inet))
            .Select(r => Describe(request.Answer(RouteMessage.NewRule, NetlinkFlags.Multi), r, request.Stack()).ToArray())]);
    }

    /// <summary>fib_nl_fill_rule.</summary>
    internal static NetlinkWriter Describe(NetlinkWriter writer, RoutingRule rule, NetworkStack? stack = null)
    {
        Span<byte> header = writer.Reserve(HeaderSize);
        header[0] = (byte)(rule.IsV6 ? AF.Inet6 : AF.Inet);
        header[1] = (byte)rule.DestinationPrefix;
        header[2] = (byte)rule.SourcePrefix;
        header[3] = rule.TypeOfService;
        header[4] = RouteQueries.ShortTable(rule.Table);
        header[7] = rule.Action;
        uint flags = rule.IsInverted ? Invert : 0;
        if (rule.Input.Length > 0 && stack is not null && stack.FindInterface(rule.Input) is null)
            flags |= InputDetached;
        if (rule.Output.Length > 0 && stack is not null && stack.FindInterface(rule.Output) is null)
            flags |= OutputDetached;
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], flags);
        writer.PutUInt32(Table, rule.Table);
        writer.PutInt32(SuppressPrefix, rule.SuppressPrefix);
        writer.PutByte(Protocol, rule.Protocol);
        if (rule.Input.Length > 0)
            writer.PutString(Input, rule.Input);
        if (rule.Output.Length > 0)
            writer.PutString(Output, rule.Output);
        if (rule.Priority != 0)
            writer.PutUInt32(Priority, rule.Priority);
        if (rule.Mark != 0 || rule.Mask != 0)
        {
            writer.PutUInt32(Mark, rule.Mark);
            writer.PutUInt32(Mask, rule.Mask);
        }

        if (rule.Target != 0)
            writer.PutUInt32(Goto, rule.Target);
        if (rule.DestinationPrefix > 0)
            writer.PutAddress(Destination, rule.Destination);
        if (rule.SourcePrefix > 0)
            writer.PutAddress(Source, rule.Source);
        return writer;
    }
}
