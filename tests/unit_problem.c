// The rules of upconv_problem: each broken once, with the sentence checked; sizes; the order of filters.
#include "../api/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static upconv_problem legal(void)
{
    return (upconv_problem){.struct_size = sizeof(upconv_problem),
                            .batch = 2,
                            .in_channels = 6,
                            .out_channels = 4,
                            .groups = 2,
                            .in = {5, 7},
                            .kernel = {3, 4},
                            .stride = {2, 3},
                            .dilation = {1, 2},
                            .pad = {1, -2}};
}

static upconv_status sizes_of(const upconv_problem *problem, upconv_sizes *sizes)
{
    memset(sizes, 0, sizeof *sizes);
    sizes->struct_size = sizeof *sizes;
    return upconv_problem_sizes(problem, sizes);
}

// INVALID, with every one of the words in the sentence.
static void refused(const upconv_problem *problem, const char *words)
{
    upconv_sizes sizes;
    const upconv_status status = sizes_of(problem, &sizes);
    char copy[256];
    snprintf(copy, sizeof copy, "%s", words);
    if (status != UPCONV_ERROR_INVALID)
        fail_msg("taken, but '%s' should be wrong", words);
    for (char *save = NULL, *word = strtok_r(copy, "|", &save); word; word = strtok_r(NULL, "|", &save))
        if (!strstr(upconv_last_error(), word))
            fail_msg("'%s' is not in '%s'", word, upconv_last_error());
}

static void test_sizes(void **state)
{
    (void)state;
    upconv_problem problem = legal();
    upconv_sizes sizes;
    assert_int_equal(sizes_of(&problem, &sizes), UPCONV_OK);
    assert_int_equal(sizes.out[0], (5 - 1) * 2 + 2 + 1 - 2);
    assert_int_equal(sizes.out[1], (7 - 1) * 3 + 3 * 2 + 1 + 4);
    assert_int_equal(sizes.out[2], 0);
    assert_int_equal(sizes.input_elements, 2 * 6 * 35);
    assert_int_equal(sizes.output_elements, 2 * 4 * 9 * 29);
    assert_int_equal(sizes.weights_elements, 6 * 2 * 12);
    assert_int_equal(sizes.bias_elements, 4);
    assert_int_equal(sizes.output_bytes, sizes.output_elements * 4);
    assert_int_equal(sizes.bias_bytes, 16);
    assert_true(sizes.flops == 2.0 * 2 * 35 * 12 * 6 * 4 / 2);
    problem.out[0] = 1000; // any positive size
    problem.out[1] = 1;
    assert_int_equal(sizes_of(&problem, &sizes), UPCONV_OK);
    assert_int_equal(sizes.out[0], 1000);
    assert_int_equal(sizes.output_elements, 2 * 4 * 1000);
}

static void test_struct_size(void **state)
{
    (void)state;
    upconv_problem problem = legal();
    upconv_sizes sizes = {.struct_size = offsetof(upconv_sizes, bias_elements)};
    assert_int_equal(upconv_problem_sizes(&problem, &sizes), UPCONV_OK);
    assert_int_equal(sizes.struct_size, offsetof(upconv_sizes, bias_elements));
    assert_true(sizes.weights_elements != 0 && sizes.bias_elements == 0);
    problem.struct_size = 0;
    assert_int_equal(sizes_of(&problem, &sizes), UPCONV_OK);
    problem.struct_size = 3;
    refused(&problem, "struct_size|3");
    struct {
        upconv_problem problem;
        char tail[16];
    } later = {.problem = legal()};
    later.problem.struct_size = sizeof later;
    assert_int_equal(sizes_of(&later.problem, &sizes), UPCONV_OK);
    later.tail[8] = 1;
    refused(&later.problem, "struct_size");
    assert_int_equal(upconv_problem_sizes(NULL, &sizes), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_problem_sizes(&problem, NULL), UPCONV_ERROR_INVALID);
}

#define REFUSED(change, words)                                                                               \
    do {                                                                                                     \
        upconv_problem problem = legal();                                                                    \
        problem.change;                                                                                      \
        refused(&problem, words);                                                                            \
    } while (0)

