using Gofer.Protocol;
using Sentry.Control;
using Sentry.FileSystems;
using Sentry.FileSystems.Overlay;
using Sentry.Host;
using Sentry.Kernel;
using Sentry.Kernel.Files;

namespace Sentry.Main;

/// <summary>The file tree a sandbox begins with, and what an image must say about the base tree.</summary>
internal static class RootSetup
{
    /// <summary>Mounts the tree over the gofer's, with volumes and empty file systems, outer ones first.</summary>
    public static void Build(GuestKernel kernel, GoferClient gofer, VolumeSpec[] volumes, TmpfsSpec[] tmpfs)
    {
        RootTree.Mount(kernel, gofer);
        IEnumerable<(string Place, Action Mount)> mounts = volumes.Select((v, i) => (v.Place, (Action)(() => RootTree.MountVolume(kernel, gofer, i, HostPath.FromText(v.Place), v.ReadOnly))))
            .Concat(tmpfs.Select(t => (t.Place, (Action)(() => RootTree.MountTmpfs(kernel, HostPath.FromText(t.Place), t.Size, t.Mode)))));
        foreach ((_, Action mount) in mounts.OrderBy(static m => m.Place.Count(static c => c == '/')))
            OrFail(mount);
    }

    /// <summary>After a restore: what is in use of the volumes is found again.</summary>
    public static void ReattachVolumes(GuestKernel kernel) => OrFail(() => RootTree.ReattachVolumes(kernel));

    /// <summary>What a restored sandbox needs besides its saved tree: the file system types that mount(2) knows.</summary>
    public static void Adopt() => RootTree.RegisterTypes();

    /// <summary>Puts the agent's text files into the tree.</summary>
    public static void WriteFiles(GuestKernel kernel, SeedFile[] files)
    {
        foreach (SeedFile file in files)
            OrFail(() => RootTree.WriteFile(kernel, HostPath.FromText(file.Path), System.Text.Encoding.UTF8.GetBytes(file.Content)));
    }

    private static void OrFail(Action action)
    {
        try
        {
            action();
        }
        catch (IOException e)
        {
            throw new SentryException(e.Message);
        }
    }

    /// <summary>The files of the base tree that the sandbox has open or mapped, or on which files of its overlay rest.</summary>
    public static IEnumerable<BaseFile> BaseFiles(GuestKernel kernel)
    {
        foreach (Mount mount in kernel.Mounts.All())
        {
            if (mount.FileSystem is not OverlayFileSystem overlay)
                continue;
            foreach (BaseFileUse use in overlay.ListBaseFiles())
                yield return new BaseFile { Path = use.Path, Size = use.Size, ModifyTime = use.ModifyTime };
        }
    }
}
