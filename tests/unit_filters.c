// Filters to begin with, against numbers worked out by hand: interpolation, the random ones, a batch normalisation
// folded in.
#include <upconv/upconv.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static upconv_problem line(int32_t kernel, int32_t stride, int32_t dilation)
{
    return (upconv_problem){.struct_size = sizeof(upconv_problem),
                            .dims = 1,
                            .batch = 1,
                            .in_channels = 1,
                            .out_channels = 1,
                            .in = {1},
                            .kernel = {kernel},
                            .stride = {stride},
                            .dilation = {dilation}};
}

static void expect(const float *got, const double *wanted, int count)
{
    for (int i = 0; i < count; i++)
        if (fabs((double)got[i] - wanted[i]) > 1e-7)
            fail_msg("element %d is %.9g, not %.9g", i, (double)got[i], wanted[i]);
}

#define EXPECT(got, ...)                                                                                               \
    expect(got, (const double[]){__VA_ARGS__}, (int)(sizeof(double[]){__VA_ARGS__} / sizeof(double)))

static void bilinear(const upconv_problem *problem, upconv_filter_order order, float *w)
{
    assert_int_equal(upconv_filter_bilinear(problem, order, w), UPCONV_OK);
}

static void test_bilinear(void **state)
{
    (void)state;
    float w[64];
    upconv_problem p = line(4, 2, 1);
    bilinear(&p, UPCONV_FILTER_IOK, w);
    EXPECT(w, .25, .75, .75, .25);
    p = line(5, 3, 1);
    bilinear(&p, UPCONV_FILTER_IOK, w);
    EXPECT(w, 1. / 3, 2. / 3, 1, 2. / 3, 1. / 3);
    p = line(3, 2, 1); // odd kernels lie on the inputs
    bilinear(&p, UPCONV_FILTER_IOK, w);
    EXPECT(w, .5, 1, .5);
    p = line(7, 2, 1); // longer than it need be
    bilinear(&p, UPCONV_FILTER_IOK, w);
    EXPECT(w, 0, 0, .5, 1, .5, 0, 0);
    p = line(2, 2, 1); // too short: the nearest input
    bilinear(&p, UPCONV_FILTER_IOK, w);
    EXPECT(w, 1, 1);
    p = line(2, 5, 1); // shorter than the stride
    bilinear(&p, UPCONV_FILTER_IOK, w);
    EXPECT(w, 1, 1);
    p = line(4, 2, 3); // no factor in common: as without dilation
    bilinear(&p, UPCONV_FILTER_IOK, w);
    EXPECT(w, .25, .75, .75, .25);
    p = line(2, 2, 2); // one output in two is reached, by both taps
    bilinear(&p, UPCONV_FILTER_IOK, w);
    EXPECT(w, .5, .5);
    p = line(4, 1, 1);
    bilinear(&p, UPCONV_FILTER_IOK, w);
    EXPECT(w, 0, .5, .5, 0);
}

// What the layer makes of input(i) = value(i), where nothing from beyond the border is missing, is value at half-pixel
// centres.
static void reproduces(int32_t kernel, int32_t stride, const float *w, double (*value)(double x))
{
    enum { IN = 12 };
    const int32_t pad = (kernel - stride) / 2, reach = kernel / stride + 1;
    for (int32_t o = reach * stride; o < (IN - reach) * stride; o++) {
        double sum = 0;
        for (int32_t k = 0; k < kernel; k++)
            if ((o + pad - k) % stride == 0)
                sum += (double)w[k] * value((o + pad - k) / stride);
        const double at = (o + .5) / stride - .5;
        if (fabs(sum - value(at)) > 1e-5 * fabs(value(IN)))
            fail_msg("kernel %d, stride %d, output %d: %.9g, not %.9g", kernel, stride, o, sum, value(at));
    }
}

static double ramp(double x) { return 3 * x - 2; }
static double parabola(double x) { return x * x - 4 * x + 1; }

