using System.Buffers.Binary;

namespace Sentry.Kernel.Sockets.Netlink;

/// <summary>NETLINK_GENERIC: families by name. The controller, which looks them up, is the only one there is, so that programs that ask for others
/// learn ENOENT and do without.</summary>
internal sealed class GenericProtocol : NetlinkProtocol
{
    private const ushort ControllerId = 16, NotifyGroup = 16;
    private const byte NewFamily = 1, GetFamily = 3;
    private const int HeaderSize = 4;
    private const string ControllerName = "nlctrl";

    private const int FamilyId = 1, FamilyName = 2, Version = 3, FamilyHeaderSize = 4, MaxAttribute = 5, Operations = 6, Groups = 7;
    private const int OperationId = 1, OperationFlags = 2, GroupName = 1, GroupId = 2;

    /// <summary>GENL_CMD_CAP_DO, _DUMP.</summary>
    private const uint CanDo = 2, CanDump = 4;

    private static readonly AttributePolicy Policy = new(FamilyName, new AttributeRule(FamilyId, AttributeKind.U16), new AttributeRule(FamilyName, AttributeKind.Text, 15));

    internal override int Number => NetlinkProtocols.Generic;

    internal override int GroupCount => 1024;

    internal override bool AnyoneMayListen => true;

    internal override Errno Handle(NetlinkRequest request)
    {
        if (request.Type != ControllerId)
            return Errno.ENOENT;
        if (request.Body.Length < HeaderSize)
            return Errno.EINVAL;
        if (request.Body[0] != GetFamily)
            return Errno.EOPNOTSUPP;
        if ((request.Flags & NetlinkFlags.Dump) == NetlinkFlags.Dump)
            return request.Dump([Describe(request, NetlinkFlags.Multi).ToArray()]);
        Errno error = AttributeTable.Parse(request, NetlinkLayout.Header + HeaderSize, request.Bytes.Length, Policy, strict: false, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        if (!attributes.Has(FamilyId) && !attributes.Has(FamilyName))
            return Errno.EINVAL;
        bool isController = attributes.Has(FamilyName) ? attributes.Text(FamilyName) == ControllerName : attributes.UInt16(FamilyId) == ControllerId;
        if (!isController)
            return Errno.ENOENT;
        request.Reply(Describe(request, 0));
        return Errno.None;
    }

    private static NetlinkWriter Describe(NetlinkRequest request, ushort flags)
    {
        NetlinkWriter writer = request.Answer(ControllerId, flags);
        Span<byte> header = writer.Reserve(HeaderSize);
        header[0] = NewFamily;
        header[1] = 2;
        BinaryPrimitives.WriteUInt16LittleEndian(header[2..], 0);
        writer.PutString(FamilyName, ControllerName);
        writer.PutUInt16(FamilyId, ControllerId);
        writer.PutUInt32(Version, 2);
        writer.PutUInt32(FamilyHeaderSize, 0);
        writer.PutUInt32(MaxAttribute, 0);
        int operations = writer.BeginNested(Operations), operation = writer.BeginNested(1);
        writer.PutUInt32(OperationId, GetFamily);
        writer.PutUInt32(OperationFlags, CanDo | CanDump);
        writer.EndNested(operation);
        writer.EndNested(operations);
        int groups = writer.BeginNested(Groups), group = writer.BeginNested(1);
        writer.PutUInt32(GroupId, NotifyGroup);
        writer.PutString(GroupName, "notify");
        writer.EndNested(group);
        writer.EndNested(groups);
        return writer;
    }
}
