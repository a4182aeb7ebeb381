// The definition of quantised transposed convolution, on the host: the CPU backend of quantised types, and what the kernels are held to.
#include "../host.h"
#include "../quant.h"

#include <string.h>

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    (void)problem;
    (void)sentence;
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
    return upc_problem_macs(problem) / 300 + 1;
}

// Packed: the factors of all output channels, then the weights without their zero point, in the order [group][output channel][tap][input
// channel], so that what an output adds up lies side by side where the input's channels do. Of weights given at execution every execution
// makes that for itself, and the plan keeps the factors alone.
uint64_t upc_quantised_factor_bytes(const upc_problem *problem)
{
    return (uint64_t)(problem->groups * problem->ocg) * sizeof(upc_factor);
}

uint64_t upc_quantised_packed_bytes(const upc_problem *problem)
{
    return upc_quantised_factor_bytes(problem) + upc_weights_elements(problem) * sizeof(int16_t);
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    (void)facts;
    (void)config;
    const uint64_t factors = upc_quantised_factor_bytes(problem), all = upc_quantised_packed_bytes(problem);
    const upconv_status status = upc_host_cook("reference_q", problem, request, all, recipe);
    if (status)
        return status;
    upc_bind *bind = recipe->steps[0].bind;
    bind[UPC_HOST_BIAS].range *= request->bias_int64 ? 2 : 1;
    bind[UPC_HOST_FACTORS] = (upc_bind){UPC_PACKED, 0, factors};
    if (!request->dynamic_weights)
        bind[UPC_HOST_WEIGHTS] = (upc_bind){UPC_PACKED, factors, all - factors};
    recipe->packed_bytes = request->dynamic_weights ? factors : all;
    return UPCONV_OK;
}

static void pack_weights(const upc_problem *problem, const void *weights, upconv_type type, upconv_filter_order order,
                         int16_t *to)
{
    upc_filter_strides s;
    upc_filter_strides_get(problem, order, &s);
    const int64_t kh = problem->axis[1].kernel, kw = problem->axis[2].kernel, taps = problem->axis[0].kernel * kh * kw;
    for (int64_t c = 0; c < problem->groups * problem->ocg; c++)
        for (int64_t k = 0; k < taps; k++) {
            const int64_t from = c / problem->ocg * s.group + c % problem->ocg * s.out + k / (kh * kw) * s.tap[0] +
                                 k / kw % kh * s.tap[1] + k % kw * s.tap[2];
            for (int64_t i = 0; i < problem->icg; i++)
                *to++ = (int16_t)(upc_quant_load(weights, type, from + i * s.in) - problem->quant.weights_zero);
        }
}

void upc_quantised_pack(const upc_problem *problem, const upconv_plan_params *params, void *packed)
{
    upc_quant_factors(problem, params, packed);
    if (params->weights)
        pack_weights(problem, params->weights, params->weights_type, params->order,
                     (int16_t *)((char *)packed + upc_quantised_factor_bytes(problem)));
}

static upconv_status pack(const upc_env *env, const upc_problem *problem, const upc_config *config,
                          const upconv_plan_params *params, void *packed)
{
    (void)env;
    (void)config;
    upc_quantised_pack(problem, params, packed);
    return UPCONV_OK;
}

const upc_solver upc_solver_reference_q = {
    .name = "reference_q", .version = 1, .quantised = true, .refuse = refuse, .guess = guess, .legal = legal, .cost_us = cost_us,
    .cook = cook, .pack_quantised = pack,
};

// ------------------------------------------------------------------------------------------------- the host function

typedef struct rows {
    const upc_host_arg *arg;
    const void *input, *bias;
    const upc_factor *factors;
    const int16_t *weights;
    void *output;
    int32_t range[2];
} rows;

// One tap's products over the channels of a group.
static int64_t tap_sum(const rows *r, int64_t from, int64_t channel, const int16_t *weights)
{
    const upc_problem *p = r->arg->problem;
    const int32_t zero = p->quant.in_zero;
    const bool blocks = p->in.pack > 1; // then `channel`, the first of the group, need not begin one
    int64_t sum = 0;
    for (int64_t i = 0; i < p->icg; i++) {
        const int64_t at =
            blocks ? from + upc_tensor_at(&p->in, 0, channel + i, 0, 0, 0) : from + (channel + i) * p->in.channel;
        sum += (int64_t)(upc_quant_load(r->input, p->type, at) - zero) * weights[i];
    }
    return sum;
}

