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
    /// <summary>Mounts the tree over the gofer's.</summary>
    public static void Build(GuestKernel kernel, GoferClient gofer) => RootTree.Mount(kernel, gofer);

    /// <summary>What a restored sandbox needs besides its saved tree: the file system types that mount(2) knows.</summary>
    public static void Adopt() => RootTree.RegisterTypes();

    /// <summary>Puts the agent's text files into the tree.</summary>
    public static void WriteFiles(GuestKernel kernel, SeedFile[] files)
    {
        foreach (SeedFile file in files)
        {
            try
            {
                RootTree.WriteFile(kernel, HostPath.FromText(file.Path), System.Text.Encoding.UTF8.GetBytes(file.Content));
            }
            catch (IOException e)
            {
                throw new SentryException(e.Message);
            }
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
