// The rules of upconv_problem: each broken once, with the sentence checked; sizes; the order of filters.
#include "../api/ops.h"

#include <math.h>
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
    REFUSED(op = UPCONV_OP_COUNT, "op is|from 0 to");
    REFUSED(op = (upconv_op)-1, "op is -1");
    for (int op = 0; op < UPCONV_OP_COUNT; op++)
        if (!upc_op_of((upconv_op)op)->built)
            REFUSED(op = (upconv_op)op, "does not have");
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
    REFUSED(type = UPCONV_TYPE_COUNT, "type is 5");
    REFUSED(sum_type = (upconv_type)-1, "sum_type is -1");
    REFUSED(sum_type = UPCONV_F16, "sum_type is F16|type is F32");
    REFUSED(residual = UPCONV_RESIDUAL_COUNT, "residual is 3");
    REFUSED(in_layout = UPCONV_LAYOUT_COUNT, "in_layout is 3");
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
        const upc_axis unit = {.in = 1, .out = 1, .kernel = 1, .stride = 1, .dilation = 1, .pad = 0, .step = 1};
        assert_memory_equal(&problem.axis[i], &unit, sizeof unit);
    }
    const upc_axis last = {.in = 4, .out = 6, .kernel = 3, .stride = 1, .dilation = 1, .pad = 0, .step = 1};
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

// The tensor of a canonical problem, with the pitch and layout given for its output.
static upc_tensor out_of(const upconv_problem *given)
{
    upc_problem problem;
    if (upc_problem_from(given, &problem) != UPCONV_OK)
        fail_msg("%s", upconv_last_error());
    return problem.out;
}

static void same_tensor(upc_tensor tensor, int64_t image, int64_t channel, const int64_t axis[3], int64_t pack,
                        int64_t elements)
{
    assert_int_equal(tensor.image, image);
    assert_int_equal(tensor.channel, channel);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tensor.axis[i], axis[i]);
    assert_int_equal(tensor.pack, pack);
    assert_int_equal(tensor.elements, elements);
}

// 2 images of 6 channels of 4 x 3 x 5 positions.
static upconv_problem solid(upconv_layout layout)
{
    return (upconv_problem){.batch = 2, .in_channels = 6, .out_channels = 6, .dims = 3, .in = {4, 3, 5},
                            .kernel = {1, 1, 1}, .out_layout = layout};
}

static void test_layouts(void **state)
{
    (void)state;
    upconv_problem problem = solid(UPCONV_NCHW);
    same_tensor(out_of(&problem), 360, 60, (int64_t[]){15, 5, 1}, 1, 720);
    problem = solid(UPCONV_NHWC);
    same_tensor(out_of(&problem), 360, 1, (int64_t[]){90, 30, 6}, 1, 720);
    problem = solid(UPCONV_NC4HW4);
    const upc_tensor packed = out_of(&problem);
    same_tensor(packed, 480, 240, (int64_t[]){60, 20, 4}, 4, 960);
    assert_int_equal(upc_tensor_at(&packed, 1, 5, 3, 2, 4), 480 + 240 + 1 + 180 + 40 + 16);
    problem.type = UPCONV_F16;
    upconv_sizes sizes;
    assert_int_equal(sizes_of(&problem, &sizes), UPCONV_OK);
    assert_int_equal(sizes.output_elements, 720);
    assert_int_equal(sizes.output_bytes, 1920);
    assert_int_equal(sizes.input_bytes, 1440);
    assert_int_equal(sizes.weights_bytes, 36 * 4);
}

