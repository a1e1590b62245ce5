using System.Text;
using Sentry.Abi;
using Sentry.Platform;
using Sentry.Platform.Notify;

namespace Tests.Platform;

/// <summary>Calls that go through the entry page, with and without a mailbox. The guest's own checks are half of the test: memory and registers.</summary>
public class MailboxTests
{
    private const int OpenMailbox = 3030, CameAlong = 3032;
    private long _cameAlong;

    /// <summary>Whether calls are left in the mailbox for the sentry to find.</summary>
    protected virtual bool Watch => false;

    [Theory]
    [InlineData("mails")]
    [InlineData("mailfaults")]
    [InlineData("mailstorm", "20000")]
    [InlineData("mailforks", "100")]
    [InlineData("mailthreads", "20", "300")]
    public void Run_Guest_EndsWell(params string[] arguments)
    {
        using TestKernel kernel = new(Watch) { Hook = Answer };
        Assert.Equal((0, ""), (kernel.Run(arguments), string.Join(", ", kernel.Lost)));
        Assert.Empty(kernel.Faults);
    }

    /// <summary>A slot is used again whose thread ended when it had just been given a mailbox.</summary>
    [Fact]
    public void Run_ThreadsThatEndWithANewMailbox_LeaveTheirSlotsUsable()
    {
        using TestKernel kernel = new(Watch)
        {
            Hook = (thread, call) =>
            {
                if (call.Number == Sysno.exit)
                    thread.OpenMailbox();
                return Answer(thread, call);
            },
        };
        Assert.Equal((0, ""), (kernel.Run("latemailthreads", "8", "100"), string.Join(", ", kernel.Lost)));
        Assert.Empty(kernel.Faults);
    }

    /// <summary>A thread is stopped at every instruction of the entry page sooner or later.</summary>
    [Theory]
    [InlineData("mailstorm", "30000")]
    [InlineData("mailthreads", "8", "1500")]
    [InlineData("mailforks", "300")]
    public void Stop_Storm_LosesNoResultAndNoRegister(params string[] arguments)
    {
        using RunningKernel run = new(Answer, Watch, arguments);
        Random random = new(1);
        int stops = 0;
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

            run.Do(() =>
            {
                foreach (IGuestThread thread in run.Kernel.AllThreads().Where(t => t.State == GuestThreadState.Running))
                {
                    thread.Stop();
                    if (thread.State != GuestThreadState.Stopped)
                        continue;

                    // Looking at the registers and setting them takes the thread out of the entry page.
                    stops++;
                    thread.GetRegisters(out GuestRegisters registers);
                    Assert.True(registers.Rip is 0 or < 0x7ffe00000000, $"stopped at {registers.Rip:x}");
                    if (random.Next(2) == 0)
                        thread.SetRegisters(registers);
                    thread.Resume();
                }
            });
            Thread.SpinWait(random.Next(4000));
        }

