using System.Threading.Channels;
using Storage;

namespace Snapshot.Images;

/// <summary>Where a chunk of the image being written will be found; filled in when its frame has a place.</summary>
internal sealed class ChunkPlace
{
    internal int Pack { get; set; }

    internal PackedChunk Chunk { get; set; }
}

/// <summary>
/// Gathers frames into packs and uploads full ones while the next is filled. At most <see cref="MaxPacksInMemory"/> packs are held at a time:
/// those who bring frames wait when the store is slower than the compression.
/// </summary>
internal sealed class PackWriter : IDisposable
{
    private const int Uploads = 3;
    private const int MaxPacksInMemory = Uploads + 1;

    private readonly IObjectStore _store;
    private readonly string _id;
    private readonly SemaphoreSlim _gate = new(1);
    private readonly SemaphoreSlim _free = new(MaxPacksInMemory);
    private readonly Stack<byte[]> _buffers = new();
    private readonly Channel<Pack> _sealed = Channel.CreateUnbounded<Pack>();
    private readonly List<ManifestPack?> _packs = [];
    private readonly Dictionary<string, int> _reused = [];
    private Pack? _current;

    private readonly Transfer _transfer;

    internal PackWriter(IObjectStore store, string id, Transfer transfer) => (_store, _id, _transfer) = (store, id, transfer);

    /// <summary>All packs of the image, in the order of their numbers; valid when <see cref="UploadAsync"/> has ended.</summary>
    internal ManifestPack[] Packs => [.. _packs.Select(p => p!)];

    /// <summary>Keys of the objects this writer has made or begun to make.</summary>
    internal List<string> OwnKeys { get; } = [];

    internal long StoredBytes { get; private set; }

    /// <summary>Adds a frame to the current pack.</summary>
    internal async Task AddAsync(Digest plain, int length, ReadOnlyMemory<byte> frame, ChunkPlace place, CancellationToken cancellationToken)
    {
        Digest frameDigest = Digest.Of(frame.Span);
        await _gate.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (_current is not null && _current.Length + frame.Length > ImageFormat.PackSize)
                Seal();
            _current ??= await BeginAsync(cancellationToken).ConfigureAwait(false);
            frame.CopyTo(_current.Buffer.AsMemory(_current.Length));
            place.Pack = _current.Number;
            place.Chunk = new PackedChunk(plain, frameDigest, length, frame.Length, _current.Length);
            _current.Chunks.Add(place.Chunk);
            _current.Length += frame.Length;
            _current.Plain += length;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Refers to a chunk that an older snapshot brought.</summary>
    internal async Task ReuseAsync(ManifestPack pack, PackedChunk chunk, ChunkPlace place, CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (!_reused.TryGetValue(pack.Name, out int number))
            {
                number = _packs.Count;
                _packs.Add(pack);
                _reused.Add(pack.Name, number);
            }

            place.Pack = number;
            place.Chunk = chunk;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>To be called once when all frames are added.</summary>
    internal void Complete()
    {
        if (_current is not null)
            Seal();
        _sealed.Writer.Complete();
    }

    /// <summary>Uploads sealed packs until <see cref="Complete"/>.</summary>
    internal Task UploadAsync(CancellationToken cancellationToken) =>
        Task.WhenAll(Enumerable.Range(0, Uploads).Select(_ => Task.Run(() => UploadSealedAsync(cancellationToken), cancellationToken)));

    /// <inheritdoc/>
    public void Dispose()
    {
        _gate.Dispose();
        _free.Dispose();
    }

    private async Task<Pack> BeginAsync(CancellationToken cancellationToken)
    {
        await _free.WaitAsync(cancellationToken).ConfigureAwait(false);
        byte[]? buffer;
        lock (_buffers)
            _buffers.TryPop(out buffer);
        int number = _packs.Count;
        _packs.Add(null);
        return new Pack(number, ImageFormat.PackName(_id, number), buffer ?? GC.AllocateUninitializedArray<byte>(ImageFormat.PackSize));
    }

    private void Seal()
    {
        Pack pack = _current!;
        _packs[pack.Number] = new ManifestPack { Name = pack.Name, Length = pack.Length };
        StoredBytes += pack.Length;
        OwnKeys.Add(ImageFormat.PackPrefix + pack.Name);
        OwnKeys.Add(ImageFormat.IndexPrefix + pack.Name);
        _sealed.Writer.TryWrite(pack);
        _current = null;
    }

    private async Task UploadSealedAsync(CancellationToken cancellationToken)
    {
        await foreach (Pack pack in _sealed.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
        {
            bool uploaded = false;
            _transfer.Begin(pack.Plain, pack.Length);
            try
            {
                // The names are this writer's alone: when one is taken, an earlier try of the same upload had succeeded unseen. An index
                // without its pack is passed over, so that both can go at once.
                await Task.WhenAll(
                    _store.PutIfAbsentAsync(ImageFormat.PackPrefix + pack.Name, pack.Buffer.AsMemory(0, pack.Length), cancellationToken),
                    _store.PutIfAbsentAsync(ImageFormat.IndexPrefix + pack.Name, PackIndex.Encode(pack.Length, pack.Chunks), cancellationToken)).ConfigureAwait(false);
                uploaded = true;
            }
            finally
            {
                _transfer.End(pack.Plain, pack.Length, uploaded);
            }

            lock (_buffers)
                _buffers.Push(pack.Buffer);
            _free.Release();
        }
    }

    private sealed class Pack(int number, string name, byte[] buffer)
    {
        internal int Number => number;

        internal string Name => name;

        internal byte[] Buffer => buffer;

        internal int Length { get; set; }

        /// <summary>The length of its chunks before compression.</summary>
        internal long Plain { get; set; }

        internal List<PackedChunk> Chunks { get; } = [];
    }
}
