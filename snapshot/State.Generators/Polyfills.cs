namespace System.Runtime.CompilerServices;

/// <summary>Lets netstandard2.0 have init accessors and records.</summary>
internal static class IsExternalInit;
