using System.Text;

namespace Sentry.Kernel.Tasks;

/// <summary>execve(2) and execveat(2), and the start of the first program, which is the same thing.</summary>
public static class ExecSyscalls
{
    private const int MaxInterpreterDepth = 5, MaxStringLength = 131072, MaxShebang = 256;
    private const ulong MaxStrings = 6 << 20;

    internal static SyscallResult Execve(Task task, in SyscallArgs args) => Exec(task, AT.FDCWD, args.A0, args.A1, args.A2, 0);

    internal static SyscallResult Execveat(Task task, in SyscallArgs args) => Exec(task, args.I0, args.A1, args.A2, args.A3, args.I4);

    /// <summary>Starts a program in a task that has no memory yet (process 1, or one started from outside).</summary>
    public static Errno StartProgram(Task task, string path, List<string> arguments, List<string> environment)
    {
        Result<Program> program = Resolve(task, AT.FDCWD, path, arguments, environment, WalkFlags.None);
        if (program.IsError)
            return program.Error;
        Errno error = Replace(task, program.Value, isFirst: true);
        program.Value.Release();
        return error;
    }

    private static SyscallResult Exec(Task task, int directory, ulong pathAddress, ulong argumentsAddress, ulong environmentAddress, int flags)
    {
        if ((flags & ~(AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH)) != 0)
            return Errno.EINVAL;
        Result<string> path = task.Memory.ReadPath(pathAddress);
        if (path.IsError)
            return path.Error;
        WalkFlags walk = ((flags & AT.SYMLINK_NOFOLLOW) != 0 ? WalkFlags.NoFollow : 0) | ((flags & AT.EMPTY_PATH) != 0 ? WalkFlags.AllowEmpty : 0);
        ulong total = 0;
        Result<List<string>> arguments = ReadStrings(task, argumentsAddress, ref total);
        if (arguments.IsError)
            return arguments.Error;
        Result<List<string>> environment = ReadStrings(task, environmentAddress, ref total);
        if (environment.IsError)
            return environment.Error;
        if (arguments.Value.Count == 0)
            arguments.Value.Add("");
        Result<Program> program = Resolve(task, directory, path.Value, arguments.Value, environment.Value, walk);
        if (program.IsError)
            return program.Error;
        Errno error = Replace(task, program.Value, isFirst: false);
        program.Value.Release();
        return error == Errno.None ? SyscallResult.Handled : error;
    }

    private static Result<List<string>> ReadStrings(Task task, ulong address, ref ulong total)
    {
        List<string> strings = [];
        if (address == 0)
            return strings;
        for (; ; address += 8)
        {
            if (!task.TryRead(address, out ulong pointer))
                return Errno.EFAULT;
            if (pointer == 0)
                return strings;
            Result<string> text = task.Memory.ReadString(pointer, MaxStringLength, Errno.E2BIG);
            if (text.IsError)
                return text.Error;
            total += (ulong)text.Value.Length + 9;
            if (total > MaxStrings)
                return Errno.E2BIG;
            strings.Add(text.Value);
        }
    }

    /// <summary>Opens the file, follows <c>#!</c> lines, opens the ELF interpreter; nothing of the task has changed when it fails.</summary>
    private static Result<Program> Resolve(Task task, int directory, string path, List<string> arguments, List<string> environment, WalkFlags walk)
    {
        string fileName = path;
        List<FileObject> files = [];
        Errno Give(Errno error)
        {
            foreach (FileObject opened in files)
                opened.Release();
            return error;
        }

        for (int depth = 0; ; depth++)
        {
            if (depth > MaxInterpreterDepth)
                return Give(Errno.ELOOP);
            Result<(FileObject File, string Path)> opened = OpenExecutable(task, directory, path, walk);
            if (opened.IsError)
                return Give(opened.Error);
            FileObject file = opened.Value.File;
            file.AddReference();
            files.Add(file);
            byte[] head = new byte[MaxShebang];
            int length = ElfImage.ReadAt(task, file, head, 0);
            if (length >= 2 && head[0] == '#' && head[1] == '!')
            {
                if (ParseShebang(head.AsSpan(0, length)) is not { } line)
                    return Give(Errno.ENOEXEC);
                // A script found through a descriptor is named by it.
                string script = directory == AT.FDCWD || path.StartsWith('/') ? path : path.Length == 0 ? $"/dev/fd/{directory}" : $"/dev/fd/{directory}/{path}";
                arguments = [line.Interpreter, .. line.Argument is null ? Array.Empty<string>() : [line.Argument], script, .. arguments.Skip(1)];
                path = line.Interpreter;
                directory = AT.FDCWD;
                walk = WalkFlags.None;
                continue;
            }

            Result<ElfImage> image = ElfImage.Read(task, file, task.Kernel.Host.Platform.GuestAddressLimit);
            if (image.IsError)
                return Give(image.Error);
            ElfImage? interpreter = null;
            if (image.Value.Interpreter is { } interpreterPath)
            {
                Result<(FileObject File, string Path)> found = OpenExecutable(task, AT.FDCWD, interpreterPath, WalkFlags.None);
                if (found.IsError)
                    return Give(found.Error);
                found.Value.File.AddReference();
                files.Add(found.Value.File);
                Result<ElfImage> loaded = ElfImage.Read(task, found.Value.File, task.Kernel.Host.Platform.GuestAddressLimit);
                if (loaded.IsError)
                    return Give(Errno.ELIBBAD);
                interpreter = loaded.Value;
            }

            var program = new Program
            {
                Image = image.Value,
                Interpreter = interpreter,
                Path = opened.Value.Path,
                FileName = fileName,
                Arguments = arguments,
                Environment = environment,
            };
            program.Files.AddRange(files);
            return program;
        }
    }

