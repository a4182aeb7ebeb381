#include "tensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static float half_to_float(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double sign = half & 0x8000 ? -1 : 1;
    if (exponent == 31)
        return (float)(fraction ? NAN : sign * INFINITY);
    return (float)(sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24)));
}

// To the nearest, ties to even.
static uint16_t float_to_half(float value)
{
    unsigned sign = signbit(value) ? 0x8000 : 0;
    double size = fabs((double)value);
    if (isnan(value))
        return (uint16_t)(sign | 0x7e00);
    if (size >= 65520) // halfway from the largest to what would come next
        return (uint16_t)(sign | 0x7c00);
    int exponent;
    frexp(size, &exponent);
    exponent = exponent < -13 ? -13 : exponent; // below, all have the spacing of the smallest normal numbers
    double steps = rint(ldexp(size, 11 - exponent));
    // a round-up to the next power of two carries into the exponent by itself
    unsigned bits = (unsigned)steps;
    return (uint16_t)(sign | (bits < 1024 ? bits : bits - 1024 + ((unsigned)(exponent + 14) << 10)));
}

size_t tensors_element_bytes(const upconv_problem *problem)
{
    static const size_t bytes[UPCONV_TYPE_COUNT] = {
        [UPCONV_F32] = 4, [UPCONV_F16] = 2, [UPCONV_U8] = 1, [UPCONV_I8] = 1, [UPCONV_I16] = 2};
    return bytes[problem->type];
}

static bool is_gradient(const upconv_problem *problem)
{
    return problem->op == UPCONV_GRAD_FILTER || problem->op == UPCONV_GRAD_BIAS;
}

// Of the output, which is f32 where it is a gradient.
static double element_at(const upconv_problem *problem, const void *data, uint64_t at)
{
    if (is_gradient(problem))
        return ((const float *)data)[at];
    if (tensors_quantised(problem))
        return problem->type == UPCONV_I16  ? ((const int16_t *)data)[at]
               : problem->type == UPCONV_I8 ? ((const int8_t *)data)[at]
                                            : ((const uint8_t *)data)[at];
    return problem->type == UPCONV_F16 ? half_to_float(((const uint16_t *)data)[at]) : ((const float *)data)[at];
}

// The same numbers on every machine: xorshift, in [-1, 1).
static uint32_t next(uint32_t x)
{
    x ^= x << 13;
    x ^= x >> 17;
    return x ^ x << 5;
}

static float number(uint32_t x) { return (float)(x >> 8) * (2.0f / 16777216.0f) - 1.0f; }

static void fill(float *data, uint64_t count, uint32_t seed)
{
    uint32_t x = seed * 2654435761u + 12345u;
    for (uint64_t i = 0; i < count; i++)
        data[i] = number(x = next(x));
}

static void fill_bytes(void *data, uint64_t bytes, uint32_t seed)
{
    uint32_t x = seed * 2654435761u + 12345u;
    for (uint64_t i = 0; i < bytes; i++)
        ((uint8_t *)data)[i] = (uint8_t)((x = next(x)) >> 24);
}

// Weights of 8 bits, biases of 32, and a scale that brings most sums into the type.
static void fill_quantised(tensors *t)
{
    uint32_t x = 12345u;
    fill_bytes(t->weights, t->sizes.weights_elements, 2);
    for (uint64_t i = 0; i < t->sizes.bias_elements; i++) {
        const int32_t bias = (int32_t)((x = next(x)) >> 16) - (1 << 15);
        memcpy(&t->bias[i], &bias, sizeof bias);
    }
    const double products = (double)t->sizes.weights_elements / t->problem.out_channels;
    t->scale = 1 / (128 * sqrt(products));
}

static void fill_typed(const upconv_problem *problem, void *data, uint64_t bytes, uint32_t seed)
{
    if (tensors_quantised(problem)) {
        fill_bytes(data, bytes, seed);
        return;
    }
    if (problem->type != UPCONV_F16) {
        fill(data, bytes / sizeof(float), seed);
        return;
    }
    uint32_t x = seed * 2654435761u + 12345u;
    for (uint64_t i = 0; i < bytes / 2; i++)
        ((uint16_t *)data)[i] = float_to_half(number(x = next(x)));
}

void tensors_finish(tensors *t)
{
    free(t->input);
    free(t->residual);
    free(t->gradient);
    free(t->weights);
    free(t->bias);
    free(t->slopes);
    free(t->indices);
}

