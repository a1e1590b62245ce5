namespace Tests.Platform;

/// <summary>What the test kernel, which is shared with the tests, uses of xunit.</summary>
internal static class Assert
{
    public static void Equal<T>(T expected, T actual)
    {
        if (!EqualityComparer<T>.Default.Equals(expected, actual))
            throw new InvalidOperationException($"expected {expected}, got {actual}");
    }
}
