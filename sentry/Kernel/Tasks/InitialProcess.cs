namespace Sentry.Kernel.Tasks;

/// <summary>A program that is started from outside the sandbox.</summary>
public sealed record InitialProgram(List<string> Arguments, List<string> Environment, string WorkingDirectory, uint Uid, uint Gid);

/// <summary>Makes the first process, and those that <c>exec</c> adds.</summary>
public static class InitialProcess
{
    private const ulong AllCapabilities = (1ul << 41) - 1;
    private const string DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    /// <summary>Starts a program on a terminal of its own, which is the sandbox's console when it is the first; the caller attaches who looks at it.</summary>
    public static Result<(int Pid, TerminalBridge Bridge)> StartOnTerminal(GuestKernel kernel, InitialProgram program, WindowSize size)
    {
        if (!TerminalBridge.Create(kernel, program.Uid, program.Gid).TryGet(out (TerminalBridge Bridge, FileObject File) terminal, out Errno error))
            return error;
        terminal.Bridge.Terminal.SetWindowSize(size);
        kernel.Console ??= terminal.Bridge.Terminal;
        if (Start(kernel, program, [terminal.File, terminal.File, terminal.File], terminal.Bridge.Terminal).TryGet(out int pid, out error))
            return (pid, terminal.Bridge);
        terminal.Bridge.Close();
        return error;
    }

    /// <summary>Starts a program with its three standard streams; returns its process id. The streams' references are taken over also on failure.</summary>
    public static Result<int> Start(GuestKernel kernel, InitialProgram program, FileObject[] streams, Terminal? terminal = null)
    {
        int pid = kernel.NewPid();
        if (pid < 0)
            return Errno.EAGAIN;
        if (kernel.VdsoFile is null)
            kernel.UseVdso(Vdso.VdsoImage.Create());
        var files = new FileTable();
        for (int i = 0; i < streams.Length; i++)
            files.Add(streams[i], false, 1024);
        bool root = program.Uid == 0;
        var credentials = new Credentials
        {
            Uid = program.Uid,
            EffectiveUid = program.Uid,
            SavedUid = program.Uid,
            FsUid = program.Uid,
            Gid = program.Gid,
            EffectiveGid = program.Gid,
            SavedGid = program.Gid,
            FsGid = program.Gid,
            Groups = root ? [0] : [],
            Effective = root ? AllCapabilities : 0,
            Permitted = root ? AllCapabilities : 0,
            Bounding = AllCapabilities,
        };
        var fs = new FsContext(kernel.Mounts.Root);
        var group = new ThreadGroup(kernel, pid, null, new ResourceLimits(), new SignalActions()) { ProcessGroup = pid, Session = pid, StartTime = kernel.Clock.Monotonic };
        var task = new Task(kernel, group, pid, null!, files, fs, credentials, new SignalState(), "");
        group.Tasks.Add(task);
        kernel.Tasks.Add(pid, task);
        kernel.Processes.Add(pid, group);
        if (terminal is not null)
            Sessions.SetControlling(group, terminal);
        Errno error = Run(task, program);
        if (error == Errno.None)
            return pid;
        group.Tasks.Remove(task);
        kernel.Tasks.Remove(pid);
        kernel.Processes.Remove(pid);
        if (terminal is not null)
            Sessions.Free(terminal);
        files.RemoveUser(group);
        return error;
    }

    private static Errno Run(Task task, InitialProgram program)
    {
        Result<VfsPath> directory = PathWalker.Walk(task, program.WorkingDirectory);
        if (directory.IsError)
            return directory.Error;
        if (!directory.Value.Inode.IsDirectory)
            return Errno.ENOTDIR;
        task.Fs.WorkingDirectory = directory.Value;
        string name = program.Arguments[0];
        if (name.Contains('/'))
            return ExecSyscalls.StartProgram(task, name, program.Arguments, program.Environment);

        // As execvp(3): the first that can be run; EACCES only when nothing else was found.
        string path = program.Environment.Find(static v => v.StartsWith("PATH=", StringComparison.Ordinal))?[5..] ?? DefaultPath;
        Errno worst = Errno.ENOENT;
        foreach (string folder in path.Split(':'))
        {
            Errno error = ExecSyscalls.StartProgram(task, folder.Length == 0 ? name : folder + "/" + name, program.Arguments, program.Environment);
            if (error is not (Errno.ENOENT or Errno.ENOTDIR or Errno.EACCES))
                return error;
            if (error == Errno.EACCES)
                worst = error;
        }

        return worst;
    }
}
