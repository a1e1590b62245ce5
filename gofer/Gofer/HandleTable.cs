using Sentry.Abi;
using Sentry.Host;

namespace Gofer;

/// <summary>The directories a client holds: numbers to O_PATH descriptors. Full is ENFILE; the client then gives some back.</summary>
public sealed class HandleTable(int limit) : IDisposable
{
    private readonly Dictionary<uint, int> _descriptors = [];
    private uint _last;

    public int Count => _descriptors.Count;

    /// <summary>Takes a descriptor over; closed when there is no room.</summary>
    public Result<uint> Add(int descriptor)
    {
        if (_descriptors.Count >= limit)
        {
            HostFile.Close(descriptor);
            return Errno.ENFILE;
        }

        do
        {
            _last++;
        }
        while (_last == 0 || _descriptors.ContainsKey(_last));

        _descriptors.Add(_last, descriptor);
        return _last;
    }

    public bool TryGet(uint handle, out int descriptor) => _descriptors.TryGetValue(handle, out descriptor);

    public void Remove(uint handle)
    {
        if (_descriptors.Remove(handle, out int descriptor))
            HostFile.Close(descriptor);
    }

    public void Dispose()
    {
        foreach (int descriptor in _descriptors.Values)
            HostFile.Close(descriptor);
        _descriptors.Clear();
    }
}
