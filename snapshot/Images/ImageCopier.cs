using Storage;

namespace Snapshot.Images;

/// <summary>Copies an image from one store to another, frame by frame as they are: what the other holds already is not fetched, and every byte that
/// is fetched is checked down to its plain content.</summary>
public static class ImageCopier
{
    /// <summary>Copies an image; it appears in the other store when everything else is there, or not at all.</summary>
    /// <param name="name">Its name there.</param>
    /// <param name="reading">Paces and counts what comes from the source, as the options' transfer does for what goes to the destination.</param>
    /// <exception cref="StoreException">With <see cref="StoreError.Exists"/> when the name is taken.</exception>
    public static async Task<WrittenImage> CopyAsync(ImageReader source, IObjectStore destination, string name, ImageWriterOptions? options = null, Transfer? reading = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(destination);
        using ImageBuilder builder = await ImageBuilder.BeginAsync(
            destination, source.Info with { Name = name }, source.DataBytes, options ?? new ImageWriterOptions(), cancellationToken).ConfigureAwait(false);
        return await builder.BuildAsync(
            [token => source.CopyFramesAsync(builder, reading ?? new Transfer(), token)], source.StateLength, source.MemoryLength, cancellationToken).ConfigureAwait(false);
    }
}