static void test_pitches(void **state)
{
    (void)state;
    upconv_problem problem = solid(UPCONV_NCHW);
    problem.out_pitch.row = 7; // what is not given is as dense as this allows
    same_tensor(out_of(&problem), 504, 84, (int64_t[]){21, 7, 1}, 1, 504 + 5 * 84 + 3 * 21 + 2 * 7 + 5);
    problem.out_pitch.image = 5 * 84 + 3 * 21 + 2 * 7 + 5; // the next image begins right behind the last element
    same_tensor(out_of(&problem), 502, 84, (int64_t[]){21, 7, 1}, 1, 1004);
    problem = solid(UPCONV_NHWC);
    problem.out_pitch.pixel = 10; // a slice of 10 channels
    same_tensor(out_of(&problem), 600, 1, (int64_t[]){150, 50, 10}, 1, 1200 - 4);
    problem = solid(UPCONV_NC4HW4);
    problem.out_pitch.channel = 300;
    same_tensor(out_of(&problem), 600, 300, (int64_t[]){60, 20, 4}, 4, 600 + 300 + 240);
    problem = solid(UPCONV_NCHW); // of one image nothing is an image's pitch away
    problem.batch = 1;
    problem.out_pitch.image = INT64_MAX;
    same_tensor(out_of(&problem), 360, 60, (int64_t[]){15, 5, 1}, 1, 360);
    upc_problem checked;
    upconv_problem back;
    assert_int_equal(upc_problem_from(&problem, &checked), UPCONV_OK);
    upc_problem_to(&checked, &back);
    assert_true(back.out_pitch.image == 0 && back.out_pitch.channel == 0 && back.out_pitch.row == 0);
    problem = solid(UPCONV_NHWC);
    problem.out_pitch.row = 31;
    assert_int_equal(upc_problem_from(&problem, &checked), UPCONV_OK);
    upc_problem_to(&checked, &back);
    const upconv_pitch *pitch = &back.out_pitch;
    assert_true(pitch->image == 372 && pitch->channel == 0 && pitch->plane == 93 && pitch->row == 31 &&
                pitch->pixel == 6);
}

#define REFUSED_SOLID(layout, change, words)                                                                 \
    do {                                                                                                     \
        upconv_problem problem = solid(layout);                                                              \
        problem.change;                                                                                      \
        refused(&problem, words);                                                                            \
    } while (0)

static void test_pitch_rules(void **state)
{
    (void)state;
    REFUSED_SOLID(UPCONV_NCHW, out_pitch.row = 4, "out_pitch.row is 4|at least 5");
    REFUSED_SOLID(UPCONV_NCHW, in_pitch.row = -1, "in_pitch.row is -1|at least 5");
    REFUSED_SOLID(UPCONV_NCHW, out_pitch.plane = 14, "out_pitch.plane is 14|at least 15");
    REFUSED_SOLID(UPCONV_NCHW, out_pitch.image = 359, "out_pitch.image is 359|at least 360");
    REFUSED_SOLID(UPCONV_NCHW, out_pitch.pixel = 1, "out_pitch.pixel is 1|must be 0|NCHW|side by side");
    REFUSED_SOLID(UPCONV_NHWC, out_pitch.pixel = 5, "out_pitch.pixel is 5|at least 6");
    REFUSED_SOLID(UPCONV_NHWC, out_pitch.channel = 1, "out_pitch.channel is 1|must be 0|NHWC");
    REFUSED_SOLID(UPCONV_NC4HW4, out_pitch.row = 22, "out_pitch.row is 22|multiple of 4");
    REFUSED_SOLID(UPCONV_NC4HW4, out_pitch.channel = 236, "out_pitch.channel is 236|at least 240");
    REFUSED_SOLID(UPCONV_NCHW, out_pitch.image = (int64_t)1 << 40, "out_pitch.image is 1099511627776|2^40");
    REFUSED_SOLID(UPCONV_NCHW, out_pitch.channel = INT64_MAX, "out_pitch.channel is 9223372036854775807|2^40");
    upconv_problem problem = legal();
    problem.out_pitch.plane = 1000;
    refused(&problem, "out_pitch.plane is 1000|must be 0|3-D");
    upconv_problem line = {.batch = 1, .in_channels = 1, .out_channels = 1, .dims = 1, .in = {9}, .kernel = {1}};
    line.in_pitch.row = 9;
    refused(&line, "in_pitch.row is 9|must be 0|one row");
    line.in_pitch.row = 0;
    line.in_layout = UPCONV_NC4HW4; // filled up to four times as much
    line.batch = 1 << 20;
    line.in[0] = 1 << 17;
    refused(&line, "in_pitch.image|2^40");
}