        Assert.Empty(run.Kernel.Lost);
        Assert.Equal((0, 0L), (run.Status, run.Kernel.Twice));
        Assert.True(stops > 10);
    }

    [Fact]
    public void Stop_ParkedCallWithMailbox_IsRewoundToThePlainCall()
    {
        List<IGuestThread> parked = [];
        ulong address = 0;
        using RunningKernel run = new(Park, Watch, ["mailpark"]);
        for (int i = 0; i < 50; i++)
        {
            Await();
            run.Do(() =>
            {
                IGuestThread thread = run.Kernel.First.Threads[0];
                parked.Clear();
                byte[] path = new byte[6];
                Assert.Equal(6, thread.Mailbox!.Read(address, path));
                Assert.Equal("/park\0", Encoding.ASCII.GetString(path));
                thread.Stop();
                Assert.Null(thread.Mailbox);
                thread.GetRegisters(out GuestRegisters registers);
                byte[] code = new byte[2];
                thread.AddressSpace.Read(registers.Rip, code);
                Assert.Equal([0x0F, 0x05], code);
                Assert.Equal(((ulong)Sysno.open, 77ul), (registers.Rax, registers.Rsi));
                thread.Resume();
            });
            Await();
            run.Do(() =>
            {
                // Made again it comes by the plain call, without the mailbox.
                parked.Clear();
                IGuestThread thread = run.Kernel.First.Threads[0];
                Assert.Null(thread.Mailbox);
                thread.Return(i == 49 ? 1 : 0);
            });
        }

        run.Join();
        Assert.Equal(0, run.Status);

        void Await()
        {
            while (true)
            {
                lock (parked)
                {
                    if (parked.Count > 0)
                        return;
                }

                Assert.False(run.Ended);
                Thread.Yield();
            }
        }

        bool Park(IGuestThread thread, SyscallFrame call)
        {
            if (call.Number != Sysno.open)
                return Answer(thread, call);
            address = call.A0;
            lock (parked)
                parked.Add(thread);
            return true;
        }
    }

    /// <summary>Whatever a guest does with the entry page, it does to itself.</summary>
    [Fact]
    public void HostileGuest_InTheEntryPage_EndsItselfAlone()
    {
        using TestKernel kernel = new(Watch) { Hook = Answer };
        for (int which = 0; which < 2 * EntryCode.Build().Length; which++)
            RunHostile(kernel, "hostilemail", which.ToString());
        kernel.Faults.Clear();
        Assert.Equal(0, kernel.Run("mails"));
        Assert.Empty(kernel.Lost);
    }

    /// <summary>Whatever a guest writes into its mailboxes, and whenever, it does to itself.</summary>
    [Fact]
    public void HostileGuest_InTheMailboxes_EndsItselfAlone()
    {
        using TestKernel kernel = new(Watch) { Hook = Answer };
        for (int seed = 0; seed < 30; seed++)
            RunHostile(kernel, "mailforgers", seed.ToString());
        kernel.Faults.Clear();
        Assert.Equal(0, kernel.Run("mails"));
        Assert.Empty(kernel.Lost);
    }

    private static void RunHostile(TestKernel kernel, params string[] arguments)
    {
        Exception? error = null;
        Thread runner = new(() =>
        {
            try
            {
                kernel.Run(arguments);
            }
            catch (Exception e)
            {
                error = e;
            }
        });
        runner.Start();
        Assert.True(runner.Join(60_000), $"{string.Join(' ', arguments)} hangs");
        Assert.Null(error);
        kernel.Faults.Clear();
        kernel.Lost.Clear();
    }

    private bool Answer(IGuestThread thread, SyscallFrame call)
    {
        switch (call.Number)
        {
            case OpenMailbox:
                thread.OpenMailbox();
                thread.Return(0);
                return true;
            case CameAlong:
                thread.Return(_cameAlong);
                return true;
            case Sysno.open or Sysno.stat:
                byte[] path = new byte[256];
                int length = Fetch(thread, call.A0, path, 256);
                thread.Return(length == 0 ? -(long)Errno.EFAULT : call.Number == Sysno.stat ? path[1] : Array.IndexOf(path, (byte)0));
                return true;
            case Sysno.write:
                byte[] bytes = new byte[call.A2 & 0xFFFF];
                thread.Return(bytes.Length == 0 || Fetch(thread, call.A1, bytes, bytes.Length) == bytes.Length ? bytes.Length : -(long)Errno.EFAULT);
                return true;
            case Sysno.poll:
                thread.Return(Fetch(thread, call.A0, new byte[(call.A1 & 0xFF) * 8], (int)(call.A1 & 0xFF) * 8) / 8);
                return true;
            case Sysno.read:
                byte[] answer = new byte[call.A2 & 0xFFFF];
                for (int i = 0; i < answer.Length; i++)
                    answer[i] = (byte)(call.A0 + (ulong)i);
                bool stored = thread.Mailbox?.Write(call.A1, answer) == true || thread.AddressSpace.Write(call.A1, answer) == answer.Length;
                thread.Return(stored ? answer.Length : -(long)Errno.EFAULT);
                return true;
            default:
                return false;
        }
    }

    private int Fetch(IGuestThread thread, ulong address, byte[] destination, int length)
    {
        int came = thread.Mailbox?.Read(address, destination.AsSpan(0, length)) ?? 0;
        _cameAlong = came;
        return came > 0 ? came : thread.AddressSpace.Read(address, destination.AsSpan(0, length));
    }
}

/// <summary>The same with calls that are left in the mailbox while the sentry looks there.</summary>
public sealed class WatchedMailboxTests : MailboxTests
{
    protected override bool Watch => true;
}

/// <summary>When mailboxes are watched.</summary>
public sealed class MailWatchTests
{
    [Fact]
    public void Run_Watching_FindsMostCallsInTheMailbox()
    {
        using TestKernel kernel = new(watch: true) { Hook = Open };
        Assert.Equal(0, kernel.Run("mailpids", "20000"));
        AssertFound(kernel);
    }

    [Fact]
    public void OnCall_ThreadHasJustBeenKilled_WatchesOthersAfterwards()
    {
        int tries = 0;
        using TestKernel kernel = new(watch: true)
        {
            Hook = (thread, call) =>
            {
                Reception reception = ((StubThread)thread).Reception;
                StubThread gone = new(reception, new StubProcess(int.MaxValue, new StubSpace(reception)), int.MaxValue, 0);
                if (tries++ < 3)
                    reception.Mail.OnCall(gone);
                return Open(thread, call);
            },
        };
        Assert.Equal(0, kernel.Run("mailpids", "20000"));
        AssertFound(kernel);
    }

    private static bool Open(IGuestThread thread, SyscallFrame call)
    {
        if (call.Number != 3030)
            return false;
        thread.OpenMailbox();
        thread.Return(0);
        return true;
    }

    private static void AssertFound(TestKernel kernel)
    {
        long found = ((NotifyPlatform)kernel.Platform).WatchedCallCount;
        Assert.True(found > 1_000, $"{found} calls were found");
    }
}
