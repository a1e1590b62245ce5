using System.Runtime.InteropServices;
using RestoreAgent.Api;
using Sentry.Abi;
using Sentry.Host;

namespace SnapshotRpc.Terminals;

/// <summary>
/// Shows a program's terminal in the user's own: what is typed goes one way, what is shown the other, over a socket whose other end goes to the
/// sandbox. The user's terminal is raw meanwhile and is put back on every way out.
/// </summary>
public sealed class TerminalSession : IDisposable
{
    private const int Input = 0, Output = 1, BufferSize = 16384;
    private const byte EndOfFile = 4;

    private readonly UnixChannel _own;
    private readonly UnixChannel _given;
    private readonly DetachKeys _keys;
    private readonly TerminalModes _modes = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private readonly Lock _lock = new();
    private readonly int _stop;
    private byte[]? _settings;
    private bool _raw;
    private Thread? _typing;
    private Thread? _showing;
    private int _disposed;

    public TerminalSession(DetachKeys keys)
    {
        Result<(UnixChannel First, UnixChannel Second)> pair = UnixChannel.CreatePair();
        Result<int> stop = HostEvents.CreateEvent();
        if (pair.IsError || stop.IsError)
            throw new CliException($"cannot make a socket for the terminal: {(pair.IsError ? pair.Error : stop.Error)}");
        (_own, _given) = pair.Value;
        (_keys, _stop) = (keys, stop.Value);
    }

    /// <summary>The socket's end that goes to the sandbox.</summary>
    public int Descriptor => _given.Descriptor;

    /// <summary>The size of the user's window; null where there is none.</summary>
    public static WindowSize? Window
    {
        get
        {
            (ushort rows, ushort columns) = HostTerminal.GetWindow(HostTerminal.IsTerminal(Input) ? Input : Output);
            return rows > 0 && columns > 0 ? new WindowSize(rows, columns) : null;
        }
    }

    /// <summary>Begins once the sandbox has the other end.</summary>
    /// <param name="resized">Told, on any thread, when the window has another size.</param>
    /// <param name="detached">Told, on any thread, when the keys to leave have been typed.</param>
    public void Start(Action<WindowSize> resized, Action detached)
    {
        _given.Dispose();
        _settings = HostTerminal.GetSettings(Input);
        AppDomain.CurrentDomain.ProcessExit += OnExit;
        AppDomain.CurrentDomain.UnhandledException += OnExit;
        MakeRaw();
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => Resize(resized)));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGCONT, _ =>
        {
            // Someone may have used the terminal while this process was stopped.
            MakeRaw();
            Resize(resized);
        }));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGTSTP, Suspend));
        _typing = new Thread(() => Type(detached), 128 << 10) { IsBackground = true, Name = "typing" };
        _showing = new Thread(Show, 128 << 10) { IsBackground = true, Name = "showing" };
        _typing.Start();
        _showing.Start();
    }

    /// <summary>The program has ended: shows what is still on its way and ends.</summary>
    public void Finish() => _showing?.Join();

    /// <summary>Puts the user's terminal back, also out of what the program had switched on in it.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        HostEvents.Signal(_stop);
        foreach (PosixSignalRegistration registration in _registrations)
            registration.Dispose();
        AppDomain.CurrentDomain.ProcessExit -= OnExit;
        AppDomain.CurrentDomain.UnhandledException -= OnExit;
        _own.Shutdown();
        _typing?.Join();
        _showing?.Join();
        Restore();
        _own.Dispose();
        _given.Dispose();
        HostFile.Close(_stop);
    }

    private static void Resize(Action<WindowSize> resized)
    {
        if (Window is { } window)
            resized(window);
    }

    private void MakeRaw()
    {
        lock (_lock)
        {
            if (_settings is not null)
                _raw = HostTerminal.SetSettings(Input, HostTerminal.MakeRaw(_settings)) == Errno.None;
        }
    }

    private void Restore()
    {
        lock (_lock)
        {
            if (!_raw || _settings is null)
                return;
            _raw = false;
            WriteAll(Output, _modes.Undo());
            HostTerminal.SetSettings(Input, _settings);
        }
    }

    private void OnExit(object? sender, EventArgs e) => Restore();

    // From outside only (kill -TSTP): keys do not make signals while the terminal is raw.
    private void Suspend(PosixSignalContext context)
    {
        const int Stop = 19;
        context.Cancel = true;
        Restore();
        HostSyscall.Call(Sysno.kill, HostProcess.ProcessId, Stop);
    }

    private void Type(Action detached)
    {
        byte[] buffer = new byte[BufferSize];
        List<byte> passed = [];
        Span<PollDescriptor> waits = [new PollDescriptor { Descriptor = Input, Events = PollDescriptor.In }, new PollDescriptor { Descriptor = _stop, Events = PollDescriptor.In }];
        while (true)
        {
            if (HostEvents.Poll(waits, -1) is { IsError: true, Error: not Errno.EINTR } || waits[1].Ready != 0)
                return;
            if (waits[0].Ready == 0)
                continue;
            Result<int> got = HostFile.Read(Input, buffer);
            if (got.Error is Errno.EINTR or Errno.EAGAIN)
                continue;
            if (got.IsError || got.Value == 0)
            {
                // No more input, as when a file was typed in: the program hears of it as it would from a keyboard.
                if (_settings is null)
                    WriteAll(_own.Descriptor, [EndOfFile]);
                return;
            }

            passed.Clear();
            bool leave = _settings is null ? Pass(buffer.AsSpan(0, got.Value), passed) : _keys.Take(buffer.AsSpan(0, got.Value), passed);
            if (passed.Count > 0 && !WriteAll(_own.Descriptor, CollectionsMarshal.AsSpan(passed)))
                return;
            if (!leave)
                continue;
            detached();
            return;
        }
    }

    private static bool Pass(ReadOnlySpan<byte> typed, List<byte> passed)
    {
        passed.AddRange(typed);
        return false;
    }

    private void Show()
    {
        byte[] buffer = new byte[BufferSize];
        while (true)
        {
            Result<int> got = HostFile.Read(_own.Descriptor, buffer);
            if (got.Error == Errno.EINTR)
                continue;
            if (got.IsError || got.Value == 0)
                return;
            lock (_lock)
                _modes.Follow(buffer.AsSpan(0, got.Value));
            if (!WriteAll(Output, buffer.AsSpan(0, got.Value)))
                return;
        }
    }

    private static bool WriteAll(int descriptor, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            Result<int> put = HostFile.Write(descriptor, bytes);
            if (put.Error is Errno.EAGAIN)
            {
                // The user's terminal may have been made non-blocking by another program that shares it.
                Span<PollDescriptor> wait = [new PollDescriptor { Descriptor = descriptor, Events = PollDescriptor.Out }];
                HostEvents.Poll(wait, -1);
            }
            else if (put.IsError && put.Error != Errno.EINTR)
            {
                return false;
            }
            else if (put.IsOk)
            {
                bytes = bytes[put.Value..];
            }
        }

        return true;
    }
}