static void test_reproduces(void **state)
{
    (void)state;
    float w[64];
    for (int32_t s = 1; s <= 9; s++) {
        upconv_problem p = line(2 * s - s % 2, s, 1);
        bilinear(&p, UPCONV_FILTER_IOK, w);
        reproduces(p.kernel[0], s, w, ramp);
        p = line(4 * s - s % 2, s, 1);
        assert_int_equal(upconv_filter_bicubic(&p, UPCONV_FILTER_IOK, -.5, w), UPCONV_OK);
        reproduces(p.kernel[0], s, w, parabola); // which only a = -1/2 does
    }
}

static void test_bicubic(void **state)
{
    (void)state;
    float w[16];
    upconv_problem p = line(8, 2, 1);
    assert_int_equal(upconv_filter_bicubic(&p, UPCONV_FILTER_IOK, -.5, w), UPCONV_OK);
    EXPECT(w, -.0234375, -.0703125, .2265625, .8671875, .8671875, .2265625, -.0703125, -.0234375);
    assert_int_equal(upconv_filter_bicubic(&p, UPCONV_FILTER_IOK, -.75, w), UPCONV_OK);
    EXPECT(w, -.03515625, -.10546875, .26171875, .87890625); // PyTorch's
    assert_int_equal(upconv_filter_bicubic(&p, UPCONV_FILTER_IOK, .1, w), UPCONV_ERROR_INVALID);
    assert_non_null(strstr(upconv_last_error(), "a is 0.1"));
    assert_int_equal(upconv_filter_bicubic(&p, UPCONV_FILTER_IOK, NAN, w), UPCONV_ERROR_INVALID);
}

// Where [g][ic][oc][h][w] is, by the words of upconv_filter_order. Two groups, two inputs and three outputs each, 3 x 2
// taps.
static int at(upconv_filter_order order, int g, int ic, int oc, int h, int w)
{
    const int tap = h * 2 + w, in = g * 2 + ic, out = g * 3 + oc; // of all groups
    switch (order) {
    case UPCONV_FILTER_IOK: return (in * 3 + oc) * 6 + tap;
    case UPCONV_FILTER_KOI: return (tap * 3 + oc) * 4 + in;
    case UPCONV_FILTER_OIK: return (out * 2 + ic) * 6 + tap;
    case UPCONV_FILTER_KIO: return (tap * 2 + ic) * 6 + out;
    case UPCONV_FILTER_OKI: return (out * 6 + tap) * 2 + ic;
    default: return (in * 6 + tap) * 3 + oc;
    }
}

static upconv_problem grouped(void)
{
    return (upconv_problem){.struct_size = sizeof(upconv_problem),
                            .batch = 1,
                            .in_channels = 4,
                            .out_channels = 6,
                            .groups = 2,
                            .in = {1, 1},
                            .kernel = {3, 2},
                            .stride = {2, 1}};
}

enum { GROUPED = 2 * 2 * 3 * 3 * 2 };

static void test_channels(void **state)
{
    (void)state;
    const upconv_problem p = grouped();
    const double rows[] = {.5, 1, .5};
    for (int order = 0; order < UPCONV_FILTER_COUNT; order++) {
        float w[GROUPED + 1];
        w[GROUPED] = 77;
        bilinear(&p, (upconv_filter_order)order, w);
        assert_true(w[GROUPED] == 77);
        for (int n = 0; n < GROUPED; n++) {
            const int g = n / 36, ic = n / 18 % 2, oc = n / 6 % 3, h = n / 2 % 3, x = n % 2;
            const double wanted = oc % 2 == ic ? rows[h] * .5 : 0;
            assert_true(fabs((double)w[at((upconv_filter_order)order, g, ic, oc, h, x)] - wanted) < 1e-7);
        }
    }
    upconv_problem cube = line(4, 2, 1);
    cube.dims = 3;
    for (int a = 0; a < 3; a++) {
        cube.in[a] = 1;
        cube.kernel[a] = 4;
        cube.stride[a] = 2;
        cube.dilation[a] = 1;
    }
    float w[64];
    bilinear(&cube, UPCONV_FILTER_OIK, w);
    assert_true(fabs((double)w[0] - .25 * .25 * .25) < 1e-7 && fabs((double)w[16 + 2 * 4] - .75 * .75 * .25) < 1e-7);
}

