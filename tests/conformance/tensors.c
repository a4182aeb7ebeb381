#include "tensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../tensors.h"

enum { BEHIND = 64 }; // canaries behind the output
static const unsigned char canary = 0xa5; // as f16 and as f32 a small negative number that nothing computes

// Fills in what zeros stand for: what is printed is complete.
static bool complete(corpus_case *item, const upconv_problem *given, laid_case *laid)
{
    char text[1024];
    laid->problem.struct_size = sizeof laid->problem;
    laid->sizes.struct_size = sizeof laid->sizes;
    return (!upconv_problem_print(given, text, sizeof text, NULL) &&
            !upconv_problem_parse(text, &laid->problem, NULL) && !upconv_problem_sizes(given, &laid->sizes)) ||
           case_wrong(item, "refused: %s", upconv_last_error());
}

// A gap behind every part that may have one: more than four elements, and not the same everywhere.
void case_gaps(const upconv_problem *p, bool in, upconv_pitch *pitch)
{
    const upconv_layout layout = in ? p->in_layout : p->out_layout;
    const int32_t *extent = in ? p->in : p->out;
    const int64_t channels = in ? p->in_channels : p->out_channels, unit = layout == UPCONV_NC4HW4 ? 4 : 1;
    int64_t *const axes[3] = {layout == UPCONV_NHWC ? &pitch->pixel : NULL, &pitch->row, &pitch->plane};
    int64_t pitched = layout == UPCONV_NHWC ? channels : unit;
    for (int a = p->dims - 1; a >= 0; a--) {
        if (axes[p->dims - 1 - a])
            *axes[p->dims - 1 - a] = pitched += unit * (5 + a);
        pitched *= extent[a];
    }
    if (layout != UPCONV_NHWC) {
        pitch->channel = pitched += unit * 9;
        pitched *= (channels + unit - 1) / unit;
    }
    pitch->image = pitched + unit * 7;
}

// How far each value is from itself in half precision.
static double *half_errors(const float *values, uint64_t count)
{
    double *errors = malloc((size_t)count * sizeof *errors);
    for (uint64_t i = 0; errors && i < count; i++)
        errors[i] = isfinite(values[i]) ? fabs(values[i] - test_half_to(test_half_from(values[i]))) : 0;
    return errors;
}

typedef struct rounding {
    const upconv_problem *p;
    const float *x, *w; // w: [input channel][output channel of a group][taps]
    const double *x_errors, *w_errors;
    double *sums;
    uint64_t taps, plane; // of the filter, and of the output
} rounding;

static void scatter(const rounding *r, uint64_t x, int batch, int ic, uint64_t tap, uint64_t to)
{
    const upconv_problem *p = r->p;
    const int icg = p->in_channels / p->groups, ocg = p->out_channels / p->groups, group = ic / icg;
    for (int o = 0; o < ocg; o++) {
        const uint64_t w = ((uint64_t)ic * (uint64_t)ocg + (uint64_t)o) * r->taps + tap;
        const uint64_t at = ((uint64_t)batch * (uint64_t)p->out_channels + (uint64_t)(group * ocg + o)) * r->plane + to;
        r->sums[at] += fabs(r->x[x]) * r->w_errors[w] + (fabs(r->w[w]) + r->w_errors[w]) * r->x_errors[x];
    }
}

static void scatter_all(const rounding *r)
{
    const upconv_problem *p = r->p;
    uint64_t x = 0;
    for (int plane = 0; plane < p->batch * p->in_channels; plane++) {
        int i[3] = {0, 0, 0};
        do {
            int tap[3] = {0, 0, 0};
            uint64_t t = 0;
            do {
                uint64_t to = 0;
                bool inside = true;
                for (int a = 0; a < p->dims; a++) {
                    const int64_t o = (int64_t)i[a] * p->stride[a] + (int64_t)tap[a] * p->dilation[a] - p->pad[a];
                    inside = inside && o >= 0 && o < p->out[a];
                    to = to * (uint64_t)p->out[a] + (uint64_t)o;
                }
                if (inside)
                    scatter(r, x, plane / p->in_channels, plane % p->in_channels, t, to);
                t++;
            } while (test_next(tap, p->kernel, p->dims));
            x++;
        } while (test_next(i, p->in, p->dims));
    }
}

