using Sentry.Kernel.Futex;

namespace Tests.Kernel.Futex;

public class FutexTests
{
    private const ulong Private = 128, Wait = Private, Wake = 1 | Private, CmpRequeue = 4 | Private, WakeOp = 5 | Private, LockPi = 6 | Private,
        UnlockPi = 7 | Private, WaitBitset = 9 | Private, WakeBitset = 10 | Private;

    private readonly TestKernel _kernel = new();
    private readonly Task _task;
    private readonly ulong _word;

    public FutexTests()
    {
        _task = _kernel.NewProcess();
        _word = _kernel.PutInts(_task, 5);
    }

    private Task Waiter(ulong word, ulong value = 5, ulong bitset = 0)
    {
        Task thread = _kernel.NewThread(_task);
        Assert.Null(bitset == 0 ? _kernel.Call(thread, Sysno.futex, word, Wait, value) : _kernel.Call(thread, Sysno.futex, word, WaitBitset, value, 0, 0, bitset));
        return thread;
    }

    [Fact]
    public void Wait_ValueDiffers_IsEagain() => Assert.Equal(-(long)Errno.EAGAIN, _kernel.Do(_task, Sysno.futex, _word, Wait, 4));

    [Fact]
    public void Wait_Unmapped_IsEfault() => Assert.Equal(-(long)Errno.EFAULT, _kernel.Do(_task, Sysno.futex, 0x1000, Wait, 4));

    [Fact]
    public void Wake_InOrderOfComing()
    {
        Task first = Waiter(_word), second = Waiter(_word), third = Waiter(_word);
        Assert.Equal(1, _kernel.Do(_task, Sysno.futex, _word, Wake, 1));
        Assert.Equal(0, TestKernel.Result(first));
        Assert.Null(TestKernel.Result(second));
        Assert.Equal(2, _kernel.Do(_task, Sysno.futex, _word, Wake, int.MaxValue));
        Assert.Equal(0, TestKernel.Result(third));
        Assert.Equal(0, _kernel.Do(_task, Sysno.futex, _word, Wake, 1));
    }

    [Fact]
    public void WakeBitset_WakesOnlyThoseThatMatch()
    {
        Task one = Waiter(_word, 5, 1), two = Waiter(_word, 5, 2);
        Assert.Equal(1, _kernel.Do(_task, Sysno.futex, _word, WakeBitset, 10, 0, 0, 2));
        Assert.Null(TestKernel.Result(one));
        Assert.Equal(0, TestKernel.Result(two));
    }

    [Fact]
    public void Wait_RelativeTimeout_IsEtimedout()
    {
        ulong time = _kernel.PutLongs(_task, 0, 1000);
        Assert.Null(_kernel.Call(_task, Sysno.futex, _word, Wait, 5, time));
        _kernel.Advance(1000);
        Assert.Equal(-(long)Errno.ETIMEDOUT, TestKernel.Result(_task));
        Assert.Equal(0, _kernel.Do(_task, Sysno.futex, _word, Wake, 1));
    }

    [Fact]
    public void Wait_AbsoluteWallClock_FollowsTheClockWhenItJumps()
    {
        long now = _kernel.Host.FakeClock.Realtime;
        ulong time = _kernel.PutLongs(_task, (now / 1_000_000_000) + 100, 0);
        Assert.Null(_kernel.Call(_task, Sysno.futex, _word, WaitBitset | 256, 5, time, 0, uint.MaxValue));
        _kernel.Host.FakeClock.Realtime += 200_000_000_000;
        _kernel.RetryAll();
        Assert.Equal(-(long)Errno.ETIMEDOUT, TestKernel.Result(_task));
    }

