// Half precision: every half there and back, and floats around every place where rounding turns, against arithmetic in
// double.
#include "../api/util/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { INFINITE = 0x7c00, HALVES = 1 << 16 };

// The value of a half below INFINITE by the definition; of INFINITE itself what the next power of two would be, so that
// what overflows rounds by the same rule.
static double value_of(unsigned half)
{
    const int exponent = (int)(half >> 10), mantissa = (int)(half & 0x3ff);
    return exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// Both signs, alone and within a row.
static void check(uint32_t size, unsigned half)
{
    for (uint32_t sign = 0; sign < 2; sign++) {
        const float value = float_of(size | sign << 31);
        const uint16_t wanted = (uint16_t)(half | sign << 15);
        float row[67];
        uint16_t halves[67];
        for (int i = 0; i < 67; i++)
            row[i] = value;
        upc_half_from_many(halves, row, 67);
        assert_int_equal(upc_half_from(value), wanted);
        assert_int_equal(halves[5], wanted);
        assert_int_equal(halves[66], wanted);
    }
}

static void every_half_to_float(void **state)
{
    (void)state;
    static uint16_t halves[HALVES];
    static float floats[HALVES];
    for (unsigned i = 0; i < HALVES; i++)
        halves[i] = (uint16_t)i;
    upc_half_to_many(floats, halves, HALVES);
    for (unsigned i = 0; i < HALVES; i++) {
        const unsigned size = i & 0x7fff;
        const float value = upc_half_to((uint16_t)i);
        assert_int_equal(bits_of(value), bits_of(floats[i]));
        assert_int_equal(signbit(value) != 0, i >> 15);
        if (size > INFINITE)
            assert_true(isnan(value));
        else if (size == INFINITE)
            assert_true(isinf(value));
        else
            assert_true(fabs((double)value) == value_of(size));
    }
}

static void every_half_comes_back(void **state)
{
    (void)state;
    static uint16_t halves[HALVES], back[HALVES];
    static float floats[HALVES];
    for (unsigned i = 0; i < HALVES; i++)
        halves[i] = (uint16_t)i;
    upc_half_to_many(floats, halves, HALVES);
    upc_half_from_many(back, floats, HALVES);
    for (unsigned i = 0; i < HALVES; i++) {
        const unsigned quiet = (i & 0x7fff) > INFINITE ? 0x200 : 0; // a NaN stays one, with its payload
        assert_int_equal(back[i], i | quiet);
        assert_int_equal(upc_half_from(upc_half_to((uint16_t)i)), i | quiet);
    }
}

// Between two halves that are neighbours: next to each, on both sides of the middle, and the middle itself.
static void rounds_to_nearest_even(void **state)
{
    (void)state;
    for (unsigned low = 0; low < INFINITE; low++) {
        const uint32_t from = bits_of((float)value_of(low)), to = bits_of((float)value_of(low + 1));
        const uint32_t middle = bits_of((float)((value_of(low) + value_of(low + 1)) / 2));
        const unsigned even = low + (low & 1);
        check(from, low);
        check(from + 1, low);
        check(middle - 1, low);
        check(middle, even);
        check(middle + 1, low + 1);
        check(to - 1, low + 1);
    }
}

static void extremes(void **state)
{
    (void)state;
    check(0, 0);
    check(1, 0); // the smallest float
    check(0x007fffff, 0);
    check(bits_of(65504.0f), 0x7bff); // the largest half
    check(bits_of(65519.996f), 0x7bff);
    check(bits_of(65520.0f), INFINITE);
    check(bits_of(1e30f), INFINITE);
    check(0x7f7fffff, INFINITE);
    check(0x7f800000, INFINITE);
    check(0x7f800001, 0x7e00); // a signalling NaN whose payload a half does not hold
    check(0x7fc00000, 0x7e00);
    check(0x7fffffff, 0x7fff);
}

static void nothing_is_written_beyond(void **state)
{
    (void)state;
    float floats[70];
    uint16_t halves[70];
    for (int count = 0; count < 68; count++) {
        memset(floats, 0x3c, sizeof floats);
        memset(halves, 0xa5, sizeof halves);
        upc_half_from_many(halves, floats, (size_t)count);
        assert_int_equal(halves[count], 0xa5a5);
        for (int i = 0; i < 70; i++)
            halves[i] = 0x3c00;
        upc_half_to_many(floats, halves, (size_t)count);
        assert_int_equal(bits_of(floats[count]), 0x3c3c3c3c);
        for (int i = 0; i < count; i++)
            assert_true(floats[i] == 1.0f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_to_float),       cmocka_unit_test(every_half_comes_back),
        cmocka_unit_test(rounds_to_nearest_even),    cmocka_unit_test(extremes),
        cmocka_unit_test(nothing_is_written_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
