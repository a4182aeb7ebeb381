// Operations that take each output from few inputs of one channel: resizing, zero insertion, pixel shuffle. Where from, and with which
// weights, is decided here, once for all backends: axis by axis, in double precision (or as f32_steps asks), before anything runs.
#ifndef UPC_SAMPLE_H
#define UPC_SAMPLE_H

#include "problem.h"

enum { UPC_MAX_SAMPLES = 4 };

// The inputs of one output along one axis: first, first + 1, ...; those beyond the ends stand for the first or the last one.
typedef struct upc_sample {
    int64_t first;                  // -1 with zero insertion: the output is zero
    int64_t part;                   // pixel shuffle: what this axis adds to the input's channel
    double weight[UPC_MAX_SAMPLES]; // of a lone input 1
} upc_sample;

typedef struct upc_sample_axis {
    int taps; // 1, 2 or 4
    upc_sample *at; // by output position
} upc_sample_axis;

static inline bool upc_samples(upconv_op op)
{
    return op == UPCONV_RESIZE || op == UPCONV_ZERO_INSERT || op == UPCONV_PIXEL_SHUFFLE;
}

// Inputs that the operation looks at along an axis, whatever its weights: 1, 2 or 4.
int upc_sample_taps(const upc_problem *problem);
// Of one output.
void upc_sample_get(const upc_problem *problem, int axis, int64_t o, upc_sample *sample);
// Of all outputs of an axis; an axis on which every output is just one input has 1 tap. upc_free(at). HOST_MEMORY.
upconv_status upc_sample_axis_init(const upc_env *env, const upc_problem *problem, int axis, upc_sample_axis *samples);
// The input position of a tap.
static inline int64_t upc_sample_position(const upc_axis *axis, int64_t first, int tap)
{
    return UPC_MIN(UPC_MAX(first + tap, 0), axis->in - 1);
}
// Input channel of an output channel, without the parts of the axes.
static inline int64_t upc_sample_channel(const upc_problem *problem, int64_t c)
{
    return problem->op == UPCONV_PIXEL_SHUFFLE && problem->channel_order == UPCONV_CRD
               ? c * (problem->icg / problem->ocg)
               : c;
}

// For the table of operations (api/ops.h).
upconv_status upc_resize_read(const upconv_problem *given, upc_problem *problem);
int64_t upc_resize_out(const upconv_problem *given, int i, const upc_axis *axis);
void upc_resize_give(const upc_problem *problem, upconv_problem *given);
void upc_resize_print(const upc_problem *problem, upc_text *text);
int64_t upc_zeros_out(const upconv_problem *given, int i, const upc_axis *axis);
upconv_status upc_shuffle_read(const upconv_problem *given, upc_problem *problem);
int64_t upc_shuffle_out(const upconv_problem *given, int i, const upc_axis *axis);
void upc_shuffle_give(const upc_problem *problem, upconv_problem *given);
void upc_shuffle_print(const upc_problem *problem, upc_text *text);

#endif