static void test_rules(void **state)
{
    (void)state;
    REFUSED(op = (upconv_op)1, "op is 1");
    REFUSED(dims = 4, "dims is 4");
    REFUSED(dims = -1, "dims is -1");
    REFUSED(dims = 3, "in[2] is 0");
    REFUSED(batch = 0, "batch is 0");
    REFUSED(in_channels = -6, "in_channels is -6");
    REFUSED(out_channels = 0, "out_channels is 0");
    REFUSED(groups = -1, "groups is -1");
    REFUSED(groups = 4, "in_channels is 6|groups, 4");
    REFUSED(groups = 3, "out_channels is 4|groups, 3");
    REFUSED(in[1] = 0, "in[1] is 0");
    REFUSED(kernel[0] = -3, "kernel[0] is -3");
    REFUSED(stride[1] = -1, "stride[1] is -1");
    REFUSED(stride[0] = 0, "stride[0] is 0|stride[1] is 3|wholly zero");
    REFUSED(dilation[1] = 0, "dilation[1] is 0|dilation[0] is 1|wholly zero");
    REFUSED(out[0] = -1, "out[0] is -1");
    REFUSED(pad[0] = 6, "out[0] comes to -1|pad 6");
    REFUSED(type = (upconv_type)1, "type is 1");
    REFUSED(in_layout = (upconv_layout)2, "in_layout is 2");
    REFUSED(out_layout = (upconv_layout)-1, "out_layout is -1");
    REFUSED(act = UPCONV_ACT_COUNT, "act is 11");
    REFUSED(act = (upconv_act)-1, "act is -1");
}

static void test_activations(void **state)
{
    (void)state;
    upconv_problem problem = legal();
    problem.act = UPCONV_ACT_CLAMP;
    problem.act_param[0] = 1;
    refused(&problem, "act_param|{1, 0}");
    problem.act_param[1] = 1;
    upconv_sizes sizes;
    assert_int_equal(sizes_of(&problem, &sizes), UPCONV_OK);
    problem.act_param[1] = __builtin_nanf("");
    refused(&problem, "act_param");
    problem.act = UPCONV_ACT_LEAKY_RELU; // reads only the first
    assert_int_equal(sizes_of(&problem, &sizes), UPCONV_OK);
    upc_problem canonical;
    assert_int_equal(upc_problem_from(&problem, &canonical), UPCONV_OK);
    assert_true(canonical.act_param[0] == 1 && canonical.act_param[1] == 0);
}

static void test_overflow(void **state)
{
    (void)state;
    REFUSED(batch = INT32_MAX, "input|2147483647|2^40");
    REFUSED(out[0] = INT32_MAX, "output|2147483647|2^40");
    upconv_problem huge = {.batch = INT32_MAX,
                           .in_channels = INT32_MAX,
                           .out_channels = INT32_MAX,
                           .dims = 3,
                           .in = {INT32_MAX, INT32_MAX, INT32_MAX},
                           .kernel = {INT32_MAX, INT32_MAX, INT32_MAX},
                           .out = {1, 1, 1}};
    refused(&huge, "input|2^40");
    huge.batch = huge.in_channels = huge.in[0] = huge.in[1] = huge.in[2] = huge.out_channels = 1;
    refused(&huge, "filter|2^40");
    huge.kernel[0] = huge.kernel[1] = 1;
    huge.stride[0] = huge.stride[1] = huge.stride[2] = INT32_MAX;
    huge.dilation[0] = huge.dilation[1] = huge.dilation[2] = INT32_MAX;
    huge.in[2] = INT32_MAX;
    huge.pad[2] = INT32_MIN;
    upconv_sizes sizes;
    assert_int_equal(sizes_of(&huge, &sizes), UPCONV_OK); // its output is given
    huge.out[2] = 0;
    refused(&huge, "out[2] comes to 9223372028264841221"); // 2 * (2^31 - 2) * (2^31 - 1) + 1 + 2^32
    // Exactly 2^40 bytes are allowed.
    upconv_problem most = {.batch = 1 << 10,
                           .in_channels = 1 << 8,
                           .out_channels = 1,
                           .dims = 1,
                           .in = {1 << 20},
                           .kernel = {1}};
    assert_int_equal(sizes_of(&most, &sizes), UPCONV_OK);
    assert_int_equal(sizes.input_bytes, UPCONV_MAX_TENSOR_BYTES);
    most.in[0]++;
    refused(&most, "input|2^40");
}

