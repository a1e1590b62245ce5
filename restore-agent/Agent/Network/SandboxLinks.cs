using System.Globalization;
using Netstack.Links;
using Netstack.Wire;
using RestoreAgent.Api;
using Sentry.Control;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>What is the same of an interface wherever it leads.</summary>
/// <param name="Addresses">First IPv4, if there is one.</param>
public sealed record LinkSettings(string Name, MacAddress Mac, InterfaceCidr[] Addresses, InetAddress[] Gateways, int Mtu = 1500);

/// <summary>An interface of a sandbox, from the agent's side.</summary>
public abstract class SandboxLink(LinkSettings settings)
{
    public LinkSettings Settings { get; } = settings;

    public abstract string Kind { get; }

    /// <summary>A descriptor for a sentry, which the caller closes when it was handed over. Only the last one made works.</summary>
    public abstract int Connect();

    /// <summary>The sandbox stands still for a checkpoint that ends it.</summary>
    public virtual void Hold()
    {
    }

    /// <summary>It goes on after all.</summary>
    public virtual void GoOn()
    {
    }

    public abstract void Close();

    public virtual LinkDetails Describe() => new()
    {
        Name = Settings.Name,
        Kind = Kind,
        Mac = Settings.Mac.ToString(),
        Addresses = [.. Settings.Addresses.Select(a => a.ToString())],
        Gateways = [.. Settings.Gateways.Select(g => g.ToString())],
    };

    /// <summary>As `ps` shows it.</summary>
    public virtual string Summary => Settings.Addresses.Length > 0 ? Settings.Addresses[0].Address.ToString() : Settings.Mac.ToString();

    public virtual SavedLink Save() => new()
    {
        Name = Settings.Name,
        Mac = Settings.Mac.ToString(),
        Addresses = [.. Settings.Addresses.Select(a => a.ToString())],
        Gateways = [.. Settings.Gateways.Select(g => g.ToString())],
        Mtu = Settings.Mtu,
    };

    public NetworkLink ToMessage(bool replacesSaved) => new()
    {
        Name = Settings.Name,
        Mac = Settings.Mac.ToString(),
        Mtu = Settings.Mtu,
        Addresses = [.. Settings.Addresses.Select(a => a.ToString())],
        Gateways = [.. Settings.Gateways.Select(g => g.ToString())],
        ReplacesSaved = replacesSaved,
    };
}

/// <summary>A place at a switch of the agent.</summary>
public sealed class SwitchLink(LinkSettings settings, SwitchNetwork network, SwitchMember member) : SandboxLink(settings)
{
    private bool _closed;

    public override string Kind => "switch";

    public override string Summary => network.Name is null ? base.Summary : string.Create(CultureInfo.InvariantCulture, $"{base.Summary}@{network.Name}");

    public SwitchNetwork Network => network;

    public override int Connect() => network.Loop.Invoke(member.Connect);

    public override void Hold() => network.Loop.Invoke(member.Hold);

    public override void GoOn() => network.Loop.Invoke(member.GoOn);

    public override void Close()
    {
        if (Interlocked.Exchange(ref _closed, true))
            return;
        network.Loop.Invoke(() => network.Remove(member));
        network.Release();
    }

    public override LinkDetails Describe() => base.Describe() with
    {
        Net = network.Name,
        Dropped = member.Port.Dropped,
        Refused = member.Port.Port?.Refused ?? 0,
    };

    public override SavedLink Save() => base.Save() with { Net = network.Name };
}

/// <summary>A TAP device or veth pair that ends in a network namespace of the host.</summary>
public sealed class DeviceLink : SandboxLink
{
    private readonly NetworkNamespace _place;
    private readonly HostDeviceOptions _options;
    private readonly bool _veth;
    private readonly Func<HostDevice, DeviceCapture?> _capture;
    private readonly Action<DeviceCapture> _endCapture;
    private readonly NamespaceLease _lease;
    private HostDevice? _device;
    private DeviceCapture? _capturing;

    /// <summary>Makes the device, so that what is wrong is told before anything is started.</summary>
    /// <param name="isMade">A sentry has it already.</param>
    internal DeviceLink(LinkSettings settings, NetworkNamespace place, HostDeviceOptions options, bool veth, Func<HostDevice, DeviceCapture?> capture, Action<DeviceCapture> endCapture, NamespaceLease lease, bool isMade)
        : base(settings)
    {
        (_place, _options, _veth, _capture, _endCapture, _lease) = (place, options, veth, capture, endCapture, lease);
        if (!isMade)
            Make();
    }

    public override string Kind => _veth ? NetworkPlan.Veth : NetworkPlan.Tap;

    public override string Summary => $"{base.Summary}@{_place.Name}";

    public override int Connect()
    {
        // The device went with the sentry that had it, so another one is made for the next.
        if (_device is null)
            Make();
        HostDevice device = _device!;
        _device = null;
        return device.Detach();
    }

    public override void Hold() => _lease.IsYielding = true;

    public override void GoOn() => _lease.IsYielding = false;

    public override void Close()
    {
        EndCapture();
        _device?.Dispose();
        _device = null;
    }

    public override LinkDetails Describe() => base.Describe() with { Namespace = _place.Name, Device = _options.Name };

    private void Make()
    {
        EndCapture();
        _device = _veth ? HostDevice.CreateVeth(_place, _options) : HostDevice.CreateTap(_place, _options);
        _capturing = _capture(_device);
    }

    private void EndCapture()
    {
        if (_capturing is { } capturing)
            _endCapture(capturing);
        _capturing = null;
    }
}