// As the pooling that unpooling undoes makes them of pseudo-random numbers. Where index_space is not the output's, they count otherwise
// than unpooling does, and some lead nowhere.
static upconv_status make_indices(tensors *t)
{
    const upconv_problem *p = &t->problem;
    upconv_problem pool = *p;
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    upconv_context *context = NULL;
    upconv_plan *plan = NULL;
    pool.op = UPCONV_MAX_POOL;
    pool.in_layout = p->out_layout;
    pool.in_pitch = p->out_pitch;
    pool.out_layout = p->in_layout;
    pool.out_pitch = p->in_pitch;
    for (int a = 0; a < 3; a++) {
        pool.in[a] = t->sizes.out[a];
        pool.out[a] = p->in[a];
        pool.index_space[a] = 0;
    }
    upconv_status status = upconv_problem_sizes(&pool, &sizes);
    void *input = malloc(sizes.input_bytes + 1), *output = malloc(sizes.output_bytes + 1);
    if (status == UPCONV_OK && (!input || !output))
        status = UPCONV_ERROR_HOST_MEMORY;
    const upconv_context_params params = {.struct_size = sizeof params, .backend = UPCONV_BACKEND_CPU};
    if (status == UPCONV_OK)
        status = upconv_context_create(&params, &context);
    if (status == UPCONV_OK)
        status = upconv_plan_create(context, &pool, NULL, &plan);
    if (status == UPCONV_OK) {
        fill_typed(&pool, input, sizes.input_bytes, 6);
        const upconv_io io = {.struct_size = sizeof io,
                              .at[UPCONV_INPUT] = {.host = input},
                              .at[UPCONV_OUTPUT] = {.host = output},
                              .at[UPCONV_INDICES] = {.host = t->indices}};
        status = upconv_execute_io(plan, &io);
    }
    upconv_plan_destroy(plan);
    upconv_context_destroy(context);
    free(input);
    free(output);
    return status;
}

static bool make_gradient(tensors *t)
{
    upconv_problem forward = t->problem;
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    forward.op = UPCONV_CONV_TRANSPOSE;
    if (!is_gradient(&t->problem))
        return true;
    if (upconv_problem_sizes(&forward, &sizes) != UPCONV_OK || !(t->gradient = malloc(sizes.output_bytes)))
        return false;
    t->gradient_bytes = sizes.output_bytes;
    fill_typed(&forward, t->gradient, t->gradient_bytes, 6);
    return true;
}

bool tensors_init(tensors *t, const upconv_problem *problem, char *error, size_t error_size)
{
    *t = (tensors){.problem = *problem, .sizes = {.struct_size = sizeof t->sizes}};
    const upconv_sizes *sizes = &t->sizes;
    if (upconv_problem_sizes(problem, &t->sizes) != UPCONV_OK) {
        snprintf(error, error_size, "%s", upconv_last_error());
        return false;
    }
    bool residual = problem->residual != UPCONV_RESIDUAL_NONE;
    t->input = malloc(sizes->input_bytes);
    t->residual = residual ? malloc(sizes->output_bytes) : NULL;
    uint64_t channels = (uint64_t)problem->out_channels;
    t->weights = malloc((sizes->weights_elements + 1) * sizeof *t->weights);
    t->bias = malloc((sizes->bias_elements + 1) * sizeof *t->bias);
    t->slopes = malloc(channels * sizeof *t->slopes);
    if (!t->input || (residual && !t->residual) || !t->weights || !t->bias || !t->slopes || !make_gradient(t)) {
        snprintf(error, error_size, "no memory on the host for tensors of %.0f MB",
                 (double)(sizes->input_bytes + sizes->weights_bytes) / 1e6);
        tensors_finish(t);
        return false;
    }
    fill_typed(problem, t->input, sizes->input_bytes, 1);
    fill(t->weights, sizes->weights_elements, 2);
    fill(t->bias, sizes->bias_elements, 3);
    fill(t->slopes, channels, 4);
    if (residual)
        fill_typed(problem, t->residual, sizes->output_bytes, 5);
    if (tensors_quantised(problem))
        fill_quantised(t);
    if (problem->op != UPCONV_MAX_UNPOOL)
        return true;
    t->indices = calloc(1, sizes->indices_bytes);
    const upconv_status status = t->indices ? make_indices(t) : UPCONV_ERROR_HOST_MEMORY;
    if (status != UPCONV_OK) {
        snprintf(error, error_size, "indices: %s", t->indices ? upconv_last_error() : "no memory");
        tensors_finish(t);
        return false;
    }
    return true;
}

