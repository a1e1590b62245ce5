using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Netstack.Wire;

/// <summary>SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash that who does not know the key cannot predict.</summary>
public static class SipHash
{
    /// <param name="key">16 bytes.</param>
    /// <param name="data">What is hashed.</param>
    public static ulong Hash(ReadOnlySpan<byte> key, ReadOnlySpan<byte> data)
    {
        var state = new State(BinaryPrimitives.ReadUInt64LittleEndian(key), BinaryPrimitives.ReadUInt64LittleEndian(key[8..]));
        ulong last = (ulong)data.Length << 56;
        while (data.Length >= 8)
        {
            state.Add(BinaryPrimitives.ReadUInt64LittleEndian(data));
            data = data[8..];
        }

        for (int i = 0; i < data.Length; i++)
            last |= (ulong)data[i] << (8 * i);
        state.Add(last);
        return state.Finish();
    }

    /// <summary>Of two addresses and a word (ports, protocol): what connections are told apart by.</summary>
    public static ulong Hash(ReadOnlySpan<byte> key, InetAddress first, InetAddress second, ulong word)
    {
        var state = new State(BinaryPrimitives.ReadUInt64LittleEndian(key), BinaryPrimitives.ReadUInt64LittleEndian(key[8..]));
        state.Add(first.High);
        state.Add(first.Low);
        state.Add(second.High);
        state.Add(second.Low);
        state.Add(word);
        state.Add(40UL << 56);
        return state.Finish();
    }

    private struct State(ulong k0, ulong k1)
    {
        private ulong _v0 = k0 ^ 0x736f6d6570736575, _v1 = k1 ^ 0x646f72616e646f6d, _v2 = k0 ^ 0x6c7967656e657261, _v3 = k1 ^ 0x7465646279746573;

        public void Add(ulong word)
        {
            _v3 ^= word;
            Round();
            Round();
            _v0 ^= word;
        }

        public ulong Finish()
        {
            _v2 ^= 0xff;
            Round();
            Round();
            Round();
            Round();
            return _v0 ^ _v1 ^ _v2 ^ _v3;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Round()
        {
            _v0 += _v1;
            _v1 = BitOperations.RotateLeft(_v1, 13) ^ _v0;
            _v0 = BitOperations.RotateLeft(_v0, 32);
            _v2 += _v3;
            _v3 = BitOperations.RotateLeft(_v3, 16) ^ _v2;
            _v0 += _v3;
            _v3 = BitOperations.RotateLeft(_v3, 21) ^ _v0;
            _v2 += _v1;
            _v1 = BitOperations.RotateLeft(_v1, 17) ^ _v2;
            _v2 = BitOperations.RotateLeft(_v2, 32);
        }
    }
}
