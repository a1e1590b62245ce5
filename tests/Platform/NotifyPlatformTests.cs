using System.Diagnostics;
using Sentry.Abi;
using Sentry.Host;
using Sentry.Platform;

namespace Tests.Platform;

public sealed class NotifyPlatformTests
{
    [Theory]
    [InlineData("values", "1000")]
    [InlineData("memory")]
    [InlineData("many")]
    [InlineData("fork", "50")]
    [InlineData("vfork", "50")]
    [InlineData("threads", "4", "20000")]
    [InlineData("swaps")]
    [InlineData("avx")]
    [InlineData("swapstorm", "2", "3000000")]
    [InlineData("swapfault")]
    public void Run_Guest_EndsWell(params string[] arguments)
    {
        using TestKernel kernel = new();
        int status = kernel.Run(arguments);
        Assert.Empty(kernel.Lost);
        Assert.Equal(0, status);
    }

    [Fact]
    public void Run_ThousandThreads_AllEnd()
    {
        using TestKernel kernel = new();
        Assert.Equal(0, kernel.Run("threads", "1000", "100"));
        Assert.Empty(kernel.Lost);

        // the slots of threads that ended are used again
        Assert.Equal(0, kernel.Run("threads", "1000", "100"));
    }

    [Fact]
    public void OnFault_EachKind_TellsSignalAndAddress()
    {
        using TestKernel kernel = new();
        Assert.Equal(0, kernel.Run("faults"));
        Assert.Equal([11, 4, 5, 8, 11], kernel.Faults.Select(f => f.Signal));
        Assert.Equal(11ul, kernel.Faults[0].Address);
        Assert.Equal((1, 14ul, 6ul, 11ul), (kernel.Faults[0].Code, kernel.Faults[0].TrapNumber, kernel.Faults[0].ErrorCode, kernel.Faults[0].Cr2));
        Assert.Equal(2, kernel.Faults[1].Code);
        Assert.Equal(0x80, kernel.Faults[2].Code);
        Assert.Equal(1, kernel.Faults[3].Code);
        Assert.Equal(13ul, kernel.Faults[4].TrapNumber);
    }

    [Fact]
    public void Map_SharedMemoryFile_IsSeenByBothProcesses()
    {
        using TestKernel kernel = new();
        Assert.Equal(0, kernel.Run("shared"));
        Assert.Equal((42u, 43u), (kernel.ReadShared(0), kernel.ReadShared(1)));
    }

    [Fact]
    public void Interrupt_Storm_LosesNoCallAndRepeatsNone()
    {
        const int Calls = 60_000;
        using RunningKernel run = new("values", Calls.ToString());
        Random random = new(1);
        int interrupts = 0, stops = 0;
        while (!run.Ended)
        {
            IGuestThread thread = run.Kernel.First.Threads[0];
            lock (run.Kernel.Lock)
                thread.Interrupt();
            interrupts++;
            if (interrupts % 4 == 0)
            {
                run.Do(() =>
                {
                    if (thread.State == GuestThreadState.Dead)
                        return;
                    thread.Stop();
                    stops++;
                    thread.Resume();
                });
            }

            Thread.SpinWait(random.Next(3000));
        }

        Assert.Empty(run.Kernel.Lost);
        Assert.Equal(0, run.Status);
        Assert.Equal((Calls, 0), (run.Kernel.Next, run.Kernel.Twice));
        Assert.True(stops > 10);
    }

    [Theory]
    [InlineData("fork", "1500")]
    [InlineData("vfork", "1500")]
    [InlineData("threads", "1000", "3000")]
    [InlineData("memory", "40")]
    [InlineData("many", "100")]
    [InlineData("swapstorm", "2", "5000000")]
    public void Interrupt_StormOnAllThreads_ChangesNothing(params string[] arguments)
    {
        using RunningKernel run = new(arguments);
        Random random = new(1);
        while (!run.Ended)
        {
            lock (run.Kernel.Lock)
            {
                foreach (IGuestThread thread in run.Kernel.AllThreads())
                {
                    if (random.Next(2) == 0)
                        thread.Interrupt();
                }
            }

            if (random.Next(4) == 0)
            {
                run.Do(() =>
                {
                    foreach (IGuestThread thread in run.Kernel.AllThreads().Where(t => t.State == GuestThreadState.Running))
                    {
                        thread.Stop();
                        if (thread.State == GuestThreadState.Stopped)
                            thread.Resume();
                    }
                });
            }

            Thread.SpinWait(random.Next(10000));
        }

        Assert.Empty(run.Kernel.Lost);
        Assert.Equal(0, run.Status);
    }

