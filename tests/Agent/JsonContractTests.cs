using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using RestoreAgent.Api;
using Sentry.Control;

namespace Tests.Agent;

/// <summary>What a message leaves out has the value that its type gives it: source-generated readers set what is only initialized to null or 0.</summary>
public sealed class JsonContractTests
{
    public static TheoryData<Type> Messages() => [.. new[] { typeof(RunRequest), typeof(StartRequest) }
        .SelectMany(t => t.Assembly.GetTypes())
        .Where(t => t is { IsClass: true, IsAbstract: false, IsPublic: true, IsGenericTypeDefinition: false } && Reader(t) is { Kind: JsonTypeInfoKind.Object } && t.GetConstructor([]) is not null)];

    [Fact]
    public void Messages_AreFound() => Assert.InRange(Messages().Count, 50, 200);

    [Theory]
    [MemberData(nameof(Messages))]
    public void Read_WhatIsLeftOut_HasItsDefault(Type type)
    {
        object made = Activator.CreateInstance(type)!;
        object read = JsonSerializer.Deserialize(Minimal(type), Reader(type)!)!;
        foreach (PropertyInfo property in type.GetProperties().Where(p => !IsRequired(p)))
        {
            (object? expected, object? actual) = (property.GetValue(made), property.GetValue(read));
            Assert.True(Equals(expected, actual) || JsonSerializer.Serialize(expected) == JsonSerializer.Serialize(actual), $"{type.Name}.{property.Name} is {actual ?? "null"}, not {expected}");
        }
    }

    private static JsonTypeInfo? Reader(Type type) => ApiJson.Default.GetTypeInfo(type) ?? ControlJson.Default.GetTypeInfo(type);

    private static bool IsRequired(PropertyInfo property) => property.GetCustomAttribute<System.Runtime.CompilerServices.RequiredMemberAttribute>() is not null;

    private static string Minimal(Type type)
    {
        JsonTypeInfo reader = Reader(type)!;
        return "{" + string.Join(',', type.GetProperties().Where(IsRequired).Select(p => $"\"{reader.Options.PropertyNamingPolicy?.ConvertName(p.Name) ?? p.Name}\":{Value(p.PropertyType)}")) + "}";
    }

    private static string Value(Type type) => type switch
    {
        _ when type == typeof(string) => "\"x\"",
        _ when type == typeof(DateTimeOffset) => "\"2026-01-01T00:00:00Z\"",
        { IsArray: true } => "[]",
        { IsPrimitive: true } => type == typeof(bool) ? "false" : "0",
        _ => Minimal(type),
    };
}
