// How many taps meet in an output: against counting them, and against cases worked out by hand.
#include "../api/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static upconv_problem line(int32_t kernel, int32_t stride, int32_t dilation, int32_t pad)
{
    return (upconv_problem){.struct_size = sizeof(upconv_problem),
                            .dims = 1,
                            .batch = 1,
                            .in_channels = 1,
                            .out_channels = 1,
                            .in = {9},
                            .kernel = {kernel},
                            .stride = {stride},
                            .dilation = {dilation},
                            .pad = {pad},
                            .out = {1}};
}

static upconv_overlap overlap_of(const upconv_problem *problem)
{
    upconv_overlap it = {.struct_size = sizeof it};
    assert_int_equal(upconv_problem_overlap(problem, &it), UPCONV_OK);
    return it;
}

// Taps that reach output o of an input that goes on in both directions.
static int32_t counted(const upconv_problem *p, int32_t o)
{
    int32_t taps = 0;
    for (int32_t k = 0; k < p->kernel[0]; k++)
        taps += (o + p->pad[0] - k * p->dilation[0]) % p->stride[0] == 0;
    return taps;
}

static bool even_kernel(upconv_problem p, int32_t kernel)
{
    p.kernel[0] = kernel;
    return overlap_of(&p).even != 0;
}

static void check_one(const upconv_problem *p)
{
    const upconv_overlap it = overlap_of(p);
    const upconv_overlap_axis *axis = &it.axis[0];
    int32_t least = INT32_MAX, most = 0, unreached = 0;
    for (int32_t phase = 0; phase < p->stride[0]; phase++) {
        int32_t taps = -1;
        assert_int_equal(upconv_problem_overlap_taps(p, 0, phase, &taps), UPCONV_OK);
        assert_int_equal(taps, counted(p, phase));
        assert_int_equal(taps, counted(p, phase + 7 * p->stride[0]));
        least = taps < least ? taps : least;
        most = taps > most ? taps : most;
        unreached += taps == 0;
    }
    assert_int_equal(axis->phases, p->stride[0]);
    assert_int_equal(axis->least, least);
    assert_int_equal(axis->most, most);
    assert_int_equal(axis->unreached, unreached);
    assert_int_equal(axis->even, least == most);
    assert_int_equal(it.even, axis->even);
    if (axis->kernel_above)
        assert_true(even_kernel(*p, axis->kernel_above) &&
                    (!axis->kernel_below || even_kernel(*p, axis->kernel_below)));
    for (int32_t kernel = axis->kernel_below + 1; kernel < (axis->kernel_above ? axis->kernel_above : 20); kernel++)
        assert_true(kernel == p->kernel[0] || !even_kernel(*p, kernel)); // none is nearer
}

static void test_counted(void **state)
{
    (void)state;
    for (int32_t stride = 1; stride <= 7; stride++)
        for (int32_t dilation = 1; dilation <= 7; dilation++)
            for (int32_t kernel = 1; kernel <= 9; kernel++)
                for (int32_t pad = -3; pad <= 3; pad++) {
                    const upconv_problem p = line(kernel, stride, dilation, pad);
                    check_one(&p);
                }
}

static void test_by_hand(void **state)
{
    (void)state;
    upconv_problem p = line(3, 2, 1, 1);
    upconv_overlap it = overlap_of(&p);
    assert_true(!it.even && it.axis[0].least == 1 && it.axis[0].most == 2 && it.axis[0].kernel_below == 2 &&
                it.axis[0].kernel_above == 4);
    int32_t taps = 0;
    assert_int_equal(upconv_problem_overlap_taps(&p, 0, 0, &taps), UPCONV_OK);
    assert_int_equal(taps, 1); // o = 2 i + k - 1 is even for k = 1 alone
    p = line(4, 4, 2, 0);      // gcd 2: every other output
    it = overlap_of(&p);
    assert_true(!it.even && it.axis[0].unreached == 2 && it.axis[0].most == 2 && it.axis[0].kernel_above == 0);
    p = line(3, 2, 1, 0);
    p.in[0] = 1;
    assert_true(overlap_of(&p).even);
    // large numbers: a tap each for the phases 0, d, 2 d
    p = line(3, INT32_MAX, 65536, 0);
    it = overlap_of(&p);
    assert_true(it.axis[0].most == 1 && it.axis[0].unreached == INT32_MAX - 3 && it.axis[0].kernel_above == INT32_MAX &&
                it.axis[0].kernel_below == 0);
    assert_int_equal(upconv_problem_overlap_taps(&p, 0, 2 * 65536, &taps), UPCONV_OK);
    assert_int_equal(taps, 1);
    assert_int_equal(upconv_problem_overlap_taps(&p, 0, 65537, &taps), UPCONV_OK);
    assert_int_equal(taps, 0);
}

static void test_axes(void **state)
{
    (void)state;
    upconv_problem p = {.struct_size = sizeof p,
                        .dims = 3,
                        .batch = 1,
                        .in_channels = 1,
                        .out_channels = 1,
                        .in = {4, 4, 4},
                        .kernel = {2, 5, 6},
                        .stride = {2, 2, 3},
                        .dilation = {1, 1, 1}};
    const upconv_overlap it = overlap_of(&p);
    assert_true(!it.even && it.axis[0].even && !it.axis[1].even && it.axis[2].even);
    char text[1024];
    upc_text out = {text, sizeof text, 0};
    upc_problem problem;
    assert_int_equal(upc_problem_from(&p, &problem), UPCONV_OK);
    upc_overlap_explain(&problem, &out);
    assert_string_equal(text,
                        "overlap: d: kernel 2 over stride 2: even, taps by phase 1 1\n"
                        "overlap: h: kernel 5 over stride 2: UNEVEN, taps by phase 3 2; kernel 4 or 6 would be even\n"
                        "overlap: w: kernel 6 over stride 3: even, taps by phase 2 2 2\n");
    p.dims = 2; // the third axis is not looked at
    p.kernel[1] = 4;
    assert_true(overlap_of(&p).even && overlap_of(&p).axis[2].phases == 0);
}

static void refused(upconv_status status, const char *words)
{
    assert_int_equal(status, UPCONV_ERROR_INVALID);
    if (!strstr(upconv_last_error(), words))
        fail_msg("'%s' is not in '%s'", words, upconv_last_error());
}

static void test_refused(void **state)
{
    (void)state;
    upconv_problem p = line(3, 2, 1, 0);
    upconv_overlap it = {.struct_size = sizeof it};
    int32_t taps = 5;
    refused(upconv_problem_overlap(&p, NULL), "overlap is NULL");
    refused(upconv_problem_overlap(NULL, &it), "problem is NULL");
    refused(upconv_problem_overlap_taps(&p, 1, 0, &taps), "axis is 1");
    refused(upconv_problem_overlap_taps(&p, -1, 0, &taps), "axis is -1");
    refused(upconv_problem_overlap_taps(&p, 0, 2, &taps), "phase is 2");
    refused(upconv_problem_overlap_taps(&p, 0, 0, NULL), "taps is NULL");
    assert_int_equal(taps, 5);
    struct {
        size_t struct_size;
        uint32_t even, canary;
    } first = {.struct_size = offsetof(upconv_overlap, axis), .canary = 77};
    assert_int_equal(upconv_problem_overlap(&p, (upconv_overlap *)(void *)&first),
                     UPCONV_OK); // an app that knows no more
    assert_true(first.even == 0 && first.canary == 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counted),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_axes),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
