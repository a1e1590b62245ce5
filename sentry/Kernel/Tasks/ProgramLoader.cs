using System.Buffers.Binary;
using System.Text;

namespace Sentry.Kernel.Tasks;

/// <summary>What execve(2) was asked to run, resolved: the ELF image, its interpreter, its strings.</summary>
internal sealed class Program
{
    public required ElfImage Image { get; init; }

    public ElfImage? Interpreter { get; init; }

    /// <summary>Absolute path of the ELF file, for /proc/PID/exe.</summary>
    public required string Path { get; init; }

    /// <summary>The program gains privileges that its caller has not (AT_SECURE).</summary>
    public bool Secure { get; set; }

    /// <summary>What the caller named (AT_EXECFN).</summary>
    public required string FileName { get; init; }

    public required List<string> Arguments { get; init; }

    public required List<string> Environment { get; init; }

    /// <summary>The opened files, to be released when loaded or given up.</summary>
    public List<FileObject> Files { get; } = [];

    public void Release()
    {
        foreach (FileObject file in Files)
            file.Release();
        Files.Clear();
    }
}

/// <summary>Puts a program into an empty address space: segments, stack, auxiliary vector, vDSO (execve(2), System V ABI for AMD64 §3.4).</summary>
internal static class ProgramLoader
{
    private const ulong StackGap = 64 << 10, MaxStackArea = 64 << 20, RandomPlaces = 1 << 22;
    private const ulong RelocatableBase = 0x5555_5555_4000;

    private const int AtPhdr = 3, AtPhent = 4, AtPhnum = 5, AtPagesz = 6, AtBase = 7, AtFlags = 8, AtEntry = 9, AtUid = 11, AtEuid = 12, AtGid = 13,
        AtEgid = 14, AtHwcap = 16, AtClktck = 17, AtSecure = 23, AtRandom = 25, AtHwcap2 = 26, AtExecfn = 31, AtSysinfoEhdr = 33, AtMinsigstksz = 51;

    /// <summary>Maps and fills; the thread is Stopped and in the new address space. Leaves the registers set for the program's first instruction.</summary>
    public static Errno Load(Task task, MemoryManager memory, IGuestThread thread, Program program)
    {
        GuestKernel kernel = task.Kernel;
        ElfImage image = program.Image;
        ulong bias = 0;
        if (image.IsRelocatable)
        {
            bias = RelocatableBase + (RandomBelow(kernel, RandomPlaces) * Mappings.PageSize);
            bias = (bias & ~(image.Alignment - 1)) - image.LowestAddress;
        }

        ulong stackTop = memory.Limit - StackGap - (RandomBelow(kernel, RandomPlaces) * Mappings.PageSize);
        ulong stackLimit = task.Group.Limits[ResourceLimits.Stack].Soft;
        ulong stackLength = Math.Max(Mappings.RoundUp(Math.Min(stackLimit, MaxStackArea)), 256 << 10);
        MemoryProtection stackProtection = MemoryProtection.Read | MemoryProtection.Write | (image.ExecutableStack ? MemoryProtection.Execute : 0);
        memory.StackTop = stackTop;
        memory.MappingTop = stackTop - stackLength - (1 << 20) - (RandomBelow(kernel, RandomPlaces / 16) * Mappings.PageSize);

        Result<ulong> mapped = Mappings.Map(memory, thread, new MapRequest { Address = stackTop - stackLength, Length = stackLength, Protection = stackProtection, Fixed = true, Kind = AreaKind.Stack });
        if (mapped.IsError)
            return mapped.Error;
        List<(ulong Address, int Length)> clear = [];
        Errno error = MapImage(memory, thread, image, bias, clear);
        if (error != Errno.None)
            return error;
        ulong entry = image.Entry + bias, interpreterBase = 0;
        if (program.Interpreter is { } interpreter)
        {
            ulong span = Mappings.RoundUp(interpreter.HighestAddress) - interpreter.LowestAddress;
            ulong place = memory.Areas.FindFree(span, Mappings.LowestAddress, memory.MappingTop, interpreter.Alignment);
            if (place == 0)
                return Errno.ENOMEM;
            interpreterBase = interpreter.IsRelocatable ? place - interpreter.LowestAddress : 0;
            error = MapImage(memory, thread, interpreter, interpreterBase, clear);
            if (error != Errno.None)
                return error;
            entry = interpreter.Entry + interpreterBase;
        }

        ulong heap = Mappings.RoundUp(image.HighestAddress + bias) + (RandomBelow(kernel, 0x2000) * Mappings.PageSize);
        memory.BreakStart = heap;
        memory.Break = heap;
        ulong vdso = MapVdso(memory, thread, kernel, task.Namespaces.Time);
        error = thread.Flush();
        if (error != Errno.None)
            return error;
        foreach ((ulong address, int length) in clear)
        {
            if (!memory.TryWriteAll(address, new byte[length]))
                return Errno.ENOMEM;
        }

        Result<ulong> stack = WriteStack(task, memory, program, bias, interpreterBase, vdso, stackTop);
        if (stack.IsError)
            return stack.Error;
        thread.SetRegisters(new GuestRegisters { Rip = entry, Rsp = stack.Value, Eflags = 0x202 });
        thread.SetXState([]);
        return Errno.None;
    }