    private static Result<(FileObject File, string Path)> OpenExecutable(Task task, int directory, string path, WalkFlags walk)
    {
        Result<LinkTarget> found = PathWalker.WalkTo(task, directory, path, walk);
        if (found.IsError)
            return found.Error;
        VfsPath place = found.Value.Path;
        if (!place.IsSet)
            return Errno.EACCES;
        if (place.Inode.IsSymlink)
            return Errno.ELOOP;
        if (!place.Inode.IsRegular || (place.Mount.Flags & MountFlags.NoExec) != 0)
            return Errno.EACCES;
        Errno error = place.Inode.CheckAccess(task.Credentials, FileAccessMask.Execute);
        if (error != Errno.None)
            return error;
        if (place.Inode.IsWritten)
            return Errno.ETXTBSY;
        Result<FileObject> file = place.Inode.Open(task, place, OpenFlags.ReadOnly);
        return file.IsError ? file.Error : (file.Value, place.Describe(task.Fs.Root));
    }

    private static (string Interpreter, string? Argument)? ParseShebang(ReadOnlySpan<byte> head)
    {
        int end = head.IndexOf((byte)'\n');
        string line = Encoding.Latin1.GetString(end < 0 ? head[2..] : head[2..end]).Trim(' ', '\t', '\r', '\0');
        if (line.Length == 0)
            return null;
        int space = line.IndexOfAny([' ', '\t']);
        if (space < 0)
            return end < 0 ? null : (line, null);
        return (line[..space], line[space..].TrimStart(' ', '\t'));
    }

    /// <summary>The point of no return: the old program's threads end, the task gets a new address space and starts the new program.</summary>
    private static Errno Replace(Task task, Program program, bool isFirst)
    {
        GuestKernel kernel = task.Kernel;
        Result<IGuestThread> made = kernel.Host.Platform.CreateProcess();
        if (made.IsError)
            return made.Error;
        IGuestThread thread = made.Value;
        var memory = new MemoryManager(thread.AddressSpace, kernel.Host.Platform.GuestAddressLimit);
        if (!ExecCredentials.For(task, program.Image.File).TryGet(out (Credentials Credentials, bool Secure) gained, out Errno error))
        {
            memory.RemoveUser();
            thread.Kill();
            return error;
        }

        (Credentials credentials, bool secure) = gained;
        program.Secure = secure;
        Credentials before = task.Credentials;
        NamespaceSet namespaces = task.Namespaces;
        task.Credentials = credentials;
        task.Namespaces = namespaces.ForChild();
        error = ProgramLoader.Load(task, memory, thread, program);
        if (error != Errno.None)
        {
            task.Credentials = before;
            task.Namespaces = namespaces;
            memory.RemoveUser();
            // The host process of the new program was killed: that is this process's end, as it would be a moment later.
            if (thread.State == GuestThreadState.Dead && !isFirst)
                SignalDelivery.SendToProcess(task.Group, SignalInfo.Kernel(Signal.SIGKILL));
            thread.Kill();
            return error;
        }

        ThreadGroup group = task.Group;
        foreach (Task other in group.Tasks.ToArray())
        {
            if (!ReferenceEquals(other, task))
                Lifecycle.ExitTask(other);
        }

        int tidBefore = task.Tid;
        if (task.Tid != group.Pid)
        {
            kernel.Tasks.Remove(task.Tid);
            task.Tid = group.Pid;
            kernel.Tasks[task.Tid] = task;
        }

        if (!isFirst)
        {
            kernel.Futexes.ExitRobustList(task);
            if (task.ClearChildTid != 0 && task.Memory.Users > 1)
            {
                task.TryWrite(task.ClearChildTid, 0);
                kernel.Futexes.Wake(task.Memory, task.ClearChildTid, 1);
            }

            task.KeepCpuTime();
            task.Thread.Kill();
            task.Memory.RemoveUser();
        }

        task.ClearChildTid = 0;
        task.RobustList = 0;
        if (group.HasTimers)
            group.Timers.DeletePosixTimers();
        memory.SetProgram(program.Image.File);
        task.Memory = memory;
        task.Thread = thread;
        if (task.Files.IsShared)
        {
            FileTable own = task.Files.Copy();
            task.Files.RemoveUser(group);
            task.Files = own;
        }

        task.Files.CloseOnExec(group);
        if (group.Actions.Users > 1)
        {
            group.Actions.Users--;
            group.Actions = group.Actions.Copy();
        }

        group.Actions.ResetForExec();
        group.ExitSignal = Signal.SIGCHLD;
        task.Signals.ResetForExec();
        group.Executable = program.Path;
        group.HasExecuted = true;
        group.BarrierRegistrations = 0;
        group.IsDumpable = !secure;
        string baseName = program.FileName[(program.FileName.LastIndexOf('/') + 1)..];
        task.Name = baseName.Length > 15 ? baseName[..15] : baseName;
        Lifecycle.ReleaseVforkParent(task);
        if (task.Trace is { } trace)
            TraceEvents.OnExec(task, trace, tidBefore);
        if (!isFirst)
            kernel.Dispatcher.AnsweredByHandler(task, 0);
        kernel.Dispatcher.ResumeStopped(task);
        return Errno.None;
    }
}
