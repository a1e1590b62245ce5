namespace Sentry.Kernel.Seccomp;

/// <summary>What a filter looks at: struct seccomp_data of seccomp(2).</summary>
internal readonly record struct CallData(int Number, ulong InstructionPointer, SyscallArgs Args)
{
    internal const int Words = 16, Size = Words * sizeof(uint);

    internal void WriteTo(Span<uint> words)
    {
        words[0] = (uint)Number;
        words[1] = PTRACE.ArchX64;
        Put(words, 2, InstructionPointer);
        Put(words, 4, Args.A0);
        Put(words, 6, Args.A1);
        Put(words, 8, Args.A2);
        Put(words, 10, Args.A3);
        Put(words, 12, Args.A4);
        Put(words, 14, Args.A5);
    }

    private static void Put(Span<uint> words, int at, ulong value) => (words[at], words[at + 1]) = ((uint)value, (uint)(value >> 32));
}

/// <summary>A program of classic BPF as seccomp(2) takes it: loads of whole words of <see cref="CallData"/>, arithmetic, forward jumps. Instructions are kept as
/// struct sock_filter lies in memory: 16 bits of code, 8 of each jump, 32 of constant.</summary>
internal static class FilterProgram
{
    internal const int MaxLength = 4096;

    private const int MemoryWords = 16;
    private const ushort LoadWord = 0x20, LoadLength = 0x80, LoadConstant = 0x00, LoadMemory = 0x60, LoadXLength = 0x81, LoadXConstant = 0x01, LoadXMemory = 0x61, Store = 0x02, StoreX = 0x03,
        Jump = 0x05, ReturnConstant = 0x06, ReturnA = 0x16, ToX = 0x07, ToA = 0x87, Negate = 0x84;

    private const int ClassMask = 0x07, ClassArithmetic = 0x04, ClassJump = 0x05, FromX = 0x08, OperationMask = 0xf0;
    private const int Add = 0x00, Subtract = 0x10, Multiply = 0x20, Divide = 0x30, Or = 0x40, And = 0x50, ShiftLeft = 0x60, ShiftRight = 0x70, ExclusiveOr = 0xa0;
    private const int IfEqual = 0x10, IfGreater = 0x20, IfGreaterOrEqual = 0x30, IfSet = 0x40;

    /// <summary>Whether every instruction is known and leads to another, and the last one returns (bpf_check_classic, seccomp_check_filter).</summary>
    internal static bool IsSound(ReadOnlySpan<ulong> program)
    {
        if (program.Length is 0 or > MaxLength || Code(program[^1]) is not (ReturnConstant or ReturnA))
            return false;
        for (int at = 0; at < program.Length; at++)
        {
            if (!IsSound(program[at], program.Length - at - 1))
                return false;
        }

        return true;
    }

    /// <summary>What the program returns for a call.</summary>
    internal static uint Run(ReadOnlySpan<ulong> program, ReadOnlySpan<uint> data)
    {
        uint a = 0, x = 0;
        Span<uint> memory = stackalloc uint[MemoryWords];
        memory.Clear();
        for (int at = 0; ; at++)
        {
            ulong instruction = program[at];
            uint constant = Constant(instruction);
            switch (Code(instruction))
            {
                case ReturnConstant:
                    return constant;
                case ReturnA:
                    return a;
                case LoadWord:
                    a = data[(int)constant / sizeof(uint)];
                    break;
                case LoadLength:
                    a = CallData.Size;
                    break;
                case LoadXLength:
                    x = CallData.Size;
                    break;
                case LoadConstant:
                    a = constant;
                    break;
                case LoadXConstant:
                    x = constant;
                    break;
                case LoadMemory:
                    a = memory[(int)constant];
                    break;
                case LoadXMemory:
                    x = memory[(int)constant];
                    break;
                case Store:
                    memory[(int)constant] = a;
                    break;
                case StoreX:
                    memory[(int)constant] = x;
                    break;
                case ToX:
                    x = a;
                    break;
                case ToA:
                    a = x;
                    break;
                case Negate:
                    a = 0 - a;
                    break;
                case Jump:
                    at += (int)constant;
                    break;
                case var code:
                    uint operand = (code & FromX) != 0 ? x : constant;
                    if ((code & ClassMask) == ClassJump)
                        at += Holds(code & OperationMask, a, operand) ? IfTrue(instruction) : IfFalse(instruction);
                    else if ((code & OperationMask) == Divide && operand == 0)
                        return 0;
                    else
                        a = Calculate(code & OperationMask, a, operand);
                    break;
            }
        }
    }

    private static bool IsSound(ulong instruction, int behind)
    {
        uint constant = Constant(instruction);
        switch (Code(instruction))
        {
            case LoadWord:
                return constant < CallData.Size && constant % sizeof(uint) == 0;
            case LoadMemory or LoadXMemory or Store or StoreX:
                return constant < MemoryWords;
            case LoadLength or LoadXLength or LoadConstant or LoadXConstant or ReturnConstant or ReturnA or ToX or ToA or Negate:
                return true;
            case Jump:
                return constant < (uint)behind;
            case var code when (code & ~(FromX | OperationMask)) == ClassJump:
                return (code & OperationMask) is IfEqual or IfGreater or IfGreaterOrEqual or IfSet && IfTrue(instruction) < behind && IfFalse(instruction) < behind;
            case var code when (code & ~(FromX | OperationMask)) == ClassArithmetic:
                return (code & OperationMask) switch
                {
                    Add or Subtract or Multiply or Or or And or ExclusiveOr => true,
                    Divide => (code & FromX) != 0 || constant != 0,
                    ShiftLeft or ShiftRight => (code & FromX) != 0 || constant < 32,
                    _ => false,
                };
            default:
                return false;
        }
    }

    private static bool Holds(int operation, uint a, uint operand) => operation switch
    {
        IfEqual => a == operand,
        IfGreater => a > operand,
        IfGreaterOrEqual => a >= operand,
        _ => (a & operand) != 0,
    };

    private static uint Calculate(int operation, uint a, uint operand) => operation switch
    {
        Add => a + operand,
        Subtract => a - operand,
        Multiply => a * operand,
        Divide => a / operand,
        Or => a | operand,
        And => a & operand,
        ShiftLeft => a << (int)(operand & 31),
        ShiftRight => a >> (int)(operand & 31),
        _ => a ^ operand,
    };

    private static ushort Code(ulong instruction) => (ushort)instruction;

    private static int IfTrue(ulong instruction) => (byte)(instruction >> 16);

    private static int IfFalse(ulong instruction) => (byte)(instruction >> 24);

    private static uint Constant(ulong instruction) => (uint)(instruction >> 32);
}
