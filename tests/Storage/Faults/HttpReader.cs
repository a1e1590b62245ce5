using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Tests.Storage.Faults;

/// <summary>The first line and the headers of a message.</summary>
internal sealed record HttpHead(byte[] Bytes)
{
    private readonly string[] _lines = Encoding.ASCII.GetString(Bytes).Split("\r\n");

    internal string FirstLine => _lines[0];

    /// <summary>What Content-Length says.</summary>
    internal long? Length => Header("Content-Length") is { } text ? long.Parse(text, CultureInfo.InvariantCulture) : null;

    internal bool IsChunked => Header("Transfer-Encoding") == "chunked";

    internal bool Closes => string.Equals(Header("Connection"), "close", StringComparison.OrdinalIgnoreCase);

    /// <summary>The same head with another value of a header that it has.</summary>
    internal byte[] With(string name, string value) => Encoding.ASCII.GetBytes(string.Join("\r\n",
        _lines.Select(l => l.StartsWith(name + ":", StringComparison.OrdinalIgnoreCase) ? $"{name}: {value}" : l)));

    internal string? Header(string name) => _lines.Skip(1).FirstOrDefault(l => l.StartsWith(name + ":", StringComparison.OrdinalIgnoreCase))?[(name.Length + 1)..].Trim();
}

/// <summary>An answer as it came, chunks of a chunked one with their frames.</summary>
internal sealed record Answer(byte[] Head, byte[] Body, long? Length, bool Closes);

/// <summary>Reads HTTP/1.1 messages (RFC 9112) from a socket.</summary>
internal sealed class HttpReader(Socket socket)
{
    private readonly byte[] _buffer = new byte[64 << 10];
    private int _start, _end;

    /// <summary>The next message's head; null where the other side has closed.</summary>
    internal async Task<HttpHead?> ReadHeadAsync(CancellationToken cancellationToken)
    {
        List<byte> head = [];
        while (head.Count < 4 || !(head[^4] == '\r' && head[^3] == '\n' && head[^2] == '\r' && head[^1] == '\n'))
        {
            if (!await FillAsync(cancellationToken))
                return null;
            head.Add(_buffer[_start++]);
        }

        return new HttpHead([.. head]);
    }

    internal async Task<byte[]> ReadAsync(long length, CancellationToken cancellationToken)
    {
        byte[] body = new byte[length];
        for (int got = 0; got < length;)
        {
            if (!await FillAsync(cancellationToken))
                throw new IOException("closed in a body");
            int count = (int)Math.Min(length - got, _end - _start);
            _buffer.AsSpan(_start, count).CopyTo(body.AsSpan(got));
            got += count;
            _start += count;
        }

        return body;
    }

    internal async Task<byte[]> ReadSlowlyAsync(long length, TimeSpan time, int pieces, CancellationToken cancellationToken)
    {
        List<byte> body = [];
        for (long left = length; left > 0;)
        {
            long count = Math.Min(left, (length / pieces) + 1);
            await Task.Delay(time / pieces, cancellationToken);
            body.AddRange(await ReadAsync(count, cancellationToken));
            left -= count;
        }

        return [.. body];
    }

    internal async Task<Answer> ReadAnswerAsync(bool bodiless, CancellationToken cancellationToken)
    {
        HttpHead head = await ReadHeadAsync(cancellationToken) ?? throw new IOException("the server has closed");
        string status = head.FirstLine.Split(' ')[1];
        if (bodiless || status is "204" or "304")
            return new Answer(head.Bytes, [], null, head.Closes);
        if (!head.IsChunked)
            return new Answer(head.Bytes, await ReadAsync(head.Length ?? 0, cancellationToken), head.Length, head.Closes);
        List<byte> body = [];
        while (true)
        {
            byte[] line = await ReadLineAsync(cancellationToken);
            body.AddRange(line);
            int size = int.Parse(Encoding.ASCII.GetString(line).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            body.AddRange(await ReadAsync(size + 2, cancellationToken));
            if (size == 0)
                return new Answer(head.Bytes, [.. body], null, head.Closes);
        }
    }

    private async Task<byte[]> ReadLineAsync(CancellationToken cancellationToken)
    {
        List<byte> line = [];
        while (line.Count < 2 || line[^1] != '\n')
            line.AddRange(await ReadAsync(1, cancellationToken));
        return [.. line];
    }

    private async Task<bool> FillAsync(CancellationToken cancellationToken)
    {
        if (_start < _end)
            return true;
        (_start, _end) = (0, await socket.ReceiveAsync(_buffer, cancellationToken));
        return _end > 0;
    }
}