    [Fact]
    public void CmpRequeue_WakesSomeAndMovesTheRest()
    {
        ulong other = _kernel.PutInts(_task, 0);
        Task first = Waiter(_word), second = Waiter(_word), third = Waiter(_word);
        Assert.Equal(-(long)Errno.EAGAIN, _kernel.Do(_task, Sysno.futex, _word, CmpRequeue, 1, 10, other, 6));
        Assert.Equal(3, _kernel.Do(_task, Sysno.futex, _word, CmpRequeue, 1, 10, other, 5));
        Assert.Equal(0, TestKernel.Result(first));
        Assert.Equal(0, _kernel.Do(_task, Sysno.futex, _word, Wake, 10));
        Assert.Equal(2, _kernel.Do(_task, Sysno.futex, other, Wake, 10));
        Assert.Equal(0, TestKernel.Result(second));
        Assert.Equal(0, TestKernel.Result(third));
    }

    [Fact]
    public void WakeOp_AddsAndComparesTheOldValue()
    {
        ulong other = _kernel.PutInts(_task, 7);
        Waiter(_word);
        Waiter(other, 7);
        const uint addOneIfOldIsSeven = (1u << 28) | (1 << 12) | 7;
        Assert.Equal(2, _kernel.Do(_task, Sysno.futex, _word, WakeOp, 1, 1, other, addOneIfOldIsSeven));
        Assert.Equal(8, TestKernel.GetInt(_task, other));
    }

    [Fact]
    public void UnlockPi_HandsTheLockToTheFirstWaiter()
    {
        ulong word = _kernel.PutInts(_task, 0);
        Assert.Equal(0, _kernel.Do(_task, Sysno.futex, word, LockPi));
        Assert.Equal(_task.Tid, TestKernel.GetInt(_task, word));
        Assert.Equal(-(long)Errno.EDEADLK, _kernel.Do(_task, Sysno.futex, word, LockPi));
        Task other = _kernel.NewThread(_task);
        Assert.Null(_kernel.Call(other, Sysno.futex, word, LockPi));
        Assert.Equal(-(long)Errno.EPERM, _kernel.Do(_kernel.NewThread(_task), Sysno.futex, word, UnlockPi));
        Assert.Equal(0, _kernel.Do(_task, Sysno.futex, word, UnlockPi));
        Assert.Equal(0, TestKernel.Result(other));
        Assert.Equal(other.Tid, TestKernel.GetInt(_task, word));
    }

    [Fact]
    public void ExitRobustList_MarksHeldLocksAndWakesAWaiter()
    {
        Task dying = _kernel.NewThread(_task);
        ulong node = _kernel.Allocate(16), head = _kernel.Allocate(24);
        dying.TryWrite(node + 8, (uint)dying.Tid | FutexTable.Waiters);
        dying.TryWrite(head, node);
        dying.TryWrite(head + 8, 8L);
        dying.TryWrite(node, head);
        Assert.Equal(0, _kernel.Do(dying, Sysno.set_robust_list, head, 24));
        Task waiter = Waiter(node + 8, (uint)dying.Tid | FutexTable.Waiters);
        _kernel.Kernel.Futexes.ExitRobustList(dying);
        Assert.Equal(FutexTable.Waiters | FutexTable.OwnerDied, (uint)TestKernel.GetInt(_task, node + 8));
        Assert.Equal(0, TestKernel.Result(waiter));
    }

    [Fact]
    public void FutexWaitv_ReturnsTheIndexWoken()
    {
        ulong second = _kernel.PutInts(_task, 9);
        ulong vectors = _kernel.PutLongs(_task, 5, (long)_word, 2 | 128, 9, (long)second, 2 | 128);
        Assert.Null(_kernel.Call(_task, Sysno.futex_waitv, vectors, 2));
        Task other = _kernel.NewThread(_task);
        Assert.Equal(1, _kernel.Do(other, Sysno.futex, second, Wake, 1));
        Assert.Equal(1, TestKernel.Result(_task));
        Assert.Equal(0, _kernel.Do(other, Sysno.futex, _word, Wake, 1));
    }

    [Fact]
    public void ManyWaiters_AreAllWoken()
    {
        for (int i = 0; i < 2000; i++)
            Waiter(_word);
        Assert.Equal(2000, _kernel.Do(_task, Sysno.futex, _word, Wake, int.MaxValue));
    }
}
