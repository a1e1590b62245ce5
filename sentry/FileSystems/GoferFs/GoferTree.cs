using Gofer.Protocol;

namespace Sentry.FileSystems.GoferFs;

/// <summary>The read-only tree that a gofer serves, as the sentry knows it. The tree belongs to this sandbox alone, so names and attributes once learned hold for
/// good. Bounded: directory handles in the gofer and files it has donated; the least lately used are given back.</summary>
[Savable("gofer-tree")]
public sealed partial class GoferTree : IAfterLoad
{
    private const int MaxFiles = 4096, MaxHandles = 8192;

    [NotSaved("the restoring sentry's")] private GoferClient _client;
    [NotSaved("opened again when needed")] private readonly LinkedList<GoferNode> _files = new();
    [NotSaved("looked up again when needed")] private readonly Queue<GoferNode> _handles = new();
    [Saved(1)] private GoferNode _root;

    public GoferTree(GoferClient client)
    {
        _client = client;
        _root = new GoferNode(this);
    }

    public GoferNode Root => _root;

    internal GoferClient Client => _client;

    /// <summary>A file was donated; another that was not used for long may be closed.</summary>
    internal LinkedListNode<GoferNode> Opened(GoferNode node)
    {
        if (_files.Count >= MaxFiles)
        {
            GoferNode oldest = _files.Last!.Value;
            _files.RemoveLast();
            oldest.CloseFile();
        }

        return _files.AddFirst(node);
    }

    internal void Used(LinkedListNode<GoferNode> place)
    {
        if (ReferenceEquals(_files.First, place))
            return;
        _files.Remove(place);
        _files.AddFirst(place);
    }

    /// <summary>A directory got a handle.</summary>
    internal void HandleTaken(GoferNode node)
    {
        _handles.Enqueue(node);
        if (_handles.Count > MaxHandles)
            ForgetHandles();
    }

    /// <summary>Gives the older half of the handles back.</summary>
    internal void ForgetHandles()
    {
        var forgotten = new List<uint>();
        for (int left = (_handles.Count / 2) + 1; left > 0 && _handles.TryDequeue(out GoferNode? node); left--)
        {
            if (node.DropHandle() is var handle and not 0)
                forgotten.Add(handle);
        }

        if (forgotten.Count > 0)
            _client.Forget(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(forgotten));
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Host)
            _client = context.Get<GoferClient>();
    }
}
