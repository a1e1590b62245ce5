namespace Netstack.Stack;

/// <summary>The values of an interface's settings (net.ipv4.conf.NAME and its like) that are not what they are by default, by their names.</summary>
[Savable("interface-configuration")]
public sealed partial class InterfaceConfiguration
{
    [Saved(1)] public SortedDictionary<string, int> V4 = [];
    [Saved(2)] public SortedDictionary<string, int> V6 = [];
    [Saved(3)] public SortedDictionary<string, int> NeighboursV4 = [];
    [Saved(4)] public SortedDictionary<string, int> NeighboursV6 = [];

    public InterfaceConfiguration()
    {
    }

    /// <summary>What a new interface begins with: the values of net.ipv4.conf.default and its like.</summary>
    public void CopyTo(InterfaceConfiguration target)
    {
        target.V4 = new(V4);
        target.V6 = new(V6);
        target.NeighboursV4 = new(NeighboursV4);
        target.NeighboursV6 = new(NeighboursV6);
    }
}
