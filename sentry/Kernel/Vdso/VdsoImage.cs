using System.Buffers.Binary;
using System.Text;

namespace Sentry.Kernel.Vdso;

/// <summary>The vDSO that every program gets (vdso(7)): a shared object of one page, put together here from its symbols and
/// <see cref="VdsoCode"/>, with the clock page as its second. C libraries and Go find its functions by name under version LINUX_2.6.</summary>
public static class VdsoImage
{
    private const int PageSize = 4096, HeaderSize = 64, ProgramHeaderSize = 56, SymbolSize = 24;
    private const string ObjectName = "linux-vdso.so.1", VersionName = "LINUX_2.6";
    private const ushort BaseVersion = 1, OurVersion = 2;

    /// <summary>The image, a multiple of the page size; mapped readable and executable, its address is AT_SYSINFO_EHDR.</summary>
    public static byte[] Create()
    {
        var strings = new StringTable();
        int objectName = strings.Add(ObjectName), versionName = strings.Add(VersionName);
        List<(string Name, int Function)> symbols = [];
        for (int i = 0; i < VdsoCode.Functions.Length; i++)
        {
            symbols.Add(("__vdso_" + VdsoCode.Functions[i].Name, i));
            symbols.Add((VdsoCode.Functions[i].Name, i));
        }

        int[] names = [.. symbols.Select(s => strings.Add(s.Name))];
        int symbolCount = symbols.Count + 1;

        // The parts of the page, one after the other: headers, hash, dynamic symbols, strings, versions, dynamic section; then the code.
        int hash = HeaderSize + (3 * ProgramHeaderSize);
        int hashSize = 4 * (2 + symbolCount + symbolCount);
        int symbolTable = Align(hash + hashSize, 8);
        int stringTable = symbolTable + (symbolCount * SymbolSize);
        int versions = Align(stringTable + strings.Length, 2);
        int definitions = Align(versions + (symbolCount * 2), 8);
        int dynamic = definitions + (2 * 28);
        dynamic = Align(dynamic, 8);
        const int DynamicCount = 10;
        if (dynamic + (DynamicCount * 16) > VdsoCode.Offset)
            throw new InvalidOperationException("the vDSO's tables have outgrown their part of the page");
        byte[] image = new byte[PageSize];
        VdsoCode.Instructions.CopyTo(image.AsSpan(VdsoCode.Offset));
        WriteHeader(image);
        WriteProgramHeader(image, 0, type: 1, flags: 5, 0, PageSize, 2 * PageSize, PageSize);
        WriteProgramHeader(image, 1, type: 2, flags: 4, dynamic, DynamicCount * 16, DynamicCount * 16, 8);
        WriteProgramHeader(image, 2, type: 0x6474e551, flags: 6, 0, 0, 0, 16);
        WriteHash(image, hash, symbols);
        for (int i = 0; i < symbols.Count; i++)
        {
            bool isAlias = !symbols[i].Name.StartsWith("__", StringComparison.Ordinal);
            Span<byte> symbol = image.AsSpan(symbolTable + ((i + 1) * SymbolSize));
            BinaryPrimitives.WriteInt32LittleEndian(symbol, names[i]);
            symbol[4] = (byte)(isAlias ? 0x22 : 0x12);
            BinaryPrimitives.WriteUInt16LittleEndian(symbol[6..], 1);
            (_, int start, int end) = VdsoCode.Functions[symbols[i].Function];
            BinaryPrimitives.WriteInt64LittleEndian(symbol[8..], VdsoCode.Offset + start);
            BinaryPrimitives.WriteInt64LittleEndian(symbol[16..], end - start);
            BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(versions + ((i + 1) * 2)), OurVersion);
        }

        strings.CopyTo(image.AsSpan(stringTable));
        WriteVersionDefinition(image.AsSpan(definitions), flags: 1, BaseVersion, ObjectName, objectName, next: 28);
        WriteVersionDefinition(image.AsSpan(definitions + 28), flags: 0, OurVersion, VersionName, versionName, next: 0);
        (long Tag, long Value)[] tags =
        [
            (14, objectName), (4, hash), (5, stringTable), (6, symbolTable), (10, strings.Length), (11, SymbolSize),
            (0x6ffffff0, versions), (0x6ffffffc, definitions), (0x6ffffffd, 2), (0, 0),
        ];
        for (int i = 0; i < tags.Length; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(image.AsSpan(dynamic + (i * 16)), tags[i].Tag);
            BinaryPrimitives.WriteInt64LittleEndian(image.AsSpan(dynamic + (i * 16) + 8), tags[i].Value);
        }

