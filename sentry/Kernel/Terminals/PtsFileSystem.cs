using System.Globalization;

namespace Sentry.Kernel.Terminals;

/// <summary>devpts: the pseudoterminals made through one ptmx. Each mount is an instance of its own, as with Linux since 4.7.</summary>
[Savable("devpts")]
public sealed partial class PtsFileSystem : FileSystem
{
    /// <summary>/proc/sys/kernel/pty/max.</summary>
    public const int Max = 4096;

    private const uint DefaultMode = 0x180;

    [Saved(1)] private SortedDictionary<int, PseudoTerminal> _pairs = [];
    [Saved(2)] private Dentry _root;
    [Saved(3)] private PtmxNode _ptmx;
    [Saved(4)] private uint _mode = DefaultMode;
    [Saved(5)] private uint? _uid;
    [Saved(6)] private uint? _gid;
    [Saved(7)] private int _limit = Max;
    [Saved(8)] private uint _ptmxMode;

    private PtsFileSystem(GuestKernel kernel, string source, uint ptmxMode)
        : base(kernel, source)
    {
        _ptmxMode = ptmxMode;
        _ptmx = new PtmxNode(this, ptmxMode);
        SetFirstInode(3);
        _root = new Dentry(new PtsDirectory(this));
    }

    public Dentry Root => _root;

    public override string TypeName => "devpts";

    /// <summary>The pairs whose master is open, by number.</summary>
    public SortedDictionary<int, PseudoTerminal> Pairs => _pairs;

    internal PtmxNode Ptmx => _ptmx;

    /// <summary>A new instance with the options of mount(8): uid, gid, mode, ptmxmode, max; EINVAL for others.</summary>
    public static Result<Dentry> Make(FileSystemRequest request) => Make(request.Kernel, request.Task.UserNamespace, request.Source, request.Options);

    /// <summary>The same for a mounter whose ids are those of <paramref name="namespaceOfIds"/>.</summary>
    public static Result<Dentry> Make(GuestKernel kernel, UserNamespace namespaceOfIds, string source, string options)
    {
        uint mode = DefaultMode, ptmxMode = 0;
        uint? uid = null, gid = null;
        int limit = Max;
        foreach (string option in options.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] parts = option.Split('=', 2);
            string value = parts.Length == 2 ? parts[1] : "";
            bool good = true;
            switch (parts[0])
            {
                case "uid":
                    good = uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out uint user) && namespaceOfIds.TryMakeUid(user, out user);
                    uid = user;
                    break;
                case "gid":
                    good = uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out uint group) && namespaceOfIds.TryMakeGid(group, out group);
                    gid = group;
                    break;
                case "mode":
                    good = TryParseOctal(value, out mode);
                    break;
                case "ptmxmode":
                    good = TryParseOctal(value, out ptmxMode);
                    break;
                case "max":
                    good = int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out limit) && limit <= Max;
                    break;
                case "newinstance":
                    break;
                default:
                    good = false;
                    break;
            }

            if (!good)
                return Errno.EINVAL;
        }

        return new PtsFileSystem(kernel, source, ptmxMode) { _mode = mode, _uid = uid, _gid = gid, _limit = limit }.Root;
    }

    public override FileSystemStatus GetStatus() => new(0x1cd1, 4096, 0, 0, 0, 0, 255);

    public override string DescribeOptions()
    {
        string text = "";
        if (_uid is { } uid)
            text += string.Create(CultureInfo.InvariantCulture, $",uid={uid}");
        if (_gid is { } gid)
            text += string.Create(CultureInfo.InvariantCulture, $",gid={gid}");
        return text + $",mode={Convert.ToString(_mode, 8)},ptmxmode={Convert.ToString(_ptmxMode, 8).PadLeft(3, '0')}";
    }

    /// <summary>A new pair with the lowest free number; ENOSPC when there are as many as there may be.</summary>
    internal Result<PseudoTerminal> Allocate(uint uid, uint gid)
    {
        int index = 0;
        foreach (int used in _pairs.Keys)
        {
            if (used != index)
                break;
            index++;
        }

        if (index >= _limit)
            return Errno.ENOSPC;
        PseudoTerminal pair = new(this, index, _uid ?? uid, _gid ?? gid);
        _pairs.Add(index, pair);
        return pair;
    }

    internal uint SlaveMode => _mode;

    internal void Remove(PseudoTerminal pair)
    {
        _pairs.Remove(pair.Index);
        if (_root.TryGetCached(NameOf(pair), out Dentry? dentry))
            dentry.Unhash();
    }

    internal static string NameOf(PseudoTerminal pair) => pair.Index.ToString(CultureInfo.InvariantCulture);

    private static bool TryParseOctal(string text, out uint value)
    {
        value = 0;
        foreach (char digit in text)
        {
            if (digit is < '0' or > '7' || value > 0x1FF)
                return false;
            value = (value << 3) | (uint)(digit - '0');
        }

        return text.Length > 0;
    }
}

