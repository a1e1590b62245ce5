using RestoreAgent.Agent;
using RestoreAgent.Agent.Network;
using RestoreAgent.Api;

namespace Tests.Agent;

public sealed class NetworkPlanTests
{
    private static readonly SavedNetwork Saved = new()
    {
        Mode = "sandbox",
        Lineage = "a",
        Generation = 3,
        Links = [new SavedLink { Name = "eth0", Net = "blue", Mac = "02:00:00:00:00:01", Addresses = ["10.0.0.10/24"] }],
        Options = new NetworkOptions { Mode = "sandbox", Nets = ["blue"], Publish = ["127.0.0.1:8080:80"], Outbound = true },
    };

    [Fact]
    public void Make_NothingAsked_IsLoopbackOnly() => Assert.Equal("none", NetworkPlan.Make(null, null).Mode);

    [Fact]
    public void Make_WhatNeedsANetwork_IsASandboxNetwork()
    {
        Assert.Equal("sandbox", NetworkPlan.Make(new NetworkOptions { Publish = ["80:80"] }, null).Mode);
        Assert.Equal("sandbox", NetworkPlan.Make(new NetworkOptions { Nets = ["blue"] }, null).Mode);
        Assert.Equal("sandbox", NetworkPlan.Make(new NetworkOptions { Namespace = "x" }, null).Mode);
        Assert.Equal("sandbox", NetworkPlan.Make(new NetworkOptions { Outbound = true }, null).Mode);
    }

    [Fact]
    public void Make_Restored_IsAsItWas()
    {
        NetworkPlan plan = NetworkPlan.Make(null, Saved);
        Assert.Equal(("sandbox", "blue", "127.0.0.1:8080:80", true), (plan.Mode, plan.Nets.Single(), plan.Publish.Single().ToString(), plan.Rights.Outside));
        Assert.Same(Saved, plan.Saved);
    }

    [Fact]
    public void Make_RestoredElsewhere_KeepsItsIdentityAndPorts()
    {
        NetworkPlan plan = NetworkPlan.Make(new NetworkOptions { Namespace = "other" }, Saved);
        Assert.Empty(plan.Nets);
        Assert.Equal("127.0.0.1:8080:80", plan.Publish.Single().ToString());
        Assert.Equal(3, plan.Saved!.Generation);
    }

    [Fact]
    public void Make_PortsGiven_TakeThePlaceOfThoseItHad() =>
        Assert.Equal(9090, NetworkPlan.Make(new NetworkOptions { Publish = ["9090:80"] }, Saved).Publish.Single().HostPort);

    [Fact]
    public void Make_PublishNone_PublishesNothing() => Assert.Empty(NetworkPlan.Make(new NetworkOptions { Publish = ["none"] }, Saved).Publish);

    [Fact]
    public void Make_NewIdentity_ForgetsTheOldOne()
    {
        NetworkPlan plan = NetworkPlan.Make(new NetworkOptions { NewIdentity = true, Address = "10.0.0.11/24" }, Saved);
        Assert.Null(plan.Saved);
        Assert.Same(Saved, plan.Image);
    }

    [Fact]
    public void Make_RestoredWithoutNetwork_HasNone() => Assert.Equal("none", NetworkPlan.Make(new NetworkOptions { Mode = "none" }, Saved).Mode);

    public static TheoryData<NetworkOptions> Wrong =>
    [
        new NetworkOptions { Mode = "bridge" },
        new NetworkOptions { Mode = "none", Publish = ["80:80"] },
        new NetworkOptions { Mode = "host", Nets = ["blue"] },
        new NetworkOptions { Nets = ["blue"], Namespace = "x" },
        new NetworkOptions { Nets = ["blue", "blue"] },
        new NetworkOptions { Nets = ["no/net"] },
        new NetworkOptions { Bridge = "br0" },
        new NetworkOptions { Namespace = "x", Link = "wire" },
        new NetworkOptions { Namespace = "x", Outbound = true },
        new NetworkOptions { Address = "10.0.0.1" },
        new NetworkOptions { Address = "fd00::1/64" },
        new NetworkOptions { AddressV6 = "10.0.0.1/24" },
        new NetworkOptions { Outbound = true, Mac = "ff:ff:ff:ff:ff:ff" },
        new NetworkOptions { Outbound = true, Mac = "1:2:3" },
        new NetworkOptions { Outbound = true, Gateways = ["10.0.0.1", "10.0.0.2"] },
        new NetworkOptions { Outbound = true, NameServers = ["example.org"] },
    ];

    [Theory]
    [MemberData(nameof(Wrong))]
    public void Make_WhatCannotBe_IsRefusedInOneLine(NetworkOptions options)
    {
        AgentException refused = Assert.Throws<AgentException>(() => NetworkPlan.Make(options, null));
        Assert.Equal(400, refused.Status);
        Assert.Single(refused.Message.Split('\n'));
    }

    [Fact]
    public void Make_RestoredWithAnotherAddress_NeedsANewIdentity() =>
        Assert.Contains("--new-identity", Assert.Throws<AgentException>(() => NetworkPlan.Make(new NetworkOptions { Address = "10.0.0.11/24" }, Saved)).Message);

    [Theory]
    [InlineData("8080:80", "127.0.0.1:8080:80")]
    [InlineData("0.0.0.0:8080:80", "0.0.0.0:8080:80")]
    [InlineData("[::1]:53:5353/udp", "[::1]:53:5353/udp")]
    [InlineData("0:80/tcp", "127.0.0.1:0:80")]
    public void Publish_IsRead(string text, string meaning) => Assert.Equal(meaning, PublishSpec.Parse(text).ToString());

    [Theory]
    [InlineData("80")]
    [InlineData("a:80")]
    [InlineData("80:0")]
    [InlineData("80:65536")]
    [InlineData("-1:80")]
    [InlineData("::1:80:80")]
    [InlineData("host:80:80")]
    [InlineData("80:80/sctp")]
    [InlineData("224.0.0.1:80:80")]
    public void Publish_WhatIsNone_IsRefused(string text) => Assert.Throws<AgentException>(() => PublishSpec.Parse(text));
}
