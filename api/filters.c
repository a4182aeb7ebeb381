// Filters to begin with: interpolation, the random ones of He and of Glorot, and a batch normalisation folded in.
#include "ops.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

static upconv_status begin(const upconv_problem *given, upconv_filter_order order, const float *weights,
                           upc_problem *problem)
{
    if (!weights)
        return upc_fail(UPCONV_ERROR_INVALID, "weights is NULL; it is required");
    if (order < UPCONV_FILTER_IOK || order >= UPCONV_FILTER_COUNT)
        return upc_fail(UPCONV_ERROR_INVALID, "order is %d; it must be from 0 to %d", (int)order,
                        UPCONV_FILTER_COUNT - 1);
    const upconv_status status = upc_problem_from(given, problem);
    if (status == UPCONV_OK && !upc_op_takes(problem->op, UPCONV_WEIGHTS))
        return upc_fail(UPCONV_ERROR_INVALID, "op is %d; %s has no filter", (int)problem->op,
                        upc_op_of(problem->op)->name);
    return status;
}

// Of the tensor as it lies: which taps a solver reads first is nothing to these.
static upc_filter_strides strides_of(const upc_problem *problem, upconv_filter_order order)
{
    upc_filter_strides strides;
    upc_filter_strides_get(problem, order, &strides);
    for (int a = 0; a < 3; a++)
        strides.tap[a] = UPC_MAX(strides.tap[a], -strides.tap[a]);
    strides.first = 0;
    return strides;
}

// An element of a filter: group, channels within it, taps of the three axes.
typedef struct element {
    int64_t g, ic, oc, tap[3];
} element;

// Goes on to the next one in the order IOK; false behind the last.
static bool next(const upc_problem *problem, element *e)
{
    for (int a = 2; a >= 0; a--) {
        if (++e->tap[a] < problem->axis[a].kernel)
            return true;
        e->tap[a] = 0;
    }
    if (++e->oc < problem->ocg)
        return true;
    e->oc = 0;
    if (++e->ic < problem->icg)
        return true;
    e->ic = 0;
    return ++e->g < problem->groups;
}

static int64_t place(const upc_filter_strides *strides, const element *e)
{
    return e->g * strides->group + e->ic * strides->in + e->oc * strides->out + e->tap[0] * strides->tap[0] +
           e->tap[1] * strides->tap[1] + e->tap[2] * strides->tap[2];
}

// ------------------------------------------------------------------------------------------------------- interpolation

typedef struct interpolation {
    double (*value)(double x, double a); // x from 0
    double a;
} interpolation;

static double linear(double x, double a)
{
    (void)a;
    return x < 1 ? 1 - x : 0;
}

