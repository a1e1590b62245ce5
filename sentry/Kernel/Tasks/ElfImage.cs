using System.Buffers.Binary;

namespace Sentry.Kernel.Tasks;

/// <summary>A PT_LOAD segment.</summary>
internal readonly record struct ElfSegment(ulong Address, ulong FileOffset, ulong FileSize, ulong MemorySize, MemoryProtection Protection);

/// <summary>The headers of an ELF program or interpreter for x86-64 (elf(5)), checked against the file they come from.</summary>
internal sealed class ElfImage
{
    private const int HeaderSize = 64, ProgramHeaderSize = 56, MaxProgramHeaders = 256;

    private ElfImage(FileObject file, bool isRelocatable, ulong entry, ulong headerOffset, int headerCount, List<ElfSegment> segments, string? interpreter, bool executableStack, ulong headerAddress)
    {
        File = file;
        IsRelocatable = isRelocatable;
        Entry = entry;
        HeaderOffset = headerOffset;
        HeaderCount = headerCount;
        Segments = segments;
        Interpreter = interpreter;
        ExecutableStack = executableStack;
        HeaderAddress = headerAddress;
    }

    public FileObject File { get; }

    /// <summary>ET_DYN: may be placed anywhere.</summary>
    public bool IsRelocatable { get; }

    public ulong Entry { get; }

    public ulong HeaderOffset { get; }

    public int HeaderCount { get; }

    public IReadOnlyList<ElfSegment> Segments { get; }

    /// <summary>PT_INTERP.</summary>
    public string? Interpreter { get; }

    /// <summary>PT_GNU_STACK with PF_X.</summary>
    public bool ExecutableStack { get; }

    /// <summary>Where the program headers are in memory, before relocation; 0 when no segment holds them.</summary>
    public ulong HeaderAddress { get; }

    public ulong LowestAddress => Segments[0].Address & ~(Mappings.PageSize - 1);

    public ulong HighestAddress
    {
        get
        {
            ulong highest = 0;
            foreach (ElfSegment segment in Segments)
                highest = Math.Max(highest, segment.Address + segment.MemorySize);
            return highest;
        }
    }

    /// <summary>The largest alignment asked for by a segment.</summary>
    public ulong Alignment { get; private init; } = Mappings.PageSize;

    /// <summary>Reads the headers; ENOEXEC when they are not those of a program that can run here.</summary>
    public static Result<ElfImage> Read(Task caller, FileObject file, ulong limit)
    {
        byte[] header = new byte[HeaderSize];
        if (ReadAt(caller, file, header, 0) < HeaderSize || !header.AsSpan(0, 4).SequenceEqual("\u007fELF"u8) || header[4] != 2 || header[5] != 1)
            return Errno.ENOEXEC;
        ushort type = BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(16)), machine = BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(18));
        if (type is not (2 or 3) || machine != 62)
            return Errno.ENOEXEC;
        ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(header.AsSpan(24)), offset = BinaryPrimitives.ReadUInt64LittleEndian(header.AsSpan(32));
        int count = BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(56));
        if (BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(54)) != ProgramHeaderSize || count is 0 or > MaxProgramHeaders || offset > long.MaxValue - 65536)
            return Errno.ENOEXEC;
        byte[] table = new byte[count * ProgramHeaderSize];
        if (ReadAt(caller, file, table, (long)offset) < table.Length)
            return Errno.ENOEXEC;
        List<ElfSegment> segments = [];
        string? interpreter = null;
        bool executableStack = false;
        ulong headerAddress = 0, alignment = Mappings.PageSize;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entryBytes = table.AsSpan(i * ProgramHeaderSize, ProgramHeaderSize);
            uint kind = BinaryPrimitives.ReadUInt32LittleEndian(entryBytes), flags = BinaryPrimitives.ReadUInt32LittleEndian(entryBytes[4..]);
            ulong fileOffset = BinaryPrimitives.ReadUInt64LittleEndian(entryBytes[8..]), address = BinaryPrimitives.ReadUInt64LittleEndian(entryBytes[16..]);
            ulong fileSize = BinaryPrimitives.ReadUInt64LittleEndian(entryBytes[32..]), memorySize = BinaryPrimitives.ReadUInt64LittleEndian(entryBytes[40..]);
            ulong align = BinaryPrimitives.ReadUInt64LittleEndian(entryBytes[48..]);
            switch (kind)
            {
                case 1 when memorySize > 0:
                    if (fileSize > memorySize || address > limit || memorySize > limit - address || ((address ^ fileOffset) & (Mappings.PageSize - 1)) != 0 || fileOffset > long.MaxValue - memorySize
                        || (segments.Count > 0 && address < segments[^1].Address + segments[^1].MemorySize))
                        return Errno.ENOEXEC;
                    MemoryProtection protection = ((flags & 4) != 0 ? MemoryProtection.Read : 0) | ((flags & 2) != 0 ? MemoryProtection.Write : 0) | ((flags & 1) != 0 ? MemoryProtection.Execute : 0);
                    segments.Add(new ElfSegment(address, fileOffset, fileSize, memorySize, protection));
                    if (fileOffset <= offset && offset + (ulong)table.Length <= fileOffset + fileSize)
                        headerAddress = address + (offset - fileOffset);
                    if (align is > Mappings.PageSize and <= 1ul << 30 && (align & (align - 1)) == 0)
                        alignment = Math.Max(alignment, align);
                    break;
                case 3:
                    if (fileSize is < 2 or > 4096)
                        return Errno.ENOEXEC;
                    byte[] name = new byte[fileSize];
                    if (ReadAt(caller, file, name, (long)fileOffset) < name.Length || name[^1] != 0)
                        return Errno.ENOEXEC;
                    interpreter = System.Text.Encoding.Latin1.GetString(name.AsSpan(0, Array.IndexOf(name, (byte)0)));
                    break;
                case 0x6474e551:
                    executableStack = (flags & 1) != 0;
                    break;
            }
        }

        if (segments.Count == 0)
            return Errno.ENOEXEC;
        return new ElfImage(file, type == 3, entry, offset, count, segments, interpreter, executableStack, headerAddress) { Alignment = alignment };
    }

    /// <summary>Reads as much as there is, at most the span's length.</summary>
    internal static int ReadAt(Task caller, FileObject file, Memory<byte> destination, long offset)
    {
        int done = 0;
        while (done < destination.Length)
        {
            Result<long> got = file.ReadAt(caller, new UserBuffer(destination[done..]), offset + done);
            if (got.IsError || got.Value <= 0)
                break;
            done += (int)got.Value;
        }

        return done;
    }
}
