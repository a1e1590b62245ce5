using System.Globalization;
using System.Text;

namespace Sentry.FileSystems.Tmpfs;

/// <summary>The mount options of tmpfs(5).</summary>
internal readonly record struct TmpfsOptions(long Size, long Inodes, uint Permissions, uint Uid, uint Gid)
{
    private const uint DefaultPermissions = 0x3FF;

    /// <summary>Options over those there are; EINVAL for one that is not known or has no such value.</summary>
    internal static Result<TmpfsOptions> Parse(string text, GuestKernel kernel, UserNamespace user, TmpfsOptions before)
    {
        TmpfsOptions made = before;
        foreach (string option in text.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] parts = option.Split('=', 2);
            string value = parts.Length == 2 ? parts[1] : "";
            bool good = true;
            switch (parts[0])
            {
                case "size":
                    good = TryParseSize(value, kernel.MemorySize, out long size);
                    made = made with { Size = size + 4095 & -4096 };
                    break;
                case "nr_blocks":
                    good = TryParseSize(value, 0, out long blocks) && blocks < 1L << 50;
                    made = made with { Size = blocks * 4096 };
                    break;
                case "nr_inodes":
                    good = TryParseSize(value, 0, out long inodes);
                    made = made with { Inodes = inodes };
                    break;
                case "mode":
                    good = TryParseOctal(value, out uint permissions);
                    made = made with { Permissions = permissions };
                    break;
                case "uid":
                    good = uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out uint uid) && user.TryMakeUid(uid, out uid);
                    made = made with { Uid = uid };
                    break;
                case "gid":
                    good = uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out uint gid) && user.TryMakeGid(gid, out gid);
                    made = made with { Gid = gid };
                    break;
                case "huge" or "mpol" or "inode32" or "inode64" or "noswap":
                    // About the memory behind it, which is the host's affair.
                    break;
                default:
                    return Errno.EINVAL;
            }

            if (!good)
                return Errno.EINVAL;
        }

        return made;
    }

    internal static TmpfsOptions Default(Credentials mounter) => new(0, 0, DefaultPermissions, mounter.FsUid, mounter.FsGid);

    /// <summary>As in /proc/mounts, with a leading comma.</summary>
    internal string Describe()
    {
        var text = new StringBuilder();
        if (Size != 0)
            text.Append(CultureInfo.InvariantCulture, $",size={Size >> 10}k");
        if (Inodes != 0)
            text.Append(CultureInfo.InvariantCulture, $",nr_inodes={Inodes}");
        if (Permissions != DefaultPermissions)
            text.Append(CultureInfo.InvariantCulture, $",mode={Convert.ToString(Permissions, 8)}");
        if (Uid != 0)
            text.Append(CultureInfo.InvariantCulture, $",uid={Uid}");
        if (Gid != 0)
            text.Append(CultureInfo.InvariantCulture, $",gid={Gid}");
        return text.ToString();
    }

    /// <summary>A number with k, m, g or t behind it, or with %, of <paramref name="whole"/>.</summary>
    private static bool TryParseSize(string text, long whole, out long value)
    {
        value = 0;
        int digits = text.AsSpan().IndexOfAnyExceptInRange('0', '9');
        string unit = digits < 0 ? "" : text[digits..];
        if (!long.TryParse(digits < 0 ? text : text.AsSpan(0, digits), NumberStyles.None, CultureInfo.InvariantCulture, out long number) || number > 1L << 50)
            return false;
        int shift = unit switch
        {
            "" or "%" => 0,
            "k" or "K" => 10,
            "m" or "M" => 20,
            "g" or "G" => 30,
            "t" or "T" => 40,
            _ => -1,
        };
        if (shift < 0 || (unit == "%" && whole == 0) || number > long.MaxValue >> (shift + 1))
            return false;
        value = unit == "%" ? whole / 100 * number : number << shift;
        return true;
    }

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
