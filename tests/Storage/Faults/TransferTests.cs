using System.Diagnostics;
using Snapshot.Images;
using Storage;
using Tests.Images;

namespace Tests.Storage.Faults;

/// <summary>Snapshots through a network and a server on which there is no relying: they arrive whole, go on where they were cut off, or fail in one line.</summary>
public abstract class TransferTests : IDisposable
{
    private static readonly StorePolicy Quick = new() { Idle = TimeSpan.FromSeconds(10), Patience = TimeSpan.FromSeconds(1) };
    private static readonly StorePolicy Patient = new() { Idle = TimeSpan.FromSeconds(2), Patience = TimeSpan.FromMinutes(2) };

    private readonly ImageFiles _files = new();
    private FaultProxy? _proxy;
    private IObjectStore? _direct;

    private FaultProxy Proxy => _proxy ??= new FaultProxy(Server);

    /// <summary>The store without the proxy.</summary>
    private IObjectStore Direct => _direct ??= Open(Server, StorePolicy.Default);

    protected abstract Uri Server { get; }

    public void Dispose()
    {
        _proxy?.Dispose();
        _files.Dispose();
        GC.SuppressFinalize(this);
    }

    [ServerTheory]
    [InlineData(FaultKind.SlowDown)]
    [InlineData(FaultKind.InternalError)]
    [InlineData(FaultKind.ResetInRequest)]
    [InlineData(FaultKind.ResetInsteadOfAnswer)]
    [InlineData(FaultKind.ResetInAnswer)]
    [InlineData(FaultKind.ShortAnswer)]
    public async Task EverySecondRequestFails_ImageArrivesWhole(FaultKind fault)
    {
        _files.Make(seed: 11, regions: 9, regionLength: 4 << 20);
        IObjectStore store = new PatientStore(Open(Proxy.Endpoint, Patient), Patient);
        await WriteAsync(Direct, "older");
        await store.GetLengthAsync("snapshots/older"); // from now on it is a store that has answered
        int requests = 0;
        Proxy.Rule = _ => Interlocked.Increment(ref requests) % 2 == 0 ? fault : null;
        _files.Make(seed: 12, regions: 9, regionLength: 4 << 20);
        await WriteAsync(store, "newer");
        Proxy.Rule = _ => null;
        await AssertVerifiesAsync("older", "newer");
        Proxy.Rule = _ => Interlocked.Increment(ref requests) % 2 == 0 ? fault : null;
        using CachedImage image = await Cache().GetAsync(await ImageReader.OpenAsync(store, "newer"));
        AssertSame(image);
        Assert.Equal(["newer", "older"], (await SnapshotCatalog.ListAsync(store)).Select(e => e.Name));
        Assert.True(Proxy.Requests.Count(r => r.Fault is not null) > 5);
    }

