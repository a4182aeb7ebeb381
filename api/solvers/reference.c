// The definition, in double precision on the host: the oracle that everything else is measured against, and the CPU backend. It
// scatters a row of the input at a time into a row of sums.
#include "../host.h"

#include <math.h>
#include <string.h>

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    (void)problem;
    (void)sentence;
    return facts->info.backend == UPCONV_BACKEND_CPU ? NULL : "it runs on the host, and this device's memory is its own";
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
    return upc_problem_macs(problem) / 500 + 1;
}

upconv_status upc_host_cook(const char *name, const upc_problem *problem, const upc_request *request,
                            uint64_t packed_bytes, upc_recipe *recipe)
{
    upc_step step = {.kind = UPC_STEP_HOST, .host = name, .bind_count = 5};
    const uint64_t channels = (uint64_t)(problem->groups * problem->ocg) * 4;
    const uint64_t weights = request->dynamic_weights ? upc_weights_elements(problem) * 4 : packed_bytes;
    step.bind[0] = (upc_bind){UPC_INPUT, 0, upc_input_elements(problem) * 4};
    step.bind[1] = (upc_bind){request->dynamic_weights ? UPC_WEIGHTS : UPC_PACKED, 0, weights};
    step.bind[2] = (upc_bind){UPC_BIAS, 0, channels};
    step.bind[3] = (upc_bind){problem->act == UPCONV_ACT_PRELU ? UPC_SLOPES : UPC_BIAS, 0, channels};
    step.bind[4] = (upc_bind){UPC_OUTPUT, 0, upc_output_elements(problem) * 4};
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
    .name = "reference", .version = 1, .refuse = refuse, .guess = guess, .legal = legal, .cost_us = cost_us,
    .cook = cook, .pack = pack,
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

typedef struct rows {
    const upc_host_arg *arg;
    const float *input, *weights, *bias, *slopes;
    float *output;
    upc_filter_strides strides;
    double *sums; // a row for each thread
} rows;

// Adds one input row times one row of taps. The inputs that land within the output are a range, so nothing is tested inside.
static void scatter_row(const upc_axis *w, const float *x, const float *taps, int64_t tap_stride, double *sum)
{
    for (int64_t k = 0; k < w->kernel; k++) {
        const int64_t shift = k * w->dilation - w->pad;
        const int64_t first = UPC_MAX(upc_ceil_div(-shift, w->stride), 0);
        const int64_t last = UPC_MIN(upc_floor_div(w->out - 1 - shift, w->stride), w->in - 1);
        const double weight = taps[k * tap_stride];
        for (int64_t i = first; i <= last; i++)
            sum[i * w->stride + shift] += (double)x[i] * weight;
    }
}

static void add_lines(const rows *r, int64_t image, int64_t group, int64_t oc, int64_t od, int64_t oh, double *sum)
{
    const upc_problem *p = r->arg->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const float *weights = r->weights + group * r->strides.group + oc * r->strides.out;
    for (int64_t kd = 0; kd < d->kernel; kd++) {
        const int64_t id = upc_axis_source(d, od, kd);
        for (int64_t kh = 0; id >= 0 && kh < h->kernel; kh++) {
            const int64_t ih = upc_axis_source(h, oh, kh);
            for (int64_t i = 0; ih >= 0 && i < p->icg; i++) {
                const float *x = r->input +
                                 ((((image * p->groups + group) * p->icg + i) * d->in + id) * h->in + ih) * w->in;
                const float *taps = weights + i * r->strides.in + kd * r->strides.tap[0] + kh * r->strides.tap[1];
                scatter_row(w, x, taps, r->strides.tap[2], sum);
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
    double *sum = r->sums + thread * w->out;
    memset(sum, 0, (size_t)w->out * sizeof *sum);
    add_lines(r, c / channels, channel / p->ocg, channel % p->ocg, od, oh, sum);
    float *row = r->output + index * w->out;
    const double a = p->act == UPCONV_ACT_PRELU ? r->slopes[channel] : p->act_param[0], b = p->act_param[1];
    for (int64_t o = 0; o < w->out; o++)
        row[o] = (float)upc_activate(sum[o] + r->bias[channel], p->act, a, b);
}

upconv_status upc_host_reference(const upc_env *env, const void *data, void *const *pointers)
{
    const upc_host_arg *arg = data;
    const upc_problem *p = arg->problem;
    rows r = {.arg = arg, .input = pointers[0], .weights = pointers[1], .bias = pointers[2], .slopes = pointers[3],
              .output = pointers[4]};
    upc_filter_strides_get(p, arg->order, &r.strides);
    const int64_t count = p->batch * p->groups * p->ocg * p->axis[0].out * p->axis[1].out;
    // each thread has a row of sums; starting one costs more than a small problem
    const int threads = upc_problem_macs(p) < 1e6 ? 1 : (int)UPC_MIN(count, upc_processors());
    r.sums = upc_alloc_array(env, (size_t)threads * (size_t)p->axis[2].out, sizeof *r.sums);
    if (!r.sums)
        return upc_no_memory((size_t)threads * (size_t)p->axis[2].out * sizeof *r.sums);
    upc_parallel(threads, count, make_row, &r);
    upc_free(env, r.sums);
    return UPCONV_OK;
}

double upc_reference_point(const upc_host_arg *arg, const float *input, const float *weights, const float *bias,
                           const float *slopes, const int64_t at[5])
{
    const upc_problem *p = arg->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const int64_t channel = at[1], group = channel / p->ocg;
    upc_filter_strides strides;
    upc_filter_strides_get(p, arg->order, &strides);
    const float *taps = weights + group * strides.group + channel % p->ocg * strides.out;
    double sum = 0;
    for (int64_t k = 0; k < d->kernel * h->kernel * w->kernel; k++) {
        const int64_t kd = k / (h->kernel * w->kernel), kh = k / w->kernel % h->kernel, kw = k % w->kernel;
        const int64_t id = upc_axis_source(d, at[2], kd), ih = upc_axis_source(h, at[3], kh), iw = upc_axis_source(w, at[4], kw);
        if (id < 0 || ih < 0 || iw < 0)
            continue;
        for (int64_t i = 0; i < p->icg; i++)
            sum += (double)input[((((at[0] * p->groups + group) * p->icg + i) * d->in + id) * h->in + ih) * w->in + iw] *
                   taps[i * strides.in + kd * strides.tap[0] + kh * strides.tap[1] + kw * strides.tap[2]];
    }
    const double a = p->act == UPCONV_ACT_PRELU ? slopes[channel] : p->act_param[0];
    return upc_activate(sum + (bias ? bias[channel] : 0), p->act, a, p->act_param[1]);
}

upc_host_fn upc_host_find(const char *name)
{
    static const struct {
        const char *name;
        upc_host_fn function;
    } table[] = {{"reference", upc_host_reference}, {"phase", upc_host_phase}, {"direct", upc_host_direct}};
    for (size_t i = 0; i < UPC_COUNT(table); i++)
        if (!strcmp(table[i].name, name))
            return table[i].function;
    return NULL;
}
