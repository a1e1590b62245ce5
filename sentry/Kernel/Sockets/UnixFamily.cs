using System.Text;

namespace Sentry.Kernel.Sockets;

/// <summary>AF_UNIX (unix(7)).</summary>
internal sealed class UnixFamily : SocketFamily
{
    public override int Domain => AF.Unix;

    public override Result<SocketFile> Create(Task task, int type, int protocol, OpenFlags status)
    {
        Errno error = Check(ref type, protocol);
        return error != Errno.None ? error : new UnixSocket(task, type, status);
    }

    public override Result<(SocketFile First, SocketFile Second)> CreatePair(Task task, int type, int protocol, OpenFlags status)
    {
        Errno error = Check(ref type, protocol);
        if (error != Errno.None)
            return error;
        var first = new UnixSocket(task, type, status);
        var second = new UnixSocket(task, type, status);
        UnixSocket.Join(task, first, second);
        return (first, second);
    }

    private static Errno Check(ref int type, int protocol)
    {
        if (protocol is not (0 or AF.Unix))
            return Errno.EPROTONOSUPPORT;
        if (type == SocketType.Raw)
            type = SocketType.Datagram;
        return type is SocketType.Stream or SocketType.Datagram or SocketType.SeqPacket ? Errno.None : Errno.ESOCKTNOSUPPORT;
    }
}

/// <summary>The names that sockets have without a file (unix(7), "abstract").</summary>
[Savable("unix-names")]
internal sealed partial class UnixNames
{
    [Saved(1)] private SortedDictionary<string, UnixSocket> _abstract = [];
    [Saved(2)] private uint _lastAutomatic;

    internal UnixNames()
    {
    }

    internal UnixSocket? Find(string name) => _abstract.GetValueOrDefault(name);

    internal bool TryAdd(string name, UnixSocket socket) => _abstract.TryAdd(name, socket);

    internal void Remove(string name, UnixSocket socket)
    {
        if (_abstract.GetValueOrDefault(name) == socket)
            _abstract.Remove(name);
    }

    /// <summary>Autobind: a NUL and five hexadecimal digits that nobody has.</summary>
    internal string AddAutomatic(UnixSocket socket)
    {
        for (; ; )
        {
            string name = "\0" + (++_lastAutomatic & 0xfffff).ToString("x5", System.Globalization.CultureInfo.InvariantCulture);
            if (_abstract.TryAdd(name, socket))
                return name;
        }
    }
}

/// <summary>sockaddr_un and the name in it: null or a path, or an abstract name that begins with NUL; a byte per char.</summary>
internal static class UnixAddress
{
    private const int PathOffset = 2;
    private const int MaxLength = 110;

    /// <summary>The name in a sockaddr; "" for one of the family alone (autobind).</summary>
    internal static Result<string> Parse(ReadOnlySpan<byte> address)
    {
        if (address.Length is < PathOffset or > MaxLength || BitConverter.ToUInt16(address) != AF.Unix)
            return Errno.EINVAL;
        ReadOnlySpan<byte> path = address[PathOffset..];
        if (path.Length > 0 && path[0] != 0)
        {
            // A path ends at its NUL, or at the end of the address when there is none.
            int end = path.IndexOf((byte)0);
            path = end < 0 ? path : path[..end];
        }

        return Encoding.Latin1.GetString(path);
    }

    /// <summary>sockaddr_un of a name; the family alone when there is none.</summary>
    internal static byte[] Format(string? name)
    {
        bool isPath = !string.IsNullOrEmpty(name) && name[0] != '\0';
        var address = new byte[PathOffset + (name?.Length ?? 0) + (isPath ? 1 : 0)];
        address[0] = AF.Unix;
        if (name is not null)
            Encoding.Latin1.GetBytes(name, address.AsSpan(PathOffset));
        return address;
    }
}

/// <summary>Bytes on their way between two sockets, with what was attached.</summary>
[Savable("unix-message")]
internal sealed partial class UnixMessage
{
    /// <summary>What the host kernel's own bookkeeping costs per message; counts against SO_SNDBUF (skb truesize).</summary>
    internal const int Overhead = 768;

    [Saved(1)] private byte[] _data;
    [Saved(2)] private int _start;
    [Saved(3)] private UnixSocket _sender;
    [Saved(4)] private string? _from;
    [Saved(5)] private FileObject[]? _files;
    [Saved(6)] private SocketCredentials _credentials;

    internal UnixMessage(byte[] data, UnixSocket sender, string? from, FileObject[]? files, SocketCredentials credentials)
    {
        _data = data;
        _sender = sender;
        _from = from;
        _files = files;
        _credentials = credentials;
        if (files is not null)
        {
            foreach (FileObject file in files)
                file.AddReference();
        }
    }

    internal UnixSocket Sender => _sender;

    /// <summary>The sender's name when it sent.</summary>
    internal string? From => _from;

    internal SocketCredentials Credentials => _credentials;

    internal int Charge => _data.Length + Overhead;

    internal ReadOnlySpan<byte> Bytes => _data.AsSpan(_start);

    internal int Length => _data.Length - _start;

    internal bool HasFiles => _files is not null;

    internal void Consume(int count) => _start += count;

    /// <summary>Hands the attached files and their references over; they are gone from the message.</summary>
    internal FileObject[]? TakeFiles()
    {
        FileObject[]? files = _files;
        _files = null;
        return files;
    }

    /// <summary>The attached files with new references (MSG_PEEK).</summary>
    internal FileObject[]? PeekFiles()
    {
        if (_files is not null)
        {
            foreach (FileObject file in _files)
                file.AddReference();
        }

        return _files;
    }
}
