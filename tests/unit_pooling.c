// Max pooling and unpooling at the front door, and what indices mean, against examples worked out by hand.
#include "../api/pooling.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static upconv_problem pool(void)
{
    return (upconv_problem){.struct_size = sizeof(upconv_problem),
                            .op = UPCONV_MAX_POOL,
                            .batch = 2,
                            .in_channels = 3,
                            .in = {4, 6},
                            .kernel = {2, 3},
                            .stride = {2, 3}};
}

static upconv_problem unpool(void)
{
    upconv_problem p = pool();
    p.op = UPCONV_MAX_UNPOOL;
    p.in[0] = p.in[1] = 2;
    return p;
}

static upconv_sizes sizes_of(const upconv_problem *problem)
{
    upconv_sizes sizes = {sizeof sizes};
    assert_int_equal(upconv_problem_sizes(problem, &sizes), UPCONV_OK);
    return sizes;
}

static void test_sizes(void **state)
{
    (void)state;
    upconv_problem p = pool();
    upconv_sizes sizes = sizes_of(&p);
    assert_true(sizes.out[0] == 2 && sizes.out[1] == 2 && sizes.output_elements == 24);
    assert_true(sizes.indices_elements == 24 && sizes.indices_bytes == 96);
    assert_true(sizes.weights_elements == 0 && sizes.bias_elements == 0);
    p.pad[0] = 1; // floor((4 + 2 - 1 - 1) / 2) + 1
    assert_int_equal(sizes_of(&p).out[0], 3);
    p.dilation[0] = p.dilation[1] = 2; // floor((4 + 2 - 2 - 1) / 2) + 1, floor((6 - 4 - 1) / 3) + 1
    assert_true(sizes_of(&p).out[0] == 2 && sizes_of(&p).out[1] == 1);
    p = unpool();
    p.type = UPCONV_F16;
    p.in_pitch.row = 5;
    sizes = sizes_of(&p);
    assert_true(sizes.out[0] == 4 && sizes.out[1] == 6 && sizes.output_elements == 6 * 24);
    assert_true(sizes.indices_elements == 24 && sizes.input_bytes == 2 * (6 * 10 - 3)); // rows of 5, the last one of 2
    assert_true(sizes.indices_bytes == 2 * sizes.input_bytes);
}

static void refused(const upconv_problem *problem, const char *words)
{
    upconv_sizes sizes = {sizeof sizes};
    assert_int_equal(upconv_problem_sizes(problem, &sizes), UPCONV_ERROR_INVALID);
    if (!strstr(upconv_last_error(), words))
        fail_msg("'%s' is not in '%s'", words, upconv_last_error());
}

#define REFUSED(begin, change, words)                                                                                  \
    do {                                                                                                               \
        upconv_problem problem = begin();                                                                              \
        problem.change;                                                                                                \
        refused(&problem, words);                                                                                      \
    } while (0)

static void test_rules(void **state)
{
    (void)state;
    REFUSED(pool, out_channels = 4, "out_channels is 4");
    REFUSED(pool, groups = 3, "groups is 3; max pooling has none");
    REFUSED(pool, act = UPCONV_ACT_RELU, "max pooling has none");
    REFUSED(pool, residual = UPCONV_RESIDUAL_AFTER_ACT, "max pooling has none");
    REFUSED(pool, index = UPCONV_INDEX_COUNT, "index is 5");
    REFUSED(pool, index_space[0] = 5, "leave it zero");
    REFUSED(pool, kernel[1] = 0, "kernel[1] is 0");
    REFUSED(pool, in[0] = 1, "out[0] comes to 0");
    REFUSED(unpool, index_space[1] = -1, "index_space[1] is -1");
    upconv_problem p = unpool();
    p.index = UPCONV_INDEX_WINDOW;
    p.index_space[0] = 4;
    refused(&p, "of a window have none");
    p = (upconv_problem){.struct_size = sizeof p,
                         .batch = 1,
                         .in_channels = 1,
                         .out_channels = 1,
                         .in = {1, 1},
                         .kernel = {1, 1},
                         .index = UPCONV_INDEX_IMAGE};
    refused(&p, "index is 2; transposed convolution has none");
    p.index = UPCONV_INDEX_PLANE;
    p.index_space[0] = 1;
    refused(&p, "index_space[0] is 1; transposed convolution has none");
}

// Indices must fit 31 bits: 50000 x 50000 does not; with channels or images, less does.
static void test_widths(void **state)
{
    (void)state;
    upconv_problem p = unpool();
    p.out[0] = p.out[1] = 50000;
    refused(&p, "beyond 2147483647");
    p.index = UPCONV_INDEX_WINDOW;
    sizes_of(&p);
    p.out[0] = p.out[1] = 20000; // 4e8 positions, 3 channels, 2 images
    p.index = UPCONV_INDEX_PLANE;
    sizes_of(&p);
    p.index = UPCONV_INDEX_IMAGE;
    sizes_of(&p);
    p.index = UPCONV_INDEX_TENSOR;
    refused(&p, "indices of the kind tensor");
    p.in_channels = 6;
    p.index = UPCONV_INDEX_IMAGE;
    refused(&p, "indices of the kind image");
}

