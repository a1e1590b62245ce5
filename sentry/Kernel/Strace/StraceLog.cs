using System.Globalization;
using System.Text;

namespace Sentry.Kernel.Strace;

/// <summary>Where the lines of <see cref="StraceLog"/> go; each is whole and without its line feed.</summary>
public interface IStraceSink
{
    void WriteLine(string line);
}

/// <summary>Prints the guest's system calls and signals as strace(1) does with -f. A call that is not answered before another thread's turn is
/// cut in two, <c>&lt;unfinished ...&gt;</c> and <c>resumed</c>. The kernel holds none when it is off, so it costs one test per call.</summary>
public sealed class StraceLog(IStraceSink sink)
{
    private const int ResultColumn = 40;

    private readonly Dictionary<int, Pending> _pending = [];
    private int _openTid = -1;
    private bool _many;

    /// <summary>A call without its outcome, for reports.</summary>
    public static string Describe(Task task, int number, in SyscallArgs args)
    {
        CallFormat format = CallFormats.Get(number);
        var printer = new CallPrinter(task, args);
        printer.Append(format.Name).Append("(");
        printer.PrintArguments(format, 0, onExit: true, out _, out _);
        return printer + ")";
    }

    /// <summary>A task makes a call (its first try).</summary>
    public void OnEnter(Task task, int number, in SyscallArgs args)
    {
        CloseLine();
        CallFormat format = CallFormats.Get(number);
        var printer = new CallPrinter(task, args);
        printer.Append(format.Name).Append("(");
        printer.PrintArguments(format, 0, onExit: false, out int printed, out bool any);
        _pending[task.Tid] = new Pending(number, args, Prefix(task) + printer, printed, any, printer.Remembered);
        _openTid = task.Tid;
    }

    /// <summary>The call is answered.</summary>
    public void OnExit(Task task, SyscallResult result) => Finish(task, result, null);

    /// <summary>A signal ends the wait; whether the call goes on is decided after its handler.</summary>
    public void OnInterrupted(Task task, InterruptMode mode) => Finish(task, Errno.EINTR, mode == InterruptMode.Restart
        ? "? ERESTARTSYS (To be restarted if SA_RESTART is set)"
        : "? ERESTARTNOHAND (To be restarted if no handler)");

    /// <summary>A signal is about to be delivered to the task.</summary>
    public void OnSignal(Task task, SignalInfo info)
    {
        CloseLine();
        sink.WriteLine($"{Prefix(task)}--- {SignalNames.Get(info.Number)} {SignalPrinter.Describe(info)} ---");
    }

    /// <summary>A task is gone; a call it was in has no answer.</summary>
    /// <param name="task">The one.</param>
    /// <param name="waitStatus">As wait4(2) reports it.</param>
    public void OnExitProcess(Task task, int waitStatus)
    {
        if (_pending.ContainsKey(task.Tid))
            Finish(task, default, "?");
        CloseLine();
        int signal = waitStatus & 0x7f;
        string how = signal == 0
            ? "exited with " + ((waitStatus >> 8) & 0xff).ToString(CultureInfo.InvariantCulture)
            : "killed by " + SignalNames.Get(signal) + ((waitStatus & 0x80) != 0 ? " (core dumped)" : "");
        sink.WriteLine($"{Prefix(task)}+++ {how} +++");
    }

    private void Finish(Task task, SyscallResult result, string? outcome)
    {
        if (!_pending.Remove(task.Tid, out Pending pending))
        {
            // Begun before a restore.
            if (task.CurrentCall is not { } call)
                return;
            CloseLine();
            pending = new Pending(call.Number, call.Args, "", 0, false, null);
        }

        CallFormat format = CallFormats.Get(pending.Number);
        var printer = new CallPrinter(task, pending.Args, result) { Remembered = pending.Remembered };
        var line = new StringBuilder();
        bool resumed = _openTid != task.Tid;
        if (!resumed)
        {
            line.Append(pending.Text);
            _openTid = -1;
        }
        else
        {
            CloseLine();
            line.Append(Prefix(task)).Append("<... ").Append(format.Name).Append(" resumed>");
        }

        if (outcome is null || !format.NeverReturns)
            printer.PrintArguments(format, pending.Printed, onExit: true, out _, out _, pending.Any && !resumed);
        line.Append(printer).Append(") ");
        while (line.Length < ResultColumn)
            line.Append(' ');
        line.Append("= ").Append(outcome ?? format.Describe(result, printer));
        sink.WriteLine(line.ToString());
    }

    private void CloseLine()
    {
        if (_openTid >= 0 && _pending.TryGetValue(_openTid, out Pending open))
        {
            bool more = open.Any && open.Printed < CallFormats.Get(open.Number).Arguments.Length;
            sink.WriteLine(open.Text + (more ? ",  <unfinished ...>" : " <unfinished ...>"));
        }

        _openTid = -1;
    }

    /// <summary>As strace, which names threads once there are several.</summary>
    private string Prefix(Task task)
    {
        _many |= task.Kernel.Tasks.Count > 1;
        if (task.Kernel.Tasks.Count <= 1 && !_many)
            return "";
        _many = task.Kernel.Tasks.Count > 1;
        return string.Create(CultureInfo.InvariantCulture, $"[pid {task.Tid,5}] ");
    }

    private readonly record struct Pending(int Number, SyscallArgs Args, string Text, int Printed, bool Any, string? Remembered);
}