static void test_fans(void **state)
{
    (void)state;
    upconv_problem p = grouped();
    double in = 0, out = 0;
    assert_int_equal(upconv_filter_fans(&p, UPCONV_FAN_LAYER, &in, &out), UPCONV_OK);
    assert_true(in == 2 * 1.5 * 2 && out == 3 * 6);
    assert_int_equal(upconv_filter_fans(&p, UPCONV_FAN_TENSOR, &in, &out), UPCONV_OK);
    assert_true(in == 3 * 6 && out == 4 * 6); // torch.nn.init's numbers for a weight of 4 x 3 x 3 x 2
    p.stride[0] = 4;                          // of 3 rows of taps, no two meet; of 4, with dilation 2, two do
    p.dilation[0] = p.dilation[1] = 1;
    assert_int_equal(upconv_filter_fans(&p, UPCONV_FAN_LAYER, &in, &out), UPCONV_OK);
    assert_true(in == 2 * 1 * 2);
    p.kernel[0] = 4;
    p.dilation[0] = 2;
    assert_int_equal(upconv_filter_fans(&p, UPCONV_FAN_LAYER, &in, &out), UPCONV_OK);
    assert_true(in == 2 * 2 * 2);
    assert_int_equal(upconv_filter_fans(&p, UPCONV_FAN_COUNT, &in, &out), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_filter_fans(&p, UPCONV_FAN_LAYER, NULL, &out), UPCONV_ERROR_INVALID);
}

// SplitMix64's first two numbers for seed 0 are known: e220a8397b1dcdaf and 6e789e6aa1b965f4.
static void test_generator(void **state)
{
    (void)state;
    const double u0 = (double)(0xe220a8397b1dcdafu >> 11) / 9007199254740992.0;
    const double u1 = (double)(0x6e789e6aa1b965f4u >> 11) / 9007199254740992.0;
    const upconv_problem p = line(4, 2, 1);
    float w[4];
    assert_int_equal(upconv_filter_glorot_uniform(&p, UPCONV_FILTER_IOK, UPCONV_FAN_LAYER, 0, w), UPCONV_OK);
    EXPECT(w, (2 * u0 - 1) * 1); // sqrt(6 / (2 + 4))
    assert_int_equal(upconv_filter_he_normal(&p, UPCONV_FILTER_IOK, UPCONV_FAN_LAYER, 0, 0, w), UPCONV_OK);
    EXPECT(w, sqrt(-2 * log(1 - u0)) * cos(2 * acos(-1) * u1)); // sqrt(2 / 2)
}

static void test_random(void **state)
{
    (void)state;
    enum { MANY = 64 * 32 * 16 };
    static float w[MANY];
    const upconv_problem p = {.struct_size = sizeof p,
                              .batch = 1,
                              .in_channels = 64,
                              .out_channels = 32,
                              .in = {1, 1},
                              .kernel = {4, 4},
                              .stride = {2, 2}};
    double sum = 0, squares = 0, most = 0;
    assert_int_equal(upconv_filter_he_normal(&p, UPCONV_FILTER_OIK, UPCONV_FAN_LAYER, .25, 7, w), UPCONV_OK);
    for (int i = 0; i < MANY; i++) {
        sum += (double)w[i];
        squares += (double)w[i] * (double)w[i];
    }
    const double variance = 2 / ((1 + .0625) * 64 * 4);
    assert_true(fabs(sum / MANY) < 4 * sqrt(variance / MANY));
    assert_true(fabs(squares / MANY / variance - 1) < 4 * sqrt(2. / MANY)); // four standard deviations
    squares = 0;
    assert_int_equal(upconv_filter_glorot_uniform(&p, UPCONV_FILTER_KOI, UPCONV_FAN_TENSOR, 7, w), UPCONV_OK);
    for (int i = 0; i < MANY; i++) {
        most = fmax(most, fabs((double)w[i]));
        squares += (double)w[i] * (double)w[i];
    }
    const double bound = sqrt(6. / (96 * 16));
    assert_true(most <= bound * (1 + 1e-6) && most > .999 * bound);
    assert_true(fabs(squares / MANY / (bound * bound / 3) - 1) < .03);
}