static int64_t point(const rows *r, int64_t image, int64_t channel, const int64_t out[3])
{
    const upc_problem *p = r->arg->problem;
    const upc_axis *a = p->axis;
    const int64_t taps = a[0].kernel * a[1].kernel * a[2].kernel, first = channel / p->ocg * p->icg;
    const int16_t *weights = r->weights + channel * taps * p->icg;
    uint64_t sum = r->arg->bias_int64 ? (uint64_t)((const int64_t *)r->bias)[channel]
                                      : (uint64_t)((const int32_t *)r->bias)[channel];
    for (int64_t k = 0; k < taps; k++) {
        const int64_t id = upc_axis_source(&a[0], out[0], k / (a[1].kernel * a[2].kernel));
        const int64_t ih = id < 0 ? -1 : upc_axis_source(&a[1], out[1], k / a[2].kernel % a[1].kernel);
        const int64_t iw = ih < 0 ? -1 : upc_axis_source(&a[2], out[2], k % a[2].kernel);
        if (iw >= 0)
            sum += (uint64_t)tap_sum(r, upc_tensor_at(&p->in, image, 0, id, ih, iw), first, weights + k * p->icg);
    }
    return (int64_t)sum;
}

static int32_t made(const rows *r, int64_t image, int64_t channel, const int64_t out[3])
{
    const upc_problem *p = r->arg->problem;
    const int64_t y = (int64_t)upc_requantise(p->quant.requant, point(r, image, channel, out), &r->factors[channel]) +
                      p->quant.out_zero;
    return (int32_t)UPC_MIN(UPC_MAX(y, r->range[0]), r->range[1]);
}

static rows rows_of(const upc_host_arg *arg, const void *const *pointers, void *output)
{
    rows r = {.arg = arg, .input = pointers[UPC_HOST_INPUT], .factors = pointers[UPC_HOST_FACTORS], .bias = pointers[UPC_HOST_BIAS],
              .weights = pointers[UPC_HOST_WEIGHTS], .output = output};
    upc_quant_range(arg->problem, r.range);
    return r;
}

int32_t upc_quantised_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5])
{
    const rows r = rows_of(arg, pointers, NULL);
    return made(&r, at[0], at[1], at + 2);
}

// Row number `index` of the output, over all images, channels, planes and lines.
static void make_row(void *data, int64_t index, int thread)
{
    (void)thread;
    const rows *r = data;
    const upc_problem *p = r->arg->problem;
    const int64_t channels = p->groups * p->ocg, lines = p->axis[1].out, planes = p->axis[0].out;
    const int64_t c = index / lines / planes % channels, image = index / lines / planes / channels;
    int64_t out[3] = {index / lines % planes, index % lines, 0};
    for (; out[2] < p->axis[2].out; out[2]++)
        upc_quant_store(r->output, p->type, upc_tensor_at(&p->out, image, c, out[0], out[1], out[2]),
                        made(r, image, c, out));
}

upconv_status upc_host_quantised(const upc_env *env, const void *data, void *const *pointers)
{
    const upc_host_arg *arg = data;
    const upc_problem *p = arg->problem;
    const uint64_t weights = upc_weights_elements(p);
    int16_t *packed = NULL;
    rows r = rows_of(arg, (const void *const *)pointers, pointers[UPC_HOST_OUTPUT]);
    if (!arg->packed) {
        if (!(packed = upc_alloc_array(env, weights, sizeof *packed)))
            return upc_no_memory(weights * sizeof *packed);
        pack_weights(p, pointers[UPC_HOST_WEIGHTS], arg->weights_type, arg->order, packed);
        r.weights = packed;
    }
    const int64_t count = p->batch * p->groups * p->ocg * p->axis[0].out * p->axis[1].out;
    const int threads = upc_problem_macs(p) < 1e6 ? 1 : (int)UPC_MIN(count, upc_processors()); // starting one costs more
    upc_parallel(threads, count, make_row, &r);
    upc_free(env, packed);
    return UPCONV_OK;
}