    [Fact]
    public void Stop_FromAnotherThreadThatHoldsTheLock_Works()
    {
        const int Calls = 40_000;
        using RunningKernel run = new("values", Calls.ToString());
        int stops = 0;
        while (!run.Ended)
        {
            lock (run.Kernel.Lock)
            {
                IGuestThread thread = run.Kernel.First.Threads[0];
                if (thread.State != GuestThreadState.Dead)
                {
                    thread.Stop();
                    stops++;
                    thread.Resume();
                }
            }

            Thread.Sleep(1); // the lock is not fair
        }

        Assert.Equal((0, (long)Calls, 0L), (run.Status, run.Kernel.Next, run.Kernel.Twice));
        Assert.True(stops > 10);
    }

    [Fact]
    public void Stop_ParkedCall_IsRewoundWithAllRegisters()
    {
        using RunningKernel run = new("park");
        ulong a = 0x1111, b = 0x2222;
        for (int i = 0; i < 500; i++)
        {
            run.AwaitParked(1);
            run.Do(() =>
            {
                IGuestThread thread = run.Kernel.First.Threads[0];
                run.Kernel.Parked.Clear();
                thread.Stop();
                thread.GetRegisters(out GuestRegisters registers);
                byte[] code = new byte[2];
                thread.AddressSpace.Read(registers.Rip, code);
                Assert.Equal((3002ul, 5ul, a, b), (registers.Rax, registers.Rdi, registers.R12, registers.R15));
                Assert.Equal([0x0F, 0x05], code);
                thread.Resume();
            });
            run.AwaitParked(1);
            run.Do(() =>
            {
                run.Kernel.Parked.Clear();
                run.Kernel.First.Threads[0].Return(i == 499 ? 1 : 0);
            });
            a += 3;
            b += 5;
        }

        run.Join();
        Assert.Equal(0, run.Status);
    }

    [Fact]
    public void Stop_SpinningThread_ShowsAndMovesItsState()
    {
        using RunningKernel run = new("spin");
        byte[] state = [];
        run.Do(() =>
        {
            IGuestThread thread = run.Kernel.First.Threads[0];
            thread.Stop();
            thread.GetRegisters(out GuestRegisters registers);
            Assert.InRange(registers.Rip, 0x400000ul, 0x500000ul);
            byte[] buffer = new byte[run.Kernel.Platform.MaxXStateSize];
            state = buffer[..thread.GetXState(buffer)];
            Assert.True(state.Length > 576);
            Assert.True(thread.SetXState(state));
            byte[] copy = new byte[buffer.Length];
            Assert.Equal(state.Length, thread.GetXState(copy));
            Assert.Equal(state, copy[..state.Length]);

            byte[] damaged = [.. state];
            damaged[520] = 1;
            Assert.False(thread.SetXState(damaged));
            damaged = [.. state];
            damaged[512 + 7] = 0x40;
            Assert.False(thread.SetXState(damaged));
            Assert.False(thread.SetXState(state.AsSpan(0, state.Length - 1)));
            Assert.True(thread.SetXState(default));
            Assert.Equal(0, thread.GetXState(buffer));
            thread.SetXState(state);
            thread.Resume();
        });
        run.Do(() =>
        {
            IGuestThread thread = run.Kernel.First.Threads[0];
            thread.Stop();
            run.Kernel.Exit(run.Kernel.First, 5);
        });
        run.Join();
        Assert.Equal(5, run.Status);
    }

