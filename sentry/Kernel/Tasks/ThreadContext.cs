namespace Sentry.Kernel.Tasks;

/// <summary>A thread's registers as a checkpoint keeps them; the platform loads them into a new host thread.</summary>
[Savable("thread-context")]
public sealed partial class ThreadContext
{
    /// <summary>In the order of <see cref="GuestRegisters"/>.</summary>
    [Saved(1)] private ulong[] _integer = [];

    /// <summary>XSAVE area as in a signal frame; empty for the initial state.</summary>
    [Saved(2)] private byte[] _extended = [];

    public ThreadContext()
    {
    }

    public ReadOnlySpan<byte> Extended => _extended;

    /// <summary>Reads a Stopped thread's registers, as its program's own text has them.</summary>
    public static ThreadContext Of(Task task, Span<byte> scratch)
    {
        task.Thread.GetRegisters(out GuestRegisters r);
        r.Rip = CallSites.ToNatural(task, r.Rip);
        int length = task.Thread.GetXState(scratch);
        return new ThreadContext
        {
            _integer = [r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15, r.Rdi, r.Rsi, r.Rbp, r.Rbx, r.Rdx, r.Rax, r.Rcx, r.Rsp, r.Rip, r.Eflags, r.FsBase, r.GsBase],
            _extended = scratch[..length].ToArray(),
        };
    }

    /// <summary>The integer registers; throws when the image is damaged.</summary>
    public GuestRegisters ToRegisters()
    {
        if (_integer.Length != 20)
            throw new InvalidImageException("the image holds a thread without its registers");
        ulong[] v = _integer;
        return new GuestRegisters
        {
            R8 = v[0],
            R9 = v[1],
            R10 = v[2],
            R11 = v[3],
            R12 = v[4],
            R13 = v[5],
            R14 = v[6],
            R15 = v[7],
            Rdi = v[8],
            Rsi = v[9],
            Rbp = v[10],
            Rbx = v[11],
            Rdx = v[12],
            Rax = v[13],
            Rcx = v[14],
            Rsp = v[15],
            Rip = v[16],
            Eflags = v[17],
            FsBase = v[18],
            GsBase = v[19],
        };
    }
}
