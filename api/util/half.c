#include "half.h"

#include <string.h>

// With an instruction for it the compiler's own type is used, else integers: without one it would call a function for
// each value.
#if defined(__FLT16_MANT_DIG__) && (defined(__aarch64__) || defined(__F16C__))
#define NATIVE 1
#else
#define NATIVE 0
#endif

enum { BLOCK = 32 }; // a constant count of rounds, so that compilers vectorise at every level of optimisation

#if NATIVE

static inline uint16_t from(float value)
{
    const _Float16 half = (_Float16)value;
    uint16_t bits;
    memcpy(&bits, &half, sizeof bits);
    return bits;
}

static inline float to(uint16_t half)
{
    _Float16 value;
    memcpy(&value, &half, sizeof value);
    return (float)value;
}

#else

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// All ones where the condition holds: choices by masks, so that loops have no branches.
static inline uint32_t mask(int condition) { return (uint32_t)-condition; }

static inline uint32_t choose(uint32_t where, uint32_t yes, uint32_t no) { return (yes & where) | (no & ~where); }

// Compared as signed numbers, which no magnitude's sign bit disturbs: vector units of old have no unsigned comparison.
static inline int below(uint32_t a, uint32_t b) { return (int32_t)a < (int32_t)b; }

enum {
    SMALLEST_NORMAL = 0x38800000, // 2^-14 as a float
    INFINITE = 0x7f800000,
    TOO_LARGE = 0x47800000, // 2^16
    REBIAS = 0x38000000,    // between the exponents' biases, 127 - 15
    HALF = 0x3f000000,      // 0.5f: its last place is worth 2^-24, as a half's smallest subnormal is
};

static inline uint16_t from(float value)
{
    const uint32_t bits = bits_of(value), size = bits & 0x7fffffff;
    // a carry out of the mantissa is a carry into the exponent, up to infinity
    const uint32_t normal = (size - REBIAS + 0xfff + (size >> 13 & 1)) >> 13;
    const uint32_t subnormal = bits_of(float_of(size) + 0.5f) - HALF;
    uint32_t half = choose(mask(below(size, SMALLEST_NORMAL)), subnormal, normal);
    half = choose(mask(below(size, TOO_LARGE)), half, 0x7c00);
    half = choose(mask(below(INFINITE, size)), 0x7e00 | (size >> 13 & 0x3ff), half);
    return (uint16_t)(half | (bits >> 16 & 0x8000));
}

static inline float to(uint16_t half)
{
    const uint32_t size = (uint32_t)(half & 0x7fff) << 13;
    const uint32_t normal = size + REBIAS;
    // as the mantissa of 2^-14, which is then taken off: exact, and never a subnormal float, which some apps have
    // flushed to 0
    const uint32_t subnormal = bits_of(float_of(size + SMALLEST_NORMAL) - float_of(SMALLEST_NORMAL));
    uint32_t bits = choose(mask(below(size, 0x400 << 13)), subnormal, normal);
    bits = choose(mask(below(size, 0x7c00 << 13)), bits, size | INFINITE);
    bits |= mask(below(INFINITE, bits)) & 0x400000; // quiet
    return float_of(bits | (uint32_t)(half & 0x8000) << 16);
}

#endif

uint16_t upc_half_from(float value) { return from(value); }

float upc_half_to(uint16_t half) { return to(half); }

void upc_half_from_many(uint16_t *restrict out, const float *restrict in, size_t count)
{
    for (; count >= BLOCK; count -= BLOCK, out += BLOCK, in += BLOCK)
        for (int i = 0; i < BLOCK; i++)
            out[i] = from(in[i]);
    for (size_t i = 0; i < count; i++)
        out[i] = from(in[i]);
}

void upc_half_to_many(float *restrict out, const uint16_t *restrict in, size_t count)
{
    for (; count >= BLOCK; count -= BLOCK, out += BLOCK, in += BLOCK)
        for (int i = 0; i < BLOCK; i++)
            out[i] = to(in[i]);
    for (size_t i = 0; i < count; i++)
        out[i] = to(in[i]);
}