    [Fact]
    public void Freeze_RunningGuest_KeepsMemoryAsItWas()
    {
        using RunningKernel run = new("frozen");
        byte[] first = new byte[4], second = new byte[4];
        ulong data = 0;
        run.Kernel.Hook = (thread, call) =>
        {
            if (call.Number == 3000)
                data = call.A1;
            return false;
        };
        for (int i = 0; i < 20; i++)
        {
            IFrozenMemory frozen = null!;
            while (Volatile.Read(ref data) == 0)
                Thread.Yield();
            run.Do(() =>
            {
                IGuestThread thread = run.Kernel.First.Threads[0];
                thread.Stop();
                frozen = thread.AddressSpace.Freeze(thread).Value;
                thread.Resume();
            });
            Assert.Equal(4, frozen.Read(data & ~3ul, first));
            Thread.Sleep(1);
            frozen.Read(data & ~3ul, second);
            Assert.Equal(first, second);

            List<PageRun> runs = [];
            frozen.FindPrivatePages(0, run.Kernel.Platform.GuestAddressLimit, runs);
            Assert.Contains(runs, r => r.Start <= data && data < r.End);
            Assert.True(runs.Sum(r => (long)(r.End - r.Start)) < 200 * 4096);

            int file = HostFile.CreateMemory("dump").Value;
            PageRun page = runs.Find(r => r.Start <= data && data < r.End);
            frozen.Dump(file, [new DumpRun(page.Start, page.End - page.Start, 4096)]);
            Assert.Equal(4, HostFile.ReadAt(file, second, (long)((data & ~3ul) - page.Start) + 4096).Value);
            Assert.Equal(first, second);
            HostFile.Close(file);
            run.Do(frozen.Dispose);
        }

        run.Kernel.Hook = (thread, call) =>
        {
            thread.Return(1);
            run.Kernel.Hook = null;
            return true;
        };
        run.Join();
        Assert.Equal(0, run.Status);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Dump_LargeMemoryWithUnreadablePages_WritesAll(bool underLock)
    {
        const ulong Start = 0x2000_0000_0000, Length = 5 << 20;
        using RunningKernel run = new("park");
        run.AwaitParked(1);
        byte[] content = new byte[Length];
        new Random(1).NextBytes(content);
        IFrozenMemory frozen = null!;
        run.Do(() =>
        {
            IGuestThread thread = run.Kernel.First.Threads[0];
            thread.Stop();
            thread.Queue(MemoryOperation.Map(Start, Length, MemoryProtection.Read | MemoryProtection.Write, MemorySource.Anonymous));
            Assert.Equal(Errno.None, thread.Flush());
            Assert.Equal((int)Length, thread.AddressSpace.Write(Start, content));
            thread.Queue(MemoryOperation.Protect(Start + (2 << 20), 8192, MemoryProtection.None));
            Assert.Equal(Errno.None, thread.Flush());
            frozen = thread.AddressSpace.Freeze(thread).Value;
            thread.Resume();
        });
        int file = HostFile.CreateMemory("dump").Value;
        DumpRun[] runs = [new DumpRun(Start + 4096, Length - 4096, 8192), new DumpRun(Start, 4096, 0)];
        if (underLock)
            run.Do(() => frozen.Dump(file, runs));
        else
            frozen.Dump(file, runs);
        byte[] written = new byte[Length - 4096];
        Assert.Equal(written.Length, HostFile.ReadAt(file, written, 8192).Value);
        Assert.True(written.AsSpan().SequenceEqual(content.AsSpan(4096)));
        Assert.Equal(4096, HostFile.ReadAt(file, written.AsSpan(0, 4096), 0).Value);
        Assert.True(written.AsSpan(0, 4096).SequenceEqual(content.AsSpan(0, 4096)));
        HostFile.Close(file);
        run.Do(frozen.Dispose);
        run.Do(() => run.Kernel.Exit(run.Kernel.First, 0));
        run.Join();
        Assert.Empty(run.Kernel.Lost);
    }

    /// <summary>A dump ends on a thread of its own; what is known of processes is changed by the receiver's alone.</summary>
    [Fact]
    public void FrozenCopy_DisposedOfElsewhere_IsEndedByTheReceiver()
    {
        const ulong Start = 0x2000_0000_0000;
        using RunningKernel run = new("park");
        run.AwaitParked(1);
        byte[] bytes = new byte[4];
        IFrozenMemory frozen = null!;
        run.Do(() =>
        {
            IGuestThread thread = run.Kernel.First.Threads[0];
            thread.Stop();
            thread.Queue(MemoryOperation.Map(Start, 4096, MemoryProtection.Read | MemoryProtection.Write, MemorySource.Anonymous));
            Assert.Equal(Errno.None, thread.Flush());
            frozen = thread.AddressSpace.Freeze(thread).Value;
            thread.Resume();
        });
        int during = -1;
        run.Do(() =>
        {
            Thread other = new(frozen.Dispose);
            other.Start();
            other.Join();
            during = frozen.Read(Start, bytes);
        });
        Assert.Equal(bytes.Length, during);
        run.Do(() => during = frozen.Read(Start, bytes));
        Assert.Equal(0, during);
        run.Do(() => run.Kernel.Exit(run.Kernel.First, 0));
        run.Join();
        Assert.Empty(run.Kernel.Lost);
    }

    [Fact]
    public void Kill_ManyParkedThreads_EndsThemOneByOne()
    {
        using RunningKernel run = new("parkmany", "200");
        run.AwaitParked(201);
        run.Do(() =>
        {
            foreach (IGuestThread thread in run.Kernel.First.Threads.ToArray()[1..])
            {
                thread.Kill();
                run.Kernel.First.Threads.Remove(thread);
                Assert.Equal(GuestThreadState.Dead, thread.State);
            }
        });
        run.Do(() => Assert.True(run.Kernel.First.Threads[0].AddressSpace.TryRead32(0x400000, out _)));
        run.Do(() => run.Kernel.First.Threads[0].Stop());
        run.Do(() => run.Kernel.Exit(run.Kernel.First, 3));
        run.Join();
        Assert.Equal(3, run.Status);
        Assert.Empty(run.Kernel.Lost);
    }

    [Theory]
    [InlineData("spin")]
    [InlineData("park")]
    public void KillOfAStub_FromOutside_RaisesOnLost(string guest)
    {
        using RunningKernel run = new(guest);
        if (guest == "park")
            run.AwaitParked(1);
        else
            Thread.Sleep(50);
        foreach (int stub in Stubs().Skip(1))
            HostProcess.Kill(stub, 9);
        run.Join();
        Assert.Equal(1000, run.Status);
        Assert.Single(run.Kernel.Lost);
    }

    [Fact]
    public void Dispose_WithRunningGuests_LeavesNoProcess()
    {
        TestKernel kernel = new();
        kernel.Start("spin");
        Assert.True(Stubs().Count >= 2);
        kernel.Dispose();
        Assert.Empty(Stubs());
    }

    [Fact]
    public void CreateProcess_Stub_HoldsNothing()
    {
        using TestKernel kernel = new();
        kernel.Start("spin");
        int stub = Stubs()[^1];
        Dictionary<string, string> status = File.ReadLines($"/proc/{stub}/status").Select(l => l.Split(':', 2)).ToDictionary(p => p[0], p => p[1].Trim());
        Assert.Equal(("0000000000000000", "0000000000000000"), (status["CapEff"], status["CapPrm"]));
        Assert.Equal("0000000000000000", status["CapBnd"]);
        Assert.Equal(("1", "2"), (status["NoNewPrivs"], status["Seccomp"]));
        Assert.Empty(Directory.EnumerateFileSystemEntries($"/proc/{stub}/fd"));
        foreach (string kind in (string[])["net", "ipc", "mnt", "uts"])
            Assert.NotEqual(new FileInfo($"/proc/self/ns/{kind}").LinkTarget, new FileInfo($"/proc/{stub}/ns/{kind}").LinkTarget);
        Assert.DoesNotContain(File.ReadLines($"/proc/{stub}/maps"), l => l.Contains("[vdso]") || l.Contains("[stack]") || l.Contains("[vvar"));
    }

    /// <summary>A guest that jumps into the stub's page ends itself at worst; the platform goes on.</summary>
    [Theory]
    [InlineData("hostile")]
    [InlineData("hostilethread")]
    public void HostileGuest_EndsItselfAlone(string guest)
    {
        using TestKernel kernel = new();
        for (int which = 0; which <= 12; which++)
        {
            Exception? error = null;
            int status = -1;
            kernel.Parked.Clear();
            kernel.Faults.Clear();
            Thread runner = new(() =>
            {
                try
                {
                    status = kernel.Run(guest, which.ToString());
                }
                catch (Exception e)
                {
                    error = e;
                }
            });
            runner.Start();
            Stopwatch watch = Stopwatch.StartNew();
            while (!runner.Join(300))
            {
                // it neither ended nor was lost: it must still be possible to stop and end it
                using ManualResetEventSlim done = new();
                kernel.Platform.Post(() =>
                {
                    foreach (IGuestThread thread in kernel.First.Threads.ToArray())
                    {
                        thread.Stop();
                        thread.GetRegisters(out _);
                    }

                    kernel.Exit(kernel.First, 66);
                    done.Set();
                });
                Assert.True(done.Wait(40_000), $"case {which} hangs");
            }

            Assert.Null(error);
            Assert.True(status is 1000 or 66 or 77 or 0, $"case {which}: {status}");
            Assert.True(watch.ElapsedMilliseconds < 35_000);
            kernel.Faults.Clear();
            Assert.Equal(0, kernel.Run("values", "10"));
        }
    }

    /// <summary>What is mapped of a file that others use too cannot be made more than was given.</summary>
    [Theory]
    [InlineData(13, 25)]
    [InlineData(14, 10)]
    [InlineData(15, 28)]
    public void HostileGuest_ChangingASharedMapping_IsEnded(int which, int number)
    {
        using TestKernel kernel = new();
        Assert.Equal(1000, kernel.Run("hostile", which.ToString()));
        Assert.Contains($"system call {number} from the stub's page", Assert.Single(kernel.Lost));
    }

    /// <summary>Memory that is accessed often is accessed through a descriptor, which ends with the last process that has the memory.</summary>
    [Fact]
    public void WriteMapped_Often_WritesAndLeavesNoDescriptor()
    {
        using TestKernel kernel = new();
        Assert.Equal(0, kernel.Run("values", "10"));
        int before = MemoryFiles();
        int during = 0;
        byte[] bytes = new byte[100];
        kernel.Hook = (thread, _) =>
        {
            IAddressSpace space = thread.AddressSpace;
            thread.GetRegisters(out GuestRegisters registers);
            ulong address = registers.Rsp - 4000;
            for (byte i = 0; i < 100; i++)
            {
                bytes.AsSpan().Fill(i);
                Assert.Equal(100, space.WriteMapped(address, bytes));
                bytes.AsSpan().Clear();
                Assert.Equal(100, i % 2 == 0 ? space.Read(address, bytes) : space.ReadMapped(address, bytes));
                Assert.All(bytes, b => Assert.Equal(i, b));
            }

            Assert.Equal(0, space.ReadMapped(0x1000, bytes));
            during = MemoryFiles();
            kernel.Hook = null;
            return false;
        };
        Assert.Equal(0, kernel.Run("values", "10"));
        Assert.Equal((before + 1, before), (during, MemoryFiles()));

        static int MemoryFiles() => Directory.EnumerateFileSystemEntries("/proc/self/fd").Count(f => new FileInfo(f).LinkTarget?.EndsWith("/mem") == true);
    }

    internal static List<int> Stubs()
    {
        List<(long Started, int Id)> found = [];
        foreach (string status in Directory.EnumerateDirectories("/proc").Where(d => int.TryParse(Path.GetFileName(d), out _)))
        {
            try
            {
                // The name in parentheses may have spaces in it.
                string text = File.ReadAllText(status + "/stat");
                string[] stat = text[(text.LastIndexOf(')') + 2)..].Split(' ');
                if (int.Parse(stat[1]) == Environment.ProcessId && stat[0] != "Z" && new FileInfo(status + "/exe").LinkTarget!.StartsWith("/memfd:stub"))
                    found.Add((long.Parse(stat[19]), int.Parse(Path.GetFileName(status))));
            }
            catch (IOException)
            {
                // ended meanwhile
            }
        }

        // By age: process ids begin again at some time.
        found.Sort();
        return found.ConvertAll(f => f.Id);
    }
}
