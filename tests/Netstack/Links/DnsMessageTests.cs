using Netstack.Links;

namespace Tests.Netstack.Links;

public sealed class DnsMessageTests
{
    // As dig sends it: id 0x1234, recursion desired, one question, EDNS record behind it.
    private static readonly byte[] Query = Convert.FromHexString("1234010000010000000000010357656204626c756500000100010000291000000000000000");

    [Fact]
    public void ReadQuestion_OfAQuery()
    {
        DnsQuestion? question = DnsMessage.ReadQuestion(Query);
        Assert.Equal(new DnsQuestion(0x1234, "web.blue", DnsCode.A, DnsCode.Internet, 26), question);
    }

    [Fact]
    public void Answer_HasTheAddressesOfTheAskedKind()
    {
        DnsQuestion question = DnsMessage.ReadQuestion(Query)!;
        byte[] answer = DnsMessage.Answer(Query, question, DnsCode.NoError, [InetAddress.Parse("10.0.0.9"), InetAddress.Parse("fd00::9")], timeToLive: 5);
        Assert.Equal("12348580000100010000000003576562" + "04626c75650000010001" + "c00c000100010000000500040a000009", Convert.ToHexString(answer).ToLowerInvariant());
    }

    [Fact]
    public void Answer_OfAnUnknownName_IsTheQuestionAndTheCode()
    {
        DnsQuestion question = DnsMessage.ReadQuestion(Query)!;
        byte[] answer = DnsMessage.Answer(Query, question, DnsCode.NameError, []);
        Assert.Equal("1234858300010000000000000357656204626c75650000010001", Convert.ToHexString(answer).ToLowerInvariant());
    }

    [Theory]
    [InlineData("9.0.0.10.in-addr.arpa", "10.0.0.9")]
    [InlineData("9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", "fd00::9")]
    [InlineData("0.0.10.in-addr.arpa", null)]
    [InlineData("x.0.0.10.in-addr.arpa", null)]
    [InlineData("web.blue", null)]
    public void AddressOfPointer(string name, string? address) => Assert.Equal(address, DnsMessage.AddressOfPointer(name)?.ToString());

    [Fact]
    public void ReadQuestion_CutShort_IsNone()
    {
        for (int length = 0; length < 26; length++)
            Assert.Null(DnsMessage.ReadQuestion(Query.AsSpan(0, length)));
    }

    [Fact]
    public void ReadQuestion_AnyBytes_NeverThrowsAndCanBeAnswered()
    {
        Random random = new(2);
        for (int i = 0; i < 100_000; i++)
        {
            byte[] bytes = (byte[])Query.Clone();
            for (int change = random.Next(5); change >= 0; change--)
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            bytes = bytes[..random.Next(bytes.Length + 1)];
            if (DnsMessage.ReadQuestion(bytes) is not { } question)
                continue;
            DnsMessage.AddressOfPointer(question.Name);
            Assert.Equal(question.End, DnsMessage.Answer(bytes, question, DnsCode.Refused, []).Length);
        }
    }
}
