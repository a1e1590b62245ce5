using Sentry.Abi;
using Sentry.Host;
using Sentry.Kernel;
using Snapshot.State;

namespace Sentry.Main;

/// <summary>Turns the state file of an image into a kernel without threads yet.</summary>
internal static class ImageLoader
{
    private const long MaxState = 1 << 30;

    /// <summary>Throws <see cref="InvalidImageException"/> or <see cref="SentryException"/> with one line for the user.</summary>
    public static GuestKernel Load(int stateFile, IRestoreContext context)
    {
        Require.Ok(HostFile.StatX(stateFile, out StatX status), "look at the state file");
        if (status.Size is 0 or > MaxState)
            throw new InvalidImageException($"the image's kernel state has {status.Size} bytes, which can't be right; take a new checkpoint");
        byte[] state = new byte[status.Size];
        for (int done = 0; done < state.Length;)
        {
            Result<int> got = HostFile.ReadAt(stateFile, state.AsSpan(done), done);
            if (got.IsError || got.Value == 0)
                throw new SentryException($"cannot read the image's kernel state: {got.Error}");
            done += got.Value;
        }

        HostFile.Close(stateFile);
        var registry = new SavableRegistry();
        Sentry.Kernel.SavableTypes.Register(registry);
        Sentry.FileSystems.SavableTypes.Register(registry);
        Netstack.Wire.SavableTypes.Register(registry);
        Netstack.Stack.SavableTypes.Register(registry);
        return StateReader.Load<GuestKernel>(state, registry, context);
    }
}

/// <summary>What a restored kernel finds of the world outside.</summary>
internal sealed class RestoreServices(params object[] services) : IRestoreContext
{
    /// <inheritdoc/>
    public T Get<T>()
        where T : class
    {
        foreach (object service in services)
        {
            if (service is T found)
                return found;
        }

        throw new InvalidOperationException($"restored objects ask for {typeof(T).Name}, which the sentry does not give");
    }
}
