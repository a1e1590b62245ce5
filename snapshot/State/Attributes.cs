namespace Snapshot.State;

/// <summary>Marks a partial class or struct whose state travels in images. The generator writes its codec; every instance field must be
/// marked <see cref="SavedAttribute"/> or <see cref="NotSavedAttribute"/>, anything else is a build error.</summary>
/// <param name="name">The type's stable name in images, unrelated to its CLR name; never reused.</param>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct, Inherited = false)]
public sealed class SavableAttribute(string name) : Attribute
{
    public string Name { get; } = name;

    /// <summary>Raised when a field is added or a meaning changes.</summary>
    public int Version { get; set; } = 1;
}

/// <summary>A field (or the field behind an auto-property, with <c>[field: Saved(n)]</c> or directly on the property) that is saved.</summary>
/// <param name="tag">Stable number within its class, never reused. A derived class numbers its own fields from 1 again.</param>
[AttributeUsage(AttributeTargets.Field | AttributeTargets.Property)]
public sealed class SavedAttribute(int tag) : Attribute
{
    public int Tag { get; } = tag;

    /// <summary>The class version that first had the field; images of older versions leave it at its initial value.</summary>
    public int Since { get; set; } = 1;
}

/// <summary>A field that is not saved, and why that is right (rebuilt after restore, a cache, a host resource).</summary>
[AttributeUsage(AttributeTargets.Field | AttributeTargets.Property)]
public sealed class NotSavedAttribute(string why) : Attribute
{
    public string Why { get; } = why;
}

/// <summary>The order in which restored objects are woken, one phase over all objects before the next.</summary>
public enum RestorePhase
{
    /// <summary>Host resources are taken hold of again (gofer files, arena, host streams).</summary>
    Host,

    /// <summary>Links that are not saved are rebuilt (wait queues, back references, caches).</summary>
    Links,

    /// <summary>Timers are armed, host events watched; nothing may fail any more.</summary>
    Activation,
}

/// <summary>Implemented by savable objects that have work to do after all fields of all objects have been read.</summary>
public interface IAfterLoad
{
    /// <summary>Called once per phase. Throw <see cref="InvalidImageException"/> when the image cannot be right.</summary>
    void AfterLoad(RestorePhase phase, IRestoreContext context);
}

/// <summary>Gives restored objects what does not travel in an image.</summary>
public interface IRestoreContext
{
    /// <summary>A service of the restoring sentry; throws when there is none.</summary>
    T Get<T>() where T : class;
}

/// <summary>The image is damaged, hostile or of a kind this program does not understand. The message is one line for a user.</summary>
public sealed class InvalidImageException : Exception
{
    public InvalidImageException(string message)
        : base(OneLine(message))
    {
    }

    public InvalidImageException(string message, Exception inner)
        : base(OneLine(message), inner)
    {
    }

    /// <summary>Messages quote names from images, which may be anything.</summary>
    private static string OneLine(string message)
    {
        const int limit = 400;
        string text = message.Length <= limit ? message : message[..limit] + "…";
        return text.AsSpan().IndexOfAnyInRange('\0', '\x1f') < 0 && !text.Contains('\x7f')
            ? text
            : string.Create(text.Length, text, static (to, from) =>
            {
                for (int i = 0; i < to.Length; i++)
                    to[i] = char.IsControl(from[i]) ? ' ' : from[i];
            });
    }
}