// Defaults, unit axes in front, entries beyond dims ignored; and the way back is complete.
static void test_canonical(void **state)
{
    (void)state;
    const upconv_problem given = {.batch = 1,
                                  .in_channels = 3,
                                  .out_channels = 5,
                                  .dims = 1,
                                  .in = {4, -1, 9},
                                  .kernel = {3, 0, -7},
                                  .stride = {0, 2, 2},
                                  .dilation = {0, 1},
                                  .out = {0, -5}};
    upc_problem problem;
    assert_int_equal(upc_problem_from(&given, &problem), UPCONV_OK);
    assert_int_equal(problem.dims, 1);
    assert_int_equal(problem.groups, 1);
    for (int i = 0; i < 2; i++) {
        const upc_axis unit = {.in = 1, .out = 1, .kernel = 1, .stride = 1, .dilation = 1, .pad = 0};
        assert_memory_equal(&problem.axis[i], &unit, sizeof unit);
    }
    const upc_axis last = {.in = 4, .out = 6, .kernel = 3, .stride = 1, .dilation = 1, .pad = 0};
    assert_memory_equal(&problem.axis[2], &last, sizeof last);
    upconv_problem back;
    upc_problem_to(&problem, &back);
    assert_int_equal(back.struct_size, sizeof back);
    assert_true(back.groups == 1 && back.stride[0] == 1 && back.dilation[0] == 1 && back.out[0] == 6);
    assert_true(back.in[1] == 0 && back.kernel[2] == 0 && back.stride[1] == 0);
    upc_problem again;
    assert_int_equal(upc_problem_from(&back, &again), UPCONV_OK);
    assert_memory_equal(&problem, &again, sizeof again);
}

// Walks a filter in its own order and asks that the strides count up by one.
static void test_filter_strides(void **state)
{
    (void)state;
    const upconv_problem given = {.batch = 1,
                                  .in_channels = 6,
                                  .out_channels = 4,
                                  .groups = 2,
                                  .dims = 3,
                                  .in = {1, 1, 1},
                                  .kernel = {2, 3, 5}};
    upc_problem problem;
    assert_int_equal(upc_problem_from(&given, &problem), UPCONV_OK);
    upc_filter_strides iok, koi, oik;
    upc_filter_strides_get(&problem, UPCONV_FILTER_IOK, &iok);
    upc_filter_strides_get(&problem, UPCONV_FILTER_KOI, &koi);
    upc_filter_strides_get(&problem, UPCONV_FILTER_OIK, &oik);
    int64_t expected = 0;
    for (int64_t i = 0; i < 6; i++) // [in_channels][out_channels / groups][k...]
        for (int64_t o = 0; o < 2; o++)
            for (int64_t k = 0; k < 30; k++)
                assert_int_equal(i / 3 * iok.group + i % 3 * iok.in + o * iok.out + k / 15 * iok.tap[0] +
                                     k / 5 % 3 * iok.tap[1] + k % 5 * iok.tap[2],
                                 expected++);
    expected = 0;
    for (int64_t k = 0; k < 30; k++) // [k...][out_channels / groups][in_channels]
        for (int64_t o = 0; o < 2; o++)
            for (int64_t i = 0; i < 6; i++)
                assert_int_equal(i / 3 * koi.group + i % 3 * koi.in + o * koi.out + k / 15 * koi.tap[0] +
                                     k / 5 % 3 * koi.tap[1] + k % 5 * koi.tap[2],
                                 expected++);
    expected = 0;
    for (int64_t o = 0; o < 4; o++) // [out_channels][in_channels / groups][k...]
        for (int64_t i = 0; i < 3; i++)
            for (int64_t k = 0; k < 30; k++)
                assert_int_equal(o / 2 * oik.group + i * oik.in + o % 2 * oik.out + k / 15 * oik.tap[0] +
                                     k / 5 % 3 * oik.tap[1] + k % 5 * oik.tap[2],
                                 expected++);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),          cmocka_unit_test(test_struct_size),
        cmocka_unit_test(test_rules),          cmocka_unit_test(test_activations),
        cmocka_unit_test(test_overflow),       cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_filter_strides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
