using System.Buffers.Binary;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Netlink.Diagnosis;

/// <summary>What a filter of ss(8) looks at.</summary>
internal readonly record struct FilteredSocket(bool IsV6, InetAddress Source, ushort SourcePort, InetAddress Destination, ushort DestinationPort, int Interface, uint Mark, bool PortChosen);

/// <summary>A filter program (INET_DIAG_REQ_BYTECODE): instructions of four bytes, some followed by an operand, each saying how far to go on when it
/// holds and when it does not. A socket matches when the program ends exactly at its end.</summary>
internal sealed class FilterProgram
{
    private const int InstructionSize = 4, ConditionSize = 8;

    private readonly byte[] _code;

    private FilterProgram(byte[] code) => _code = code;

    private enum Operation : byte
    {
        Nop,
        Jump,
        SourceGreaterOrEqual,
        SourceLessOrEqual,
        DestinationGreaterOrEqual,
        DestinationLessOrEqual,
        Automatic,
        SourceCondition,
        DestinationCondition,
        DeviceCondition,
        MarkCondition,
        SourceEqual,
        DestinationEqual,
        ControlGroupCondition,
    }

    /// <summary>Checks a program as a whole (inet_diag_bc_audit): every way through it stays within and goes forward; EINVAL.</summary>
    /// <param name="mayUseMarks">The asker has CAP_NET_ADMIN; EPERM where a mark is compared without.</param>
    internal static Result<FilterProgram> Check(ReadOnlySpan<byte> code, bool mayUseMarks)
    {
        var starts = new HashSet<int>();
        for (int at = 0; at < code.Length;)
        {
            starts.Add(at);
            if (code.Length - at < InstructionSize)
                return Errno.EINVAL;
            Operation operation = (Operation)code[at];
            int yes = code[at + 1], no = BinaryPrimitives.ReadUInt16LittleEndian(code[(at + 2)..]);
            if (operation > Operation.DestinationEqual)
                return Errno.EINVAL;
            if (operation == Operation.MarkCondition && !mayUseMarks)
                return Errno.EPERM;
            if (!SizeOf(operation, code[at..]).TryGet(out int size, out Errno error))
                return error;
            if (operation != Operation.Nop && (no < size || no > code.Length - at + 4 || (no & 3) != 0))
                return Errno.EINVAL;
            if (yes < size || yes > code.Length - at + 4 || (yes & 3) != 0)
                return Errno.EINVAL;
            at += yes;
        }

        // Where a condition leads when it does not hold must be the beginning of an instruction, or the end, or just beyond it (no match).
        for (int at = 0; at < code.Length; at += code[at + 1])
        {
            int target = at + BinaryPrimitives.ReadUInt16LittleEndian(code[(at + 2)..]);
            if ((Operation)code[at] != Operation.Nop && target < code.Length && !starts.Contains(target))
                return Errno.EINVAL;
        }

        return new FilterProgram(code.ToArray());
    }

    /// <summary>Bytes of an instruction with its operand.</summary>
    private static Result<int> SizeOf(Operation operation, ReadOnlySpan<byte> rest)
    {
        switch (operation)
        {
            case Operation.SourceCondition or Operation.DestinationCondition:
                if (rest.Length < InstructionSize + ConditionSize)
                    return Errno.EINVAL;
                ReadOnlySpan<byte> condition = rest[InstructionSize..];
                int bytes = condition[0] switch
                {
                    AF.Unspec => 0,
                    AF.Inet => 4,
                    AF.Inet6 => 16,
                    _ => -1,
                };
                if (bytes < 0 || rest.Length < InstructionSize + ConditionSize + bytes || condition[1] > 8 * bytes)
                    return Errno.EINVAL;
                return InstructionSize + ConditionSize + bytes;
            case Operation.DeviceCondition:
                return rest.Length < 8 ? Errno.EINVAL : 8;
            case Operation.MarkCondition:
                return rest.Length < 12 ? Errno.EINVAL : 12;
            case Operation.SourceEqual or Operation.SourceGreaterOrEqual or Operation.SourceLessOrEqual or
                Operation.DestinationEqual or Operation.DestinationGreaterOrEqual or Operation.DestinationLessOrEqual:
                return rest.Length < 8 ? Errno.EINVAL : 8;
            default:
                return InstructionSize;
        }
    }