static void round_trip(const char *text, const char *canonical)
{
    upconv_problem p = {sizeof p};
    char printed[512];
    size_t at = 0;
    if (upconv_problem_parse(text, &p, &at))
        fail_msg("%s: at %zu: %s", text, at, upconv_last_error());
    assert_int_equal(upconv_problem_print(&p, printed, sizeof printed, NULL), UPCONV_OK);
    assert_string_equal(printed, canonical);
}

static void test_notation(void **state)
{
    (void)state;
    round_trip("pool:ic4_ih8kh2sh2", "pool:mb1ic4oc4_ih8oh4kh2sh2ph0dh0_iw8ow4kw2sw2pw0dw0");
    round_trip("unpool:ic4_ih8kh3sh2ph1+index:tensor+f16+nhwc",
               "unpool:mb1ic4oc4_ih8oh15kh3sh2ph1dh0_iw8ow15kw3sw2pw1dw0+index:tensor+f16+nhwc");
    round_trip("unpool:ic1_iw4ow9kw2sw2+index:window_columns",
               "unpool:mb1ic1oc1_iw4ow9kw2sw2pw0dw0+index:window_columns");
    round_trip("unpool:ic1_ih2oh5kh2sh2+space:4:4+index:image",
               "unpool:mb1ic1oc1_ih2oh5kh2sh2ph0dh0_iw2ow5kw2sw2pw0dw0+index:image+space:4:4");
    round_trip("unpool:ic1_ih2oh5kh2sh2+space:5:5",
               "unpool:mb1ic1oc1_ih2oh5kh2sh2ph0dh0_iw2ow5kw2sw2pw0dw0"); // as the output
    round_trip("unpool:ic1_ih2oh5kh2sh2+space:4", "unpool:mb1ic1oc1_ih2oh5kh2sh2ph0dh0_iw2ow5kw2sw2pw0dw0+space:4:5");
    upconv_problem p = {sizeof p};
    size_t at = 0;
    assert_int_equal(upconv_problem_parse("ic1oc1_ih2kh2+index:plane", &p, &at), UPCONV_ERROR_INVALID);
    assert_int_equal(at, 14);
    assert_int_equal(upconv_problem_parse("pool:g2ic4_ih2kh2", &p, &at), UPCONV_ERROR_INVALID);
    assert_int_equal(at, 5);
    assert_int_equal(upconv_problem_parse("unpool:ic4_ih2kh2+space:4294967296", &p, &at), UPCONV_ERROR_INVALID);
    assert_int_equal(at, 24);
}

// ----------------------------------------------------------------------------------------------------- running them

static void run(const upconv_problem *problem, const float *input, float *output, int32_t *indices)
{
    const upconv_context_params params = {.struct_size = sizeof params, .backend = UPCONV_BACKEND_CPU};
    upconv_context *context = NULL;
    upconv_plan *plan = NULL;
    const upconv_io io = {.struct_size = sizeof io,
                          .at[UPCONV_INPUT] = {.host = (void *)(uintptr_t)input},
                          .at[UPCONV_OUTPUT] = {.host = output},
                          .at[UPCONV_INDICES] = {.host = indices}};
    assert_int_equal(upconv_context_create(&params, &context), UPCONV_OK);
    assert_int_equal(upconv_plan_create(context, problem, NULL, &plan), UPCONV_OK);
    assert_int_equal(upconv_execute_io(plan, &io), UPCONV_OK);
    assert_int_equal(upconv_execute(plan, input, output), UPCONV_ERROR_INVALID); // which has no indices
    assert_non_null(strstr(upconv_last_error(), "INDICES is not given"));
    upconv_plan_destroy(plan);
    upconv_context_destroy(context);
}

// One image, two channels of 4 x 4, windows of 2 x 2: the largest of channel 1, window (1, 0) is at (3, 1).
static void test_conventions(void **state)
{
    (void)state;
    static const struct {
        upconv_index index;
        int32_t name; // of that place
    } kinds[] = {{UPCONV_INDEX_PLANE, 3 * 4 + 1},
                 {UPCONV_INDEX_TENSOR, 1 * 16 + 3 * 4 + 1},
                 {UPCONV_INDEX_IMAGE, (3 * 4 + 1) * 2 + 1},
                 {UPCONV_INDEX_WINDOW, 1 * 2 + 1},
                 {UPCONV_INDEX_WINDOW_COLUMNS, 1 * 2 + 1}};
    upconv_problem p = {.struct_size = sizeof p,
                        .op = UPCONV_MAX_POOL,
                        .batch = 1,
                        .in_channels = 2,
                        .in = {4, 4},
                        .kernel = {2, 2},
                        .stride = {2, 2}};
    float input[32] = {0}, output[8], back[32];
    int32_t indices[8];
    input[16 + 3 * 4 + 1] = 5;
    for (size_t i = 0; i < UPC_COUNT(kinds); i++) {
        p.op = UPCONV_MAX_POOL;
        p.in[0] = p.in[1] = 4;
        p.index = kinds[i].index;
        run(&p, input, output, indices);
        assert_true(output[4 + 2] == 5 && output[0] == 0);
        assert_int_equal(indices[4 + 2], kinds[i].name);
        p.op = UPCONV_MAX_UNPOOL;
        p.in[0] = p.in[1] = 2;
        run(&p, output, back, indices);
        assert_memory_equal(back, input, sizeof input); // all else is 0
    }
    // a window of 2 x 3, its last column of the first row
    upc_problem checked;
    const int64_t at[3] = {0, 0, 2}, k[3] = {0, 0, 2};
    p = pool();
    p.index = UPCONV_INDEX_WINDOW;
    assert_int_equal(upc_problem_from(&p, &checked), UPCONV_OK);
    assert_int_equal(upc_pool_index(&checked, 0, 0, at, k), 2);
    p.index = UPCONV_INDEX_WINDOW_COLUMNS;
    assert_int_equal(upc_problem_from(&p, &checked), UPCONV_OK);
    assert_int_equal(upc_pool_index(&checked, 0, 0, at, k), 4);
}

