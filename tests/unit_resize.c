// Resizing, zero insertion and pixel shuffle: the frameworks' conventions, the rules, and places and weights against published numbers.
#include "../api/sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ONE(n)    ((const int32_t[]){n})
#define SCALE(n)  ((const double[]){n})
#define FLOATS(n) ((const float[]){n})

static upconv_problem line(int in) { return (upconv_problem){.dims = 1, .batch = 1, .in_channels = 2, .in = {in}}; }

static void refused(upconv_status status, const char *words)
{
    assert_int_equal(status, UPCONV_ERROR_INVALID);
    if (!strstr(upconv_last_error(), words))
        fail_msg("'%s' is not in '%s'", words, upconv_last_error());
}

static upc_problem canonical(const upconv_problem *given)
{
    upc_problem problem;
    if (upc_problem_from(given, &problem))
        fail_msg("refused: %s", upconv_last_error());
    return problem;
}

// Positions of the first input of every output along w.
static void places(const upconv_problem *given, const int *expected)
{
    const upc_problem problem = canonical(given);
    for (int64_t o = 0; o < problem.axis[2].out; o++) {
        upc_sample sample;
        upc_sample_get(&problem, 2, o, &sample);
        if (sample.first != expected[o])
            fail_msg("output %d comes from %d, not %d", (int)o, (int)sample.first, expected[o]);
    }
}

static void weights(const upconv_problem *given, int64_t o, const double *expected)
{
    const upc_problem problem = canonical(given);
    upc_sample sample;
    upc_sample_get(&problem, 2, o, &sample);
    for (int i = 0; i < upc_sample_taps(&problem); i++)
        if (fabs(sample.weight[i] - expected[i]) > 1e-6)
            fail_msg("weight %d of output %d is %.9g, not %.9g", i, (int)o, sample.weight[i], expected[i]);
}

static void test_pytorch(void **state)
{
    (void)state;
    upconv_problem p = line(4);
    assert_int_equal(upconv_problem_pytorch_resize(&p, "nearest", ONE(7), NULL, 0, 0), UPCONV_OK);
    assert_true(p.op == UPCONV_RESIZE && p.out[0] == 7 && p.coordinates == UPCONV_ASYMMETRIC &&
                p.rounding == UPCONV_ROUND_FLOOR);
    places(&p, (const int[]){0, 0, 1, 1, 2, 2, 3});
    assert_int_equal(upconv_problem_pytorch_resize(&p, "nearest-exact", ONE(7), NULL, 0, 0), UPCONV_OK);
    places(&p, (const int[]){0, 0, 1, 2, 2, 3, 3});
    assert_int_equal(upconv_problem_pytorch_resize(&p, "linear", NULL, SCALE(2.5), 0, 0), UPCONV_OK);
    assert_true(p.out[0] == 10 && p.scale[0] == 2.5 && p.f32_steps == 1);
    weights(&p, 1, (const double[]){0.9, 0.1});
    assert_int_equal(upconv_problem_pytorch_resize(&p, "linear", NULL, SCALE(2.6), 1, 1), UPCONV_OK);
    assert_true(p.out[0] == 10 && p.scale[0] == 0 && p.coordinates == UPCONV_ALIGN_CORNERS);
    places(&p, (const int[]){0, 0, 0, 1, 1, 1, 2, 2, 2, 3});
    assert_int_equal(upconv_problem_pytorch_resize(&p, "linear", NULL, SCALE(1.1), 0, 0), UPCONV_OK);
    assert_true(p.out[0] == 4 && p.scale[0] == 0); // PyTorch copies an axis that keeps its size
    weights(&p, 2, (const double[]){1, 0});
    upconv_problem square = {.batch = 1, .in_channels = 1, .in = {4, 4}};
    assert_int_equal(upconv_problem_pytorch_resize(&square, "bicubic", NULL, ((const double[]){1.1, 2}), 0, 0),
                     UPCONV_OK);
    assert_true(square.out[0] == 4 && square.scale[0] == 1.1);
    assert_int_equal(upconv_problem_pytorch_resize(&square, "bicubic", NULL, ((const double[]){2, 2}), 0, 0),
                     UPCONV_OK);
    assert_true(square.resize_mode == UPCONV_RESIZE_CUBIC && square.out[1] == 8);
    weights(&square, 2, (const double[]){-0.03515625, 0.26171875, 0.87890625, -0.10546875}); // x = 0.75, a = -0.75
    refused(upconv_problem_pytorch_resize(&p, "bilinear", ONE(7), NULL, 0, 0), "\"bilinear\"");
    refused(upconv_problem_pytorch_resize(&p, "area", ONE(7), NULL, 0, 0), "\"area\"");
    refused(upconv_problem_pytorch_resize(&p, NULL, ONE(7), NULL, 0, 0), "(NULL)");
    refused(upconv_problem_pytorch_resize(&p, "nearest", ONE(7), NULL, 1, 0), "align_corners");
    refused(upconv_problem_pytorch_resize(&p, "linear", ONE(7), SCALE(2), 0, 0), "both");
    refused(upconv_problem_pytorch_resize(&p, "linear", NULL, NULL, 0, 0), "neither");
    refused(upconv_problem_pytorch_resize(&p, "linear", ONE(0), NULL, 0, 0), "axis 0 comes to 0");
    refused(upconv_problem_pytorch_resize(&p, "linear", NULL, SCALE(-1), 0, 0), "scale of axis 0 is -1");
    refused(upconv_problem_pytorch_resize(NULL, "linear", ONE(7), NULL, 0, 0), "problem is NULL");
    p.in[0] = 0;
    refused(upconv_problem_pytorch_resize(&p, "linear", ONE(7), NULL, 0, 0), "in[0] is 0");
    p = (upconv_problem){
        .struct_size = offsetof(upconv_problem, resize_mode), .dims = 1, .batch = 1, .in_channels = 1, .in = {4}};
    refused(upconv_problem_pytorch_resize(&p, "linear", ONE(7), NULL, 0, 0), "version without resizing");
}