// The same filter in every order; another seed gives another.
static void test_orders(void **state)
{
    (void)state;
    const upconv_problem p = grouped();
    float first[GROUPED], w[GROUPED];
    assert_int_equal(upconv_filter_he_normal(&p, UPCONV_FILTER_IOK, UPCONV_FAN_LAYER, 0, 5, first), UPCONV_OK);
    for (int order = 1; order < UPCONV_FILTER_COUNT; order++) {
        assert_int_equal(upconv_filter_he_normal(&p, (upconv_filter_order)order, UPCONV_FAN_LAYER, 0, 5, w), UPCONV_OK);
        for (int n = 0; n < GROUPED; n++)
            assert_true(first[n] == w[at((upconv_filter_order)order, n / 36, n / 18 % 2, n / 6 % 3, n / 2 % 3, n % 2)]);
    }
    assert_int_equal(upconv_filter_he_normal(&p, UPCONV_FILTER_IOK, UPCONV_FAN_LAYER, 0, 6, w), UPCONV_OK);
    assert_memory_not_equal(first, w, sizeof w);
}

static void test_fold(void **state)
{
    (void)state;
    const upconv_problem p = grouped();
    const float gamma[] = {3, 1, 2, -1, 0, 1}, beta[] = {-1, 0, 1, 2, 3, 4};
    const float mean[] = {.5f, 0, 1, -1, 2, 0}, variance[] = {3.75f, .75f, 0, 15.75f, 3, .75f};
    const upconv_batch_norm norm = {
        .struct_size = sizeof norm, .gamma = gamma, .beta = beta, .mean = mean, .variance = variance, .epsilon = .25f};
    const double scale[] = {1.5, 1, 4, -.25, 0, 1}; // gamma / sqrt(4, 1, 1/4, 16, ..., 1)
    for (int order = 0; order < UPCONV_FILTER_COUNT; order++) {
        float w[GROUPED], bias[] = {1, 2, 3, 4, 5, 6};
        for (int i = 0; i < GROUPED; i++)
            w[i] = (float)(i + 1);
        assert_int_equal(upconv_fold_batch_norm(&p, (upconv_filter_order)order, &norm, w, bias), UPCONV_OK);
        EXPECT(bias, -.25, 2, 9, .75, 3, 10);
        for (int n = 0; n < GROUPED; n++) {
            const int g = n / 36, oc = n / 6 % 3,
                      i = at((upconv_filter_order)order, g, n / 18 % 2, oc, n / 2 % 3, n % 2);
            assert_true(fabs((double)w[i] - (i + 1) * scale[g * 3 + oc]) < 1e-6);
        }
    }
    float w[GROUPED] = {2}, bias[6] = {1};
    const upconv_batch_norm nothing = {.struct_size = sizeof nothing}; // mean 0, variance 1
    assert_int_equal(upconv_fold_batch_norm(&p, UPCONV_FILTER_IOK, &nothing, w, bias), UPCONV_OK);
    assert_true(w[0] == 2 && bias[0] == 1);
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
    upconv_problem p = line(4, 2, 1);
    float w[4] = {1, 2, 3, 4}, bias[1] = {5};
    const float bad[] = {-1};
    upconv_batch_norm norm = {.struct_size = sizeof norm, .variance = bad, .epsilon = .5f};
    refused(upconv_filter_bilinear(&p, UPCONV_FILTER_IOK, NULL), "weights is NULL");
    refused(upconv_filter_bilinear(&p, UPCONV_FILTER_COUNT, w), "order is 6");
    refused(upconv_filter_bilinear(NULL, UPCONV_FILTER_IOK, w), "problem is NULL");
    refused(upconv_filter_he_normal(&p, UPCONV_FILTER_IOK, UPCONV_FAN_LAYER, INFINITY, 0, w), "slope");
    refused(upconv_filter_glorot_uniform(&p, UPCONV_FILTER_IOK, (upconv_fan)-1, 0, w), "fan is -1");
    refused(upconv_fold_batch_norm(&p, UPCONV_FILTER_IOK, &norm, w, bias), "variance[0] is -1 and epsilon 0.5");
    refused(upconv_fold_batch_norm(&p, UPCONV_FILTER_IOK, NULL, w, bias), "norm is NULL");
    refused(upconv_fold_batch_norm(&p, UPCONV_FILTER_IOK, &norm, w, NULL), "bias is NULL");
    norm.epsilon = -.1f;
    refused(upconv_fold_batch_norm(&p, UPCONV_FILTER_IOK, &norm, w, bias), "epsilon is -0.1");
    p.kernel[0] = 0;
    refused(upconv_filter_bicubic(&p, UPCONV_FILTER_IOK, -.5, w), "kernel[0] is 0");
    assert_true(w[0] == 1 && w[3] == 4 && bias[0] == 5);
}

