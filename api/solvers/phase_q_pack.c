#include "phase_q.h"

#include <string.h>

void upc_phase_q_fill(const upc_problem *problem, int64_t oc, upconv_type weights_type, upc_phase_q *how)
{
    const upc_axis *a = problem->axis;
    const uint64_t taps = (uint64_t)(a[0].kernel * a[1].kernel * a[2].kernel);
    const uint64_t blocks = (uint64_t)(problem->groups * upc_ceil_div(problem->ocg, oc));
    how->oc = oc;
    how->weight_bits = weights_type == UPCONV_I8 && problem->quant.weights_zero == 0 ? 8 : 16;
    how->weights = blocks * taps * (uint64_t)(problem->icg * oc) * (uint64_t)(how->weight_bits / 8);
    how->factors_at = upc_round_up(how->weights, 16);
    how->bytes = how->factors_at + (uint64_t)(problem->groups * problem->ocg) * sizeof(upc_factor);
}

typedef struct packing {
    const upc_problem *problem;
    const upc_phase_q *how;
    const upconv_plan_params *params;
    upc_filter_strides from;
    void *to;
} packing;

// A tap of a block: [input channel][oc], zeros beyond the last output channel.
static void pack_tap(const packing *p, int64_t from, int64_t to, int64_t channels)
{
    const int32_t zero = p->problem->quant.weights_zero;
    for (int64_t i = 0; i < p->problem->icg; i++)
        for (int64_t o = 0; o < p->how->oc; o++, to++) {
            const int64_t at = from + i * p->from.in + o * p->from.out;
            const int32_t w = o < channels ? upc_quant_load(p->params->weights, p->params->weights_type, at) - zero : 0;
            if (p->how->weight_bits == 8)
                ((int8_t *)p->to)[to] = (int8_t)w;
            else
                ((int16_t *)p->to)[to] = (int16_t)w;
        }
}

upconv_status upc_phase_q_pack(const upc_env *env, const upc_problem *problem, int64_t oc, const upconv_plan_params *params,
                               void *packed)
{
    upc_phase_q how;
    upc_taps taps;
    upc_phase_q_fill(problem, oc, params->weights_type, &how);
    const upconv_status status = upc_taps_init(&taps, env, problem, true);
    if (status)
        return status;
    packing p = {.problem = problem, .how = &how, .params = params, .to = packed};
    upc_filter_strides_get(problem, params->order, &p.from);
    const int64_t kh = problem->axis[1].kernel, kw = problem->axis[2].kernel, all = problem->axis[0].kernel * kh * kw;
    const int64_t blocks = upc_ceil_div(problem->ocg, oc), tap = problem->icg * oc;
    for (int64_t b = 0; b < problem->groups * blocks; b++)
        for (int64_t k = 0; k < all; k++) {
            const int64_t at[3] = {k / (kh * kw), k / kw % kh, k % kw}, c = b % blocks * oc;
            const int64_t from = b / blocks * p.from.group + c * p.from.out + at[0] * p.from.tap[0] + at[1] * p.from.tap[1] +
                                 at[2] * p.from.tap[2];
            pack_tap(&p, from, (b * all + upc_taps_position(&taps, problem, at)) * tap, UPC_MIN(problem->ocg - c, oc));
        }
    upc_taps_finish(&taps);
    memset((char *)packed + how.weights, 0, how.factors_at - how.weights);
    upc_factor *factors = (upc_factor *)((char *)packed + how.factors_at);
    upc_quant_factors(problem, params, factors);
    return UPCONV_OK;
}
