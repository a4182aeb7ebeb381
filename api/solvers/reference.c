// The definition, in double precision on the host: the oracle that everything else is measured against, and the CPU
// backend. It scatters a row of the input at a time into a row of sums.
#include "../host.h"
#include "../ops.h"

#include <math.h>
#include <string.h>

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    (void)sentence;
    if (problem->sum_type != UPCONV_F32)
        return "its sums are of double precision, not f16";
    return facts->info.backend == UPCONV_BACKEND_CPU ? NULL
                                                     : "it runs on the host, and this device's memory is its own";
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    (void)problem;
    (void)facts;
    memset(config, 0, sizeof *config);
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    (void)problem;
    (void)facts;
    (void)config;
    (void)sentence;
    return NULL;
}

static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    (void)facts;
    (void)config;
    return upc_problem_macs(problem) / 500 + 1; // what has no products has no other solver there
}

upconv_status upc_host_cook(const char *name, const upc_problem *problem, const upc_request *request,
                            uint64_t packed_bytes, upc_recipe *recipe)
{
    upc_step step = {.kind = UPC_STEP_HOST, .host = name, .bind_count = UPC_HOST_POINTERS};
    const bool slopes = problem->act == UPCONV_ACT_PRELU, bias = upc_op_takes(problem->op, UPCONV_BIAS);
    const uint64_t channels = (uint64_t)(problem->groups * problem->ocg) * 4;
    const uint64_t given = upc_weights_elements(problem) * upc_type_bytes(request->weights_type);
    const uint64_t weights = request->dynamic_weights ? given : packed_bytes;
    for (uint32_t i = 0; i < step.bind_count; i++)
        step.bind[i] = (upc_bind){UPC_WORKSPACE, 0, 0}; // of which there is none: NULL
    upc_problem shape;
    upc_result_shape(problem, &shape);
    if (upc_op_takes(problem->op, UPCONV_INPUT))
        step.bind[UPC_HOST_INPUT] = (upc_bind){UPC_INPUT, 0, upc_input_bytes(problem)};
    if (upc_op_takes(problem->op, UPCONV_OUTPUT_GRAD))
        step.bind[UPC_HOST_OUTPUT_GRAD] = (upc_bind){UPC_OUTPUT_GRAD, 0, upc_output_bytes(problem)};
    step.bind[UPC_HOST_OUTPUT] = (upc_bind){UPC_OUTPUT, 0, upc_output_bytes(&shape)};
    if (weights)
        step.bind[UPC_HOST_WEIGHTS] = (upc_bind){request->dynamic_weights ? UPC_WEIGHTS : UPC_PACKED, 0, weights};
    if (bias)
        step.bind[UPC_HOST_BIAS] = (upc_bind){UPC_BIAS, 0, channels};
    if (slopes || bias)
        step.bind[UPC_HOST_SLOPES] = (upc_bind){slopes ? UPC_SLOPES : UPC_BIAS, 0, channels};
    if (upc_op_takes(problem->op, UPCONV_INDICES))
        step.bind[UPC_HOST_INDICES] = (upc_bind){UPC_INDICES, 0, upc_indices_bytes(problem)};
    if (problem->residual)
        step.bind[UPC_HOST_RESIDUAL] = (upc_bind){UPC_RESIDUAL, 0, upc_output_bytes(problem)};
    recipe->packed_bytes = request->dynamic_weights ? 0 : weights;
    return upc_recipe_step(recipe, &step);
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    (void)facts;
    (void)config;
    return upc_host_cook("reference", problem, request, upc_weights_elements(problem) * 4, recipe);
}

// The app's order is kept: the host function reads any.
static upconv_status pack(const upc_env *env, const upc_problem *problem, const upc_facts *facts,
                          const upc_config *config, const float *weights, upconv_filter_order order, void *packed)
{
    (void)env;
    (void)facts;
    (void)config;
    (void)order;
    memcpy(packed, weights, upc_weights_elements(problem) * sizeof(float));
    return UPCONV_OK;
}

const upc_solver upc_solver_reference = {
    .name = "reference", .version = 1,
    .ops = 1u << UPCONV_CONV_TRANSPOSE | 1u << UPCONV_CONV | 1u << UPCONV_GRAD_FILTER | 1u << UPCONV_GRAD_BIAS |
           1u << UPCONV_MAX_POOL | 1u << UPCONV_MAX_UNPOOL,
    .refuse = refuse, .guess = guess, .legal = legal, .cost_us = cost_us, .cook = cook, .pack = pack,
};

// ------------------------------------------------------------------------------------------------- the host function