static double cubic(double x, double a)
{
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

// Tap k of an axis. The nearest tap of a phase is within half a position of the middle, or the only one that there is,
// within the same half: so its value, and with it the sum, is never near 0.
static double axis_weight(const upc_axis *axis, const interpolation *it, int64_t k)
{
    const int64_t period = axis->stride / upc_gcd(axis->stride, axis->dilation);
    const double middle = (double)(axis->kernel - 1) / 2;
    const int64_t before = UPC_MAX((axis->kernel - 1) / 2 / period - 3, 0); // periods in which everything is 0
    double sum = 0;
    for (int64_t j = before * period + k % period; j < axis->kernel && (double)j < middle + 3.0 * (double)period;
         j += period)
        sum += it->value(fabs(((double)j - middle) / (double)period), it->a);
    return it->value(fabs(((double)k - middle) / (double)period), it->a) / sum;
}

static upconv_status interpolate(const upconv_problem *given, upconv_filter_order order, const interpolation *it,
                                 float *weights)
{
    upc_problem problem;
    const upconv_status status = begin(given, order, weights, &problem);
    if (status != UPCONV_OK)
        return status;
    if (problem.op != UPCONV_CONV_TRANSPOSE)
        return upc_fail(UPCONV_ERROR_INVALID, "op is %d; only transposed convolution interpolates", (int)problem.op);
    const upc_filter_strides strides = strides_of(&problem, order);
    element e = {0};
    do
        weights[place(&strides, &e)] = 0;
    while (next(&problem, &e));
    // one channel's worth is computed; the channels that are connected get copies
    element first = {0};
    do {
        double w = 1;
        for (int a = 0; a < 3; a++)
            w *= axis_weight(&problem.axis[a], it, first.tap[a]);
        e = first;
        for (e.g = 0; e.g < problem.groups; e.g++)
            for (e.oc = 0; e.oc < problem.ocg; e.oc++) {
                e.ic = e.oc % problem.icg;
                weights[place(&strides, &e)] = (float)w;
            }
    } while (next(&problem, &first) && !first.oc && !first.ic && !first.g);
    return UPCONV_OK;
}

upconv_status upconv_filter_bilinear(const upconv_problem *problem, upconv_filter_order order, float *weights)
{
    return interpolate(problem, order, &(interpolation){linear, 0}, weights);
}

upconv_status upconv_filter_bicubic(const upconv_problem *problem, upconv_filter_order order, double a, float *weights)
{
    char number[32];
    upc_print_float(number, sizeof number, (float)a);
    if (!(a >= -1 && a <= 0))
        return upc_fail(UPCONV_ERROR_INVALID, "a is %s; a bicubic filter's is from -1 to 0", number);
    return interpolate(problem, order, &(interpolation){cubic, a}, weights);
}

// -------------------------------------------------------------------------------------------------------------- random

static double taps_of(const upc_problem *problem)
{
    const upc_axis *a = problem->axis;
    return (double)a[0].kernel * (double)a[1].kernel * (double)a[2].kernel;
}

// In a convolution it is an input that takes part in fewer products than there are taps.
static void fans_of(const upc_problem *problem, upconv_fan fan, double *in, double *out)
{
    double met = 1; // taps that meet in an output; of a convolution, in an input
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        const int64_t apart = UPC_MAX(axis->stride, axis->step);
        met *= fmax(1, (double)axis->kernel * (double)upc_gcd(apart, axis->dilation) / (double)apart);
    }
    const bool layer = fan == UPCONV_FAN_LAYER, transposed = problem->op == UPCONV_CONV_TRANSPOSE;
    const double taps = taps_of(problem), groups = (double)problem->groups;
    const double icg = (double)problem->icg, ocg = (double)problem->ocg;
    *in = layer ? icg * (transposed ? met : taps) : (transposed ? ocg : icg) * taps;
    *out = layer ? ocg * (transposed ? taps : met) : groups * (transposed ? icg : ocg) * taps;
}

static upconv_status check_fan(upconv_fan fan)
{
    if (fan < UPCONV_FAN_LAYER || fan >= UPCONV_FAN_COUNT)
        return upc_fail(UPCONV_ERROR_INVALID, "fan is %d; it must be from 0 to %d", (int)fan, UPCONV_FAN_COUNT - 1);
    return UPCONV_OK;
}

upconv_status upconv_filter_fans(const upconv_problem *given, upconv_fan fan, double *fan_in, double *fan_out)
{
    if (!fan_in || !fan_out)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is NULL; it is required", fan_in ? "fan_out" : "fan_in");
    upc_problem problem;
    const float unused = 0;
    upconv_status status = check_fan(fan);
    if (status == UPCONV_OK)
        status = begin(given, UPCONV_FILTER_IOK, &unused, &problem);
    if (status == UPCONV_OK)
        fans_of(&problem, fan, fan_in, fan_out);
    return status;
}

