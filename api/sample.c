#include "sample.h"

#include <math.h>

// ---------------------------------------------------------------------------------------------------- coordinates

// Outputs an input.
static double scale_of(const upc_problem *p, int a)
{
    const upc_axis *axis = &p->axis[a];
    return p->resize.scale[a] != 0 ? p->resize.scale[a] : (double)axis->out / (double)axis->in;
}

// Where output o comes from, in double precision; shift: 0.5 to have half-pixel coordinates without the last subtraction, so that
// floor() of them rounds to the nearest without rounding twice.
static double place(const upc_problem *p, int a, int64_t o, double shift)
{
    const upc_axis *axis = &p->axis[a];
    const double scale = scale_of(p, a), in = (double)axis->in, out = (double)axis->out;
    switch (p->resize.coordinates) {
    case UPCONV_HALF_PIXEL_SYMMETRIC:
        return in / 2 * (1 - out / (scale * in)) + ((double)o + 0.5) / scale - 0.5 + shift;
    case UPCONV_PYTORCH_HALF_PIXEL:
        if (axis->out == 1)
            return shift;
        return shift == 0.5 ? ((double)o + 0.5) / scale : ((double)o + 0.5) / scale - 0.5;
    case UPCONV_ALIGN_CORNERS: {
        const double all = p->resize.scale[a] != 0 ? scale * in : out; // ONNX' reference counts parts of an output
        return (all == 1 || axis->out == 1 ? 0 : (double)o * (in - 1) / (all - 1)) + shift;
    }
    case UPCONV_ASYMMETRIC: return (double)o / scale + shift;
    default: return shift == 0.5 ? ((double)o + 0.5) / scale : ((double)o + 0.5) / scale - 0.5;
    }
}

// The same as PyTorch and TFLite have it: every operation in f32, and a multiplication by a step. Values are kept in variables, so
// that nothing is computed in a higher precision in between.
static double place_f32(const upc_problem *p, int a, int64_t o, double shift)
{
    const upc_axis *axis = &p->axis[a];
    const double scale = p->resize.scale[a];
    const bool corners = p->resize.coordinates == UPCONV_ALIGN_CORNERS;
    const bool half = p->resize.coordinates != UPCONV_ASYMMETRIC && !corners;
    volatile float step = scale != 0 ? (float)(1 / scale) : (float)axis->in / (float)axis->out;
    if (corners)
        step = axis->out == 1 ? 0 : (float)(axis->in - 1) / (float)(axis->out - 1);
    volatile float at = (float)o;
    if (half)
        at = at + 0.5f;
    at = at * step;
    if (p->resize.coordinates == UPCONV_PYTORCH_HALF_PIXEL && axis->out == 1)
        at = 0.5f;
    if (half && shift == 0)
        at = at - 0.5f;
    if (p->resize.coordinates == UPCONV_HALF_PIXEL_SYMMETRIC)
        at = at + (float)((double)axis->in / 2 * (1 - (double)axis->out * (double)step / (double)axis->in));
    return half ? (double)at : (double)at + shift; // in f32 the sum could round up to the next input
}

static double place_of(const upc_problem *p, int a, int64_t o, double shift)
{
    return p->resize.f32_steps ? place_f32(p, a, o, shift) : place(p, a, o, shift);
}

// ----------------------------------------------------------------------------------------------------------- weights

static void nearest(const upc_problem *p, int a, int64_t o, upc_sample *sample)
{
    double x;
    switch (p->resize.rounding) {
    case UPCONV_ROUND_PREFER_CEIL: x = floor(place_of(p, a, o, 0.5)); break;
    case UPCONV_ROUND_FLOOR: x = floor(place_of(p, a, o, 0)); break;
    case UPCONV_ROUND_CEIL: x = ceil(place_of(p, a, o, 0)); break;
    default: {
        const double at = place_of(p, a, o, 0), down = floor(at);
        x = at - down <= 0.5 ? down : down + 1;
    }
    }
    sample->first = (int64_t)fmin(fmax(x, 0), (double)(p->axis[a].in - 1));
    sample->weight[0] = 1;
}

static void linear(const upc_problem *p, int a, int64_t o, upc_sample *sample)
{
    const int64_t last = p->axis[a].in - 1;
    const double x = fmin(fmax(place_of(p, a, o, 0), 0), (double)last), down = floor(x);
    sample->first = (int64_t)down;
    sample->weight[1] = sample->first == last ? 0 : x - down;
    sample->weight[0] = 1 - sample->weight[1];
}

static double keys(double a, double d)
{
    d = fabs(d);
    return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
}

static void cubic(const upc_problem *p, int a, int64_t o, upc_sample *sample)
{
    // beyond this all four are the same input, and no integer overflows
    const double in = (double)p->axis[a].in, x = fmin(fmax(place_of(p, a, o, 0), -4), in + 4), down = floor(x);
    double within = 0;
    sample->first = (int64_t)down - 1;
    for (int i = 0; i < 4; i++) {
        const double at = down + i - 1;
        sample->weight[i] = keys((double)p->resize.cubic, x - at);
        within += at < 0 || at >= in ? 0 : sample->weight[i];
    }
    for (int i = 0; i < 4 && p->resize.exclude_outside && within != 0; i++) {
        const double at = down + i - 1;
        sample->weight[i] = at < 0 || at >= in ? 0 : sample->weight[i] / within;
    }
}

