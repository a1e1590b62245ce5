using System.Buffers.Binary;

namespace Sentry.Kernel.Tasks;

/// <summary>struct rusage as wait4(2) gives it.</summary>
internal static class ResourceUsage
{
    /// <summary>The 144 bytes for a child that was waited for: its processor time as far as it is known.</summary>
    public static byte[] OfChild(ThreadGroup child)
    {
        byte[] usage = new byte[144];
        long nanoseconds = child.ExitedCpuTime + child.ChildrenCpuTime;
        BinaryPrimitives.WriteInt64LittleEndian(usage, nanoseconds / 1_000_000_000);
        BinaryPrimitives.WriteInt64LittleEndian(usage.AsSpan(8), nanoseconds % 1_000_000_000 / 1000);
        return usage;
    }
}