// Whatever the pitches: no two elements share a place, and the last is where `elements` ends.
static void test_places(void **state)
{
    (void)state;
    static unsigned char taken[4000];
    uint32_t seed = 7;
    for (int round = 0; round < 300; round++) {
        upconv_problem problem = solid((upconv_layout)(round % 3));
        const upc_tensor tight = out_of(&problem);
        int64_t *const parts[] = {&problem.out_pitch.row, &problem.out_pitch.plane, &problem.out_pitch.image};
        const int64_t least[] = {tight.axis[1], tight.axis[0], tight.image};
        for (int i = 0; i < 3; i++) {
            seed = seed * 1664525u + 1013904223u;
            if (seed >> 30)
                *parts[i] = (least[i] + (int64_t)(seed >> 16) % 40 * i + 3) / 4 * 4;
        }
        upc_problem checked;
        if (upc_problem_from(&problem, &checked) != UPCONV_OK)
            continue; // too near each other
        memset(taken, 0, sizeof taken);
        int64_t last = 0;
        for (int64_t i = 0; i < 720; i++) {
            const int64_t at = upc_tensor_at(&checked.out, i / 360, i / 60 % 6, i / 15 % 4, i / 5 % 3, i % 5);
            if (at < 0 || at >= (int64_t)sizeof taken || taken[at]++)
                fail_msg("element %lld lies beyond the tensor or on another", (long long)at);
            last = UPC_MAX(last, at);
        }
        assert_int_equal(last + (problem.out_layout == UPCONV_NC4HW4 ? 3 : 1), checked.out.elements); // 6 of 8 channels
        upconv_problem back;
        upc_problem again;
        upc_problem_to(&checked, &back);
        assert_int_equal(upc_problem_from(&back, &again), UPCONV_OK);
        assert_memory_equal(&checked, &again, sizeof again);
    }
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
    // letters of each order, and which of them is counted over all groups
    static const struct {
        upconv_filter_order order;
        const char *letters;
        char all;
    } orders[UPCONV_FILTER_COUNT] = {
        {UPCONV_FILTER_IOK, "IOK", 'I'}, {UPCONV_FILTER_KOI, "KOI", 'I'}, {UPCONV_FILTER_OIK, "OIK", 'O'},
        {UPCONV_FILTER_KIO, "KIO", 'O'}, {UPCONV_FILTER_OKI, "OKI", 'O'}, {UPCONV_FILTER_IKO, "IKO", 'I'},
    };
    enum { GROUPS = 2, ICG = 3, OCG = 2, TAPS = 30 };
    for (size_t n = 0; n < 2 * UPC_COUNT(orders); n++) {
        const char *letters = orders[n / 2].letters;
        const bool in_all = orders[n / 2].all == 'I';
        const int64_t count_i = in_all ? GROUPS * ICG : ICG, count_o = in_all ? OCG : GROUPS * OCG;
        problem.op = n % 2 ? UPCONV_CONV : UPCONV_CONV_TRANSPOSE; // whose filter is read back to front
        upc_filter_strides s;
        upc_filter_strides_get(&problem, orders[n / 2].order, &s);
        for (int64_t at = 0; at < GROUPS * ICG * OCG * TAPS; at++) {
            int64_t rest = at, i = 0, o = 0, k = 0;
            for (int letter = 2; letter >= 0; letter--) {
                int64_t *value = letters[letter] == 'I' ? &i : letters[letter] == 'O' ? &o : &k;
                const int64_t count = value == &i ? count_i : value == &o ? count_o : TAPS;
                *value = rest % count;
                rest /= count;
            }
            const int64_t g = in_all ? i / ICG : o / OCG, tap = n % 2 ? TAPS - 1 - k : k;
            assert_int_equal(s.first + g * s.group + i % ICG * s.in + o % OCG * s.out + tap / 15 * s.tap[0] +
                                 tap / 5 % 3 * s.tap[1] + tap % 5 * s.tap[2],
                             at);
        }
    }
}

