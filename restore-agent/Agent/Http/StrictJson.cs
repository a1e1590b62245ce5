using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using RestoreAgent.Api;

namespace RestoreAgent.Agent.Http;

/// <summary>Reads what clients send: what the contract says is there is there, so that nothing behind this looks for null.</summary>
public static class StrictJson
{
    private static readonly JsonSerializerOptions Own = Apply(new JsonSerializerOptions(ApiJson.Default.Options));

    /// <summary>Sets options up for the contract.</summary>
    public static JsonSerializerOptions Apply(JsonSerializerOptions options)
    {
        options.RespectNullableAnnotations = true;
        options.RespectRequiredConstructorParameters = true;
        options.TypeInfoResolverChain.Insert(0, ApiJson.Default.WithAddedModifier(RefuseNulls));
        return options;
    }

    /// <exception cref="JsonException">It is not what the contract says.</exception>
    public static T Read<T>(ReadOnlySpan<byte> json)
        where T : class => JsonSerializer.Deserialize(json, (JsonTypeInfo<T>)Own.GetTypeInfo(typeof(T))) ?? throw new JsonException("it is null");

    // Beside the options above: annotations of arrays' elements are not known at run time, and those of properties are not looked at when the JSON
    // comes from a stream and the type has others that can only be initialized.
    private static void RefuseNulls(JsonTypeInfo type)
    {
        if (type.Kind != JsonTypeInfoKind.Object)
            return;
        JsonPropertyInfo[] references = [.. type.Properties.Where(p => !p.PropertyType.IsValueType && p.Get is not null)];
        if (references.Length > 0)
            type.OnDeserialized += read => Array.ForEach(references, p => Check(p, read));
    }

    private static void Check(JsonPropertyInfo property, object read)
    {
        object? value = property.Get!(read);
        if (value is null && !property.IsSetNullable)
            throw new JsonException($"{property.Name} is null");
        if (value is object?[] elements && elements.Contains(null))
            throw new JsonException($"{property.Name} has an element that is null");
    }
}
