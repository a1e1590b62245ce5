using Sentry.Abi;
using Sentry.Host;

namespace Gofer;

/// <summary>The directories a client holds: numbers to O_PATH descriptors. Full is ENFILE; the client then gives some back.</summary>
public sealed class HandleTable(int limit) : IDisposable
{
    private readonly Dictionary<uint, HeldDirectory> _directories = [];
    private uint _last;

    public int Count => _directories.Count;

    /// <summary>Takes a descriptor over; closed when there is no room.</summary>
    public Result<uint> Add(int descriptor, bool writable = false)
    {
        if (_directories.Count >= limit)
        {
            HostFile.Close(descriptor);
            return Errno.ENFILE;
        }

        do
        {
            _last++;
        }
        while (_last == 0 || _directories.ContainsKey(_last));

        _directories.Add(_last, new HeldDirectory(descriptor, writable));
        return _last;
    }

    public bool TryGet(uint handle, out int descriptor) => TryGet(handle, out descriptor, out _);

    public bool TryGet(uint handle, out int descriptor, out bool writable)
    {
        bool known = _directories.TryGetValue(handle, out HeldDirectory held);
        (descriptor, writable) = (held.Descriptor, held.Writable);
        return known;
    }

    public void Remove(uint handle)
    {
        if (_directories.Remove(handle, out HeldDirectory held))
            HostFile.Close(held.Descriptor);
    }

    public void Dispose()
    {
        foreach (HeldDirectory held in _directories.Values)
            HostFile.Close(held.Descriptor);
        _directories.Clear();
    }

    /// <summary>A directory, and whether it lies in a tree that may be changed.</summary>
    private readonly record struct HeldDirectory(int Descriptor, bool Writable);
}