/// <summary>The root of devpts: ptmx and a node for each pair.</summary>
[Savable("pts-directory")]
internal sealed partial class PtsDirectory : SyntheticDirectory
{
    internal PtsDirectory(PtsFileSystem fileSystem)
        : base(fileSystem, 1, 0x1ED, 0, 0)
    {
    }

    public override bool CachesNames => true;

    internal PtsFileSystem Pts => (PtsFileSystem)FileSystem;

    public override Result<Inode> Lookup(string name)
    {
        if (name == "ptmx")
            return Pts.Ptmx;
        bool number = int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int index) && (name.Length == 1 || name[0] != '0');
        return number && Pts.Pairs.TryGetValue(index, out PseudoTerminal? pair) ? pair.Node : Errno.ENOENT;
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        const long First = 3;
        if (position < First && !reader.Add("ptmx", Pts.Ptmx.Number, Pts.Ptmx.Mode, First))
            return Errno.None;
        foreach ((int index, PseudoTerminal pair) in Pts.Pairs)
        {
            if (First + index >= position && !reader.Add(PtsFileSystem.NameOf(pair), pair.Node.Number, pair.Node.Mode, First + index + 1))
                break;
        }

        return Errno.None;
    }
}

/// <summary>/dev/pts/ptmx: opening it makes a pair.</summary>
[Savable("ptmx-node")]
internal sealed partial class PtmxNode : Inode
{
    internal PtmxNode(PtsFileSystem fileSystem, uint permissions)
        : base(fileSystem, 2, S.IFCHR | permissions, 0, 0)
    {
        SpecialDevice = CharacterDevices.Ptmx;
    }

    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags) =>
        CharacterDevices.OpenPtmx(caller, path, new VfsPath(path.Mount, ((PtsFileSystem)FileSystem).Root), flags);
}

/// <summary>/dev/pts/N.</summary>
[Savable("pts-node")]
internal sealed partial class PtsNode : Inode
{
    private const uint SlaveMajor = 136, FirstInode = 3;

    [Saved(1)] private PseudoTerminal _pair;

    internal PtsNode(PtsFileSystem fileSystem, PseudoTerminal pair, uint uid, uint gid)
        : base(fileSystem, (ulong)pair.Index + FirstInode, S.IFCHR | fileSystem.SlaveMode, uid, gid)
    {
        _pair = pair;
        SpecialDevice = DeviceNumber.Make(SlaveMajor, (uint)pair.Index);
    }

    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags) => OpenTerminal(caller, path, _pair.Terminal, flags);

    /// <summary>Opens a terminal by whatever name: EIO when it is locked or its master is gone, EBUSY when another has it for itself.</summary>
    internal static Result<FileObject> OpenTerminal(Task? caller, in VfsPath path, Terminal terminal, OpenFlags flags, bool isConsole = false)
    {
        PseudoTerminal pair = terminal.Pair;
        if (pair.IsLocked || pair.IsMasterClosed)
            return Errno.EIO;
        if (terminal.IsExclusive && caller is not null && !caller.Credentials.Has(Capability.CAP_SYS_ADMIN))
            return Errno.EBUSY;
        TerminalFile file = new(path, terminal, flags, isConsole);
        if (caller is not null && !isConsole)
            Sessions.OnOpen(caller.Group, terminal, flags);
        return file;
    }
}