// Ties, borders, a window that nothing lies in.
static void test_pool(void **state)
{
    (void)state;
    upconv_problem p = {.struct_size = sizeof p,
                        .op = UPCONV_MAX_POOL,
                        .dims = 1,
                        .batch = 1,
                        .in_channels = 1,
                        .in = {5},
                        .kernel = {3},
                        .stride = {2},
                        .pad = {1},
                        .out = {5}};
    const float input[5] = {3, 3, 1, 7, 7}, wanted[5] = {3, 7, 7, -INFINITY, -INFINITY};
    const int32_t places[5] = {0, 3, 3, -1, -1}; // of windows (-1 0 1), (1 2 3), (3 4 5), (5 6 7), (7 8 9)
    float output[5];
    int32_t indices[5];
    run(&p, input, output, indices);
    assert_memory_equal(output, wanted, sizeof wanted);
    assert_memory_equal(indices, places, sizeof places);
    p.kernel[0] = 2;
    p.dilation[0] = 3;
    p.out[0] = 2;
    run(&p, input, output, indices); // (-1, 2), (1, 4)
    assert_true(output[0] == 1 && indices[0] == 2 && output[1] == 7 && indices[1] == 4);
}

// Several that lead to one place: the last. Those that lead nowhere.
static void test_unpool(void **state)
{
    (void)state;
    upconv_problem p = {.struct_size = sizeof p,
                        .op = UPCONV_MAX_UNPOOL,
                        .dims = 1,
                        .batch = 1,
                        .in_channels = 2,
                        .in = {4},
                        .kernel = {1},
                        .out = {5}};
    const float input[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    int32_t indices[8] = {4, 2, 4, 5, -1, 0, INT32_MAX, INT32_MIN};
    const float wanted[10] = {0, 0, 2, 0, 3, 6, 0, 0, 0, 0};
    float output[10];
    run(&p, input, output, indices);
    assert_memory_equal(output, wanted, sizeof wanted);
    // in a tensor: 5 begins the second channel, which is foreign to the first
    const int32_t tensor[8] = {5, 2, 10, 4, 4, 5, 9, 6};
    const float there[10] = {0, 0, 2, 0, 4, 6, 8, 0, 0, 7};
    p.index = UPCONV_INDEX_TENSOR;
    memcpy(indices, tensor, sizeof tensor);
    run(&p, input, output, indices);
    assert_memory_equal(output, there, sizeof there);
    // counted in 3 positions where the output has 5: 3 and 4 are beyond
    const int32_t narrow[8] = {0, 1, 2, 3, 4, 2, 2, 0};
    const float few[10] = {1, 2, 3, 0, 0, 8, 0, 7, 0, 0};
    p.index = UPCONV_INDEX_PLANE;
    p.index_space[0] = 3;
    memcpy(indices, narrow, sizeof narrow);
    run(&p, input, output, indices);
    assert_memory_equal(output, few, sizeof few);
}

static void test_narrow(void **state)
{
    (void)state;
    union {
        int64_t wide[5];
        int32_t narrow[10];
    } both = {.wide = {0, 2147483647, 2147483648, -2147483648, -5000000000}};
    const int32_t wanted[5] = {0, 2147483647, -1, INT32_MIN, -1};
    int32_t narrow[5];
    assert_int_equal(upconv_indices_narrow(both.wide, 5, narrow), UPCONV_OK);
    assert_memory_equal(narrow, wanted, sizeof wanted);
    assert_int_equal(upconv_indices_narrow(both.wide, 5, both.narrow), UPCONV_OK); // in place
    assert_memory_equal(both.narrow, wanted, sizeof wanted);
    assert_int_equal(upconv_indices_narrow(NULL, 0, NULL), UPCONV_OK);
    assert_int_equal(upconv_indices_narrow(NULL, 1, narrow), UPCONV_ERROR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),       cmocka_unit_test(test_rules),  cmocka_unit_test(test_widths),
        cmocka_unit_test(test_notation),    cmocka_unit_test(test_pool),   cmocka_unit_test(test_unpool),
        cmocka_unit_test(test_conventions), cmocka_unit_test(test_narrow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
