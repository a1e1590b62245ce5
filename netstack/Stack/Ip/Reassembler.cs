using System.Buffers.Binary;

namespace Netstack.Stack;

/// <summary>What the fragments of one packet have in common.</summary>
public readonly record struct FragmentKey(InetAddress Source, InetAddress Destination, uint Identification, byte Protocol, int InterfaceIndex);

/// <summary>Fragments of a packet that is not whole yet.</summary>
[Savable("fragment-queue")]
public sealed partial class FragmentQueue : IStackTimerTarget, IAfterLoad
{
    private const int Overhead = 256;

    // Set bits: which values of the ECN field were seen.
    private const int NotCapable = 1, Ect1 = 2, Ect0 = 4, Experienced = 8;

    [Saved(1)] private Reassembler _owner;
    [Saved(2)] private FragmentKey _key;
    [Saved(3)] private List<(int Offset, byte[] Data)> _parts = [];
    [Saved(4)] private byte[]? _headers;
    [Saved(5)] private int _nextField;
    [Saved(6)] private int _total = -1;
    [Saved(7)] private int _received;
    [Saved(8)] private long _deadline;
    [Saved(9)] private int _memory = Overhead;
    [Saved(10)] private int _ecn;
    [NotSaved("armed again from the deadline")] private StackTimer? _timer;

    internal FragmentQueue(Reassembler owner, FragmentKey key)
    {
        _owner = owner;
        _key = key;
    }

    public FragmentKey Key => _key;

    /// <summary>Bytes it takes.</summary>
    public int Memory => _memory;

    public long Deadline => _deadline;

    internal bool IsComplete => _headers is not null && _total >= 0 && _received == _total;

    /// <summary>Headers and the beginning of the payload of the first fragment, for an ICMP error; null when it has not come.</summary>
    internal byte[]? FirstFragment => _headers is null || _parts.Count == 0 || _parts[0].Offset != 0 ? null : [.. _headers, .. _parts[0].Data];

    internal void Start(long deadline)
    {
        _deadline = deadline;
        _owner.Stack.Timers.Arm(_timer ??= new StackTimer(this), deadline);
    }

    internal void Stop()
    {
        if (_timer is not null)
            _owner.Stack.Timers.Cancel(_timer);
    }

    /// <summary>Takes a fragment in; false when the whole packet is to be dropped: fragments that overlap or do not agree on the end (RFC 5722; Linux does the
    /// same for IPv4).</summary>
    internal bool Add(Packet packet, int headerLength, int nextField, int offset, bool more, byte trafficClass)
    {
        const int overhead = 96;
        int length = packet.Length - headerLength;
        int end = offset + length;
        if (!more)
        {
            if (_total >= 0 && _total != end)
                return false;
            _total = end;
        }

        if (_total >= 0 && (end > _total || (_parts.Count > 0 && _parts[^1].Offset + _parts[^1].Data.Length > _total)))
            return false;
        int index = _parts.Count;
        while (index > 0 && _parts[index - 1].Offset >= offset)
            index--;
        if (index < _parts.Count && _parts[index].Offset == offset && _parts[index].Data.Length == length)
            return true;
        if (index > 0 && _parts[index - 1].Offset + _parts[index - 1].Data.Length > offset)
            return false;
        if (index < _parts.Count && _parts[index].Offset < end)
            return false;

        byte[] data = new byte[length];
        packet.CopyTo(headerLength, data);
        _parts.Insert(index, (offset, data));
        _received += length;
        _memory += length + overhead;
        _ecn |= 1 << (trafficClass & 3);
        if (offset == 0)
        {
            _headers = new byte[headerLength];
            packet.CopyTo(0, _headers);
            _nextField = nextField;
        }

        return true;
    }

    /// <summary>The packet as it was before it was cut; null when its parts disagree on ECN (RFC 3168 section 5.3).</summary>
    internal Packet? Join(Packet last, out int headerLength, out int nextField)
    {
        headerLength = _headers!.Length;
        nextField = _nextField;
        if ((_ecn & NotCapable) != 0 && (_ecn & Experienced) != 0)
            return null;
        Packet packet = Packet.Create(headerLength + _total);
        _headers.CopyTo(packet.Append(headerLength));
        foreach ((int _, byte[] data) in _parts)
            data.CopyTo(packet.Append(data.Length));
        packet.Protocol = last.Protocol;
        packet.Type = last.Type;
        packet.Interface = last.Interface;
        packet.ArrivalTime = last.ArrivalTime;
        packet.NetworkOffset = packet.Start;
        if ((_ecn & Experienced) != 0 && (_ecn & (Ect0 | Ect1)) != 0)
            MarkExperienced(packet.Head);
        return packet;
    }

