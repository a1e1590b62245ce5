namespace Tests.Kernel.Fakes;

/// <summary>Time that moves when a test says so.</summary>
internal sealed class FakeClock : IHostClock
{
    public long Monotonic { get; set; } = 5_000_000_000;

    public long Realtime { get; set; } = 1_700_000_000_000_000_000;

    /// <summary>0: there is none, and time is what the properties above say.</summary>
    public ulong Counter { get; set; }

    public long WakeupAt { get; private set; } = long.MaxValue;

    /// <summary>How often a wake-up was asked for.</summary>
    public int Requests { get; private set; }

    public void ArmWakeup(long hostMonotonic)
    {
        WakeupAt = hostMonotonic;
        Requests++;
    }
}

/// <summary>The world outside the kernel, in memory.</summary>
internal sealed class FakeHost : IKernelHost
{
    public FakeClock FakeClock { get; } = new();

    public FakePlatform FakePlatform { get; } = new();

    public IPlatform Platform => FakePlatform;

    public IHostClock Clock => FakeClock;

    public IFileArena Arena { get; } = new FakeArena();

    public List<string> Lines { get; } = [];

    public int? InitStatus { get; private set; }

    public void FillRandom(Span<byte> destination)
    {
        for (int i = 0; i < destination.Length; i++)
            destination[i] = (byte)((i * 37) + 11);
    }

    /// <summary>Work that the kernel asked for; done at once unless <see cref="HoldsWork"/>.</summary>
    public Queue<IHostWork> Work { get; } = [];

    public bool HoldsWork { get; set; }

    public void RunAside(IHostWork work)
    {
        Work.Enqueue(work);
        if (!HoldsWork)
            DoWork();
    }

    public void DoWork()
    {
        while (Work.TryDequeue(out IHostWork? work))
        {
            work.Run();
            work.OnDone();
        }
    }

    public void BeginCall(int pid, int tid, int number, in SyscallArgs args, string name)
    {
    }

    public void EndCall()
    {
    }

    public void Log(string message) => Lines.Add(message);

    public void OnProgramExited(int pid, int waitStatus) => InitStatus = waitStatus;

    public void OnSavePoint() => Lines.Add("save point");
}

/// <summary>A platform that can only make address spaces.</summary>
internal sealed class FakePlatform : IPlatform
{
    public string Name => "fake";

    public int MaxXStateSize => 4096;

    public ulong GuestAddressLimit => 0x7fff_0000_0000;

    public bool HasCallSites { get; set; }

    /// <summary>Where a rewritten call site jumps to, from the site.</summary>
    public int PaddingOffset { get; set; } = 10;

    /// <summary>What was there when the last site was planned.</summary>
    public int SeenAtPadding { get; private set; }

    public CallSitePlan? PlanCallSite(ReadOnlySpan<byte> code, int site, long trampoline, int number)
    {
        SeenAtPadding = code[site + PaddingOffset];
        byte[] body = new byte[28];
        Array.Fill(body, (byte)0xCC);
        return new CallSitePlan([(PaddingOffset, [0xE9, 1, 2, 3, 4]), (0, [0xEB, (byte)(PaddingOffset - 2)])], body, 21, 0);
    }

    /// <summary>Whether new processes are killed on the host.</summary>
    public bool KillsNewborns { get; set; }

    public Result<IGuestThread> CreateProcess() => new FakeGuestThread(new FakeAddressSpace()) { State = GuestThreadState.Stopped, IsKilled = KillsNewborns };

    public void Run(IPlatformEvents events, System.Threading.Lock kernelLock) => throw new NotSupportedException();

    public void Post(Action action) => action();

    public void Quit()
    {
    }

    public void Dispose()
    {
    }
}

/// <summary>Storage in an array.</summary>
internal sealed class FakeArena : IFileArena
{
    private byte[] _bytes = new byte[1 << 20];
    private long _next;

    public int HostDescriptor => 1000;

    public long Allocated { get; private set; }

    public Result<long> Allocate(long length)
    {
        long offset = _next;
        _next += length;
        Allocated += length;
        if (_next > _bytes.Length)
            Array.Resize(ref _bytes, (int)Math.Max(_next, _bytes.Length * 2L));
        return offset;
    }

    /// <summary>Bytes given back that guests have had mapped.</summary>
    public long FreedMapped { get; private set; }

    public void Free(long offset, long length, bool wasMapped)
    {
        Allocated -= length;
        FreedMapped += wasMapped ? length : 0;
        _bytes.AsSpan((int)offset, (int)length).Clear();
    }

    public Span<byte> GetSpan(long offset, int length) => _bytes.AsSpan((int)offset, length);
}
