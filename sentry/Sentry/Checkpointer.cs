using Sentry.Abi;
using Sentry.Control;
using Sentry.Host;
using Sentry.Kernel;
using Sentry.Kernel.Checkpoint;
using Sentry.Kernel.Files;
using Sentry.Platform;
using Snapshot.State;

namespace Sentry.Main;

/// <summary>Takes one checkpoint: the state and file data while the guest stands still, the private memory from frozen copies afterwards.</summary>
internal sealed class Checkpointer(GuestKernel kernel, MainClock clock, int stateFile, int memoryFile)
{
    private readonly List<(IMemoryView View, DumpRun[] Runs)> _dumps = [];
    private readonly List<IFrozenMemory> _frozen = [];
    private long _length;
    private bool _disposed;

    /// <summary>The guest has been stopped and has not gone on.</summary>
    public bool StandsStill { get; private set; }

    /// <summary>On the dispatch thread. On return the guest runs again when <paramref name="leaveRunning"/>, else it stands still.
    /// Throws IOException when a file can't be written; <see cref="StandsStill"/> tells how the guest is then.</summary>
    public Reply Take(bool leaveRunning)
    {
        try
        {
            return Write(leaveRunning);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>On the dispatch thread: it has come to nothing, or nobody is there to wait for it. The guest goes on if it stands still.</summary>
    public void GoOn()
    {
        if (!StandsStill)
            return;
        StandsStill = false;
        kernel.Network.Hold(false);
        Freezer.ResumeAll(kernel);
    }

    private Reply Write(bool leaveRunning)
    {
        long began = clock.Monotonic;
        Freezer.StopAll(kernel);
        StandsStill = true;

        // What the image says of the network stays true for as long as the sandbox stands still.
        if (!leaveRunning)
            kernel.Network.Hold(true);
        List<MemoryPlan> plans = Freezer.PlanMemory(kernel, ref _length);
        var saver = new FileDataSaver(kernel.Host.Arena, _length);
        kernel.FileData.PrepareSave(saver);
        _length = saver.Length;
        byte[] state = StateWriter.Save(kernel);
        saver.Copy(memoryFile, kernel.ImageMemory);
        BaseFile[] baseFiles = [.. RootSetup.BaseFiles(kernel)];
        foreach (MemoryPlan plan in plans)
        {
            IMemoryView view = plan.Memory.Space;
            if (leaveRunning)
            {
                Result<IFrozenMemory> frozen = plan.Memory.Space.Freeze(plan.Representative.Thread);
                if (frozen.IsError)
                    throw new IOException($"cannot copy the memory of process {plan.Representative.Group.Pid} ({frozen.Error}); free memory or checkpoint without --leave-running");
                _frozen.Add(frozen.Value);
                view = frozen.Value;
            }

            _dumps.Add((view, [.. plan.Runs]));
            plan.Memory.SavedRanges = [];
        }

        if (leaveRunning)
            GoOn();
        long pause = clock.Monotonic - began;
        WriteAll(stateFile, state);
        return new Reply { PauseNanoseconds = pause, BaseFiles = baseFiles };
    }

    /// <summary>From a thread of its own: writes the private memory.</summary>
    public DumpFinished Dump()
    {
        try
        {
            Errno error = HostFile.Truncate(memoryFile, _length);
            if (error != Errno.None)
                throw new IOException($"cannot size the memory file: {error}");
            foreach ((IMemoryView view, DumpRun[] runs) in _dumps)
                view.Dump(memoryFile, runs);
            return new DumpFinished { DataRanges = _length > 0 ? [0, _length] : [] };
        }
        catch (IOException e)
        {
            return new DumpFinished { Error = e.Message };
        }
        finally
        {
            Dispose();
        }
    }

    private void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        foreach (IFrozenMemory frozen in _frozen)
            frozen.Dispose();
        _frozen.Clear();
        HostFile.Close(stateFile);
        HostFile.Close(memoryFile);
    }

    private static void WriteAll(int file, ReadOnlySpan<byte> bytes)
    {
        for (long offset = 0; offset < bytes.Length;)
        {
            Result<int> written = HostFile.WriteAt(file, bytes[(int)offset..], offset);
            if (written.IsError || written.Value == 0)
                throw new IOException($"cannot write the kernel state: {(written.IsError ? written.Error : Errno.EIO)}{(written.Error == Errno.ENOSPC ? "; free disk space and try again" : "")}");
            offset += written.Value;
        }
    }
}

/// <summary>Gives file data its place in the memory file behind the private memory, and copies it there.</summary>
internal sealed class FileDataSaver(IFileArena arena, long offset) : IFileDataSaver
{
    private const int Chunk = 1 << 20;
    private readonly List<(bool FromImage, long Source, long Length, long Target)> _pieces = [];

    /// <summary>Where the memory file ends, so far.</summary>
    public long Length { get; private set; } = offset;

    /// <inheritdoc/>
    public long SaveArena(long arenaOffset, long length) => Place(false, arenaOffset, length);

    /// <inheritdoc/>
    public long SaveImage(long imageOffset, long length) => Place(true, imageOffset, length);

    public void Copy(int file, IHostFile? image)
    {
        byte[]? buffer = null;
        foreach ((bool fromImage, long source, long length, long target) in _pieces)
        {
            for (long done = 0; done < length;)
            {
                int count = (int)Math.Min(Chunk, length - done);
                ReadOnlySpan<byte> bytes;
                if (fromImage)
                {
                    buffer ??= new byte[Chunk];
                    Result<int> got = image!.ReadAt(buffer.AsSpan(0, count), source + done);
                    if (got.IsError || got.Value <= 0)
                        throw new IOException("cannot read the image this sandbox was restored from");
                    bytes = buffer.AsSpan(0, got.Value);
                }
                else
                {
                    bytes = arena.GetSpan(source + done, count);
                }

                Result<int> put = HostFile.WriteAt(file, bytes, target + done);
                if (put.IsError || put.Value == 0)
                    throw new IOException($"cannot write file data: {put.Error}{(put.Error == Errno.ENOSPC ? "; free disk space and try again" : "")}");
                done += put.Value;
            }
        }
    }

    private long Place(bool fromImage, long source, long length)
    {
        long target = Length;
        _pieces.Add((fromImage, source, length, target));
        Length += (length + 4095) & ~4095L;
        return target;
    }
}
