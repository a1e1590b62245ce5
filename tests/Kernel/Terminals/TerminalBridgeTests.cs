using Tests.Kernel.Files;

namespace Tests.Kernel.Terminals;

public sealed class TerminalBridgeTests : FileTestBase
{
    private readonly TerminalBridge _bridge;
    private readonly int _terminal;

    public TerminalBridgeTests()
    {
        Assert.True(TerminalBridge.Create(Kernel.Kernel, 0, 0).TryGet(out (TerminalBridge Bridge, FileObject File) made, out _));
        _bridge = made.Bridge;
        Result<int> fd = Task.AddFile(made.File, false);
        _terminal = fd.Value;
    }

    private void Settle()
    {
        Kernel.Kernel.Dispatcher.RunReady();
        Kernel.RunReady();
    }

    private FakeStream Attach()
    {
        FakeStream stream = new();
        _bridge.Attach(stream, reads: true);
        Settle();
        return stream;
    }

    [Fact]
    public void Typed_IsEchoedAndRead()
    {
        FakeStream user = Attach();
        user.Type("hello\r");
        Settle();
        Assert.Equal("hello\r\n", user.Seen);
        Assert.Equal("hello\n", Read(_terminal));
    }

    [Fact]
    public void Written_ReachesEveryEnd()
    {
        FakeStream first = Attach(), second = Attach();
        Write(_terminal, "news\n");
        Settle();
        Assert.Equal("news\r\n", first.Seen);
        Assert.Equal("news\r\n", second.Seen);
    }

    [Fact]
    public void Attach_Later_ShowsTheLastLinesAndModes()
    {
        FakeStream first = Attach();
        Write(_terminal, "prompt$ \x1b[?2004h");
        Settle();
        FakeStream second = Attach();
        Assert.Equal("\x1b[?2004hprompt$ \x1b[?2004h", second.Seen);
        Write(_terminal, "\x1b[?1049hdrawn");
        Settle();
        Assert.Equal("\x1b[?1049h\x1b[?2004h", Attach().Seen);
        Assert.EndsWith("drawn", first.Seen);
    }

    [Fact]
    public void SlowEnd_HoldsWritersAndLosesNothing()
    {
        FakeStream user = Attach();
        user.Room = 100;
        ulong text = Kernel.PutString(Task, new string('x', 60000));
        Assert.Null(Kernel.Call(Task, Sysno.write, (ulong)_terminal, text, 60000));
        while (TestKernel.Result(Task) is null)
        {
            user.Room = 5000;
            user.Ready(PollEvents.Out);
            Settle();
        }

        Assert.Equal(60000, TestKernel.Result(Task));
        user.Room = int.MaxValue;
        user.Ready(PollEvents.Out);
        Settle();
        Assert.Equal(60000, user.Seen.Length);
    }

    [Fact]
    public void NobodyThere_WritersGoOn()
    {
        for (int i = 0; i < 10; i++)
        {
            Write(_terminal, new string('x', 8000));
            Settle();
        }

        Assert.EndsWith("xxxx", Attach().Seen);
    }

    [Fact]
    public void Log_GetsEverything()
    {
        FakeStream log = new();
        _bridge.Attach(log, reads: false);
        Write(_terminal, "one\n");
        Settle();
        FakeStream user = Attach();
        user.PeerGone = true;
        user.Ready(PollEvents.Hup);
        Write(_terminal, "two\n");
        Settle();
        Assert.Equal("one\r\ntwo\r\n", log.Seen);
        Assert.True(user.Closed);
    }

    [Fact]
    public void ProgramEnded_IsReportedWhenAllWasTaken()
    {
        FakeStream user = Attach();
        user.Room = 3;
        Write(_terminal, "last words");
        Settle();
        Kernel.Kernel.ReportExit(_bridge.ProcessId, 7 << 8);
        Settle();
        Assert.Null(Kernel.Host.InitStatus);
        user.Room = 100;
        user.Ready(PollEvents.Out);
        Settle();
        Assert.Equal(7 << 8, Kernel.Host.InitStatus);
        Assert.Equal("last words", user.Seen);
        Assert.True(user.Closed);
        Assert.Empty(Kernel.Kernel.Bridges);
        Assert.Equal(Fail(Errno.EIO), Write(_terminal, "x"));
    }

    [Fact]
    public void WindowChange_SignalsTheForeground()
    {
        Task program = NewProcess();
        Sessions.SetControlling(program.Group, _bridge.Terminal);
        program.Group.Actions[Signal.SIGWINCH].Handler = 0x1000;
        _bridge.Terminal.SetWindowSize(new WindowSize { Rows = 5, Columns = 10 });
        Assert.True(program.Group.Pending.Has(Signal.SIGWINCH));
    }

    [Fact]
    public void PushingInput_IsRefused()
    {
        Assert.Equal(Fail(Errno.EIO), Call(Sysno.ioctl, _terminal, Tio.TIOCSTI, Kernel.PutString(Task, "x")));
        int master = Open("/dev/ptmx", ReadWrite);
        Assert.Equal(Fail(Errno.EIO), Call(Sysno.ioctl, master, Tio.TIOCSTI, Kernel.PutString(Task, "x")));
    }

    [Fact]
    public void SaveAndRestore_KeepsTypedLinesAndShownOutput()
    {
        FakeStream user = Attach();
        user.Room = 0;
        Write(_terminal, "not yet shown");
        user.Type("typed ahead\rhalf");
        Settle();
        Kernel.Kernel.Clock.BeforeSave();
        byte[] image = StateWriter.Save(Kernel.Kernel);
        var registry = new SavableRegistry();
        Sentry.Kernel.SavableTypes.Register(registry);
        Sentry.FileSystems.SavableTypes.Register(registry);
        Netstack.Wire.SavableTypes.Register(registry);
        Netstack.Stack.SavableTypes.Register(registry);
        FakeStream restored = new();
        GuestKernel kernel = StateReader.Load<GuestKernel>(image, registry, new RestoredWorld(restored, _bridge.ProcessId));
        kernel.Dispatcher.RunReady();
        Assert.Equal("not yet showntyped ahead\r\nhalf", restored.Seen);
        restored.Type("\x7f\x7f\x7f\x7fwhole\r");
        kernel.Dispatcher.RunReady();
        Task task = kernel.Tasks.Values.First();
        var buffer = new byte[100];
        FileObject file = task.Files.Get(_terminal)!;
        Assert.Equal(12, file.Read(task, new UserBuffer(buffer)).Value);
        Assert.Equal(6, file.Read(task, new UserBuffer(buffer)).Value);
        Assert.Equal("whole\n", System.Text.Encoding.Latin1.GetString(buffer, 0, 6));
        Assert.Equal("/dev/pts/0", file.Describe());
    }

    /// <summary>What the restored kernel finds outside: one end for the terminal.</summary>
    private sealed class RestoredWorld(FakeStream terminal, int pid) : IRestoreContext, IDonatedStreams, IImageMemory
    {
        private readonly FakeHost _host = new();

        public int Descriptor => -1;

        public long Length => 0;

        public Result<int> ReadAt(Span<byte> destination, long offset) => 0;

        public IHostStream? Find(StreamIdentity identity) => null;

        public IHostStream? FindTerminal(int process) => process == pid ? terminal : null;

        public IHostStream? FindLog(int process) => null;

        public T Get<T>()
            where T : class => (_host as T) ?? (_host.Clock as T) ?? (_host.Arena as T) ?? (this as T) ?? throw new InvalidOperationException(typeof(T).Name);
    }
}
