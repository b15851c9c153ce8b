"""The loops that Numba compiles for the CPU.

All are in this file, since the code that Numba keeps on disk is made anew only when the file of
the function that was called has changed.

A stretch of coins or of noise is drawn into a small buffer that stays in the nearest cache, then
applied, so that both loops vectorise.
"""

import math
from functools import lru_cache, partial

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dropout.kernels.compiled import compiled

if numba.config.DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT is set")

# NumPy has no bfloat16 and Numba no float16: both come as their bits, told apart by the sign.
# The second type is the one to compute in.
STORAGE = {
    torch.float64: (types.float64, types.float64),
    torch.float32: (types.float32, types.float32),
    torch.bfloat16: (types.int16, types.float32),
    torch.float16: (types.uint16, types.float32),
}
ROWS = np.uint64(64)  # of coins in a tile that lies across the order of memory
MANY = 1 << 12  # coins of one tensor of many drawn at a time: at least a row, else at most so many
ARRAY_BOUND = (1 << 44,)  # elements: Numba wants a bound, and checks nothing


@intrinsic
def _pointer(typingctx, address, kind):
    """A number as the address of elements of a kind."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(kind.dtype)(address, kind), codegen


@intrinsic
def _widen(typingctx, stored):
    """A stored number in the precision it is computed in: float64, or else float32."""
    if stored in (types.float64, types.float32):
        return stored(stored), lambda context, builder, signature, args: args[0]

    def codegen(context, builder, signature, args):
        if stored == types.uint16:
            return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())
        word = builder.shl(builder.zext(args[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(word, ir.FloatType())

    return types.float32(stored), codegen


@intrinsic
def _narrow(typingctx, value, stored):
    """A computed number rounded to nearest, ties to even, to the type of `stored`."""
    if stored == value:
        return stored(value, stored), lambda context, builder, signature, args: args[0]

    def codegen(context, builder, signature, args):
        i16, i32, number = ir.IntType(16), ir.IntType(32), args[0]
        if value == types.float64:
            number = builder.fptrunc(number, ir.FloatType())
        if stored == types.float32:
            return number
        if stored == types.uint16:
            return builder.bitcast(builder.fptrunc(number, ir.HalfType()), i16)
        word = builder.bitcast(number, i32)
        odd = builder.and_(builder.lshr(word, ir.Constant(i32, 16)), ir.Constant(i32, 1))
        rounded = builder.add(word, builder.add(odd, ir.Constant(i32, 0x7FFF)))
        # Rounding would carry a NaN's bits over into infinity: keep it one, and quiet.
        isnan = builder.fcmp_unordered("uno", number, number)
        word = builder.select(isnan, ir.Constant(i32, 0x7FC00000), rounded)
        return builder.trunc(builder.lshr(word, ir.Constant(i32, 16)), i16)

    return stored(value, stored), codegen


@numba.njit
def draw(words, block, seed, stream, step):
    """Fill `words` with Philox4x32-10 of consecutive blocks, two words to each of its 64 bits."""
    low, high = np.uint64(0xFFFFFFFF), np.uint64(32)
    for b in range(words.size // 2):
        number = np.uint64(block) + np.uint64(b)
        c0, c1, c2, c3 = number, number >> high, np.uint64(stream), np.uint64(step)
        k0, k1 = seed & low, seed >> high
        for _ in range(10):
            # High halves hold rubbish until the end: the products read the low ones only.
            u, v = (c0 & low) * np.uint64(0xD2511F53), (c2 & low) * np.uint64(0xCD9E8D57)
            c0, c1 = (v >> high) ^ c1 ^ k0, v
            c2, c3 = (u >> high) ^ c3 ^ k1, u
            k0 = (k0 + np.uint64(0x9E3779B9)) & low
            k1 = (k1 + np.uint64(0xBB67AE85)) & low
        words[2 * b] = (c0 & low) | c1 << high
        words[2 * b + 1] = (c2 & low) | c3 << high


@numba.njit(inline="always")
def _select(x, i, dx, out, o, do, lanes, n, threshold, scale, shift, dropped):
    """A row of elements that each have their own coin."""
    for j in range(n):
        stored = x[i + j * dx]
        kept = _narrow(_widen(stored) * scale + shift, stored)
        out[o + j * do] = kept if np.int32(lanes[j]) >= threshold else dropped


@numba.njit(inline="always")
def _stretch(x, i, dx, out, o, do, n, keep, scale, shift, dropped):
    """A row of elements that share one coin."""
    if keep:
        for k in range(n):
            stored = x[i + k * dx]
            out[o + k * do] = _narrow(_widen(stored) * scale + shift, stored)
    else:
        for k in range(n):
            out[o + k * do] = dropped


@numba.njit(inline="always")
def _tile(plan, tile):
    """A tile: its first coin, its start in x and out; how many coins, rows, elements to a coin."""
    one = np.uint64(1)
    first, width, wx, wo = plan[0], plan[1], plan[2], plan[3]
    share, sx, so, coins, elements = plan[4], plan[5], plan[6], plan[7], plan[8]
    rows, apart, depth = plan[9], plan[10], plan[11]
    across = (width + coins - one) // coins
    w, rest = tile % across * coins, tile // across
    down = (share + elements - one) // elements
    s, rest = rest % down * elements, rest // down
    blocks = (rows + ROWS - one) // ROWS
    r, rest = rest % blocks * ROWS, rest // blocks
    coin, i, o = first + w + r * apart, w * wx + s * sx + r, w * wo + s * so + r
    for axis in range(depth):
        at = np.uint64(12) + axis * np.uint64(4)
        index, rest = rest % plan[at], rest // plan[at]
        i += index * plan[at + one]
        o += index * plan[at + np.uint64(2)]
        coin += index * plan[at + np.uint64(3)]
    return coin, i, o, min(coins, width - w), min(ROWS, rows - r), min(elements, share - s)


@numba.njit
def _turn(turned, words, lanes, coin, apart, rows, n, seed, stream, step):
    """The lanes of rows of n coins, written by columns."""
    for r in range(rows):
        start = coin + r * apart
        offset = start % np.uint64(8)
        blocks = (offset + n + np.uint64(7)) // np.uint64(8)
        draw(words[: 2 * blocks], start // np.uint64(8), seed, stream, step)
        row = lanes[offset:]
        for j in range(n):
            turned[j * ROWS + r] = row[j]


@numba.njit
def _masked_scale(
    x, out, in_place, seed, stream, step, threshold, scale, shift, dropped, plan, begin, end
):
    """Write the tiles from `begin` to `end` of x, masked and scaled, into `out`."""
    zero, one = np.uint64(0), np.uint64(1)
    wx, wo, share, sx, so = plan[2], plan[3], plan[4], plan[5], plan[6]
    rows, apart = plan[9], plan[10]
    words = np.empty(plan[7] // 4 + 4, np.uint64)
    lanes = words.view(np.uint16)
    turned = np.empty(plan[7] * ROWS if rows > one else one, np.uint16)
    line = np.empty(plan[7], x.dtype)
    none = _narrow(dropped, x[0])
    stretches = sx <= wx and share > one
    unit = (sx if stretches else wx) == one
    for tile in range(begin, end):
        coin, i, o, n, r, m = _tile(plan, tile)
        if rows > one:
            _turn(turned, words, lanes, coin, apart, r, n, seed, stream, step)
            for j in range(n):
                a, b, row = i + j * wx, o + j * wo, turned[j * ROWS :]
                if in_place:
                    _select(out, b, one, out, b, one, row, r, threshold, scale, shift, none)
                else:
                    _select(x, a, one, out, b, one, row, r, threshold, scale, shift, none)
            continue
        offset = coin % np.uint64(8)
        blocks = (offset + n + np.uint64(7)) // np.uint64(8)
        draw(words[: 2 * blocks], coin // np.uint64(8), seed, stream, step)
        row = lanes[offset:]
        if stretches:
            for j in range(n):
                a, b, keep = i + j * wx, o + j * wo, np.int32(row[j]) >= threshold
                if in_place and unit:  # one array, not two that overlap: else nothing vectorises
                    _stretch(out, b, one, out, b, one, m, keep, scale, shift, none)
                elif unit and so == one:
                    _stretch(x, a, one, out, b, one, m, keep, scale, shift, none)
                else:
                    _stretch(x, a, sx, out, b, so, m, keep, scale, shift, none)
            continue
        for k in range(m):
            a, b = i + k * sx, o + k * so
            if in_place and unit:
                _select(out, b, one, out, b, one, row, n, threshold, scale, shift, none)
            elif unit and wo == one:
                _select(x, a, one, out, b, one, row, n, threshold, scale, shift, none)
            else:  # by way of a line, which vectorises; a strided loop would branch on each coin
                for j in range(n):
                    line[j] = x[a + j * wx]
                _select(line, zero, one, line, zero, one, row, n, threshold, scale, shift, none)
                for j in range(n):
                    out[b + j * wo] = line[j]


@numba.njit
def _uniforms(words, z):
    """The numbers in (-1, 1) of the two words in each of 64 bits."""
    for k in range(words.size):
        low, high = words[k] & np.uint64(0xFFFFFFFF), words[k] >> np.uint64(32)
        z[2 * k] = (2.0 * np.float64(np.int64(low)) + 1.0) * 2.0**-32 - 1.0
        z[2 * k + 1] = (2.0 * np.float64(np.int64(high)) + 1.0) * 2.0**-32 - 1.0


@numba.njit(error_model="numpy")  # else a check of each division for 0 would stop vectors
def _normals(words, z):
    """Box and Muller's two normals from the two words, u and v, in each of 64 bits.

    They are r cos θ and r sin θ with r² = -2 log((u + 1) / 2³²) and θ = 2π v / 2³². Both series
    end where double precision does.
    """
    low, root = np.uint64(0xFFFFFFFF), np.uint64(0x3FE6A09E667F3BCD)  # the bits of sqrt(1/2)
    for k in range(words.size):
        # u + 1 = 2^e m with m from sqrt(1/2) to sqrt(2), and log m = 2 artanh((m - 1) / (m + 1))
        bits = np.float64(np.int64((words[k] & low) + np.uint64(1))).view(np.uint64)
        e = (bits - root) >> np.uint64(52)
        m = np.uint64(bits - (e << np.uint64(52))).view(np.float64)
        s = (m - 1.0) / (m + 1.0)
        artanh = 0.0
        for n in range(21, 0, -2):
            artanh = artanh * (s * s) + 1.0 / n
        log = np.float64(np.int32(e) - 32) * math.log(2.0) + 2.0 * s * artanh
        radius = math.sqrt(-2.0 * log)
        # v is q quarters of a turn and a rest, an eighth at most to either side
        v = np.uint32(words[k] >> np.uint64(32))
        rest = np.int32(v << np.uint32(2)) >> np.int32(2)
        q = (v - np.uint32(rest)) >> np.uint32(30)
        angle = np.float64(rest) * (2 * math.pi * 2.0**-32)
        square, cos, sin = angle * angle, 1.0, 1.0
        for n in range(16, 0, -2):
            cos = 1.0 - cos * square * (1.0 / (n * (n - 1)))
            sin = 1.0 - sin * square * (1.0 / (n * (n + 1)))
        sin *= angle
        a, b = (sin, cos) if q & np.uint32(1) else (cos, sin)
        z[2 * k] = radius * (-a if (q + np.uint32(1)) & np.uint32(2) else a)
        z[2 * k + 1] = radius * (-b if q & np.uint32(2) else b)


@numba.njit(inline="always")
def _times(x, i, dx, out, o, do, z, n, bias, gain):
    """A row of elements, each times its own factor."""
    for j in range(n):
        stored = x[i + j * dx]
        out[o + j * do] = _narrow(np.float64(_widen(stored)) * (bias + gain * z[j]), stored)


@numba.njit
def _noise(x, out, seed, stream, step, normal, bias, gain, plan, begin, end):
    """Write the tiles from `begin` to `end` of x, each element times its factor, into `out`."""
    one, four = np.uint64(1), np.uint64(4)
    wx, wo, sx, so = plan[2], plan[3], plan[5], plan[6]
    words = np.empty(plan[7] // 2 + 4, np.uint64)
    z = np.empty(2 * words.size, np.float64)
    for tile in range(begin, end):
        coin, i, o, n, _, m = _tile(plan, tile)
        offset = coin % four
        pairs = words[: 2 * ((offset + n + np.uint64(3)) // four)]
        draw(pairs, coin // four, seed, stream, step)
        if normal:
            _normals(pairs, z)
        else:
            _uniforms(pairs, z)
        row = z[offset:]
        for k in range(m):
            a, b = i + k * sx, o + k * so
            if wx == one and wo == one:
                _times(x, a, one, out, b, one, row, n, bias, gain)
            else:
                _times(x, a, wx, out, b, wo, row, n, bias, gain)


# Python's own types are the quickest to pass: two addresses, the key; a plan, the first tile, the
# one after the last.
_ADDRESSES_AND_KEY, _NUMBERS = [types.int64] * 5, [types.float64] * 3
_PART = [types.Array(types.uint64, 1, "C"), types.int64, types.int64]


def _of_type(run, loop, dtype: torch.dtype, signature):
    """A loop compiled for a data type, under a name that no other has."""
    run.__qualname__ = f"{loop.__name__}.{dtype}"
    return compiled(run, signature)


@lru_cache
def masked_scale(dtype: torch.dtype):
    """The machine code for a data type."""
    stored, number = STORAGE[dtype]
    signature = types.void(*_ADDRESSES_AND_KEY, types.int64, *_NUMBERS, *_PART)

    def run(x, out, seed, stream, step, threshold, scale, shift, dropped, plan, begin, end):
        _masked_scale(
            numba.carray(_pointer(x, stored), ARRAY_BOUND),
            numba.carray(_pointer(out, stored), ARRAY_BOUND),
            x == out,
            np.uint64(seed),
            np.uint32(stream),
            np.uint32(step),
            np.int32(threshold),
            number(scale),
            number(shift),
            number(dropped),
            plan,
            np.uint64(begin),
            np.uint64(end),
        )

    return _of_type(run, masked_scale, dtype, signature)


@lru_cache
def noise(dtype: torch.dtype):
    """The machine code for a data type."""
    stored, _ = STORAGE[dtype]
    signature = types.void(*_ADDRESSES_AND_KEY, types.boolean, *_NUMBERS[:2], *_PART)

    def run(x, out, seed, stream, step, normal, bias, gain, plan, begin, end):
        _noise(
            numba.carray(_pointer(x, stored), ARRAY_BOUND),
            numba.carray(_pointer(out, stored), ARRAY_BOUND),
            np.uint64(seed),
            np.uint32(stream),
            np.uint32(step),
            normal,
            bias,
            gain,
            plan,
            np.uint64(begin),
            np.uint64(end),
        )

    return _of_type(run, noise, dtype, signature)


@lru_cache
def masked_scale_many(dtype: torch.dtype):
    """The machine code for a data type that NumPy has too."""
    number, one = STORAGE[dtype][0], partial(types.Array, ndim=1, layout="C")
    tensors, numbers = [types.Array(number, 3, "C")] * 2, [types.uint64, types.int64, types.int32]
    arrays = [one(kind) for kind in (*numbers, number)]
    signature = types.void(*tensors, *arrays, types.int64, types.int64)

    def run(x, out, seeds, widths, thresholds, scales, begin, end):
        """Write the tensors from `begin` to `end` of x, each masked by its own key, into `out`."""
        _, rows, stride = x.shape
        x, out = x.reshape(-1), out.reshape(-1)
        for k in range(begin, end):
            width, threshold, scale = widths[k], thresholds[k], scales[k]
            tall = max(1, MANY // width)
            words = np.empty(tall * width // 4 + 4, np.uint64)
            lanes = words.view(np.uint16)
            for top in range(0, rows, tall):
                high, coin = min(tall, rows - top), top * width
                offset = coin % 8
                blocks = (offset + high * width + 7) // 8
                draw(words[: 2 * blocks], coin // 8, seeds[k], 0, 0)
                for row in range(high):
                    at, lane = ((k * rows) + top + row) * stride, lanes[offset + row * width :]
                    source, target = x[at : at + stride], out[at : at + stride]
                    for unit in range(width):
                        keep = np.int32(lane[unit]) >= threshold
                        target[unit] = source[unit] * scale if keep else 0
                    target[width:] = 0

    return _of_type(run, masked_scale_many, dtype, signature)
