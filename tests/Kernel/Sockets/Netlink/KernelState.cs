namespace Tests.Kernel.Sockets.Netlink;

/// <summary>A kernel's state through an image and back.</summary>
internal static class KernelState
{
    public static GuestKernel Copy(GuestKernel kernel)
    {
        var registry = new SavableRegistry();
        Sentry.Kernel.SavableTypes.Register(registry);
        Sentry.FileSystems.SavableTypes.Register(registry);
        Netstack.Wire.SavableTypes.Register(registry);
        Netstack.Stack.SavableTypes.Register(registry);
        kernel.Clock.BeforeSave();
        return StateReader.Read(StateWriter.Save(kernel), registry).Root<GuestKernel>();
    }
}
