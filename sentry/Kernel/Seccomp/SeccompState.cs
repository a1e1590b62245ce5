namespace Sentry.Kernel.Seccomp;

/// <summary>Numbers of linux/seccomp.h.</summary>
internal static class SECCOMP
{
    internal const int MODE_STRICT = 1, MODE_FILTER = 2;

    internal const int SET_MODE_STRICT = 0, SET_MODE_FILTER = 1, GET_ACTION_AVAIL = 2, GET_NOTIF_SIZES = 3;

    internal const uint FILTER_FLAG_TSYNC = 1, FILTER_FLAG_LOG = 2, FILTER_FLAG_SPEC_ALLOW = 4, FILTER_FLAG_TSYNC_ESRCH = 16;

    internal const uint RET_KILL_PROCESS = 0x80000000, RET_KILL_THREAD = 0, RET_TRAP = 0x00030000, RET_ERRNO = 0x00050000, RET_TRACE = 0x7ff00000, RET_LOG = 0x7ffc0000,
        RET_ALLOW = 0x7fff0000, RET_ACTION_FULL = 0xffff0000, RET_DATA = 0xffff;

    internal const uint MAX_ERRNO = 4095;
}

/// <summary>A filter and those that were there before it, shared by all who have it; it never changes.</summary>
[Savable("seccomp-filter")]
internal sealed partial class SeccompFilter
{
    /// <summary>All programs together, with four instructions' worth for each (MAX_INSNS_PER_PATH).</summary>
    internal const int MaxCost = 32768;

    [Saved(1)] private ulong[] _program;
    [Saved(2)] private SeccompFilter? _previous;

    internal SeccompFilter(ulong[] program, SeccompFilter? previous)
    {
        _program = program;
        _previous = previous;
    }

    internal SeccompFilter? Previous => _previous;

    internal int Cost => _program.Length + 4;

    /// <summary>The strictest answer of all filters; of several equal ones the newest's.</summary>
    internal uint Run(in CallData call)
    {
        Span<uint> data = stackalloc uint[CallData.Words];
        call.WriteTo(data);
        uint strictest = SECCOMP.RET_ALLOW;
        for (SeccompFilter? filter = this; filter is not null; filter = filter._previous)
        {
            uint answer = FilterProgram.Run(filter._program, data);

            // Compared as signed numbers, so that KILL_PROCESS comes first.
            if ((int)(answer & SECCOMP.RET_ACTION_FULL) < (int)(strictest & SECCOMP.RET_ACTION_FULL))
                strictest = answer;
        }

        return strictest;
    }
}

/// <summary>What seccomp(2) has made of a task; children and programs inherit it, and nothing takes it away.</summary>
[Savable("seccomp")]
internal sealed partial class SeccompState
{
    [Saved(1)] private SeccompFilter? _filter;

    /// <param name="filter">Null for the strict mode.</param>
    internal SeccompState(SeccompFilter? filter) => _filter = filter;

    internal SeccompFilter? Filter => _filter;

    /// <summary>As prctl(PR_GET_SECCOMP) and /proc/PID/status tell it.</summary>
    internal int Mode => _filter is null ? SECCOMP.MODE_STRICT : SECCOMP.MODE_FILTER;

    /// <summary>How many filters there are (/proc/PID/status).</summary>
    internal int Count
    {
        get
        {
            int count = 0;
            for (SeccompFilter? filter = _filter; filter is not null; filter = filter.Previous)
                count++;
            return count;
        }
    }

    /// <summary>Whether a task that has this may take another's in its place: that one was built upon it.</summary>
    internal bool IsAncestorOf(SeccompState? other)
    {
        for (SeccompFilter? filter = other?._filter; filter is not null; filter = filter.Previous)
        {
            if (ReferenceEquals(filter, _filter))
                return true;
        }

        return false;
    }

    internal uint Decide(in CallData call)
    {
        if (_filter is not null)
            return _filter.Run(call);
        return call.Number is Sysno.read or Sysno.write or Sysno.exit or Sysno.rt_sigreturn ? SECCOMP.RET_ALLOW : SECCOMP.RET_KILL_THREAD;
    }
}
