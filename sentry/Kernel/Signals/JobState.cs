namespace Sentry.Kernel.Signals;

/// <summary>Whether a process is stopped (SIGSTOP and its like), and what its parent has not been told yet by wait4(2).</summary>
[Savable("job-state")]
public sealed partial class JobState
{
    [Saved(1)] private int _stopSignal;
    [Saved(2)] private bool _stopUnreported;
    [Saved(3)] private bool _continueUnreported;

    public JobState()
    {
    }

    public bool IsStopped => _stopSignal != 0;

    /// <summary>The signal that stopped it, 0 when it is not stopped.</summary>
    public int StopSignal => _stopSignal;

    /// <summary>wait4(2) with WUNTRACED has a stop to report; clearing it is consuming it.</summary>
    public bool StopUnreported
    {
        get => _stopUnreported;
        set => _stopUnreported = value;
    }

    /// <summary>wait4(2) with WCONTINUED has a continuation to report.</summary>
    public bool ContinueUnreported
    {
        get => _continueUnreported;
        set => _continueUnreported = value;
    }

    /// <summary>The status word for a stop.</summary>
    public int StopStatus => (_stopSignal << 8) | 0x7f;

    /// <summary>The status word for a continuation.</summary>
    public const int ContinueStatus = 0xffff;

    internal void Stop(int signal)
    {
        _stopSignal = signal;
        _stopUnreported = true;
        _continueUnreported = false;
    }

    internal void Continue()
    {
        _stopSignal = 0;
        _stopUnreported = false;
        _continueUnreported = true;
    }
}
