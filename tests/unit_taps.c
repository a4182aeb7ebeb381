// Which taps meet which outputs: the residues' runs of taps, and the order in which phases keep them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../api/solvers/taps.h"
#include "testing.h"

static upc_env env;

static void draw_axes(test_random *random, upc_problem *problem)
{
    upconv_problem given = {.op = test_chance(random, 75) ? UPCONV_CONV_TRANSPOSE : UPCONV_CONV, .batch = 1, .groups = 1,
                            .in_channels = 1, .out_channels = 1};
    given.dims = test_between(random, 1, 3);
    for (int a = 0; a < given.dims; a++) {
        given.in[a] = test_between(random, 1, 40);
        given.kernel[a] = test_between(random, 1, 6);
        given.stride[a] = test_between(random, 1, 5);
        given.dilation[a] = test_between(random, 1, 4);
        given.pad[a] = test_between(random, -3, 3);
        given.out[a] = test_between(random, 1, 90);
    }
    assert_int_equal(upc_problem_from(&given, problem), UPCONV_OK);
}

// The residues' taps are exactly those that the definition asks for: o * step = i * stride + k * dilation - pad.
static void taps_follow_the_definition(void **state)
{
    (void)state;
    test_random random = {99};
    for (int i = 0; i < 3000; i++) {
        upc_problem problem;
        upc_taps taps;
        draw_axes(&random, &problem);
        assert_int_equal(upc_taps_init(&taps, &env, &problem, true), UPCONV_OK);
        for (int a = 0; a < 3; a++) {
            const upc_axis *axis = &problem.axis[a];
            const upc_tap_axis *made = &taps.axis[a];
            for (int64_t o = 0; o < axis->out; o++) {
                const int64_t at = o + upc_axis_origin(axis), q = upc_floor_div(at, made->stride),
                              r = at - q * made->stride;
                int32_t found = 0;
                for (int64_t k = 0; k < axis->kernel; k++) {
                    const int64_t in = upc_axis_source(axis, o, k);
                    for (int32_t t = 0; t < made->residue[r].count; t++)
                        if (made->residue[r].tap + t * made->tap_step == k) {
                            const int64_t read = q * axis->step + made->residue[r].input - t * made->input_step;
                            assert_true(in < 0 ? read < 0 || read >= axis->in : read == in);
                            found += in >= 0;
                        }
                    if (in >= 0)
                        found--; // every tap of the definition was met once
                }
                assert_int_equal(found, 0);
            }
        }
        upc_taps_finish(&taps);
    }
}

static void positions_are_a_permutation(void **state)
{
    (void)state;
    test_random random = {5};
    for (int i = 0; i < 500; i++) {
        upc_problem problem;
        upc_taps taps;
        draw_axes(&random, &problem);
        assert_int_equal(upc_taps_init(&taps, &env, &problem, i % 4 != 0), UPCONV_OK);
        const int64_t kd = problem.axis[0].kernel, kh = problem.axis[1].kernel, kw = problem.axis[2].kernel;
        bool seen[216] = {false};
        for (int64_t k = 0; k < kd * kh * kw; k++) {
            const int64_t tap[3] = {k / (kh * kw), k / kw % kh, k % kw};
            const int64_t at = upc_taps_position(&taps, &problem, tap);
            assert_true(at >= 0 && at < kd * kh * kw && !seen[at]);
            seen[at] = true;
        }
        assert_int_equal(upc_taps_before(&taps, &problem, 0), 0);
        assert_int_equal(upc_taps_before(&taps, &problem, upc_taps_phases(&taps)), kd * kh * kw);
        upc_taps_finish(&taps);
    }
}

int main(void)
{
    upc_env_init(&env, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taps_follow_the_definition),
        cmocka_unit_test(positions_are_a_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
