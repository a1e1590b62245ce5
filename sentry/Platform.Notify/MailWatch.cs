using System.Diagnostics;
using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Platform.Notify;

/// <summary>
/// The threads whose mailboxes the receiver looks at for calls while guests make calls in quick succession. Instead of sleeping it then
/// spins on a processor of its own, from which those threads are kept away, and a call costs two transfers of a cache line instead of four switches between
/// threads. That is tried when calls come so fast that it may pay, ends when it does not or when no call has come for a while, and is not
/// tried again for a time that doubles with each failure.
/// </summary>
internal sealed class MailWatch(Listener listener)
{
    private const int MaxThreads = 32, CallsInWindow = 64, LooksBetweenPolls = 64, CallsBetweenPolls = 32, WindowsUntilForgotten = 16;

    // A call that comes as a notification meanwhile costs what watching saves on so many others.
    private const int CostOfNotification = 8;

    // µs. Between calls when watching starts and while it goes on: with a thread for every other processor, and with more threads than that.
    private const int StartAlone = 12, StayAlone = 8, StartCrowded = 9, StayCrowded = 5, IdleTime = 100, ShortestPause = 2_000, LongestPause = 1_000_000;

    private static readonly long Tick = Stopwatch.Frequency / 1_000_000;
    private List<int> _processors = HostProcess.GetAffinity();
    private volatile StubThread[] _threads = []; // replaced, never changed: the receiver reads it without the kernel lock
    private long _windowStart;
    private int _window;
    private int _calls;
    private int _active;
    private int _notifications;
    private int _callsWithoutPoll;
    private int _here; // the receiver's processor
    private long _notBefore;
    private bool _isRefused; // this host lets nobody choose processors, or has but one
    private long _pause = ShortestPause;

    public bool IsActive => _threads.Length > 0;

    /// <summary>The host thread that receives; 0 while none does.</summary>
    public int ReceiverThread { get; set; }

    /// <summary>Calls found in mailboxes.</summary>
    public long CallCount { get; private set; }

    /// <summary>For tests: watches as soon as a thread has a mailbox, whether it pays or not.</summary>
    public bool IsEager { get; set; }

    /// <summary>A thread has brought its mailbox along with a call.</summary>
    public void OnCall(StubThread thread)
    {
        if (!IsActive)
        {
            if (!IsWorthTrying(thread) || HostProcess.ThreadId != ReceiverThread)
                return;
            _processors = HostProcess.GetAffinity();
            Errno error = HostProcess.SetAffinity(thread.ThreadId, Mask(-1));
            if (error == Errno.ESRCH)
                return; // it has just been killed
            _isRefused = _processors.Count < 2 || error != Errno.None;
            if (_isRefused)
                return;

            listener.SetSynchronous(false);
            _here = HostProcess.CurrentProcessor;
            HostProcess.SetAffinity(ReceiverThread, Mask(_here, only: true));
        }
        else if (_threads.Length == MaxThreads || Array.IndexOf(_threads, thread) >= 0)
        {
            return;
        }

        thread.MailWindow = _window;
        _threads = [.. _threads, thread];
        HostProcess.SetAffinity(thread.ThreadId, Mask(_here));
        thread.Listen(true);
    }

    /// <summary>A thread with a mailbox has made a call without it.</summary>
    public void OnOtherCall() => _notifications++;

    /// <summary>The thread has ended.</summary>
    public void Remove(StubThread thread)
    {
        if (Array.IndexOf(_threads, thread) < 0)
            return;
        _threads = [.. _threads.Where(t => t != thread)];
        if (!IsActive)
            End();
    }