    public void OnTimer(StackTimer timer) => _owner.OnTimeout(this);

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Activation)
            Start(_deadline);
    }

    private static void MarkExperienced(Span<byte> head)
    {
        if (head[0] >> 4 == 4)
            head[1] |= 3;
        else
            head[1] |= 0x30;
    }
}

/// <summary>Puts fragments together again, with limits on time and memory (RFC 791, RFC 8200 section 4.5, RFC 8900 section 3).</summary>
[Savable("reassembler")]
public sealed partial class Reassembler
{
    private const long Second = 1_000_000_000;
    private const int MaxLength = 65535;

    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private Dictionary<FragmentKey, FragmentQueue> _queues = [];
    [Saved(3)] private int _memory;

    internal Reassembler(NetworkStack stack) => _stack = stack;

    /// <summary>Packets of which parts are here.</summary>
    public IReadOnlyCollection<FragmentQueue> Queues => _queues.Values;

    /// <summary>Bytes that fragments take.</summary>
    public int Memory => _memory;

    internal NetworkStack Stack => _stack;

    /// <summary>Takes a fragment of IPv4, from its header on; the whole packet when it was the last that was missing.</summary>
    internal Packet? AddV4(NetworkInterface link, Packet packet, in Ipv4Header header)
    {
        StackCounters counters = _stack.Counters;
        counters.ReassemblyRequired++;
        int length = packet.Length - header.HeaderLength;
        if (length == 0 || (header.MoreFragments && length % 8 != 0) || header.FragmentOffset + length > MaxLength - header.HeaderLength)
        {
            counters.ReassemblyFailed++;
            return null;
        }

        var key = new FragmentKey(header.Source, header.Destination, header.Identification, header.Protocol, link.Index);
        FragmentQueue? queue = Get(key, _stack.Settings.FragmentTime);
        if (queue is null || !Add(queue, packet, header.HeaderLength, 9, header.FragmentOffset, header.MoreFragments, header.TypeOfService))
        {
            counters.ReassemblyFailed++;
            return null;
        }

        if (!queue.IsComplete)
            return null;
        Drop(queue);
        Packet? whole = queue.Join(packet, out int headerLength, out _);
        if (whole is null)
        {
            counters.ReassemblyFailed++;
            return null;
        }

        Span<byte> head = whole.Head;
        BinaryPrimitives.WriteUInt16BigEndian(head[2..], (ushort)whole.Length);
        head[6] = 0;
        head[7] = 0;
        Ipv4Header.WriteChecksum(head[..headerLength]);
        counters.ReassemblyOk++;
        return whole;
    }

    /// <summary>Takes a fragment of IPv6, from its header on; the whole packet, without fragment header, when it was the last that was missing.</summary>
    /// <param name="walk">Where its fragment header is.</param>
    /// <param name="problem">Of a fragment that its sender is told of (section 4.5): which byte is wrong, else 0.</param>
    internal Packet? AddV6(NetworkInterface link, Packet packet, in Ipv6Header header, in Ipv6Walk walk, out int problem)
    {
        StackCounters counters = _stack.Counters;
        counters.ReassemblyRequiredV6++;
        problem = 0;
        if (!Ipv6Fragment.TryParse(packet.Head[walk.Offset..], out Ipv6Fragment fragment))
        {
            counters.ReassemblyFailedV6++;
            return null;
        }

        int behind = walk.Offset + Ipv6Fragment.Size;
        int length = packet.Length - behind;
        if (fragment.MoreFragments && length % 8 != 0)
            problem = 4;
        else if (walk.Offset - Ipv6Header.Size + fragment.Offset + length > MaxLength)
            problem = walk.Offset + 2;
        if (problem != 0 || length == 0)
        {
            counters.ReassemblyFailedV6++;
            return null;
        }

        if (fragment is { Offset: 0, MoreFragments: false })
        {
            // An atomic fragment is on its own (RFC 6946).
            counters.ReassemblyOkV6++;
            return Unwrap(packet, walk.Offset, walk.NextHeaderField, fragment.NextHeader);
        }

        // The upper-layer header must be in the first fragment (RFC 7112); what follows is cut off from filters otherwise.
        var key = new FragmentKey(header.Source, header.Destination, fragment.Identification, 0, link.Index);
        FragmentQueue? queue = Get(key, _stack.Settings.FragmentTimeV6);
        if (queue is null || !Add(queue, packet, behind, walk.NextHeaderField, fragment.Offset, fragment.MoreFragments, header.TrafficClass))
        {
            counters.ReassemblyFailedV6++;
            return null;
        }

        if (!queue.IsComplete)
            return null;
        Drop(queue);
        Packet? whole = queue.Join(packet, out int headerLength, out int nextField);
        if (whole is null)
        {
            counters.ReassemblyFailedV6++;
            return null;
        }

        counters.ReassemblyOkV6++;
        int fragmentHeader = headerLength - Ipv6Fragment.Size;
        return Unwrap(whole, fragmentHeader, nextField, whole.Head[fragmentHeader]);
    }

