namespace Tests.Kernel.Sockets;

/// <summary>What comes for a sandbox that stands still.</summary>
public sealed class KeptFramesTests
{
    private sealed class Link(string name) : IFrameReceiver
    {
        public List<int> Delivered { get; } = [];

        public string Name => name;

        public void Deliver(byte[] frame) => Delivered.Add(frame[0]);
    }

    private readonly TestKernel _kernel = new();
    private readonly Link _first = new("eth0"), _second = new("eth1");

    [Fact]
    public void Hold_Ends_FramesComeToTheirLinksInOrder()
    {
        NetworkNamespace network = _kernel.Kernel.Network;
        network.Hold(true);
        Assert.True(network.IsHeld);
        network.Kept.Add(_first, [1]);
        network.Kept.Add(_second, [2]);
        network.Kept.Add(_first, [3]);
        Assert.Equal(["eth0 1", "eth1 2", "eth0 3"], network.Kept.ToArray().Select(k => $"{k.Link} {k.Frame[0]}"));
        Assert.Empty(_first.Delivered);

        network.Hold(false);
        Assert.Equal([1, 3], _first.Delivered);
        Assert.Equal([2], _second.Delivered);
        Assert.Empty(network.Kept.ToArray());
    }

    [Fact]
    public void Add_TooMany_KeepsTheFirst()
    {
        NetworkNamespace network = _kernel.Kernel.Network;
        network.Hold(true);
        for (int i = 0; i < 200; i++)
            network.Kept.Add(_first, [(byte)i]);
        network.Kept.Add(_first, new byte[300_000]);
        network.Hold(false);
        Assert.Equal(Enumerable.Range(0, 128), _first.Delivered);
    }
}
