namespace Tests.Kernel.State;

public sealed class KernelStateTests
{
    private static SavableRegistry MakeRegistry()
    {
        var registry = new SavableRegistry();
        Sentry.Kernel.SavableTypes.Register(registry);
        Sentry.FileSystems.SavableTypes.Register(registry);
        Netstack.Wire.SavableTypes.Register(registry);
        Netstack.Stack.SavableTypes.Register(registry);
        return registry;
    }

    /// <summary>A thread, a child, pipes with data, an eventfd, an epoll, a blocked read and a blocked sleep.</summary>
    private static GuestKernel MakeBusyKernel()
    {
        var kernel = new TestKernel();
        Task task = kernel.NewProcess();
        Task thread = kernel.NewThread(task);
        Task child = kernel.NewProcess(task.Group);
        ulong fds = kernel.PutInts(task, 0, 0);
        Assert.Equal(0, kernel.Do(task, Sysno.pipe2, fds, 0));
        int write = TestKernel.GetInt(task, fds + 4);
        ulong text = kernel.PutString(task, "in the pipe");
        Assert.Equal(11, kernel.Do(task, Sysno.write, (ulong)write, text, 11));
        Assert.Equal(0, kernel.Do(child, Sysno.pipe2, fds, 0));
        Assert.Null(kernel.Call(child, Sysno.read, (ulong)TestKernel.GetInt(child, fds), text, 5));
        Assert.True(kernel.Do(task, Sysno.eventfd2, 7, 0) >= 0);
        Assert.Null(kernel.Call(thread, Sysno.nanosleep, kernel.PutLongs(thread, 5, 0), 0));
        kernel.Kernel.Clock.BeforeSave();
        return kernel.Kernel;
    }

    [Fact]
    public void Register_AllAssemblies_HasNoNameTwice()
    {
        SavableRegistry registry = MakeRegistry();
        Assert.Contains(registry.Types, t => t.Name == "kernel");
        Assert.All(registry.Types, t => Assert.True(t.Fields.Select(f => f.Tag).Distinct().Count() == t.Fields.Count, t.Name));
    }

    [Fact]
    public void SaveOfRestoredKernel_IsTheSameImage()
    {
        byte[] image = StateWriter.Save(MakeBusyKernel());
        GuestKernel restored = StateReader.Read(image, MakeRegistry()).Root<GuestKernel>();

        var was = new StringWriter();
        StateDocument.Read(image).Dump(was);
        var now = new StringWriter();
        StateDocument.Read(StateWriter.Save(restored)).Dump(now);
        Assert.Equal(was.ToString(), now.ToString());
        Assert.Equal(image, StateWriter.Save(restored));
        Assert.Equal(3, restored.Tasks.Count);
        Assert.Equal(Sysno.read, restored.Tasks.Values.Last().Call.Number);
    }

    [Fact]
    public void BytesFlipped_RestoresOrIsInvalidImage()
    {
        byte[] good = StateWriter.Save(MakeBusyKernel());
        SavableRegistry registry = MakeRegistry();
        var random = new Random(3);
        for (int i = 0; i < 2000; i++)
        {
            byte[] image = (byte[])good.Clone();
            for (int flips = random.Next(1, 4); flips > 0; flips--)
                image[random.Next(image.Length)] = (byte)random.Next(256);
            try
            {
                StateReader.Read(image, registry);
            }
            catch (InvalidImageException)
            {
            }
        }
    }
}