upconv_status tensors_plan(const tensors *t, upconv_context *context, const char *solver, upconv_effort effort,
                           upconv_plan **plan)
{
    upconv_plan_params params = {.struct_size = sizeof params,
                                 .weights = t->sizes.weights_elements ? t->weights : NULL,
                                 .bias = t->sizes.bias_elements ? t->bias : NULL,
                                 .slopes = t->problem.act == UPCONV_ACT_PRELU ? t->slopes : NULL,
                                 .effort = effort,
                                 .solver = solver};
    if (tensors_quantised(&t->problem)) {
        params.weights_type = UPCONV_I8;
        params.scales = &t->scale;
        params.scale_count = 1;
    }
    return upconv_plan_create(context, &t->problem, &params, plan);
}

// Where the elements of an output lie: steps from one to the next, by image, channel (or block of 4) and axis.
typedef struct place {
    int64_t image, channel, axis[3], extent[3], pack;
} place;

static place output_place(const tensors *t)
{
    const upconv_problem *p = &t->problem;
    const upconv_pitch *given = &p->out_pitch;
    if (is_gradient(p)) // all side by side
        return (place){.axis = {0, 0, 1}, .extent = {1, 1, (int64_t)t->sizes.output_elements}, .pack = 1};
    place to = {.extent = {1, 1, 1}, .pack = p->out_layout == UPCONV_NC4HW4 ? 4 : 1};
    int dims = p->dims ? p->dims : 2;
    for (int i = 0; i < dims; i++)
        to.extent[3 - dims + i] = t->sizes.out[i];
    bool last = p->out_layout == UPCONV_NHWC;
    int64_t channels = (p->out_channels + to.pack - 1) / to.pack;
    to.axis[2] = last ? (given->pixel ? given->pixel : p->out_channels) : to.pack;
    to.axis[1] = given->row ? given->row : to.extent[2] * to.axis[2];
    to.axis[0] = given->plane ? given->plane : to.extent[1] * to.axis[1];
    to.channel = last ? 1 : given->channel ? given->channel : to.extent[0] * to.axis[0];
    int64_t whole = last ? to.extent[0] * to.axis[0] : channels * to.channel;
    to.image = given->image ? given->image : whole;
    return to;
}

// Where element i of a row lies, rows counting channels of images.
static uint64_t output_at(const place *to, int64_t channels, int64_t row, int64_t i)
{
    int64_t c = row % channels, w = i % to->extent[2], h = i / to->extent[2] % to->extent[1],
            d = i / to->extent[2] / to->extent[1];
    return (uint64_t)(row / channels * to->image + c / to->pack * to->channel + c % to->pack + d * to->axis[0] +
                      h * to->axis[1] + w * to->axis[2]);
}

bool tensors_compare_indices(const tensors *t, const int32_t *got, const int32_t *expected, uint64_t *at)
{
    const upconv_problem *p = &t->problem;
    place to = output_place(t);
    uint64_t most = t->sizes.indices_bytes / sizeof *got;
    for (int64_t row = 0; row < p->batch * p->out_channels; row++)
        for (int64_t i = 0; i < to.extent[0] * to.extent[1] * to.extent[2]; i++) {
            *at = output_at(&to, p->out_channels, row, i);
            if (*at < most && got[*at] != expected[*at])
                return false;
        }
    return true;
}

void tensors_compare(const tensors *t, const void *got, const void *expected, difference *result)
{
    const upconv_problem *p = &t->problem;
    place to = output_place(t);
    double largest = 0, wrong = 0;
    uint64_t where = 0;
    int64_t positions = to.extent[0] * to.extent[1] * to.extent[2];
    uint64_t most = t->sizes.output_bytes / (is_gradient(p) ? sizeof(float) : tensors_element_bytes(p));
    int64_t channels = is_gradient(p) ? 1 : p->out_channels, rows = is_gradient(p) ? 1 : p->batch * channels;
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t i = 0; i < positions; i++) {
            uint64_t at = output_at(&to, channels, row, i);
            if (at >= most) // sizes and layouts disagree: never beyond the memory
                continue;
            double a = element_at(p, got, at), b = element_at(p, expected, at), off = fabs(a - b);
            largest = fmax(largest, fabs(b));
            if (!(off <= wrong)) { // a NaN too
                wrong = isnan(off) ? INFINITY : off;
                where = at;
            }
        }
    }
    *result = (difference){.largest = wrong / (1 + largest),
                           .at = where,
                           .got = element_at(p, got, where),
                           .expected = element_at(p, expected, where)};
}