static void shuffled(const upc_problem *p, int a, int64_t o, upc_sample *sample)
{
    const upc_axis *axis = p->axis;
    const int64_t place = a == 0 ? axis[1].stride * axis[2].stride : a == 1 ? axis[2].stride : 1;
    sample->first = o / axis[a].stride;
    sample->part = o % axis[a].stride * place * (p->channel_order == UPCONV_DCR ? p->ocg : 1);
    sample->weight[0] = 1;
}

static void nailed(const upc_problem *p, int a, int64_t o, upc_sample *sample)
{
    sample->first = upc_axis_source(&p->axis[a], o, 0);
    sample->weight[0] = 1;
}

int upc_sample_taps(const upc_problem *p)
{
    if (p->op != UPCONV_RESIZE || p->resize.mode == UPCONV_RESIZE_NEAREST)
        return 1;
    return p->resize.mode == UPCONV_RESIZE_LINEAR ? 2 : 4;
}

void upc_sample_get(const upc_problem *p, int axis, int64_t o, upc_sample *sample)
{
    *sample = (upc_sample){0};
    if (p->op == UPCONV_PIXEL_SHUFFLE)
        shuffled(p, axis, o, sample);
    else if (p->op == UPCONV_ZERO_INSERT)
        nailed(p, axis, o, sample);
    else if (p->resize.mode == UPCONV_RESIZE_NEAREST)
        nearest(p, axis, o, sample);
    else if (p->resize.mode == UPCONV_RESIZE_LINEAR)
        linear(p, axis, o, sample);
    else
        cubic(p, axis, o, sample);
}

// The tap that has all the weight, or -1.
static int lone(const upc_sample *sample, int taps)
{
    int found = -1;
    for (int i = 0; i < taps; i++) {
        if (sample->weight[i] == 0)
            continue;
        if (sample->weight[i] != 1 || found >= 0)
            return -1;
        found = i;
    }
    return found;
}

upconv_status upc_sample_axis_init(const upc_env *env, const upc_problem *p, int a, upc_sample_axis *samples)
{
    const upc_axis *axis = &p->axis[a];
    const int taps = upc_sample_taps(p);
    bool all_lone = taps > 1;
    *samples = (upc_sample_axis){taps, upc_alloc_array(env, (size_t)axis->out, sizeof *samples->at)};
    if (!samples->at)
        return upc_no_memory((size_t)axis->out * sizeof *samples->at);
    for (int64_t o = 0; o < axis->out; o++) {
        upc_sample_get(p, a, o, &samples->at[o]);
        all_lone = all_lone && lone(&samples->at[o], taps) >= 0;
    }
    for (int64_t o = 0; o < axis->out && all_lone; o++) {
        upc_sample *at = &samples->at[o];
        at->first = upc_sample_position(axis, at->first, lone(at, taps));
        at->weight[0] = 1;
    }
    if (all_lone)
        samples->taps = 1;
    return UPCONV_OK;
}

// ------------------------------------------------------------------------------------------------------- the front door

static upconv_status check_value(const char *name, int64_t value, int64_t count)
{
    if (value < 0 || value >= count)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is %lld; it must be from 0 to %lld", name, (long long)value,
                        (long long)count - 1);
    return UPCONV_OK;
}

static upconv_status check_scale(const upconv_problem *given, const upc_problem *problem)
{
    for (int i = 0; i < problem->dims; i++) {
        char number[32];
        upc_print_double(number, sizeof number, given->scale[i]);
        if (!(given->scale[i] >= 0) || given->scale[i] > 1e9 || (given->scale[i] != 0 && given->scale[i] < 1e-9))
            return upc_fail(UPCONV_ERROR_INVALID, "scale[%d] is %s; it must be from 1e-9 to 1e9 (0 means out / in)", i,
                            number);
        if (given->scale[i] == 0 && given->out[i] == 0)
            return upc_fail(UPCONV_ERROR_INVALID, "out[%d] and scale[%d] are both 0; resizing needs one of them", i, i);
    }
    return UPCONV_OK;
}

