// The arithmetic of requantising, against numbers worked out by hand: rounding of every scheme on both sides of zero, shifts of both
// signs, multipliers from scales, clamps from activations; and the rules of quantised problems.
#include "../api/quant.h"
#include "../api/solvers/phase_q.h"
#include "quantised.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// One channel through the library's own arithmetic.
static int64_t back(upconv_requant scheme, int64_t sum, int32_t multiplier, int32_t shift)
{
    upc_problem problem = {.groups = 1, .ocg = 1, .type = UPCONV_I8, .quant = {.requant = scheme}};
    const upconv_plan_params params = {.multipliers = &multiplier, .shifts = &shift, .scale_count = 1};
    upc_factor factor;
    upc_quant_factors(&problem, &params, &factor);
    return upc_requantise(scheme, sum, &factor);
}

typedef struct known {
    int64_t sum;
    int32_t multiplier, shift;
    int64_t wanted[UPCONV_REQUANT_COUNT]; // DOUBLE, SINGLE, REDUCED, REAL
} known;

static void test_known(void **state)
{
    (void)state;
    enum { HALF = 1 << 30 }; // multiplier of 0.5
    static const known all[] = {
        // times 0.5: 1.5 -> 2 everywhere, -1.5: halves upwards are -1, away from zero -2
        {3, HALF, 0, {2, 2, 2, 2}},
        {-3, HALF, 0, {-1, -1, -1, -2}},
        // times 0.25, in two roundings: 3 * 0.5 = 1.5 -> 2, 2 / 2 = 1; in one: 0.75 -> 1
        {3, HALF, -1, {1, 1, 1, 1}},
        // 1 * 0.5 -> 1 (half upwards), then 1 / 2 -> 1, away from zero; 0.25 -> 0 in one
        {1, HALF, -1, {1, 0, 0, 0}},
        // -1 * 0.5 -> 0, 0 / 2 = 0; -0.25 -> 0
        {-1, HALF, -1, {0, 0, 0, 0}},
        // -5 * 0.5 = -2.5 -> -2, -2 / 2 = -1; -1.25 -> -1
        {-5, HALF, -1, {-1, -1, -1, -1}},
        // -6 * 0.5 = -3, -3 / 2 = -1.5 -> -2 away from zero; -1.5 -> -1 upwards
        {-6, HALF, -1, {-2, -1, -1, -2}},
        // left shifts: 5 * 0.5 * 8 = 20
        {5, HALF, 3, {20, 20, 20, 20}},
        {-5, HALF, 3, {-20, -20, -20, -20}},
        // a multiplier that 16 bits do not hold: 0x40008000 is 16384.5 of 2^15, which becomes 16385; 100000 * 0.50001526 = 50001.53,
        // reduced 100000 * 16385 / 32768 = 50003.05
        {100000, 0x40008000, 0, {50002, 50002, 50003, 50002}},
        // the largest: 0x7fffffff, reduced to 0x7fff: 1000000 * 32767 / 32768 = 999969.48
        {1000000, 0x7fffffff, 0, {1000000, 1000000, 999969, 1000000}},
        // nothing left: 2^20 * 0.5 * 2^-31
        {1 << 20, HALF, -31, {0, 0, 0, 0}},
        // 2^31 - 1 times 0.5 / 2^31: 2^30 in the first rounding, then 0.5 -> 1 away from zero, where one rounding sees 0.4999...
        {INT32_MAX, HALF, -31, {1, 0, 0, 0}},
        // 0
        {12345, 0, 0, {0, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        for (int s = 0; s < UPCONV_REQUANT_COUNT; s++) {
            const int64_t found = back((upconv_requant)s, all[i].sum, all[i].multiplier, all[i].shift);
            if (found != all[i].wanted[s])
                fail_msg("case %zu, scheme %d: %lld, not %lld", i, s, (long long)found, (long long)all[i].wanted[s]);
        }
}

static void test_wide_sums(void **state)
{
    (void)state;
    // 2^40 * 0.5 * 2^-20 = 2^19; in 32 bits 2^40 is 0
    assert_int_equal(back(UPCONV_REQUANT_REDUCED, INT64_C(1) << 40, 1 << 30, -20), 1 << 19);
    assert_int_equal(back(UPCONV_REQUANT_REAL, INT64_C(1) << 40, 1 << 30, -20), 1 << 19);
    assert_int_equal(back(UPCONV_REQUANT_DOUBLE, INT64_C(1) << 40, 1 << 30, -20), 0);
    assert_int_equal(back(UPCONV_REQUANT_SINGLE, INT64_C(1) << 40, 1 << 30, -20), 0);
    // wraps around: 2^31 + 4 is -2^31 + 4
    assert_int_equal(back(UPCONV_REQUANT_SINGLE, (INT64_C(1) << 31) + 4, 1 << 30, 0), -(1 << 30) + 2);
    // saturates where no type ends
    assert_int_equal(back(UPCONV_REQUANT_REAL, INT64_C(1) << 40, 1 << 30, 1), INT32_MAX);
    assert_int_equal(back(UPCONV_REQUANT_REAL, -(INT64_C(1) << 40), 1 << 30, 1), -INT32_MAX);
}

// Against the oracle in 128 bits, which says the header's words again.
static void test_many(void **state)
{
    (void)state;
    test_random random = {7};
    for (int i = 0; i < 200000; i++) {
        const upconv_requant scheme = (upconv_requant)test_between(&random, 0, UPCONV_REQUANT_COUNT - 1);
        const int bits = test_between(&random, 1, scheme >= UPCONV_REQUANT_REDUCED ? 46 : 40);
        const int64_t sum = (int64_t)(test_bits(&random) >> (64 - bits)) - (INT64_C(1) << (bits - 1));
        const int32_t multiplier = (int32_t)(test_bits(&random) >> 33) >> test_between(&random, 0, 20);
        const int32_t shift = test_between(&random, -31, scheme == UPCONV_REQUANT_REDUCED ? 7 : 30);
        const int64_t found = back(scheme, sum, multiplier, shift);
        const int64_t wanted = quantised_back(scheme, sum, multiplier, shift, ldexp(multiplier, shift - 31));
        if (found != wanted)
            fail_msg("scheme %d, sum %lld, %d * 2^(%d - 31): %lld, not %lld", (int)scheme, (long long)sum, multiplier,
                     shift, (long long)found, (long long)wanted);
    }
}

static void test_multipliers(void **state)
{
    (void)state;
    static const struct {
        double scale;
        int32_t multiplier, shift;
    } all[] = {
        {0, 0, 0},
        {0.5, 1 << 30, 0},
        {1, 1 << 30, 1},
        {0.75, 3 << 29, 0},
        {3, 3 << 29, 2},
        {1.0 / 3, 1431655765, -1},           // 2/3 * 2^31 = 1431655765.33
        {1 - 0x1p-40, 1 << 30, 1},           // rounds up to 2^31, which is 2^30 once more
        {0x1p-32, 1 << 30, -31},
        {0x1p-33, 0, 0},                     // would need a shift of -32
        {0x1.8p29, 3 << 29, 30},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        int32_t multiplier = -1, shift = -1;
        assert_int_equal(upconv_requant_multiplier(all[i].scale, UPCONV_REQUANT_DOUBLE, &multiplier, &shift),
                         UPCONV_OK);
        assert_int_equal(multiplier, all[i].multiplier);
        assert_int_equal(shift, all[i].shift);
    }
    int32_t multiplier = 5, shift = 6;
    const double wrong[] = {-1, (double)NAN, (double)INFINITY, 0x1p30};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(upconv_requant_multiplier(wrong[i], UPCONV_REQUANT_DOUBLE, &multiplier, &shift),
                         UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_requant_multiplier(128, UPCONV_REQUANT_REDUCED, &multiplier, &shift), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_requant_multiplier(1, UPCONV_REQUANT_COUNT, &multiplier, &shift), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_requant_multiplier(1, UPCONV_REQUANT_DOUBLE, NULL, &shift), UPCONV_ERROR_INVALID);
    assert_true(multiplier == 5 && shift == 6);
}

static void range_is(upconv_type type, float scale, int32_t zero, float low, float high, int32_t first, int32_t last)
{
    int32_t range[2] = {77, 77};
    assert_int_equal(upconv_requant_range(type, scale, zero, low, high, range), UPCONV_OK);
    assert_int_equal(range[0], first);
    assert_int_equal(range[1], last);
}

static void test_ranges(void **state)
{
    (void)state;
    range_is(UPCONV_I8, 0.1f, -10, 0, INFINITY, -10, 127);           // ReLU
    range_is(UPCONV_U8, 0.05f, 3, 0, 6, 3, 123);                     // ReLU6: 6 / 0.05 = 120
    range_is(UPCONV_U8, 0.01f, 3, 0, 6, 3, 255);                     // 603 is beyond the type
    range_is(UPCONV_I8, 0.4f, 0, -1, 1, -3, 3);                      // 2.5 away from zero
    range_is(UPCONV_I16, 1.0f, 0, -INFINITY, INFINITY, -32768, 32767);
    range_is(UPCONV_I8, 1e-30f, 0, -1, 1, -128, 127);
    int32_t range[2];
    assert_int_equal(upconv_requant_range(UPCONV_F32, 1, 0, 0, 1, range), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_requant_range(UPCONV_I8, 0, 0, 0, 1, range), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_requant_range(UPCONV_I8, 1, 0, 1, 0, range), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_requant_range(UPCONV_I8, 1, 0, 0, 1, NULL), UPCONV_ERROR_INVALID);
    range[0] = range[1] = 7; // zeros would mean all of the type
    assert_int_equal(upconv_requant_range(UPCONV_I16, 2.12f, 0, -1, 1, range), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_requant_range(UPCONV_U8, 13, 0, 0, 6, range), UPCONV_ERROR_INVALID);
    assert_true(range[0] == 7 && range[1] == 7);
}

// ------------------------------------------------------------------------------------------------------------- the rules

static upconv_problem base(void)
{
    return (upconv_problem){.struct_size = sizeof(upconv_problem), .dims = 1, .batch = 1, .in_channels = 4, .out_channels = 2,
                            .in = {3}, .kernel = {2}, .type = UPCONV_I8};
}

static void test_rules(void **state)
{
    (void)state;
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    upconv_problem p = base();
    assert_int_equal(upconv_problem_sizes(&p, &sizes), UPCONV_OK);
    assert_int_equal(sizes.input_bytes, 12);
    assert_int_equal(sizes.output_bytes, 8);
    assert_int_equal(sizes.weights_bytes, 16);
    assert_int_equal(sizes.bias_bytes, 8);
    p.type = UPCONV_I16;
    assert_int_equal(upconv_problem_sizes(&p, &sizes), UPCONV_OK);
    assert_int_equal(sizes.input_bytes, 24);
#define REFUSED(change, word)                                                                           \
    do {                                                                                                \
        p = base();                                                                                     \
        change;                                                                                         \
        assert_int_equal(upconv_problem_sizes(&p, &sizes), UPCONV_ERROR_INVALID);                       \
        assert_non_null(strstr(upconv_last_error(), word));                                             \
    } while (0)
    REFUSED(p.in_zero = 128, "in_zero is 128; it must be from -128 to 127");
    REFUSED(p.out_zero = -129, "out_zero is -129");
    REFUSED(p.weights_zero = 256, "weights_zero is 256; it must be from -128 to 255");
    REFUSED(p.out_range[1] = 128, "out_range[1] is 128");
    REFUSED((p.out_range[0] = 5, p.out_range[1] = 4), "out_range is {5, 4}");
    REFUSED(p.requant = UPCONV_REQUANT_COUNT, "requant is 4");
    REFUSED(p.act = UPCONV_ACT_TANH, "act is tanh");
    REFUSED(p.act = UPCONV_ACT_PRELU, "act is prelu");
    REFUSED(p.residual = UPCONV_RESIDUAL_BEFORE_ACT, "residual is 1");
    REFUSED(p.sum_type = UPCONV_F16, "sum_type is F16 while type is quantised");
    REFUSED(p.sum_type = UPCONV_I8, "sum_type is 3");
    REFUSED(p.op = UPCONV_CONV, "only transposed convolution");
    REFUSED((p.type = UPCONV_F32, p.in_zero = 1), "in_zero is 1; it is for problems of type U8, I8 or I16");
    REFUSED((p.type = UPCONV_F16, p.requant = UPCONV_REQUANT_REAL), "requant is 3");
#undef REFUSED
}

static void test_plans(void **state)
{
    (void)state;
    static const uint8_t weights[16] = {1};
    static const int32_t multipliers[2] = {1 << 30, 1 << 30}, shifts[2] = {0, 0}, negative[2] = {1, -1},
                         far[2] = {0, 31};
    static const double scales[2] = {0.5, 0.25}, large[2] = {0.5, 1e30};
    upc_problem problem;
    upconv_problem p = base();
    const upconv_plan_params good = {
        .weights = weights, .weights_type = UPCONV_I8, .multipliers = multipliers, .shifts = shifts, .scale_count = 2};
    upconv_plan_params params = good;
    assert_int_equal(upc_problem_from(&p, &problem), UPCONV_OK);
    assert_int_equal(upc_quant_check(&problem, &params), UPCONV_OK);
    params.scale_count = 1;
    assert_int_equal(upc_quant_check(&problem, &params), UPCONV_OK);
    params = (upconv_plan_params){.weights = weights, .weights_type = UPCONV_U8, .scales = scales, .scale_count = 2};
    assert_int_equal(upc_quant_check(&problem, &params), UPCONV_OK);
    params.weights = NULL; // given at execution
    assert_int_equal(upc_quant_check(&problem, &params), UPCONV_OK);
#define REFUSED(change, word)                                                                           \
    do {                                                                                                \
        params = good;                                                                                  \
        change;                                                                                         \
        assert_int_not_equal(upc_quant_check(&problem, &params), UPCONV_OK);                            \
        if (!strstr(upconv_last_error(), word))                                                         \
            fail_msg("%s", upconv_last_error());                                                        \
    } while (0)
    REFUSED(params.weights_type = UPCONV_F32, "weights_type is 0");
    REFUSED(params.weights_type = UPCONV_I16, "weights_type is 4");
    REFUSED(params.scale_count = 3, "scale_count is 3; it must be 1 or the output channels, 2");
    REFUSED(params.shifts = NULL, "either multipliers and shifts or scales");
    REFUSED(params.multipliers = params.shifts = NULL, "either multipliers and shifts or scales");
    REFUSED(params.scales = scales, "either multipliers and shifts or scales");
    REFUSED(params.multipliers = negative, "multipliers[1] is -1");
    REFUSED(params.shifts = far, "shifts[1] is 31");
    REFUSED((params.multipliers = params.shifts = NULL, params.scales = large),
            "scales[1] is 1e+30; it must be from 0 to below 2^30");
    REFUSED(params.bias_int64 = 2, "bias_int64 is 2");
    problem.type = UPCONV_F32;
    REFUSED((void)0, "params.multipliers is set, but the problem is not quantised");
    REFUSED(params = (upconv_plan_params){.weights_type = UPCONV_U8}, "weights_type is 2; weights of integers");
#undef REFUSED
}

static void test_notation(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"+u8", "+u8"},
        {"+i8+zero:-3", "+i8+zero:-3:0:0"},
        {"+zero:1:2:3+i16+reduced", "+i16+reduced+zero:1:2:3"},
        {"+relu+i8+single+range:-5:100", "+relu+i8+single+range:-5:100"},
        {"+u8+range:0:255+real+nhwc", "+u8+real+nhwc"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[160], wanted[160], found[256];
        upconv_problem p = {.struct_size = sizeof p};
        snprintf(text, sizeof text, "ic2oc2iw4kw3%s", texts[i][0]);
        snprintf(wanted, sizeof wanted, "g1mb1ic2oc2_iw4ow6kw3sw1pw0dw0%s", texts[i][1]);
        assert_int_equal(upconv_problem_parse(text, &p, NULL), UPCONV_OK);
        assert_int_equal(upconv_problem_print(&p, found, sizeof found, NULL), UPCONV_OK);
        assert_string_equal(found, wanted);
    }
    static const char *const bad[] = {"ic2oc2iw4kw3+i8+zero", "ic2oc2iw4kw3+i8+zero:1:2:3:4", "ic2oc2iw4kw3+i8+u8",
                                      "ic2oc2iw4kw3+zero:1", "ic2oc2iw4kw3+i8+range:5:99999999999", "ic2oc2iw4kw3+i8+range:5:-",
                                      "conv:ic2oc2iw4kw3+i8", "ic2oc2iw4kw3+i8+f16"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        upconv_problem p = {.struct_size = sizeof p};
        if (upconv_problem_parse(bad[i], &p, NULL) != UPCONV_ERROR_INVALID)
            fail_msg("%s was read", bad[i]);
    }
}

// What the zero points add is one item's sum over all input channels, which not every device has the rounds for.
static void test_rounds(void **state)
{
    (void)state;
    upc_env env;
    upc_facts facts;
    upc_problem problem;
    upconv_problem p = {.struct_size = sizeof p};
    upc_config config = {{0}};
    upc_env_init(&env, NULL);
    upc_facts_smallest(&facts);
    facts.dot_takes = 1u << UPC_DOT_SIGNED;
    assert_int_equal(upconv_problem_parse("ic60000oc2_iw9kw1+i8+nhwc+zero:100", &p, NULL), UPCONV_OK);
    assert_int_equal(upc_problem_from(&p, &problem), UPCONV_OK);
    upc_solver_phase_q.guess(&problem, &facts, &config);
    assert_int_equal(upc_config_parse(&upc_solver_phase_q, "tile=1,oc=4,dot=1", &config), UPCONV_OK);
    for (int i = 0; i < 4; i++) {
        const upconv_plan_params params = {.weights = i & 1 ? "" : NULL, .weights_type = UPCONV_I8};
        const upc_request request = upc_request_of(&problem, &params);
        upc_recipe recipe;
        facts.loop_rounds = i & 2 ? 65535 : 0;
        upc_recipe_init(&recipe, &env);
        assert_int_equal(upc_solver_phase_q.cook(&problem, &facts, &config, &request, &recipe),
                         i == 2 ? UPCONV_ERROR_UNSUPPORTED : UPCONV_OK);
        upc_recipe_finish(&recipe);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),       cmocka_unit_test(test_wide_sums), cmocka_unit_test(test_many),
        cmocka_unit_test(test_multipliers), cmocka_unit_test(test_ranges),    cmocka_unit_test(test_rules),
        cmocka_unit_test(test_plans),       cmocka_unit_test(test_notation),  cmocka_unit_test(test_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