// Convolution: no interpolation; what meets and what takes part change places; filters as they lie.
static void test_convolution(void **state)
{
    (void)state;
    upconv_problem p = grouped(), reshaped = grouped();
    float w[GROUPED], other[GROUPED], bias[6] = {0};
    double in = 0, out = 0;
    p.op = UPCONV_CONV;
    p.in[0] = p.in[1] = 9;
    refused(upconv_filter_bilinear(&p, UPCONV_FILTER_IOK, w), "only transposed convolution");
    assert_int_equal(upconv_filter_fans(&p, UPCONV_FAN_LAYER, &in, &out), UPCONV_OK);
    assert_true(in == 2 * 6 && out == 3 * 1.5 * 2);
    assert_int_equal(upconv_filter_fans(&p, UPCONV_FAN_TENSOR, &in, &out), UPCONV_OK);
    assert_true(in == 2 * 6 && out == 6 * 6);
    // the numbers of a transposed convolution with the same fan
    assert_int_equal(upconv_filter_he_normal(&p, UPCONV_FILTER_OIK, UPCONV_FAN_LAYER, 1, 3, w), UPCONV_OK);
    reshaped.stride[0] = 1;
    assert_int_equal(upconv_filter_he_normal(&reshaped, UPCONV_FILTER_OIK, UPCONV_FAN_LAYER, 1, 3, other), UPCONV_OK);
    assert_memory_equal(w, other, sizeof w);
    const float gamma[] = {1, 2, 3, 4, 5, 6};
    const upconv_batch_norm norm = {.struct_size = sizeof norm, .gamma = gamma};
    assert_int_equal(upconv_fold_batch_norm(&p, UPCONV_FILTER_OIK, &norm, w, bias), UPCONV_OK);
    for (int i = 0; i < GROUPED; i++)
        assert_true(w[i] == other[i] * gamma[i / 12]);
    p.op = UPCONV_PIXEL_SHUFFLE;
    p.groups = 1;
    p.out_channels = 0;
    p.kernel[0] = p.kernel[1] = 1;
    refused(upconv_filter_he_normal(&p, UPCONV_FILTER_OIK, UPCONV_FAN_LAYER, 1, 3, w), "pixel shuffle has no filter");
    upconv_overlap overlap = {sizeof overlap};
    refused(upconv_problem_overlap(&p, &overlap), "transposed convolution only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bilinear), cmocka_unit_test(test_reproduces), cmocka_unit_test(test_bicubic),
        cmocka_unit_test(test_channels), cmocka_unit_test(test_fans),       cmocka_unit_test(test_generator),
        cmocka_unit_test(test_random),   cmocka_unit_test(test_orders),     cmocka_unit_test(test_fold),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_convolution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
