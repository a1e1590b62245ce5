using System.Buffers.Binary;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Sentry.Host;

namespace RestoreAgent.Agent.Http;

/// <summary>Closes connections of other users: the socket's mode keeps them out already, but a mode can be changed (SO_PEERCRED, unix(7)).</summary>
public static class PeerCheck
{
    private const int SocketLevel = 1, PeerCredentials = 17;

    public static async Task CheckAsync(ConnectionContext connection, Func<Task> next)
    {
        if (connection.Features.Get<IConnectionSocketFeature>()?.Socket is { } socket && UserOf(socket) == HostProcess.EffectiveUserId)
            await next();
        else
            connection.Abort(new ConnectionAbortedException("another user's connection"));
    }

    private static int UserOf(Socket socket)
    {
        Span<byte> credentials = stackalloc byte[12]; // struct ucred: pid, uid, gid
        return socket.GetRawSocketOption(SocketLevel, PeerCredentials, credentials) == credentials.Length
            ? BinaryPrimitives.ReadInt32LittleEndian(credentials[4..])
            : -1;
    }
}
