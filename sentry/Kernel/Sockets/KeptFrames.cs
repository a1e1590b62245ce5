namespace Sentry.Kernel.Sockets;

/// <summary>Takes frames as they came from a link.</summary>
public interface IFrameReceiver
{
    /// <summary>The interface's name.</summary>
    string Name { get; }

    /// <summary>A frame behind its virtio header.</summary>
    void Deliver(byte[] frame);
}

/// <summary>
/// Frames that came after the state of a sandbox was written, for whoever goes on from it: a peer that sent one thing and waits would else send it again
/// only when its retransmission timer runs out, 200 ms later on Linux. The first are kept, since what follows them is found missing by their answers.
/// </summary>
public sealed class KeptFrames
{
    private const int Most = 128, MostBytes = 256 * 1024;

    private readonly List<(IFrameReceiver Link, byte[] Frame)> _frames = [];
    private int _bytes;

    public void Add(IFrameReceiver link, ReadOnlySpan<byte> frame)
    {
        if (_frames.Count >= Most || _bytes + frame.Length > MostBytes)
            return;
        _frames.Add((link, frame.ToArray()));
        _bytes += frame.Length;
    }

    /// <summary>What is there, in the order in which it came; it stays.</summary>
    public (string Link, byte[] Frame)[] ToArray() => [.. _frames.Select(f => (f.Link.Name, f.Frame))];

    /// <summary>The sandbox goes on itself: gives the frames to their links.</summary>
    internal void Release()
    {
        (IFrameReceiver Link, byte[] Frame)[] frames = [.. _frames];
        _frames.Clear();
        _bytes = 0;
        foreach ((IFrameReceiver link, byte[] frame) in frames)
            link.Deliver(frame);
    }
}
