#include "phase_q.h"

#include <string.h>

// The products want inputs and weights with a sign or without; adding 128 to what has one, or taking it off what has none, moves the
// zero points with it.
static void fill_dot(const upc_problem *problem, upc_dot dot, upconv_type weights_type, upc_phase_q *how)
{
    const bool x_signed = dot == UPC_DOT_SIGNED, w_signed = dot != UPC_DOT_UNSIGNED;
    how->weight_bits = 8;
    how->more = 4; // a word
    how->x_flip = x_signed != (problem->type == UPCONV_I8);
    how->x_zero = problem->quant.in_zero + (how->x_flip ? (x_signed ? -128 : 128) : 0);
    how->w_zero = problem->quant.weights_zero;
    if (w_signed != (weights_type == UPCONV_I8))
        how->w_zero += w_signed ? -128 : 128;
}

void upc_phase_q_fill(const upc_problem *problem, int64_t oc, upc_dot dot, upconv_type weights_type, upc_phase_q *how)
{
    const upc_axis *a = problem->axis;
    const uint64_t taps = (uint64_t)(a[0].kernel * a[1].kernel * a[2].kernel);
    const uint64_t blocks = (uint64_t)(problem->groups * upc_ceil_div(problem->ocg, oc));
    *how = (upc_phase_q){.oc = oc, .dot = dot};
    how->weight_bits = weights_type == UPCONV_I8 && problem->quant.weights_zero == 0 ? 8 : 16;
    if (dot)
        fill_dot(problem, dot, weights_type, how);
    how->weights = blocks * taps * (uint64_t)((problem->icg + how->more) * oc) * (uint64_t)(how->weight_bits / 8);
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

// The same for products of four bytes: [oc] words, -x_zero times the sum of what the weights are without their zero point; then
// [input channel / 4][oc][4].
static void pack_tap_dot(const packing *p, int64_t from, int64_t to, int64_t channels)
{
    const upc_phase_q *how = p->how;
    const int32_t move = how->w_zero - p->problem->quant.weights_zero;
    for (int64_t o = 0; o < how->oc; o++) {
        uint8_t *const bytes = (uint8_t *)p->to + to;
        uint32_t sum = 0;
        for (int64_t i = 0; i < p->problem->icg; i++) {
            const int64_t at = from + i * p->from.in + o * p->from.out;
            const int32_t w =
                o < channels ? upc_quant_load(p->params->weights, p->params->weights_type, at) + move : how->w_zero;
            bytes[(how->oc + i / 4 * how->oc + o) * 4 + i % 4] = (uint8_t)w;
            sum += (uint32_t)(w - how->w_zero);
        }
        const uint32_t fix = 0u - (uint32_t)how->x_zero * sum;
        memcpy(bytes + o * 4, &fix, sizeof fix);
    }
}

upconv_status upc_phase_q_pack(const upc_env *env, const upc_problem *problem, int64_t oc, upc_dot dot,
                               const upconv_plan_params *params, void *packed)
{
    upc_phase_q how;
    upc_taps taps;
    if (!params->weights) { // they come at execution, and the plan keeps the factors alone
        upc_quant_factors(problem, params, packed);
        return UPCONV_OK;
    }
    upc_phase_q_fill(problem, oc, dot, params->weights_type, &how);
    const upconv_status status = upc_taps_init(&taps, env, problem, true);
    if (status)
        return status;
    packing p = {.problem = problem, .how = &how, .params = params, .to = packed};
    upc_filter_strides_get(problem, params->order, &p.from);
    const int64_t kh = problem->axis[1].kernel, kw = problem->axis[2].kernel, all = problem->axis[0].kernel * kh * kw;
    const int64_t blocks = upc_ceil_div(problem->ocg, oc), tap = (problem->icg + how.more) * oc;
    for (int64_t b = 0; b < problem->groups * blocks; b++)
        for (int64_t k = 0; k < all; k++) {
            const int64_t at[3] = {k / (kh * kw), k / kw % kh, k % kw}, c = b % blocks * oc;
            const int64_t from = b / blocks * p.from.group + c * p.from.out + at[0] * p.from.tap[0] +
                                 at[1] * p.from.tap[1] + at[2] * p.from.tap[2];
            const int64_t to = (b * all + upc_taps_position(&taps, problem, at)) * tap;
            (dot ? pack_tap_dot : pack_tap)(&p, from, to, UPC_MIN(problem->ocg - c, oc));
        }
    upc_taps_finish(&taps);
    memset((char *)packed + how.weights, 0, how.factors_at - how.weights);
    upc_factor *factors = (upc_factor *)((char *)packed + how.factors_at);
    upc_quant_factors(problem, params, factors);
    return UPCONV_OK;
}