static bool find_rounding(laid_case *laid, corpus_case *item, const float *x, const float *w)
{
    rounding r = {.p = &laid->problem, .x = x, .w = w, .sums = laid->rounding, .taps = 1, .plane = 1};
    for (int a = 0; a < r.p->dims; a++) {
        r.taps *= (uint64_t)r.p->kernel[a];
        r.plane *= (uint64_t)r.p->out[a];
    }
    double *x_errors = half_errors(x, laid->sizes.input_elements);
    double *w_errors = half_errors(w, laid->sizes.weights_elements);
    const bool good = x_errors && w_errors;
    r.x_errors = x_errors;
    r.w_errors = w_errors;
    if (good)
        scatter_all(&r);
    free(x_errors);
    free(w_errors);
    return good || case_wrong(item, "no memory for the bounds");
}

// Of operations without a filter: inputs are moved, or weighted so that the magnitudes of the weights add up to less than 4.
static bool find_sampling_rounding(laid_case *laid, corpus_case *item, const float *x)
{
    double *x_errors = half_errors(x, laid->sizes.input_elements), most = 0;
    const bool good = x_errors != NULL;
    for (uint64_t i = 0; good && i < laid->sizes.input_elements; i++)
        most = fmax(most, x_errors[i]);
    for (uint64_t i = 0; i < laid->sizes.output_elements; i++)
        laid->rounding[i] = laid->problem.resize_mode == UPCONV_RESIZE_NEAREST ? 0 : 4 * most;
    free(x_errors);
    return good || case_wrong(item, "no memory for the bounds");
}

bool laid_init(laid_case *laid, corpus_case *item, const mapping *map, const case_runner *runner, const float *input,
               const float *weights, const float *iok)
{
    *laid = (laid_case){.input = NULL};
    upconv_problem asked = map->problem;
    asked.type = runner->type;
    asked.in_layout = asked.out_layout = runner->layout;
    if (!complete(item, &asked, laid))
        return false;
    if (runner->gaps) {
        case_gaps(&laid->problem, true, &laid->problem.in_pitch);
        case_gaps(&laid->problem, false, &laid->problem.out_pitch);
        if (upconv_problem_sizes(&laid->problem, &laid->sizes))
            return case_wrong(item, "refused: %s", upconv_last_error());
    }
    const size_t in = (size_t)laid->sizes.input_bytes, out = (size_t)laid->sizes.output_bytes;
    const size_t count = (size_t)laid->sizes.weights_elements;
    laid->input = malloc(in);
    laid->output = malloc(out + BEHIND);
    laid->marks = calloc(out + BEHIND, 1);
    laid->weights = malloc((count + 1) * sizeof(float));
    laid->rounding = calloc((size_t)laid->sizes.output_elements, sizeof *laid->rounding);
    if (!laid->input || !laid->output || !laid->marks || !laid->weights || !laid->rounding)
        return case_wrong(item, "no memory for the tensors");
    memset(laid->input, 0xff, in); // not a number, in either type
    memset(laid->output, canary, out + BEHIND);
    test_lay(&laid->problem, true, input, laid->input);
    test_mark(&laid->problem, laid->marks);
    for (size_t i = 0; i < out; i++)
        if (laid->marks[i])
            laid->output[i] = 0xff;
    if (count)
        memcpy(laid->weights, weights, count * sizeof(float));
    if (runner->type != UPCONV_F16)
        return true;
    for (size_t i = 0; i < count; i++)
        ((uint16_t *)laid->weights)[i] = test_half_from(weights[i]);
    if (!count)
        return find_sampling_rounding(laid, item, input);
    return find_rounding(laid, item, input, iok);
}

void laid_finish(laid_case *laid)
{
    free(laid->input);
    free(laid->output);
    free(laid->marks);
    free(laid->weights);
    free(laid->rounding);
}

bool laid_read(const laid_case *laid, corpus_case *item, float *dense)
{
    for (size_t i = 0; i < laid->sizes.output_bytes + BEHIND; i++)
        if (!laid->marks[i] && laid->output[i] != canary)
            return case_wrong(item, i < laid->sizes.output_bytes ? "memory between the output's elements was written"
                                                                 : "memory behind the output was written");
    test_unlay(&laid->problem, false, laid->output, dense);
    return true;
}

double laid_bound(const laid_case *laid, size_t index, double expected, double f32_bound)
{
    if (laid->problem.type == UPCONV_F32)
        return f32_bound;
    const double bound = f32_bound + 1.2 * laid->rounding[index]; // no activation is steeper
    return bound + test_half_ulp(fabs(expected) + bound); // to nearest, or cut off
}