upconv_status upc_resize_read(const upconv_problem *given, upc_problem *problem)
{
    const bool is_nearest = given->resize_mode == UPCONV_RESIZE_NEAREST,
               is_cubic = given->resize_mode == UPCONV_RESIZE_CUBIC;
    const float a = given->cubic_coefficient;
    upconv_status status = check_value("resize_mode", (int)given->resize_mode, UPCONV_RESIZE_MODE_COUNT);
    if (!status)
        status = check_value("coordinates", (int)given->coordinates, UPCONV_COORDINATES_COUNT);
    if (!status)
        status = check_value("rounding", (int)given->rounding, UPCONV_ROUNDING_COUNT);
    if (!status)
        status = check_value("exclude_outside", given->exclude_outside, 2);
    if (!status)
        status = check_value("f32_steps", given->f32_steps, 2);
    if (!status)
        status = check_scale(given, problem);
    if (status)
        return status;
    if (given->rounding && !is_nearest)
        return upc_fail(UPCONV_ERROR_INVALID, "rounding is %d; only NEAREST rounds, leave it zero",
                        (int)given->rounding);
    if (given->exclude_outside && !is_cubic)
        return upc_fail(UPCONV_ERROR_INVALID, "exclude_outside is 1; only CUBIC has it, leave it zero");
    if ((a != 0 && !is_cubic) || !(fabsf(a) <= 1e3f)) {
        char number[32];
        upc_print_float(number, sizeof number, a);
        return upc_fail(UPCONV_ERROR_INVALID,
                        is_cubic ? "cubic_coefficient is %s; it must be from -1000 to 1000"
                                 : "cubic_coefficient is %s; only CUBIC has it, leave it zero",
                        number);
    }
    problem->resize = (upc_resize){.mode = given->resize_mode, .coordinates = given->coordinates, .rounding = given->rounding,
                                   .cubic = is_cubic && a == 0 ? -0.75f : a, .exclude_outside = given->exclude_outside,
                                   .f32_steps = given->f32_steps};
    for (int i = 0; i < problem->dims; i++)
        problem->resize.scale[3 - problem->dims + i] = given->scale[i];
    return UPCONV_OK;
}

int64_t upc_resize_out(const upconv_problem *given, int i, const upc_axis *axis)
{
    const double out = floor((double)axis->in * given->scale[i]);
    return out > INT32_MAX ? INT64_MAX : out >= 0 ? (int64_t)out : -1; // asked before the scale is checked, too
}

void upc_resize_give(const upc_problem *problem, upconv_problem *given)
{
    const upc_resize *resize = &problem->resize;
    given->resize_mode = resize->mode;
    given->coordinates = resize->coordinates;
    given->rounding = resize->rounding;
    given->cubic_coefficient = resize->cubic;
    given->exclude_outside = resize->exclude_outside;
    given->f32_steps = resize->f32_steps;
    for (int i = 0; i < problem->dims; i++)
        given->scale[i] = resize->scale[3 - problem->dims + i];
}

void upc_resize_print(const upc_problem *problem, upc_text *text)
{
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const coordinates[] = {"", "+half_pixel_symmetric", "+pytorch_half_pixel", "+align_corners",
                                              "+asymmetric"};
    static const char *const roundings[] = {"", "+prefer_ceil", "+floor", "+ceil"};
    const upc_resize *resize = &problem->resize;
    char number[32];
    upc_text_add(text, "+%s%s%s", modes[resize->mode], coordinates[resize->coordinates], roundings[resize->rounding]);
    if (resize->mode == UPCONV_RESIZE_CUBIC) {
        upc_print_float(number, sizeof number, resize->cubic);
        upc_text_add(text, "+coefficient:%s", number);
    }
    upc_text_add(text, "%s%s", resize->exclude_outside ? "+exclude_outside" : "",
                 resize->f32_steps ? "+f32_steps" : "");
    for (int i = 3 - problem->dims; i < 3; i++)
        if (resize->scale[i] != 0) {
            upc_text_add(text, "+scale");
            for (i = 3 - problem->dims; i < 3; i++) {
                upc_print_double(number, sizeof number, resize->scale[i]);
                upc_text_add(text, ":%s", number);
            }
        }
}

// As if every nail had a board of stride positions: what unpooling with a window of the stride has.
int64_t upc_zeros_out(const upconv_problem *given, int i, const upc_axis *axis)
{
    (void)given;
    (void)i;
    return axis->in * axis->stride - 2 * axis->pad;
}

upconv_status upc_shuffle_read(const upconv_problem *given, upc_problem *problem)
{
    problem->channel_order = given->channel_order;
    for (int i = 0; i < problem->dims; i++) {
        const upc_axis *axis = &problem->axis[3 - problem->dims + i];
        if (given->out[i] != 0 && given->out[i] != axis->in * axis->stride)
            return upc_fail(
                UPCONV_ERROR_INVALID, "out[%d] is %d; a pixel shuffle of %lld by %lld gives %lld (0 has it computed)",
                i, given->out[i], (long long)axis->in, (long long)axis->stride, (long long)(axis->in * axis->stride));
    }
    return check_value("channel_order", (int)given->channel_order, UPCONV_CHANNEL_ORDER_COUNT);
}

int64_t upc_shuffle_out(const upconv_problem *given, int i, const upc_axis *axis)
{
    (void)given;
    (void)i;
    return axis->in * axis->stride;
}

void upc_shuffle_give(const upc_problem *problem, upconv_problem *given) { given->channel_order = problem->channel_order; }

void upc_shuffle_print(const upc_problem *problem, upc_text *text)
{
    if (problem->channel_order == UPCONV_DCR)
        upc_text_add(text, "+dcr");
}