    private static Errno MapImage(MemoryManager memory, IGuestThread thread, ElfImage image, ulong bias, List<(ulong Address, int Length)> clear)
    {
        foreach (ElfSegment segment in image.Segments)
        {
            ulong start = segment.Address + bias, fileEnd = start + segment.FileSize, end = start + segment.MemorySize;
            ulong pageStart = start & ~(Mappings.PageSize - 1), filePages = Mappings.RoundUp(fileEnd), pages = Mappings.RoundUp(end);
            if (segment.FileSize > 0)
            {
                Result<ulong> made = Mappings.Map(memory, thread, new MapRequest
                {
                    Address = pageStart,
                    Length = filePages - pageStart,
                    Protection = segment.Protection,
                    Fixed = true,
                    File = image.File,
                    FileOffset = segment.FileOffset & ~(Mappings.PageSize - 1),
                });
                if (made.IsError)
                    return made.Error;
            }
            else
            {
                filePages = pageStart;
            }

            if (pages > filePages)
            {
                Result<ulong> made = Mappings.Map(memory, thread, new MapRequest { Address = filePages, Length = pages - filePages, Protection = segment.Protection, Fixed = true });
                if (made.IsError)
                    return made.Error;
            }

            // The rest of the last file page is cleared to its end: the dynamic linker allocates there. A read-only segment keeps the file's bytes.
            if (segment.FileSize > 0 && end > fileEnd && (segment.Protection & MemoryProtection.Write) != 0 && filePages > fileEnd)
                clear.Add((fileEnd, (int)(filePages - fileEnd)));
        }

        return Errno.None;
    }

    private static ulong MapVdso(MemoryManager memory, IGuestThread thread, GuestKernel kernel, TimeNamespace time)
    {
        if (kernel.VdsoFile is not { } file)
            return 0;
        ulong length = kernel.VdsoLength;
        FileObject? clockPage = kernel.ClockPageOf(time);
        ulong place = Mappings.FindPlace(memory, thread, length + (clockPage is null ? 0 : Mappings.PageSize));
        bool mapped = place != 0 && Mappings.Map(memory, thread, new MapRequest
        {
            Address = place,
            Length = length,
            Protection = MemoryProtection.Read | MemoryProtection.Execute,
            Fixed = true,
            File = file,
            Kind = AreaKind.Vdso,
        }).IsOk;
        mapped = mapped && (clockPage is null || MapClockPage(memory, thread, place + length, clockPage));
        return mapped ? place : 0;
    }

    private static bool MapClockPage(MemoryManager memory, IGuestThread thread, ulong place, FileObject page) => Mappings.Map(memory, thread, new MapRequest
    {
        Address = place,
        Length = Mappings.PageSize,
        Protection = MemoryProtection.Read,
        Fixed = true,
        File = page,
        Kind = AreaKind.ClockPage,
    }).IsOk;

