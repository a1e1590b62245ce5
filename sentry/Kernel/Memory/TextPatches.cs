namespace Sentry.Kernel.Memory;

/// <summary>
/// What has been rewritten in one program's text, in its own private copy of the pages (<see cref="CallSites"/>): to be undone before a checkpoint or for a
/// tracer, and to be looked through when a thread's place is told. Nothing of it is saved. A range that has been mapped anew since is left alone.
/// </summary>
internal sealed class TextPatches
{
    private readonly List<Patch> _patches = [];
    private readonly List<Trampoline> _trampolines = [];
    private readonly Dictionary<ulong, FileObject> _sites = [];
    private readonly Dictionary<(FileObject File, ulong Base), (ulong Next, ulong End)> _room = [];

    /// <summary>Nothing is to be rewritten any more.</summary>
    public bool IsOff { get; private set; }

    public bool IsEmpty => _patches.Count == 0;

    /// <summary>The copy that a forked process begins with.</summary>
    public TextPatches Copy()
    {
        TextPatches copy = new() { IsOff = IsOff };
        copy._patches.AddRange(_patches);
        copy._trampolines.AddRange(_trampolines);
        foreach ((ulong site, FileObject file) in _sites)
            copy._sites.Add(site, file);
        foreach (var (place, room) in _room)
            copy._room.Add(place, room);
        return copy;
    }

    /// <summary>Whether the instruction has been looked at, rewritten or found unfit, in the mapping that is there now.</summary>
    public bool IsKnown(ulong site, Area area) => _sites.TryGetValue(site, out FileObject? file) && ReferenceEquals(file, area.File);

    public void SetKnown(ulong site, Area area) => _sites[site] = area.File!;

    /// <summary>Whether an address is in the trampoline of a site, in a mapping that is still there.</summary>
    public bool IsTrampoline(ulong address, MemoryManager memory) => Find(address, memory) is not null;

    /// <summary>The room left for trampolines in a mapped file; false when it has not been looked for.</summary>
    public bool TryGetRoom(Area area, out ulong next, out ulong end)
    {
        bool known = _room.TryGetValue((area.File!, area.Start - area.FileOffset), out (ulong Next, ulong End) room);
        (next, end) = room;
        return known;
    }

    public void SetRoom(Area area, ulong next, ulong end) => _room[(area.File!, area.Start - area.FileOffset)] = (next, end);

    /// <summary>The address in a program's own text that stands for one in a trampoline.</summary>
    public ulong ToNatural(ulong address, MemoryManager memory)
    {
        foreach (Trampoline jump in _trampolines)
        {
            if (jump.Jump == address && jump.Jump != jump.Start && IsMapped(jump, jump.Address, memory))
                return jump.Start;
        }

        if (Find(address, memory) is not { } trampoline)
            return address;
        ulong within = address - trampoline.Address;
        return within < trampoline.PlainCall ? trampoline.Start : within == trampoline.PlainCall ? trampoline.Site : trampoline.Site + 2;
    }

    /// <summary>Writes a site's new code: the trampoline first, the instruction itself last. False when memory is not what it was taken for; nothing is changed then.</summary>
    public bool Add(MemoryManager memory, Area area, ulong site, CallSitePlan plan, ulong trampoline)
    {
        List<Patch> added = [new Patch(trampoline, new byte[plan.Trampoline.Length], plan.Trampoline, area.File!, area.OffsetOf(trampoline), false)];
        foreach ((int offset, byte[] bytes) in plan.Patches)
        {
            byte[] natural = new byte[bytes.Length];
            ulong address = site + (ulong)(long)offset;
            if (memory.Space.ReadForced(address, natural) != natural.Length)
                return false;
            added.Add(new Patch(address, natural, bytes, area.File!, area.OffsetOf(address), offset == plan.Patches[^1].Offset));
        }

        for (int i = 0; i < added.Count; i++)
        {
            if (Exchange(memory, added[i], natural: false))
                continue;
            while (--i >= 0)
                Exchange(memory, added[i], natural: true);
            return false;
        }

        _patches.AddRange(added);
        _trampolines.Add(new Trampoline(trampoline, (ulong)plan.Trampoline.Length, (ulong)plan.PlainCall, site, site + (ulong)(long)plan.Start, site + (ulong)(long)plan.Patches[0].Offset, area.File!, area.OffsetOf(trampoline)));
        return true;
    }

    /// <summary>Gives the program its own text back. Every thread is outside the rewritten code, or stopped.</summary>
    public void Undo(MemoryManager memory)
    {
        for (int i = _patches.Count - 1; i >= 0; i--)
            Exchange(memory, _patches[i], natural: true);
    }

    /// <summary>Rewrites it again after <see cref="Undo"/>.</summary>
    public void Redo(MemoryManager memory)
    {
        foreach (Patch patch in _patches)
            Exchange(memory, patch, natural: false);
    }

    /// <summary>Gives the program the text of its own call instructions back, for good. What they led to stays for threads that are there.</summary>
    public void TurnOff(MemoryManager memory)
    {
        IsOff = true;
        for (int i = _patches.Count - 1; i >= 0; i--)
        {
            if (_patches[i].IsEntrance)
                Exchange(memory, _patches[i], natural: true);
        }
    }

    private Trampoline? Find(ulong address, MemoryManager memory)
    {
        for (int i = _trampolines.Count - 1; i >= 0; i--)
        {
            Trampoline trampoline = _trampolines[i];
            ulong within = address - trampoline.Address;
            if (within < trampoline.Length && IsMapped(trampoline, address, memory))
                return trampoline;
        }

        return null;
    }

    private static bool IsMapped(Trampoline trampoline, ulong address, MemoryManager memory) =>
        memory.Areas.Find(address) is { } area && ReferenceEquals(area.File, trampoline.File) && area.OffsetOf(address) == trampoline.FileOffset + (address - trampoline.Address);

    /// <summary>Puts the program's own bytes in the place of those written, or the other way round, where they are what they should be.</summary>
    private static bool Exchange(MemoryManager memory, in Patch patch, bool natural)
    {
        (byte[] from, byte[] to) = natural ? (patch.Written, patch.Natural) : (patch.Natural, patch.Written);
        Span<byte> found = stackalloc byte[64];
        found = found[..from.Length];
        return memory.Areas.Find(patch.Address) is { IsShared: false } area && ReferenceEquals(area.File, patch.File) && area.OffsetOf(patch.Address) == patch.FileOffset
            && memory.Space.ReadForced(patch.Address, found) == found.Length && found.SequenceEqual(from)
            && memory.Space.WriteForced(patch.Address, to) == to.Length;
    }

    private readonly record struct Patch(ulong Address, byte[] Natural, byte[] Written, FileObject File, ulong FileOffset, bool IsEntrance);

    private sealed record Trampoline(ulong Address, ulong Length, ulong PlainCall, ulong Site, ulong Start, ulong Jump, FileObject File, ulong FileOffset);
}