double upc_activate(double x, upconv_act act, double a, double b)
{
    switch (act) {
    case UPCONV_ACT_RELU: return x < 0 ? 0 : x;
    case UPCONV_ACT_LEAKY_RELU:
    case UPCONV_ACT_PRELU: return x < 0 ? a * x : x;
    case UPCONV_ACT_CLAMP: return x < a ? a : x > b ? b : x;
    case UPCONV_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case UPCONV_ACT_TANH: return tanh(x);
    case UPCONV_ACT_HARDSWISH: return x * fmin(fmax(x + 3, 0), 6) / 6;
    case UPCONV_ACT_SILU: return x / (1 + exp(-x));
    case UPCONV_ACT_GELU_ERF: return x / 2 * (1 + erf(x / sqrt(2)));
    case UPCONV_ACT_GELU_TANH: return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    default: return x;
    }
}

double upc_host_finish(const upc_problem *problem, double sum, double slope, double residual)
{
    const double a = problem->act == UPCONV_ACT_PRELU ? slope : problem->act_param[0];
    const double before = problem->residual == UPCONV_RESIDUAL_BEFORE_ACT ? residual : 0;
    const double y = upc_activate(sum + before, problem->act, a, problem->act_param[1]);
    return problem->residual == UPCONV_RESIDUAL_AFTER_ACT ? y + residual : y;
}

upconv_status upc_host_weights(const upc_env *env, const upc_host_arg *arg, const void *given, float **f32)
{
    *f32 = NULL;
    if (arg->packed || arg->weights_type == UPCONV_F32)
        return UPCONV_OK;
    const uint64_t count = upc_weights_elements(arg->problem);
    if (!(*f32 = upc_alloc_array(env, count, sizeof **f32)))
        return upc_no_memory(count * sizeof **f32);
    upc_half_to_many(*f32, given, count);
    return UPCONV_OK;
}

typedef struct scratch {
    double *sum; // of a row of the output
    float *row;  // of the input
} scratch;

typedef struct rows {
    const upc_host_arg *arg;
    const void *input, *residual;
    const float *weights, *bias, *slopes;
    void *output;
    upc_filter_strides strides;
    double *sums; // a row for each thread
    float *inputs; // the same
} rows;

// Adds one input row times one row of taps. The inputs that land within the output are a range, so nothing is tested
// inside.
static void scatter_row(const upc_axis *w, const float *x, const float *taps, int64_t tap_stride, double *sum)
{
    for (int64_t k = 0; k < w->kernel; k++) {
        const int64_t shift = k * w->dilation - w->pad;
        if (w->step > 1) { // stride is 1: the inputs that it meets are a step apart
            const int64_t from = UPC_MAX(upc_ceil_div(shift, w->step), 0);
            const int64_t to = UPC_MIN(upc_floor_div(w->in - 1 + shift, w->step), w->out - 1);
            const double factor = taps[k * tap_stride];
            for (int64_t o = from; o <= to; o++)
                sum[o] += (double)x[o * w->step - shift] * factor;
            continue;
        }
        const int64_t first = UPC_MAX(upc_ceil_div(-shift, w->stride), 0);
        const int64_t last = UPC_MIN(upc_floor_div(w->out - 1 - shift, w->stride), w->in - 1);
        const double weight = taps[k * tap_stride];
        for (int64_t i = first; i <= last; i++)
            sum[i * w->stride + shift] += (double)x[i] * weight;
    }
}

// A row of the input side by side and in f32: itself, or a copy in `row`.
static const float *input_row(const rows *r, int64_t at, float *row)
{
    const upc_problem *p = r->arg->problem;
    const int64_t step = p->in.axis[2];
    if (p->type == UPCONV_F32 && step == 1)
        return (const float *)r->input + at;
    for (int64_t i = 0; i < p->axis[2].in; i++)
        row[i] = upc_host_load(r->input, p->type, at + i * step);
    return row;
}

static void add_lines(const rows *r, int64_t image, int64_t group, int64_t oc, int64_t od, int64_t oh,
                      const scratch *own)
{
    const upc_problem *p = r->arg->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const float *weights = r->weights + r->strides.first + group * r->strides.group + oc * r->strides.out;
    for (int64_t kd = 0; kd < d->kernel; kd++) {
        const int64_t id = upc_axis_source(d, od, kd);
        for (int64_t kh = 0; id >= 0 && kh < h->kernel; kh++) {
            const int64_t ih = upc_axis_source(h, oh, kh);
            for (int64_t i = 0; ih >= 0 && i < p->icg; i++) {
                const int64_t at = upc_tensor_at(&p->in, image, group * p->icg + i, id, ih, 0);
                const float *taps = weights + i * r->strides.in + kd * r->strides.tap[0] + kh * r->strides.tap[1];
                scatter_row(w, input_row(r, at, own->row), taps, r->strides.tap[2], own->sum);
            }
        }
    }
}