    internal bool Matches(in FilteredSocket socket)
    {
        int at = 0;
        while (at < _code.Length)
        {
            ReadOnlySpan<byte> rest = _code.AsSpan(at);
            at += Holds((Operation)rest[0], rest, socket) ? rest[1] : BinaryPrimitives.ReadUInt16LittleEndian(rest[2..]);
        }

        return at == _code.Length;
    }

    private static bool Holds(Operation operation, ReadOnlySpan<byte> rest, in FilteredSocket socket)
    {
        switch (operation)
        {
            case Operation.Jump:
                return false;
            case Operation.SourceEqual:
                return socket.SourcePort == Port(rest);
            case Operation.SourceGreaterOrEqual:
                return socket.SourcePort >= Port(rest);
            case Operation.SourceLessOrEqual:
                return socket.SourcePort <= Port(rest);
            case Operation.DestinationEqual:
                return socket.DestinationPort == Port(rest);
            case Operation.DestinationGreaterOrEqual:
                return socket.DestinationPort >= Port(rest);
            case Operation.DestinationLessOrEqual:
                return socket.DestinationPort <= Port(rest);
            case Operation.Automatic:
                return !socket.PortChosen;
            case Operation.SourceCondition:
                return IsAt(rest[InstructionSize..], socket.IsV6, socket.Source, socket.SourcePort);
            case Operation.DestinationCondition:
                return IsAt(rest[InstructionSize..], socket.IsV6, socket.Destination, socket.DestinationPort);
            case Operation.DeviceCondition:
                return BinaryPrimitives.ReadInt32LittleEndian(rest[InstructionSize..]) == socket.Interface;
            case Operation.MarkCondition:
                uint mark = BinaryPrimitives.ReadUInt32LittleEndian(rest[InstructionSize..]), mask = BinaryPrimitives.ReadUInt32LittleEndian(rest[8..]);
                return (socket.Mark & mask) == mark;
            default:
                return true;
        }
    }

    /// <summary>The port stands in the second instruction's place, in its field "no".</summary>
    private static ushort Port(ReadOnlySpan<byte> rest) => BinaryPrimitives.ReadUInt16LittleEndian(rest[(InstructionSize + 2)..]);

    /// <summary>struct inet_diag_hostcond: family, prefix length, port (-1 for any), address.</summary>
    private static bool IsAt(ReadOnlySpan<byte> condition, bool isV6, InetAddress address, ushort port)
    {
        int family = condition[0], prefix = condition[1], wantedPort = BinaryPrimitives.ReadInt32LittleEndian(condition[4..]);
        if (wantedPort != -1 && wantedPort != port)
            return false;
        if (family == AF.Unspec)
            return true;

        // An IPv4 network matches mapped addresses of IPv6 sockets, too.
        if (family != (isV6 ? AF.Inet6 : AF.Inet) && !(isV6 && family == AF.Inet && address.IsV4))
            return false;
        if (prefix == 0)
            return true;
        if (family == AF.Inet)
            return address.IsWithin(InetAddress.FromBytes(condition.Slice(ConditionSize, 4)), prefix);
        Span<byte> bytes = stackalloc byte[16];
        address.WriteV6(bytes);
        for (int bit = 0; bit < prefix; bit++)
        {
            if (((bytes[bit / 8] ^ condition[ConditionSize + (bit / 8)]) >> (7 - (bit % 8)) & 1) != 0)
                return false;
        }

        return true;
    }
}
