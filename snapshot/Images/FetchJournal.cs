using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Snapshot.Images;

/// <summary>
/// Which chunks of an image are in its files already, kept beside them, so that fetching goes on where it was stopped, also by kill -9. Neither
/// is synced: after a power cut pages may be missing, so that a journal of an earlier boot is not believed.
/// </summary>
internal sealed class FetchJournal : IDisposable
{
    internal const string Name = "fetched";

    private readonly SafeFileHandle _file;
    private readonly HashSet<int> _rows;
    private long _length;

    private FetchJournal(SafeFileHandle file, HashSet<int> rows, long length) => (_file, _rows, _length) = (file, rows, length);

    /// <summary>Opens a folder's journal; makes one, and the image's two files, where there is none to be believed.</summary>
    internal static FetchJournal Open(string folder, string bootId, IReadOnlyList<(string Path, long Length)> files)
    {
        string path = Path.Combine(folder, Name);
        byte[] header = System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"1 {bootId}\n"));
        byte[] bytes = File.Exists(path) && files.All(f => new FileInfo(f.Path) is { Exists: true } file && file.Length == f.Length) ? File.ReadAllBytes(path) : [];
        bool known = bytes.AsSpan().StartsWith(header);
        HashSet<int> rows = [];
        for (int at = header.Length; known && at + sizeof(int) <= bytes.Length; at += sizeof(int))
            rows.Add(BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(at)));
        if (!known)
        {
            foreach ((string file, long length) in files)
                Create(file, length);
            File.WriteAllBytes(path, header);
        }

        SafeFileHandle journal = File.OpenHandle(path, FileMode.Open, FileAccess.Write);
        return new FetchJournal(journal, rows, header.Length + ((long)rows.Count * sizeof(int)));
    }

    internal bool Has(int row) => _rows.Contains(row);

    /// <summary>Notes rows whose chunks have been written.</summary>
    internal void Add(IReadOnlyList<int> rows)
    {
        int[] numbers = [.. rows];
        if (!BitConverter.IsLittleEndian)
            BinaryPrimitives.ReverseEndianness(numbers, numbers);
        lock (_file)
        {
            ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(numbers.AsSpan());
            RandomAccess.Write(_file, bytes, _length);
            _length += bytes.Length;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private static void Create(string path, long length)
    {
        File.Delete(path);
        using FileStream file = new(path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        file.SetLength(length);
    }
}