// u(n) of the header: SplitMix64 at any place of its sequence.
static double uniform(uint64_t seed, uint64_t n)
{
    uint64_t z = seed + (n + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

static double normal_value(uint64_t seed, uint64_t n)
{
    return sqrt(-2 * log(1 - uniform(seed, 2 * n))) * cos(2 * pi * uniform(seed, 2 * n + 1));
}

static double uniform_value(uint64_t seed, uint64_t n) { return 2 * uniform(seed, 2 * n) - 1; }

static void fill(const upc_problem *problem, upconv_filter_order order, double (*value)(uint64_t seed, uint64_t n),
                 double scale, uint64_t seed, float *weights)
{
    const upc_filter_strides strides = strides_of(problem, order);
    element e = {0};
    uint64_t n = 0;
    do
        weights[place(&strides, &e)] = (float)(scale * value(seed, n++));
    while (next(problem, &e));
}

upconv_status upconv_filter_he_normal(const upconv_problem *given, upconv_filter_order order, upconv_fan fan,
                                      double slope, uint64_t seed, float *weights)
{
    upc_problem problem;
    upconv_status status = check_fan(fan);
    if (status == UPCONV_OK && !isfinite(slope))
        status = upc_fail(UPCONV_ERROR_INVALID, "slope is no finite number; it must be one");
    if (status == UPCONV_OK)
        status = begin(given, order, weights, &problem);
    if (status != UPCONV_OK)
        return status;
    double in, out;
    fans_of(&problem, fan, &in, &out);
    fill(&problem, order, normal_value, sqrt(2 / ((1 + slope * slope) * in)), seed, weights);
    return UPCONV_OK;
}

upconv_status upconv_filter_glorot_uniform(const upconv_problem *given, upconv_filter_order order, upconv_fan fan,
                                           uint64_t seed, float *weights)
{
    upc_problem problem;
    upconv_status status = check_fan(fan);
    if (status == UPCONV_OK)
        status = begin(given, order, weights, &problem);
    if (status != UPCONV_OK)
        return status;
    double in, out;
    fans_of(&problem, fan, &in, &out);
    fill(&problem, order, uniform_value, sqrt(6 / (in + out)), seed, weights);
    return UPCONV_OK;
}

// ------------------------------------------------------------------------------------------------- batch normalisation

static double or_else(const float *values, int64_t at, double otherwise)
{
    return values ? (double)values[at] : otherwise;
}

static double norm_scale(const upconv_batch_norm *norm, int64_t channel)
{
    return or_else(norm->gamma, channel, 1) / sqrt(or_else(norm->variance, channel, 1) + (double)norm->epsilon);
}

static upconv_status check_norm(const upconv_batch_norm *given, int64_t channels, upconv_batch_norm *norm)
{
    if (!given)
        return upc_fail(UPCONV_ERROR_INVALID, "norm is NULL; it is required");
    const upconv_status status = upc_params_copy(norm, sizeof *norm, given, sizeof *norm, "norm");
    if (status != UPCONV_OK)
        return status;
    char epsilon[32], variance[32];
    upc_print_float(epsilon, sizeof epsilon, norm->epsilon);
    if (!(norm->epsilon >= 0))
        return upc_fail(UPCONV_ERROR_INVALID, "epsilon is %s; it must be 0 or above", epsilon);
    for (int64_t c = 0; c < channels; c++) {
        upc_print_float(variance, sizeof variance, (float)or_else(norm->variance, c, 1));
        if (!(or_else(norm->variance, c, 1) + (double)norm->epsilon > 0))
            return upc_fail(UPCONV_ERROR_INVALID, "variance[%lld] is %s and epsilon %s; their sum must be above 0",
                            (long long)c, variance, epsilon);
    }
    return UPCONV_OK;
}

upconv_status upconv_fold_batch_norm(const upconv_problem *given, upconv_filter_order order,
                                     const upconv_batch_norm *given_norm, float *weights, float *bias)
{
    upc_problem problem;
    upconv_batch_norm norm;
    upconv_status status = begin(given, order, weights, &problem);
    if (status == UPCONV_OK && !bias)
        status = upc_fail(UPCONV_ERROR_INVALID, "bias is NULL; it is required, zeros for a layer without one");
    if (status == UPCONV_OK)
        status = check_norm(given_norm, problem.groups * problem.ocg, &norm);
    if (status != UPCONV_OK)
        return status;
    const upc_filter_strides strides = strides_of(&problem, order);
    element e = {0};
    do {
        float *const w = &weights[place(&strides, &e)];
        *w = (float)((double)*w * norm_scale(&norm, e.g * problem.ocg + e.oc));
    } while (next(&problem, &e));
    for (int64_t c = 0; c < problem.groups * problem.ocg; c++)
        bias[c] =
            (float)(((double)bias[c] - or_else(norm.mean, c, 0)) * norm_scale(&norm, c) + or_else(norm.beta, c, 0));
    return UPCONV_OK;
}