static upconv_status onnx(upconv_problem *p, const char *mode, const char *coordinates, const char *nearest,
                          const float *scales, const int32_t *sizes)
{
    const upconv_onnx_resize params = {.struct_size = sizeof params, .mode = mode, .nearest_mode = nearest, .scales = scales,
                                       .coordinate_transformation_mode = coordinates, .sizes = sizes};
    return upconv_problem_onnx_resize(p, &params);
}

static void test_onnx(void **state)
{
    (void)state;
    upconv_problem p = line(4);
    // ONNX' own backend tests of Resize
    assert_int_equal(onnx(&p, NULL, NULL, NULL, NULL, ONE(8)), UPCONV_OK);
    places(&p, (const int[]){0, 0, 1, 1, 2, 2, 3, 3});
    assert_int_equal(onnx(&p, "nearest", "half_pixel", "ceil", NULL, ONE(8)), UPCONV_OK);
    places(&p, (const int[]){0, 1, 1, 2, 2, 3, 3, 3});
    assert_int_equal(onnx(&p, "nearest", "align_corners", "floor", NULL, ONE(8)), UPCONV_OK);
    places(&p, (const int[]){0, 0, 0, 1, 1, 2, 2, 3});
    assert_int_equal(onnx(&p, "nearest", "asymmetric", "ceil", NULL, ONE(8)), UPCONV_OK);
    places(&p, (const int[]){0, 1, 1, 2, 2, 3, 3, 3});
    assert_int_equal(onnx(&p, "linear", "align_corners", NULL, FLOATS(0.6f), NULL), UPCONV_OK);
    assert_int_equal(p.out[0], 2);
    weights(&p, 1, (const double[]){1 - 1 / 7.0, 1 / 7.0}); // 3 / 1.4 = 2.142857
    assert_int_equal(onnx(&p, "cubic", "half_pixel", NULL, FLOATS(0.8f), NULL), UPCONV_OK);
    assert_int_equal(p.out[0], 3);
    assert_int_equal(onnx(&p, "cubic", "half_pixel_symmetric", NULL, FLOATS(2.25f), NULL), UPCONV_OK);
    assert_int_equal(p.out[0], 9);
    upconv_problem square = {.batch = 1, .in_channels = 1, .in = {2, 2}};
    upconv_onnx_resize params = {
        .struct_size = sizeof params, .sizes = ((const int32_t[]){7, 8}), .keep_aspect_ratio_policy = "not_larger"};
    assert_int_equal(upconv_problem_onnx_resize(&square, &params), UPCONV_OK);
    assert_true(square.out[0] == 7 && square.out[1] == 7 && square.scale[0] == 3.5);
    params.keep_aspect_ratio_policy = "not_smaller";
    assert_int_equal(upconv_problem_onnx_resize(&square, &params), UPCONV_OK);
    assert_true(square.out[0] == 8 && square.out[1] == 8 && square.scale[1] == 4);
    params.sizes = (const int32_t[]){7, 0};
    assert_int_equal(upconv_problem_onnx_resize(&square, &params), UPCONV_OK);
    assert_true(square.out[0] == 7 && square.out[1] == 2 && square.scale[1] == 1);
    refused(onnx(&p, "lanczos", NULL, NULL, NULL, ONE(8)), "\"lanczos\"");
    refused(onnx(&p, NULL, "tf_crop_and_resize", NULL, NULL, ONE(8)), "tf_crop_and_resize");
    refused(onnx(&p, NULL, NULL, "round", NULL, ONE(8)), "\"round\"");
    refused(onnx(&p, NULL, NULL, NULL, NULL, ONE(-1)), "sizes[0] is -1");
    params = (upconv_onnx_resize){
        .struct_size = sizeof params, .mode = "cubic", .antialias = 1, .sizes = ((const int32_t[]){2, 5})};
    assert_int_equal(upconv_problem_onnx_resize(&square, &params), UPCONV_OK);
    params.sizes = (const int32_t[]){5, 1};
    refused(upconv_problem_onnx_resize(&square, &params), "axis 1 shrinks from 2 to 1");
    params = (upconv_onnx_resize){
        .struct_size = sizeof params, .mode = "linear", .antialias = 1, .scales = ((const float[]){0.9f, 2})};
    refused(upconv_problem_onnx_resize(&square, &params), "axis 0 shrinks from 2 to 1");
    params.mode = "nearest"; // never had it
    assert_int_equal(upconv_problem_onnx_resize(&square, &params), UPCONV_OK);
    params.keep_aspect_ratio_policy = "squeeze";
    refused(upconv_problem_onnx_resize(&square, &params), "squeeze");
    refused(upconv_problem_onnx_resize(&square, NULL), "params is NULL");
}