    [ServerFact]
    public async Task Upload_Cut_FailsInOneLine_AndTheNextSendsOnlyTheRest()
    {
        _files.Make(seed: 21, regions: 3, regionLength: 1 << 20);
        long older = (await WriteAsync(Direct, "older")).StoredBytes;
        _files.Make(seed: 22, regions: 12, regionLength: 16 << 20);
        IObjectStore store = new PatientStore(Open(Proxy.Endpoint, Quick), Quick);
        WrittenImage control = await WriteAsync(_files.Store, "control");
        int packs = 0;
        Proxy.Passed = r => Interlocked.Add(ref packs, r.IsPut("packs") ? 1 : 0);
        Proxy.Rule = r => r.IsPut("packs") && Volatile.Read(ref packs) >= 4 ? FaultKind.ResetInRequest : null;
        StoreException e = await Assert.ThrowsAsync<StoreException>(() => WriteAsync(store, "newer"));
        Assert.Equal(StoreError.Unreachable, e.Error);
        Assert.Contains("sends only the rest", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', e.Message);
        await AssertVerifiesAsync("older");

        long arrived = 0;
        await foreach (StoredObject pack in Direct.ListAsync("packs/"))
            arrived += pack.Length;
        arrived -= older;
        Proxy.Rule = _ => null;
        Proxy.Requests.Clear();
        await WriteAsync(store, "newer");
        await AssertVerifiesAsync("older", "newer");
        Assert.True(arrived > 4 * (7 << 20), $"{arrived} bytes had arrived");
        Assert.InRange(Proxy.Requests.Where(r => r.IsPut("packs")).Sum(r => r.Sent), 1, control.StoredBytes - arrived);
    }

    [ServerFact]
    public async Task Download_Cut_TheNextFetchesOnlyTheRest()
    {
        _files.Make(seed: 31, regions: 12, regionLength: 12 << 20);
        await WriteAsync(Direct, "image");
        IObjectStore store = new PatientStore(Open(Proxy.Endpoint, Quick), Quick);
        int fetches = 0;
        Proxy.Passed = r => Interlocked.Add(ref fetches, r.IsGet("packs") ? 1 : 0);
        Proxy.Rule = r => r.IsGet("packs") && Volatile.Read(ref fetches) >= 4 ? FaultKind.ResetInRequest : null;
        ImageReader reader = await ImageReader.OpenAsync(store, "image");
        StoreException e = await Assert.ThrowsAsync<StoreException>(() => Cache().GetAsync(reader));
        Assert.Contains("fetches only the rest", e.Message, StringComparison.Ordinal);
        Assert.Null(Cache().TryOpen(reader.ManifestId));
        Proxy.Rule = _ => null;
        long before = Proxy.Requests.Where(r => r.IsGet("packs")).Sum(r => r.Received);
        Proxy.Requests.Clear();

        // A cache of its own, as after the death of the agent.
        Transfer transfer = new();
        using CachedImage image = await Cache().GetAsync(await ImageReader.OpenAsync(store, "image"), transfer);
        AssertSame(image);
        Assert.Equal(transfer.Total, transfer.Done);
        long whole = 0;
        await foreach (StoredObject pack in Direct.ListAsync("packs/"))
            whole += pack.Length;
        long after = Proxy.Requests.Where(r => r.IsGet("packs")).Sum(r => r.Received);
        Assert.InRange(after, 1, whole - before);
    }

    [ServerFact]
    public async Task Copy_CutBothWays_GoesOn()
    {
        _files.Make(seed: 35, regions: 9, regionLength: 12 << 20);
        WrittenImage written = await WriteAsync(_files.Store, "image");
        IObjectStore store = new PatientStore(Open(Proxy.Endpoint, Quick), Quick);
        int packs = 0;
        Proxy.Passed = r => Interlocked.Add(ref packs, r.IsPut("packs") || r.IsGet("packs") ? 1 : 0);
        Proxy.Rule = r => (r.IsPut("packs") || r.IsGet("packs")) && Volatile.Read(ref packs) >= 2 ? FaultKind.ResetInRequest : null;
        await Assert.ThrowsAsync<StoreException>(async () => await ImageCopier.CopyAsync(await ImageReader.OpenAsync(_files.Store, "image"), store, "copy"));
        Assert.Empty(await SnapshotCatalog.ListAsync(Direct));
        Proxy.Rule = _ => null;
        Transfer rest = new();
        WrittenImage copied = await ImageCopier.CopyAsync(await ImageReader.OpenAsync(_files.Store, "image"), store, "copy", reading: rest);
        await AssertVerifiesAsync("copy");
        Assert.True(copied.StoredBytes < written.StoredBytes - (14 << 20), $"{copied.StoredBytes} of {written.StoredBytes} bytes were sent again");
        Assert.InRange(rest.Moved, 1, written.StoredBytes - (14 << 20));

        LocalStore other = new(Path.Combine(_files.Folder, "other"));
        packs = 0;
        Proxy.Rule = r => r.IsGet("packs") && Volatile.Read(ref packs) >= 6 ? FaultKind.ResetInRequest : null;
        await Assert.ThrowsAsync<StoreException>(async () => await ImageCopier.CopyAsync(await ImageReader.OpenAsync(store, "copy"), other, "back"));
        Assert.Empty(await SnapshotCatalog.ListAsync(other));
        Proxy.Rule = _ => null;
        await ImageCopier.CopyAsync(await ImageReader.OpenAsync(store, "copy"), other, "back");
        using CachedImage image = await Cache().GetAsync(await ImageReader.OpenAsync(other, "back"));
        AssertSame(image);
    }

    [ServerFact]
    public async Task NetworkAwayForSeconds_TransferWaitsAndGoesOn()
    {
        _files.Make(seed: 41, regions: 9, regionLength: 12 << 20);
        IObjectStore store = new PatientStore(Open(Proxy.Endpoint, Patient), Patient);
        Transfer transfer = new();
        int packs = 0;
        string? trouble = null;
        Proxy.Passed = r =>
        {
            if (!r.IsPut("packs") || Interlocked.Increment(ref packs) != 2)
                return;
            Proxy.IsCut = true;
            _ = Task.Run(async () =>
            {
                while ((trouble = transfer.Trouble) is null)
                    await Task.Delay(10);
                Proxy.IsCut = false;
            });
        };
        await WriteAsync(store, "image", transfer);
        Assert.NotNull(trouble);
        Assert.Null(transfer.Trouble);
        Assert.True(transfer.Retries > 0);
        Assert.Equal(transfer.Total, transfer.Done);
        await AssertVerifiesAsync("image");
    }

    [ServerFact]
    public async Task Rate_IsKeptBothWays()
    {
        const int Rate = 4 << 20;
        _files.Make(seed: 51, regions: 3, regionLength: 8 << 20);
        Transfer up = new(Rate);
        Stopwatch time = Stopwatch.StartNew();
        WrittenImage written = await WriteAsync(Direct, "image", up);
        TimeSpan least = TimeSpan.FromSeconds(written.StoredBytes * 0.9 / Rate);
        Assert.True(time.Elapsed > least, $"{written.StoredBytes} bytes in {time.Elapsed}");
        Assert.InRange(up.Moved, written.StoredBytes, written.StoredBytes + (1 << 20));
        Transfer down = new(Rate);
        time.Restart();
        using CachedImage image = await Cache().GetAsync(await ImageReader.OpenAsync(Direct, "image"), down);
        Assert.True(time.Elapsed > least, $"{down.Moved} bytes in {time.Elapsed}");
        AssertSame(image);
    }

    [ServerFact]
    public async Task SlowServer_IsNotGivenUp()
    {
        _files.Make(seed: 61, regions: 3, regionLength: 7 << 20);
        IObjectStore store = new PatientStore(Open(Proxy.Endpoint, Patient), Patient);
        Proxy.SlowTime = 2 * Patient.Idle;
        Proxy.Rule = r => r.IsPut("packs") || r.IsGet("packs") ? FaultKind.Slow : null;
        await WriteAsync(store, "image");
        using CachedImage image = await Cache().GetAsync(await ImageReader.OpenAsync(store, "image"));
        AssertSame(image);
        Assert.Equal(Proxy.Requests.Count(r => r.IsPut("packs")), Proxy.Requests.Where(r => r.IsPut("packs")).DistinctBy(r => r.Target).Count());
    }

    [ServerFact]
    public async Task SilentServer_IsAskedAgain()
    {
        _files.Make(seed: 71);
        IObjectStore store = new PatientStore(Open(Proxy.Endpoint, Patient), Patient);
        await store.GetLengthAsync("anything");
        int silent = 0;
        Proxy.Rule = r => (r.IsPut("packs") && silent++ == 0) || (r.IsList && silent++ == 1) || (r.IsGet("packs") && silent++ == 2) ? FaultKind.Silence : null;
        await WriteAsync(store, "image");
        silent = 2;
        using CachedImage image = await Cache().GetAsync(await ImageReader.OpenAsync(store, "image"));
        AssertSame(image);
        Assert.True(Proxy.Requests.Count(r => r.Fault == FaultKind.Silence) >= 2);
    }

    [ServerFact]
    public async Task StaleListings_HarmNothing()
    {
        IObjectStore store = new PatientStore(Open(Proxy.Endpoint, Patient), Patient);
        Proxy.Rule = r => r.IsList ? FaultKind.Stale : null;
        _files.Make(seed: 81);
        await WriteAsync(Direct, "gone");
        Assert.Equal(["gone"], (await SnapshotCatalog.ListAsync(store)).Select(e => e.Name));
        foreach (string prefix in (string[])["packs/", "indexes/", "condemned/", "manifests/"])
            await foreach (StoredObject item in store.ListAsync(prefix))
                Assert.NotEmpty(item.Key);

        // From here on listings through the proxy name what is not there any more, and lack what is.
        await SnapshotCatalog.DeleteAsync(Direct, "gone");
        await SnapshotCatalog.CollectGarbageAsync(Direct, TimeSpan.Zero);
        Assert.Empty(await SnapshotCatalog.ListAsync(store));
        await WriteAsync(store, "same");
        await AssertVerifiesAsync("same");
        await SnapshotCatalog.CollectGarbageAsync(store);
        await AssertVerifiesAsync("same");
        Assert.Contains(Proxy.Requests, r => r.Fault == FaultKind.Stale);
    }

    [ServerFact]
    public async Task StaleListings_WithAnIndexLeft_DoNotLeadToAPackThatIsGone()
    {
        _files.Make(seed: 82);
        await WriteAsync(Direct, "gone");
        IObjectStore store = new PatientStore(Open(Proxy.Endpoint, Patient), Patient);
        Proxy.Rule = r => r.IsList ? FaultKind.Stale : null;
        string? pack = null;
        foreach (string prefix in (string[])["condemned/", "indexes/", "packs/"])
            await foreach (StoredObject item in store.ListAsync(prefix))
                pack = item.Key;
        await Direct.DeleteAsync(pack!);
        await SnapshotCatalog.DeleteAsync(Direct, "gone");
        await WriteAsync(store, "same");
        await AssertVerifiesAsync("same");
    }

    [ServerFact]
    public async Task Replacing_Cut_LeavesTheOld()
    {
        _files.Make(seed: 91);
        await WriteAsync(Direct, "image");
        string old = (await ImageReader.OpenAsync(Direct, "image")).ManifestId;
        IObjectStore store = new PatientStore(Open(Proxy.Endpoint, Quick), Quick);
        _files.Make(seed: 92);
        Proxy.Rule = r => r.Method is "PUT" or "DELETE" && r.Target.Contains("/snapshots/", StringComparison.Ordinal) ? FaultKind.ResetInRequest : null;
        await Assert.ThrowsAsync<StoreException>(() => _files.WriteAsync("image", replace: true, store));
        await AssertVerifiesAsync("image");
        Assert.Equal(old, (await ImageReader.OpenAsync(Direct, "image")).ManifestId);
        Proxy.Rule = _ => null;
        await _files.WriteAsync("image", replace: true, store);
        await AssertVerifiesAsync("image");
        Assert.NotEqual(old, (await ImageReader.OpenAsync(Direct, "image")).ManifestId);
    }

    [ServerFact]
    public async Task NeverAnswered_IsToldAtOnce()
    {
        Proxy.IsCut = true;
        StorePolicy forever = new() { Patience = TimeSpan.FromHours(1) };
        IObjectStore store = new PatientStore(Open(Proxy.Endpoint, forever), forever);
        StoreException e = await Assert.ThrowsAsync<StoreException>(() => store.GetLengthAsync("key"));
        Assert.Contains("check the endpoint and the network", e.Message, StringComparison.Ordinal);
    }

    /// <summary>Opens the store of this test, the same through whatever endpoint.</summary>
    protected abstract IObjectStore Open(Uri endpoint, StorePolicy policy);

    private ImageCache Cache() => new(Path.Combine(_files.Folder, "cache"));

    private Task<WrittenImage> WriteAsync(IObjectStore store, string name, Transfer? transfer = null) => ImageWriter.WriteAsync(
        store, new SnapshotInfo { Name = name }, _files.StateFile, _files.MemoryFile, _files.Ranges, new ImageWriterOptions { Transfer = transfer });

    private void AssertSame(CachedImage image)
    {
        ImageFiles.AssertSame(_files.StateFile, image.StateFile);
        ImageFiles.AssertSame(_files.MemoryFile, image.MemoryFile);
    }

    /// <summary>Exactly these snapshots are there, and whole.</summary>
    private async Task AssertVerifiesAsync(params string[] names)
    {
        List<SnapshotEntry> entries = await SnapshotCatalog.ListAsync(Direct);
        Assert.Equal(names.Order(StringComparer.Ordinal), entries.Select(e => e.Name));
        foreach (string name in names)
            await SnapshotCatalog.VerifyAsync(Direct, name);
    }
}