// Row number `index` of the output, over all images, channels, planes and lines.
static void make_row(void *data, int64_t index, int thread)
{
    const rows *r = data;
    const upc_problem *p = r->arg->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const int64_t oh = index % h->out, od = index / h->out % d->out, c = index / h->out / d->out;
    const int64_t channels = p->groups * p->ocg, channel = c % channels;
    const scratch own = {r->sums + thread * w->out, r->inputs + thread * w->in};
    memset(own.sum, 0, (size_t)w->out * sizeof *own.sum);
    add_lines(r, c / channels, channel / p->ocg, channel % p->ocg, od, oh, &own);
    const int64_t row = upc_tensor_at(&p->out, c / channels, channel, od, oh, 0);
    for (int64_t o = 0; o < w->out; o++) {
        const int64_t at = row + o * p->out.axis[2];
        const double residual = p->residual ? upc_host_load(r->residual, p->type, at) : 0;
        const double y = upc_host_finish(p, own.sum[o] + r->bias[channel], r->slopes[channel], residual);
        upc_host_store(r->output, p->type, at, (float)y);
    }
}

upconv_status upc_host_reference(const upc_env *env, const void *data, void *const *pointers)
{
    const upc_host_arg *arg = data;
    const upc_problem *p = arg->problem;
    float *weights;
    upconv_status status = upc_host_weights(env, arg, pointers[1], &weights);
    if (status)
        return status;
    rows r = {.arg = arg, .input = pointers[0], .weights = weights ? weights : pointers[1], .bias = pointers[2],
              .slopes = pointers[3], .output = pointers[4], .residual = pointers[5]};
    upc_filter_strides_get(p, arg->order, &r.strides);
    const int64_t count = p->batch * p->groups * p->ocg * p->axis[0].out * p->axis[1].out;
    // each thread has a row of sums and one of inputs; starting one costs more than a small problem
    const int threads = upc_problem_macs(p) < 1e6 ? 1 : (int)UPC_MIN(count, upc_processors());
    const size_t sums = (size_t)threads * (size_t)p->axis[2].out, inputs = (size_t)threads * (size_t)p->axis[2].in;
    r.sums = upc_alloc_array(env, sums, sizeof *r.sums);
    r.inputs = upc_alloc_array(env, inputs, sizeof *r.inputs);
    if (r.sums && r.inputs)
        upc_parallel(threads, count, make_row, &r);
    else
        status = upc_no_memory(sums * sizeof *r.sums + inputs * sizeof *r.inputs);
    upc_free(env, r.sums);
    upc_free(env, r.inputs);
    upc_free(env, weights);
    return status;
}

double upc_host_reference_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5])
{
    const upc_problem *p = arg->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const int64_t channel = at[1], group = channel / p->ocg;
    const float *bias = pointers[2], *slopes = pointers[3];
    upc_filter_strides strides;
    upc_filter_strides_get(p, arg->order, &strides);
    const float *taps =
        (const float *)pointers[1] + strides.first + group * strides.group + channel % p->ocg * strides.out;
    double sum = bias[channel];
    for (int64_t k = 0; k < d->kernel * h->kernel * w->kernel; k++) {
        const int64_t kd = k / (h->kernel * w->kernel), kh = k / w->kernel % h->kernel, kw = k % w->kernel;
        const int64_t id = upc_axis_source(d, at[2], kd), ih = upc_axis_source(h, at[3], kh);
        const int64_t iw = upc_axis_source(w, at[4], kw);
        if (id < 0 || ih < 0 || iw < 0)
            continue;
        for (int64_t i = 0; i < p->icg; i++) {
            const int64_t from = upc_tensor_at(&p->in, at[0], group * p->icg + i, id, ih, iw);
            sum += (double)upc_host_load(pointers[0], p->type, from) *
                   taps[i * strides.in + kd * strides.tap[0] + kh * strides.tap[1] + kw * strides.tap[2]];
        }
    }
    return upc_host_finish(p, sum, slopes[channel],
                           p->residual ? upc_host_load(pointers[5], p->type, upc_output_at(p, at)) : 0);
}

double upc_reference_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5])
{
    return upc_op_of(arg->problem->op)->point(arg, pointers, at);
}

upconv_status upc_reference_all(const upc_env *env, const upc_host_arg *arg, void *const *pointers)
{
    return upc_op_of(arg->problem->op)->reference(env, arg, pointers);
}

// Each operation's own.
static upconv_status run_reference(const upc_env *env, const void *arg, void *const *pointers)
{
    return upc_reference_all(env, arg, pointers);
}

upc_host_fn upc_host_find(const char *name)
{
    static const struct {
        const char *name;
        upc_host_fn function;
    } table[] = {{"reference", run_reference}, {"reference_q", upc_host_quantised}, {"phase", upc_host_phase},
                 {"direct", upc_host_direct},
                 {"sample", upc_host_sample}};
    for (size_t i = 0; i < UPC_COUNT(table); i++)
        if (!strcmp(table[i].name, name))
            return table[i].function;
    return NULL;
}
