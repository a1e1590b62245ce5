using System.Diagnostics.CodeAnalysis;

namespace Sentry.Abi;

/// <summary>A value or an errno; errors are values in the kernel, an exception means a bug.</summary>
public readonly struct Result<T>
{
    private readonly T _value;

    /// <summary>A success.</summary>
    public Result(T value)
    {
        _value = value;
        Error = Errno.None;
    }

    /// <summary>A failure; <paramref name="error"/> must not be <see cref="Errno.None"/>.</summary>
    public Result(Errno error)
    {
        _value = default!;
        Error = error;
    }

    /// <summary><see cref="Errno.None"/> on success.</summary>
    public Errno Error { get; }

    public bool IsOk => Error == Errno.None;

    public bool IsError => Error != Errno.None;

    /// <summary>The value; reading it from a failure is a bug.</summary>
    public T Value => Error == Errno.None ? _value : throw new InvalidOperationException($"value of a failed result ({Error})");

    /// <summary>True with the value on success, else false with the error.</summary>
    public bool TryGet([MaybeNullWhen(false)] out T value, out Errno error)
    {
        value = _value;
        error = Error;
        return Error == Errno.None;
    }

    public static implicit operator Result<T>(T value) => new(value);

    public static implicit operator Result<T>(Errno error) => new(error);
}
