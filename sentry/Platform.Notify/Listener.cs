using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Sentry.Abi;
using Sentry.Host;

namespace Sentry.Platform.Notify;

/// <summary>struct seccomp_notif (80 bytes): the thread id is as seen in the receiver's pid namespace.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Notification
{
    public ulong Id;
    public int ThreadId;
    public uint Flags;
    public int Number;
    public uint Architecture;
    public ulong InstructionPointer;
    public ulong A0, A1, A2, A3, A4, A5;

    public readonly bool IsFromStub => InstructionPointer - StubLayout.Base < StubLayout.CodeSize;
}

/// <summary>The receiving end of the filter (seccomp_unotify(2)).</summary>
internal sealed unsafe class Listener : IDisposable
{
    private const uint ReceiveRequest = 0xC0502100, SendRequest = 0xC0182101, AddDescriptorRequest = 0x40182103, SetFlagsRequest = 0x40082104;
    private const uint ContinueFlag = 1;
    private readonly int _descriptor;

    public Listener(int descriptor)
    {
        _descriptor = descriptor;

        Errno error = SetSynchronous(true);
        if (error != Errno.None)
            throw new InvalidOperationException($"seccomp synchronous wake-up: {error} (Linux 6.6 or newer is needed)");
    }

    /// <summary>Whether answers wake up synchronously: the guest is expected to run on this processor next (2.5 µs instead of 40 a call).</summary>
    public Errno SetSynchronous(bool on) => HostSyscall.ErrorOf(HostSyscall.CallFast(Sysno.ioctl, _descriptor, SetFlagsRequest, on ? 1 : 0));

    /// <summary>Waits for a notification; false when a signal ended the wait or the caller of the call vanished meanwhile.</summary>
    public bool TryReceive(out Notification notification)
    {
        notification = default; // the kernel refuses a structure that is not zeroed
        fixed (Notification* p = &notification)
            return HostSyscall.Call(Sysno.ioctl, _descriptor, ReceiveRequest, (long)p) >= 0;
    }

    /// <summary>True when a notification waits, or comes within the time given.</summary>
    public bool Poll(int milliseconds)
    {
        PollDescriptor poll = new() { Descriptor = _descriptor, Events = PollDescriptor.In };

        // a hang-up without anything to receive means that no process has the filter any more
        return HostSyscall.Call(Sysno.poll, (long)(&poll), 1, milliseconds) > 0 && (poll.Ready & PollDescriptor.In) != 0;
    }

    /// <summary>Answers with a value (-errno for an error). False when the caller is gone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Send(ulong id, long value)
    {
        Response response = new() { Id = id, Value = value };
        if (value is < 0 and > -4096)
            response = new() { Id = id, Error = (int)value };
        return HostSyscall.CallFast(Sysno.ioctl, _descriptor, SendRequest, (long)(&response)) >= 0;
    }

    /// <summary>Lets the host execute the call as it stands.</summary>
    public bool Continue(ulong id)
    {
        Response response = new() { Id = id, Flags = ContinueFlag };
        return HostSyscall.CallFast(Sysno.ioctl, _descriptor, SendRequest, (long)(&response)) >= 0;
    }

    /// <summary>Installs a descriptor of the sentry in the process that made the call; its number there.</summary>
    public Result<int> AddDescriptor(ulong id, int descriptor)
    {
        AddedDescriptor added = new() { Id = id, Source = (uint)descriptor, NewFlags = HostFile.OCloexec };
        long result = HostSyscall.Call(Sysno.ioctl, _descriptor, AddDescriptorRequest, (long)(&added));
        return result < 0 ? (Errno)(-result) : (int)result;
    }

    public void Dispose() => HostFile.Close(_descriptor);

    [StructLayout(LayoutKind.Sequential)]
    private struct Response
    {
        public ulong Id;
        public long Value;
        public int Error;
        public uint Flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct AddedDescriptor
    {
        public ulong Id;
        public uint Flags;
        public uint Source;
        public uint New;
        public uint NewFlags;
    }
}