    /// <summary>
    /// Waits for a call left in a mailbox: the thread that left it. Null when a notification may wait instead, when <paramref name="leave"/> says so, or when
    /// watching has ended. Called without the kernel lock.
    /// </summary>
    public StubThread? Wait(Func<bool> leave)
    {
        long idleSince = 0;
        for (int looks = 1; ; looks++)
        {
            if (_callsWithoutPoll < CallsBetweenPolls && FindPosted() is { } thread)
            {
                _callsWithoutPoll++;
                CallCount++;
                return !FillsWindow(thread) || EndWindow() ? thread : Stop(thread);
            }

            if (leave())
                return null;
            if (looks % LooksBetweenPolls == 0 || _callsWithoutPoll >= CallsBetweenPolls)
            {
                _callsWithoutPoll = 0;
                if (listener.Poll(0))
                    return null;
                long now = Stopwatch.GetTimestamp();
                idleSince = idleSince == 0 ? now : idleSince;
                if (now - idleSince > IdleTime * Tick)
                    return Stop(null);
            }

            Thread.SpinWait(1);
        }
    }

    private bool IsWorthTrying(StubThread thread)
    {
        if (_isRefused || _processors.Count < 2)
            return false;
        if (IsEager)
            return true;
        if (!FillsWindow(thread))
            return false;
        long now = Stopwatch.GetTimestamp();
        bool pays = now >= _notBefore && now - _windowStart <= CallsInWindow * Tick * (_active < _processors.Count ? StartAlone : StartCrowded);
        BeginWindow(now);
        return pays;
    }

    /// <summary>Counts a call and who makes it; true when it is the last of the window.</summary>
    private bool FillsWindow(StubThread thread)
    {
        if (thread.MailWindow != _window)
        {
            thread.MailWindow = _window;
            _active++;
        }

        return ++_calls >= CallsInWindow;
    }

    private void BeginWindow(long now)
    {
        _window++;
        _windowStart = now;
        _calls = _active = _notifications = 0;
    }

    /// <summary>Whether watching is to go on.</summary>
    private bool EndWindow()
    {
        long now = Stopwatch.GetTimestamp();
        bool pays = now - _windowStart <= CallsInWindow * Tick * (_active < _processors.Count ? StayAlone : StayCrowded) && _notifications * CostOfNotification <= CallsInWindow;
        BeginWindow(now);
        if (pays)
        {
            ForgetSilent();
            _pause = Math.Max(ShortestPause, _pause - (_pause / 16));
            return true;
        }

        if (IsEager)
            return true;
        _notBefore = now + (_pause * Tick);
        _pause = Math.Min(_pause * 2, LongestPause);
        return false;
    }

    /// <summary>Threads that have not called for long may run anywhere again.</summary>
    private void ForgetSilent()
    {
        StubThread[] threads = _threads;
        int silent = Array.FindIndex(threads, t => _window - t.MailWindow > WindowsUntilForgotten);
        if (silent < 0 || threads.Length == 1)
            return;
        StubThread thread = threads[silent];
        thread.Listen(false);
        Interlocked.MemoryBarrier();
        if (thread.HasPosted)
        {
            thread.Listen(true);
            return;
        }

        _threads = [.. threads.Where(t => t != thread)];
        HostProcess.SetAffinity(thread.ThreadId, Mask(-1));
    }

    private StubThread? FindPosted()
    {
        foreach (StubThread thread in _threads)
        {
            if (thread.HasPosted)
                return thread;
        }

        return null;
    }

    /// <summary>Ends watching. A call that was left just before is found by the last look, or the thread makes it.</summary>
    private StubThread? Stop(StubThread? found)
    {
        StubThread[] threads = _threads;
        foreach (StubThread thread in threads)
            thread.Listen(false);
        Interlocked.MemoryBarrier();
        found ??= FindPosted();
        _threads = [];
        foreach (StubThread thread in threads)
            HostProcess.SetAffinity(thread.ThreadId, Mask(-1));
        End();
        return found;
    }

    private void End()
    {
        listener.SetSynchronous(true);
        HostProcess.SetAffinity(ReceiverThread, Mask(-1));
    }

    // All processors but one, or that one alone.
    private ulong[] Mask(int processor, bool only = false)
    {
        ulong[] mask = new ulong[16];
        foreach (int allowed in _processors)
        {
            if ((allowed == processor) == only)
                mask[allowed / 64] |= 1ul << (allowed % 64);
        }

        return mask;
    }
}