        return image;
    }

    private static void WriteHeader(byte[] image)
    {
        ReadOnlySpan<byte> identification = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        identification.CopyTo(image);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(16), 3);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(18), 62);
        BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(20), 1);
        BinaryPrimitives.WriteInt64LittleEndian(image.AsSpan(32), HeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(52), HeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(54), ProgramHeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(56), 3);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(58), 64);
    }

    private static void WriteProgramHeader(byte[] image, int index, uint type, uint flags, long offset, long size, long memorySize, long alignment)
    {
        Span<byte> header = image.AsSpan(HeaderSize + (index * ProgramHeaderSize), ProgramHeaderSize);
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], flags);
        BinaryPrimitives.WriteInt64LittleEndian(header[8..], offset);
        BinaryPrimitives.WriteInt64LittleEndian(header[16..], offset);
        BinaryPrimitives.WriteInt64LittleEndian(header[24..], offset);
        BinaryPrimitives.WriteInt64LittleEndian(header[32..], size);
        BinaryPrimitives.WriteInt64LittleEndian(header[40..], memorySize);
        BinaryPrimitives.WriteInt64LittleEndian(header[48..], alignment);
    }

    /// <summary>DT_HASH with as many buckets as symbols (System V ABI, "Hash Table").</summary>
    private static void WriteHash(byte[] image, int offset, List<(string Name, int Function)> symbols)
    {
        int count = symbols.Count + 1;
        Span<byte> table = image.AsSpan(offset);
        BinaryPrimitives.WriteInt32LittleEndian(table, count);
        BinaryPrimitives.WriteInt32LittleEndian(table[4..], count);
        Span<byte> buckets = table[8..], chains = table[(8 + (count * 4))..];
        for (int i = 1; i < count; i++)
        {
            Span<byte> bucket = buckets[((int)(Hash(symbols[i - 1].Name) % (uint)count) * 4)..];
            BinaryPrimitives.WriteInt32LittleEndian(chains[(i * 4)..], BinaryPrimitives.ReadInt32LittleEndian(bucket));
            BinaryPrimitives.WriteInt32LittleEndian(bucket, i);
        }
    }

    /// <summary>Elf64_Verdef with one Elf64_Verdaux.</summary>
    private static void WriteVersionDefinition(Span<byte> definition, ushort flags, ushort index, string name, int nameOffset, int next)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(definition, 1);
        BinaryPrimitives.WriteUInt16LittleEndian(definition[2..], flags);
        BinaryPrimitives.WriteUInt16LittleEndian(definition[4..], index);
        BinaryPrimitives.WriteUInt16LittleEndian(definition[6..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(definition[8..], Hash(name));
        BinaryPrimitives.WriteInt32LittleEndian(definition[12..], 20);
        BinaryPrimitives.WriteInt32LittleEndian(definition[16..], next);
        BinaryPrimitives.WriteInt32LittleEndian(definition[20..], nameOffset);
    }

    /// <summary>The hash function of the System V ABI.</summary>
    private static uint Hash(string name)
    {
        uint hash = 0;
        foreach (char c in name)
        {
            hash = (hash << 4) + c;
            uint high = hash & 0xf0000000;
            hash ^= high >> 24;
            hash &= ~high;
        }

        return hash;
    }

    private static int Align(int value, int alignment) => (value + alignment - 1) & ~(alignment - 1);

    private sealed class StringTable
    {
        private readonly List<byte> _bytes = [0];

        internal int Length => _bytes.Count;

        internal int Add(string text)
        {
            int offset = _bytes.Count;
            _bytes.AddRange(Encoding.ASCII.GetBytes(text));
            _bytes.Add(0);
            return offset;
        }

        internal void CopyTo(Span<byte> destination) => _bytes.ToArray().CopyTo(destination);
    }
}