// A convolution is a transposed convolution with a step, and back again.
// Counted by the definition.
static void test_needed_macs(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "ic3oc5_ih6oh12kh4sh2ph1", "ic3oc5_ih7oh7kh3sh1ph2dh1", "mb2g2ic4oc4_ih3oh40kh3sh5ph0", "ic2oc2_ih9oh5kh5sh2ph7",
        "ic3oc5_id4od8kd2sd2pd0_ih5oh10kh4sh2ph1_iw7ow7kw3sw1pw1", "conv:ic3oc5_ih11kh4sh2ph1", "conv:ic3oc5_ih11kh3sh3ph2dh2",
        "conv:ic1oc1_ih1oh5kh1sh1ph2", "gradfilter:ic3oc5_ih6oh12kh4sh2ph1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        upconv_problem given = {sizeof given};
        upc_problem p;
        assert_int_equal(upconv_problem_parse(texts[i], &given, NULL), UPCONV_OK);
        assert_int_equal(upc_problem_from(&given, &p), UPCONV_OK);
        double macs = (double)(p.batch * p.groups * p.icg * p.ocg);
        for (int a = 0; a < 3; a++) {
            double meet = 0;
            for (int64_t o = 0; o < p.axis[a].out; o++)
                for (int64_t k = 0; k < p.axis[a].kernel; k++)
                    meet += upc_axis_source(&p.axis[a], o, k) >= 0;
            macs *= meet;
        }
        if (fabs(upc_problem_needed_macs(&p) - macs) > 1e-9 * macs)
            fail_msg("%s: %g, not %g", texts[i], upc_problem_needed_macs(&p), macs);
        assert_true(upc_problem_needed_macs(&p) <= upc_problem_macs(&p) * (1 + 1e-9));
    }
}

static void test_convolution(void **state)
{
    (void)state;
    const upconv_problem given = {.op = UPCONV_CONV, .batch = 1, .in_channels = 3, .out_channels = 5, .dims = 1, .in = {20},
                                  .kernel = {4}, .stride = {3}, .dilation = {2}, .pad = {-1}};
    upc_problem problem, again;
    assert_int_equal(upc_problem_from(&given, &problem), UPCONV_OK);
    const upc_axis axis = {.in = 20, .out = 4, .kernel = 4, .stride = 1, .dilation = 2, .pad = 7, .step = 3};
    assert_memory_equal(&problem.axis[2], &axis, sizeof axis);
    for (int64_t o = 0; o < axis.out; o++)
        for (int64_t k = 0; k < 4; k++) // tap k is the filter's 3 - k
            assert_int_equal(upc_axis_source(&problem.axis[2], o, k),
                             o * 3 + (3 - k) * 2 + 1 < 20 ? o * 3 + (3 - k) * 2 + 1 : -1);
    upconv_problem back;
    upc_problem_to(&problem, &back);
    assert_true(back.stride[0] == 3 && back.pad[0] == -1 && back.out[0] == 4 && back.op == UPCONV_CONV);
    assert_int_equal(upc_problem_from(&back, &again), UPCONV_OK);
    assert_memory_equal(&problem, &again, sizeof again);
    upconv_sizes sizes = {sizeof sizes};
    assert_int_equal(upconv_problem_sizes(&given, &sizes), UPCONV_OK);
    assert_true(sizes.flops == 2.0 * 4 * 4 * 3 * 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),          cmocka_unit_test(test_struct_size),
        cmocka_unit_test(test_rules),          cmocka_unit_test(test_activations),
        cmocka_unit_test(test_overflow),       cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_filter_strides), cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_pitches),        cmocka_unit_test(test_pitch_rules),
        cmocka_unit_test(test_places),         cmocka_unit_test(test_needed_macs), cmocka_unit_test(test_convolution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
