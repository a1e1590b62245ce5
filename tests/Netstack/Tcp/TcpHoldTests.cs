using Tests.Netstack.Simulation;

namespace Tests.Netstack.Tcp;

/// <summary>A paused sandbox holds its peers; one with a new identity lets them go.</summary>
public sealed class TcpHoldTests
{
    [Fact]
    public void HeldStack_StopsItsPeerAndGoesOn()
    {
        using var pair = new TcpPair(conditions: new() { Delay = SimNetwork.Millisecond });
        var transfer = new TcpTransfer(pair.A, pair.Client, pair.B, pair.Server, 4 << 20);
        Assert.True(pair.Net.RunUntil(() => transfer.Move() || transfer.Received > 500_000));
        byte[] before = pair.B.Save();
        pair.B.Stack.IsHeld = true;
        pair.Net.RunFor(20 * SimNetwork.Second);

        // Not a bit has changed, and the peer has neither given up nor been reset.
        Assert.Equal(before, pair.B.Save());
        Assert.Equal(TcpState.Established, pair.Client.State);
        Assert.Equal(0u, pair.Client.Snd.Window);
        pair.B.Stack.IsHeld = false;
        long start = pair.Net.Now;
        Assert.True(pair.Net.RunUntil(() => pair.Client.Snd.Window > 0));
        Assert.True(pair.Net.Now - start < 10 * SimNetwork.Millisecond);
        Assert.True(pair.Net.RunUntil(transfer.Move));
    }

    [Fact]
    public void HeldStack_MovesToAnotherPlace()
    {
        using var pair = new TcpPair(conditions: new() { Delay = SimNetwork.Millisecond, Loss = 0.01 });
        var there = new TcpTransfer(pair.A, pair.Client, pair.B, pair.Server, 4 << 20);
        var back = new TcpTransfer(pair.B, pair.Server, pair.A, pair.Client, 4 << 20);
        for (int move = 0; move < 5; move++)
        {
            long limit = (move + 1) * 600_000;
            Assert.True(pair.Net.RunUntil(() => (there.Move() & back.Move()) || there.Received > limit));
            pair.B.Stack.IsHeld = true;
            byte[] image = pair.B.Save();
            pair.Net.RunFor(SimNetwork.Second);
            pair.B.Restore(image);
            pair.B.Do(stack => stack.Tcp.Announce());
            pair.FindAgain();
            there.Watch(pair.Client, pair.Server);
            back.Watch(pair.Server, pair.Client);
        }

        Assert.True(pair.Net.RunUntil(() => there.Move() & back.Move()));
    }

    [Fact]
    public void ResetForeign_OwnAddressStays_NothingIsReset()
    {
        using var pair = new TcpPair();
        pair.B.Do(stack => stack.Tcp.ResetForeign());
        pair.Net.RunFor(SimNetwork.Second);
        Assert.Equal(TcpState.Established, pair.Server.State);
        Assert.Equal(TcpState.Established, pair.Client.State);
    }

    [Fact]
    public void ResetForeign_AddressIsGone_EndsConnectionsWithoutAWordAndKeepsListeners()
    {
        using var pair = new TcpPair();
        pair.B.SaveAndRestore();
        pair.FindAgain();
        pair.B.Do(stack =>
        {
            NetworkInterface link = stack.Interfaces.First(i => i.Addresses.Any(a => a.Address.ToString() == pair.AddressB));
            Assert.Equal(Errno.None, link.RemoveAddress(link.Addresses.First(a => a.Address.ToString() == pair.AddressB).Address));
            stack.Tcp.ResetForeign();
        });
        pair.Net.RunFor(SimNetwork.Second);
        Assert.Equal(Errno.ECONNRESET, pair.Server.TakeError());
        Assert.Equal(TcpState.Established, pair.Client.State);
        Assert.Equal(TcpState.Listen, Assert.Single(pair.B.Stack.Tcp.Endpoints).State);
    }
}
