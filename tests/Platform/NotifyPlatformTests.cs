using Sentry.Host;
using Sentry.Platform;

namespace Tests.Platform;

public sealed class NotifyPlatformTests
{
    [Theory]
    [InlineData("values", "1000")]
    [InlineData("memory")]
    [InlineData("many")]
    [InlineData("fork", "50")]
    [InlineData("vfork", "50")]
    [InlineData("threads", "4", "20000")]
    [InlineData("swaps")]
    [InlineData("avx")]
    public void Run_Guest_EndsWell(params string[] arguments)
    {
        using TestKernel kernel = new();
        int status = kernel.Run(arguments);
        Assert.Empty(kernel.Lost);
        Assert.Equal(0, status);
    }
}