    internal void OnTimeout(FragmentQueue queue)
    {
        Drop(queue);
        if (queue.Key.Source.IsV4)
        {
            _stack.Counters.ReassemblyTimeouts++;
            _stack.Counters.ReassemblyFailed++;
        }
        else
        {
            _stack.Counters.ReassemblyTimeoutsV6++;
            _stack.Counters.ReassemblyFailedV6++;
        }

        // Only whoever sent the first fragment is told (RFC 792, RFC 8200 section 4.5).
        if (queue.FirstFragment is not { } first || _stack.FindInterface(queue.Key.InterfaceIndex) is not { } link)
            return;
        Packet packet = Packet.Received(first, 0, first.Length);
        packet.NetworkOffset = 0;
        packet.Interface = link;
        packet.Protocol = queue.Key.Source.IsV4 ? EtherType.Ipv4 : EtherType.Ipv6;
        if (queue.Key.Source.IsV4)
            _stack.Ip.IcmpV4.SendError(packet, IcmpType.TimeExceeded, 1, 0);
        else
            _stack.Ip.IcmpV6.SendError(packet, Icmpv6Type.TimeExceeded, 1, 0);
    }

    /// <summary>Takes the fragment header out of a packet.</summary>
    private static Packet Unwrap(Packet packet, int fragmentHeader, int nextField, byte next)
    {
        Span<byte> head = packet.Head;
        head[nextField] = next;
        head[..fragmentHeader].CopyTo(head[Ipv6Fragment.Size..]);
        packet.Start += Ipv6Fragment.Size;
        packet.NetworkOffset = packet.Start;
        BinaryPrimitives.WriteUInt16BigEndian(packet.Head[4..], (ushort)(packet.Length - Ipv6Header.Size));
        return packet;
    }

    private FragmentQueue? Get(in FragmentKey key, int seconds)
    {
        if (_queues.TryGetValue(key, out FragmentQueue? queue))
            return queue;
        if (_memory > _stack.Settings.FragmentMemory)
            DropOldest();
        queue = new FragmentQueue(this, key);
        _queues.Add(key, queue);
        _memory += queue.Memory;
        queue.Start(_stack.Now + (seconds * Second));
        return queue;
    }

    private bool Add(FragmentQueue queue, Packet packet, int headerLength, int nextField, int offset, bool more, byte trafficClass)
    {
        int before = queue.Memory;
        bool added = queue.Add(packet, headerLength, nextField, offset, more, trafficClass);
        _memory += queue.Memory - before;
        if (!added)
            Drop(queue);
        return added;
    }

    /// <summary>Makes room: down to three quarters of the limit, the oldest first.</summary>
    private void DropOldest()
    {
        foreach (FragmentQueue queue in _queues.Values.OrderBy(q => q.Deadline).ToList())
        {
            if (_memory <= _stack.Settings.FragmentMemory / 4 * 3)
                return;
            Drop(queue);
            if (queue.Key.Source.IsV4)
                _stack.Counters.ReassemblyFailed++;
            else
                _stack.Counters.ReassemblyFailedV6++;
        }
    }

    private void Drop(FragmentQueue queue)
    {
        queue.Stop();
        if (_queues.Remove(queue.Key))
            _memory -= queue.Memory;
    }
}
