// How many taps meet in an output, phase by phase: where the numbers differ, a layer draws a checkerboard.
#include "problem.h"

#include <string.h>

// The x from 0 to m - 1 with a * x = 1 mod m, for a and m without a common factor.
static int64_t inverse(int64_t a, int64_t m)
{
    int64_t x = 0, next_x = 1, rest = m, next_rest = a % m;
    while (next_rest) {
        const int64_t quotient = rest / next_rest, new_rest = rest % next_rest, new_x = x - quotient * next_x;
        x = next_x;
        next_x = new_x;
        rest = next_rest;
        next_rest = new_rest;
    }
    return m == 1 ? 0 : (x % m + m) % m;
}

// k * dilation = phase + pad mod stride has solutions where g = gcd(stride, dilation) divides the right side: one class
// of k modulo stride / g.
static int64_t taps_of_phase(const upc_axis *axis, int64_t phase)
{
    const int64_t common = upc_gcd(axis->stride, axis->dilation), period = axis->stride / common;
    const int64_t residue = ((phase + axis->pad) % axis->stride + axis->stride) % axis->stride;
    if (residue % common)
        return 0;
    const int64_t first = residue / common * inverse(axis->dilation / common, period) % period;
    return first < axis->kernel ? (axis->kernel - 1 - first) / period + 1 : 0;
}

static int32_t size_or_none(int64_t size) { return size > 0 && size <= INT32_MAX ? (int32_t)size : 0; }

static upconv_overlap_axis overlap_of(const upc_axis *axis)
{
    const int64_t common = upc_gcd(axis->stride, axis->dilation), period = axis->stride / common;
    const int64_t reachable = UPC_MIN(period, axis->kernel);
    upconv_overlap_axis it = {.phases = (int32_t)axis->stride,
                              .least = reachable < axis->stride ? 0 : (int32_t)(axis->kernel / period),
                              .most = (int32_t)upc_ceil_div(axis->kernel, period),
                              .unreached = (int32_t)(axis->stride - reachable)};
    if (common == 1) {
        it.kernel_below = size_or_none(((axis->kernel + period - 1) / period - 1) * period);
        it.kernel_above = size_or_none((axis->kernel / period + 1) * period);
    }
    it.even = it.least == it.most || axis->in == 1;
    return it;
}

static upconv_status begin(const upconv_problem *given, upc_problem *problem)
{
    const upconv_status status = upc_problem_from(given, problem);
    if (status == UPCONV_OK && problem->op != UPCONV_CONV_TRANSPOSE)
        return upc_fail(UPCONV_ERROR_INVALID, "op is %d; taps overlap in transposed convolution only",
                        (int)problem->op);
    return status;
}

upconv_status upconv_problem_overlap(const upconv_problem *given, upconv_overlap *overlap)
{
    if (!overlap)
        return upc_fail(UPCONV_ERROR_INVALID, "overlap is NULL; it is required");
    upc_problem problem;
    const upconv_status status = begin(given, &problem);
    if (status != UPCONV_OK)
        return status;
    upconv_overlap ours;
    memset(&ours, 0, sizeof ours);
    ours.even = 1;
    for (int i = 0; i < problem.dims; i++) {
        ours.axis[i] = overlap_of(&problem.axis[3 - problem.dims + i]);
        ours.even = ours.even && ours.axis[i].even;
    }
    upc_params_return(overlap, &ours, sizeof ours, sizeof ours);
    return UPCONV_OK;
}

upconv_status upconv_problem_overlap_taps(const upconv_problem *given, int32_t axis, int32_t phase, int32_t *taps)
{
    if (!taps)
        return upc_fail(UPCONV_ERROR_INVALID, "taps is NULL; it is required");
    upc_problem problem;
    const upconv_status status = begin(given, &problem);
    if (status != UPCONV_OK)
        return status;
    if (axis < 0 || axis >= problem.dims)
        return upc_fail(UPCONV_ERROR_INVALID, "axis is %d; it must be from 0 to %d", axis, problem.dims - 1);
    const upc_axis *it = &problem.axis[3 - problem.dims + axis];
    if (phase < 0 || phase >= it->stride)
        return upc_fail(UPCONV_ERROR_INVALID, "phase is %d; on axis %d it must be from 0 to %lld", phase, axis,
                        (long long)it->stride - 1);
    *taps = (int32_t)taps_of_phase(it, phase);
    return UPCONV_OK;
}

// ------------------------------------------------------------------------------------------------------------ in words

static void explain_axis(const upc_axis *axis, char letter, upc_text *text)
{
    enum { LISTED = 16 };
    const upconv_overlap_axis it = overlap_of(axis);
    upc_text_add(text, "overlap: %c: kernel %lld over stride %lld", letter, (long long)axis->kernel,
                 (long long)axis->stride);
    if (axis->dilation > 1)
        upc_text_add(text, " with dilation %lld", (long long)axis->dilation);
    if (axis->in == 1) {
        upc_text_add(text, ": none, the input has one position\n");
        return;
    }
    upc_text_add(text, ": %s, taps by phase", it.even ? "even" : "UNEVEN");
    for (int64_t p = 0; p < UPC_MIN(axis->stride, LISTED); p++)
        upc_text_add(text, " %lld", (long long)taps_of_phase(axis, p));
    upc_text_add(text, "%s", axis->stride > LISTED ? " ..." : "");
    if (it.even)
        upc_text_add(text, "\n");
    else if (upc_gcd(axis->stride, axis->dilation) > 1)
        upc_text_add(text,
                     "; no kernel is even: stride and dilation have the factor %lld in common, so 1 output in %lld is "
                     "reached\n",
                     (long long)upc_gcd(axis->stride, axis->dilation),
                     (long long)upc_gcd(axis->stride, axis->dilation));
    else if (!it.kernel_below || !it.kernel_above)
        upc_text_add(text, "; kernel %d would be even\n", UPC_MAX(it.kernel_below, it.kernel_above));
    else
        upc_text_add(text, "; kernel %d or %d would be even\n", it.kernel_below, it.kernel_above);
}

void upc_overlap_explain(const upc_problem *problem, upc_text *text)
{
    for (int a = 3 - problem->dims; a < 3 && problem->op == UPCONV_CONV_TRANSPOSE; a++)
        explain_axis(&problem->axis[a], "dhw"[a], text);
}
