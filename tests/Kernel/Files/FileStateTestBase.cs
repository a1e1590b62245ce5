using Gofer.Protocol;
using Sentry.FileSystems;

namespace Tests.Kernel.Files;

/// <summary>Saves a kernel over the fakes and loads it into another.</summary>
public abstract class FileStateTestBase
{
    /// <summary>Calls with strings, on whichever kernel.</summary>
    private protected sealed class Guest(TestKernel kernel, Task task)
    {
        public Task Task => task;

        public long Call(int number, params object[] args) =>
            kernel.Do(task, number, [.. args.Select(a => a is string text ? kernel.PutString(task, text) : Convert.ToUInt64(a is int i && i < 0 ? (object)(ulong)i : a))]);

        public int Open(string path, int flags = 0) => (int)Call(Sysno.open, path, flags, 0x1A4);

        public string Read(int fd, int length = 100)
        {
            ulong buffer = kernel.Allocate(length);
            long got = Call(Sysno.read, fd, buffer, length);
            Assert.True(got >= 0, $"read: {(Errno)(-got)}");
            return TestKernel.GetString(task, buffer, (int)got);
        }

        public void Write(int fd, string text) => Assert.Equal(text.Length, Call(Sysno.write, fd, text, text.Length));

        public string WorkingDirectory()
        {
            ulong buffer = kernel.Allocate(64);
            return TestKernel.GetString(task, buffer, (int)Call(Sysno.getcwd, buffer, 64) - 1);
        }
    }

    private sealed class Image : IImageMemory, IFileDataSaver, IRestoreContext
    {
        private readonly List<byte> _bytes = [.. new byte[8192]];
        private readonly FakeHost _from;
        private readonly FakeHost _to = new();
        private readonly GoferClient? _gofer;

        public Image(FakeHost from, GoferClient? gofer) => (_from, _gofer) = (from, gofer);

        public FakeHost Host => _to;

        public int Descriptor => 2000;

        public long Length => _bytes.Count;

        public Result<int> ReadAt(Span<byte> destination, long offset)
        {
            int count = (int)Math.Clamp(_bytes.Count - offset, 0, destination.Length);
            System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_bytes).Slice((int)offset, count).CopyTo(destination);
            return count;
        }

        public long SaveArena(long arenaOffset, long length)
        {
            long at = _bytes.Count;
            _bytes.AddRange(_from.Arena.GetSpan(arenaOffset, (int)length).ToArray());
            return at;
        }

        public long SaveImage(long imageOffset, long length) => throw new InvalidOperationException("there was no image before");

        public T Get<T>()
            where T : class => (T)(typeof(T).Name switch
            {
                nameof(IKernelHost) or nameof(Netstack.Stack.IStackHost) => (object)_to,
                nameof(IHostClock) => _to.Clock,
                nameof(IImageMemory) => this,
                nameof(GoferClient) => _gofer!,
                _ => throw new InvalidOperationException(typeof(T).Name),
            });
    }

    /// <summary>Saves a kernel, loads it into another, and gives its first task something to run on.</summary>
    private protected static (Guest Guest, GuestKernel Kernel) Restore(TestKernel kernel, GoferClient? gofer)
    {
        var image = new Image(kernel.Host, gofer);
        kernel.Kernel.Clock.BeforeSave();
        kernel.Kernel.FileData.PrepareSave(image);
        byte[] state = StateWriter.Save(kernel.Kernel);
        var registry = new SavableRegistry();
        Sentry.Kernel.SavableTypes.Register(registry);
        Sentry.FileSystems.SavableTypes.Register(registry);
        Netstack.Wire.SavableTypes.Register(registry);
        Netstack.Stack.SavableTypes.Register(registry);
        StateReader reader = StateReader.Read(state, registry);
        reader.RunPhase(RestorePhase.Host, image);
        reader.RunPhase(RestorePhase.Links, image);
        reader.RunPhase(RestorePhase.Activation, image);
        GuestKernel restored = reader.Root<GuestKernel>();
        Task task = restored.Tasks.Values.First();
        var space = new FakeAddressSpace();
        space.Map(TestKernel.Base, TestKernel.Size);
        task.Memory.Space = space;
        task.Thread = new FakeGuestThread(space);
        return (new Guest(new TestKernel(), task), restored);
    }

    private protected static (TestKernel Kernel, Guest Guest) Start(GoferClient? gofer)
    {
        var kernel = new TestKernel();
        RootTree.Mount(kernel.Kernel, gofer);
        Task task = kernel.NewProcess();
        task.Fs = new FsContext(kernel.Kernel.Mounts.Root);
        return (kernel, new Guest(kernel, task));
    }
}