static void test_tflite(void **state)
{
    (void)state;
    upconv_problem p = line(2);
    assert_int_equal(upconv_problem_tflite_resize(&p, 0, ONE(3), 0, 0), UPCONV_OK);
    places(&p, (const int[]){0, 0, 1});
    assert_int_equal(upconv_problem_tflite_resize(&p, 0, ONE(3), 0, 1), UPCONV_OK);
    places(&p, (const int[]){0, 1, 1});
    assert_int_equal(upconv_problem_tflite_resize(&p, 0, ONE(4), 1, 0), UPCONV_OK);
    places(&p, (const int[]){0, 0, 1, 1});
    assert_int_equal(upconv_problem_tflite_resize(&p, 1, ONE(3), 0, 0), UPCONV_OK);
    weights(&p, 1, (const double[]){1 / 3.0, 2 / 3.0});
    refused(upconv_problem_tflite_resize(&p, 1, ONE(3), 1, 1), "both set");
    // 41 times the f32 nearest to 1 / 82 is the last f32 below a half, and TFLite rounds that down
    p = line(2);
    assert_int_equal(upconv_problem_tflite_resize(&p, 0, ONE(83), 1, 0), UPCONV_OK);
    const upc_problem problem = canonical(&p);
    upc_sample sample;
    upc_sample_get(&problem, 2, 41, &sample);
    assert_int_equal(sample.first, 0);
    upc_sample_get(&problem, 2, 42, &sample);
    assert_int_equal(sample.first, 1);
    refused(upconv_problem_tflite_resize(&p, 1, NULL, 0, 0), "size is NULL");
}