    /// <summary>Puts the clock page of a time namespace in place of the one a process has; its thread takes operations.</summary>
    internal static void UseClock(MemoryManager memory, IGuestThread thread, GuestKernel kernel, TimeNamespace time)
    {
        foreach (Area area in memory.Areas.All)
        {
            if (area.Kind != AreaKind.ClockPage)
                continue;
            if (kernel.ClockPageOf(time) is { } page && !ReferenceEquals(area.File, page))
                MapClockPage(memory, thread, area.Start, page);
            return;
        }
    }

    private static Result<ulong> WriteStack(Task task, MemoryManager memory, Program program, ulong bias, ulong interpreterBase, ulong vdso, ulong top)
    {
        // From the top down: null word, file name, environment, arguments, random bytes; below them the vectors.
        var strings = new MemoryStream();
        List<ulong> offsets = [];
        void Add(string text)
        {
            offsets.Add((ulong)strings.Length);
            strings.Write(Encoding.Latin1.GetBytes(text));
            strings.WriteByte(0);
        }

        foreach (string argument in program.Arguments)
            Add(argument);
        ulong environmentAt = (ulong)strings.Length;
        foreach (string variable in program.Environment)
            Add(variable);
        ulong nameAt = (ulong)strings.Length;
        Add(program.FileName);
        ulong platformAt = (ulong)strings.Length;
        Add("x86_64");
        byte[] random = new byte[16];
        task.Kernel.Host.FillRandom(random);
        ulong randomAt = (ulong)strings.Length;
        strings.Write(random);

        ulong stringsStart = (top - 16 - (ulong)strings.Length) & ~15ul;
        Credentials who = task.Credentials;
        (ulong Key, ulong Value)[] auxiliary =
        [
            (AtSysinfoEhdr, vdso), (AtMinsigstksz, MinimumSignalStack(task)), (AtHwcap, 0x178bfbff), (AtPagesz, Mappings.PageSize), (AtClktck, 100),
            (AtPhdr, program.Image.HeaderAddress == 0 ? 0 : program.Image.HeaderAddress + bias), (AtPhent, 56), (AtPhnum, (ulong)program.Image.HeaderCount),
            (AtBase, interpreterBase), (AtFlags, 0), (AtEntry, program.Image.Entry + bias), (AtUid, who.Uid), (AtEuid, who.EffectiveUid), (AtGid, who.Gid),
            (AtEgid, who.EffectiveGid), (AtSecure, program.Secure ? 1u : 0u), (AtRandom, stringsStart + randomAt), (AtHwcap2, 2),
            (AtExecfn, stringsStart + nameAt), (15, stringsStart + platformAt), (0, 0),
        ];
        var vector = new MemoryStream();
        void Word(ulong value)
        {
            Span<byte> bytes = stackalloc byte[8];
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
            vector.Write(bytes);
        }

        Word((ulong)program.Arguments.Count);
        for (int i = 0; i < program.Arguments.Count; i++)
            Word(stringsStart + offsets[i]);
        Word(0);
        for (int i = 0; i < program.Environment.Count; i++)
            Word(stringsStart + offsets[program.Arguments.Count + i]);
        Word(0);
        long auxiliaryAt = vector.Length;
        foreach ((ulong key, ulong value) in auxiliary)
        {
            if (key == AtSysinfoEhdr && vdso == 0)
                continue;
            Word(key);
            Word(value);
        }

        ulong pointer = (stringsStart - (ulong)vector.Length) & ~15ul;
        byte[] words = vector.ToArray();
        if (!memory.TryWriteAll(stringsStart, strings.ToArray()) || !memory.TryWriteAll(pointer, words))
            return Errno.E2BIG;
        memory.AuxiliaryVector = words[(int)auxiliaryAt..];
        memory.Arguments = (stringsStart, stringsStart + environmentAt);
        memory.EnvironmentStrings = (stringsStart + environmentAt, stringsStart + nameAt);
        return pointer;
    }

    /// <summary>AT_MINSIGSTKSZ: the frame's fixed part and the largest extended state.</summary>
    private static ulong MinimumSignalStack(Task task) => (ulong)(task.Kernel.Host.Platform.MaxXStateSize + 1024);

    private static ulong RandomBelow(GuestKernel kernel, ulong bound)
    {
        Span<byte> bytes = stackalloc byte[8];
        kernel.Host.FillRandom(bytes);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes) % bound;
    }
}