static void test_rules(void **state)
{
    (void)state;
    upconv_sizes sizes = {sizeof sizes};
    const upconv_problem good = {.op = UPCONV_RESIZE, .dims = 1, .batch = 1, .in_channels = 2, .in = {4}, .out = {7}};
#define RULE(change, words)                                        \
    do {                                                           \
        upconv_problem p = good;                                   \
        p.change;                                                  \
        refused(upconv_problem_sizes(&p, &sizes), words);          \
    } while (0)
    assert_int_equal(upconv_problem_sizes(&good, &sizes), UPCONV_OK);
    assert_true(sizes.weights_elements == 0 && sizes.bias_elements == 0 && sizes.flops == 0 &&
                sizes.output_elements == 14);
    RULE(resize_mode = UPCONV_RESIZE_MODE_COUNT, "resize_mode is 3");
    RULE(coordinates = UPCONV_COORDINATES_COUNT, "coordinates is 5");
    RULE(rounding = UPCONV_ROUNDING_COUNT, "rounding is 4");
    RULE(exclude_outside = 2, "exclude_outside is 2");
    RULE(exclude_outside = 1, "only CUBIC");
    RULE(cubic_coefficient = -0.5f, "only CUBIC");
    RULE(f32_steps = 2, "f32_steps is 2");
    RULE(scale[0] = -2, "scale[0] is -2");
    RULE(scale[0] = (double)NAN, "scale[0] is nan");
    RULE(scale[0] = 1e-10, "scale[0] is 1e-10");
    RULE(out[0] = 0, "needs one of them");
    RULE(out_channels = 3, "out_channels is 3");
    RULE(kernel[0] = 3, "kernel[0] is 3; resizing has none");
    RULE(stride[0] = 2, "stride[0] is 2");
    RULE(pad[0] = 1, "pad[0] is 1");
    RULE(groups = 2, "groups is 2");
    RULE(sum_type = UPCONV_F16, "sum_type is F16");
    RULE(channel_order = UPCONV_DCR, "channel_order is 1; resizing has none");
    upconv_problem p = {0};
    size_t at;
    refused(upconv_problem_parse("resize:ic3_ih9+scale:-1e300", &p, &at), "scale[0] is -1e+300");
    refused(upconv_problem_parse("resize:ic3_ih9+scale:1e300", &p, &at), "scale[0] is 1e+300");
    p = good;
    p.resize_mode = UPCONV_RESIZE_LINEAR;
    p.rounding = UPCONV_ROUND_CEIL;
    refused(upconv_problem_sizes(&p, &sizes), "only NEAREST");
    p.resize_mode = UPCONV_RESIZE_CUBIC;
    p.rounding = 0;
    p.cubic_coefficient = 1e9f;
    refused(upconv_problem_sizes(&p, &sizes), "from -1000 to 1000");
    p = good;
    p.kernel[0] = p.stride[0] = p.dilation[0] = p.groups = 1; // what they would be
    assert_int_equal(upconv_problem_sizes(&p, &sizes), UPCONV_OK);
    p = (upconv_problem){.op = UPCONV_PIXEL_SHUFFLE, .batch = 1, .in_channels = 12, .in = {3, 5}, .stride = {3, 2}};
    assert_int_equal(upconv_problem_sizes(&p, &sizes), UPCONV_OK);
    assert_true(sizes.out[0] == 9 && sizes.out[1] == 10 && sizes.output_elements == 2 * 90);
    p.channel_order = UPCONV_CHANNEL_ORDER_COUNT;
    refused(upconv_problem_sizes(&p, &sizes), "channel_order is 2");
    p.channel_order = UPCONV_DCR;
    p.out[0] = 8;
    refused(upconv_problem_sizes(&p, &sizes), "out[0] is 8; a pixel shuffle of 3 by 3 gives 9");
    p.out[0] = 0;
    p.in_channels = 13;
    refused(upconv_problem_sizes(&p, &sizes), "divisible by the product of the strides, 6");
    p.stride[0] = p.stride[1] = INT32_MAX;
    refused(upconv_problem_sizes(&p, &sizes), "divisible");
    const upconv_problem transposed = {
        .dims = 1, .batch = 1, .in_channels = 2, .out_channels = 2, .in = {4}, .kernel = {2}};
    p = transposed;
    p.scale[0] = 2;
    refused(upconv_problem_sizes(&p, &sizes), "a scale is 2; transposed convolution has none");
    p = transposed;
    p.resize_mode = UPCONV_RESIZE_LINEAR;
    refused(upconv_problem_sizes(&p, &sizes), "resize_mode is 1; transposed convolution has none");
#undef RULE
}

// Weights add up to 1, and a first position and all that follow it stand for inputs, for whatever is asked.
static void test_weights_add_up(void **state)
{
    (void)state;
    static const double scales[] = {0, 0.3, 1, 1.7, 2, 7.5};
    for (int i = 0; i < 3 * 5 * 2 * 2 * 6; i++) {
        upconv_problem p = line(5);
        p.op = UPCONV_RESIZE;
        p.resize_mode = (upconv_resize_mode)(i % 3);
        p.coordinates = (upconv_coordinates)(i / 3 % 5);
        p.f32_steps = i / 15 % 2;
        p.exclude_outside = p.resize_mode == UPCONV_RESIZE_CUBIC && i / 30 % 2;
        p.scale[0] = scales[i / 60];
        p.out[0] = i / 30 % 2 ? 11 : 3;
        upc_env env;
        upc_env_init(&env, NULL);
        const upc_problem problem = canonical(&p);
        upc_sample_axis axis;
        assert_int_equal(upc_sample_axis_init(&env, &problem, 2, &axis), UPCONV_OK);
        for (int o = 0; o < p.out[0]; o++) {
            double sum = 0;
            for (int k = 0; k < axis.taps; k++)
                sum += axis.at[o].weight[k];
            const int64_t at = upc_sample_position(&problem.axis[2], axis.at[o].first, axis.taps - 1);
            assert_true(fabs(sum - 1) < 1e-12 && at >= 0 && at < 5);
        }
        upc_free(&env, axis.at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pytorch), cmocka_unit_test(test_onnx),  cmocka_unit_test(test_tflite),
        cmocka_unit_test(test_rules),   cmocka_unit_test(test_weights_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
