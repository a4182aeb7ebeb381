#include "wide_q.h"

#include <string.h>

void upc_wide_q_fill(const upc_problem *problem, upc_wide_q *how)
{
    const upc_axis *a = problem->axis;
    const uint64_t taps = (uint64_t)(a[0].kernel * a[1].kernel * a[2].kernel);
    how->oc = how->along ? how->vectors : how->vectors * how->vec;
    how->span = how->along ? how->tile * how->vec : how->tile;
    how->words = upc_ceil_div(problem->icg, 2);
    const uint64_t blocks = (uint64_t)(problem->groups * upc_ceil_div(problem->ocg, how->oc));
    how->weights = blocks * taps * (uint64_t)(how->words * how->oc) * 4;
    how->factors_at = upc_round_up(how->weights, 16);
    how->bytes = how->factors_at + blocks * (uint64_t)how->oc * 12;
}

typedef struct packing {
    const upc_problem *problem;
    const upc_wide_q *how;
    const upconv_plan_params *params;
    upc_filter_strides from;
    int16_t *to;
} packing;

// A tap of a block: [word][oc][2], zeros beyond the last channels.
static void pack_tap(const packing *p, int64_t from, int64_t to, int64_t channels)
{
    const int32_t zero = p->problem->quant.weights_zero;
    for (int64_t i = 0; i < p->how->words * 2; i++)
        for (int64_t o = 0; o < p->how->oc; o++) {
            const int64_t at = from + i * p->from.in + o * p->from.out;
            const bool inside = o < channels && i < p->problem->icg;
            p->to[to + (i / 2 * p->how->oc + o) * 2 + i % 2] =
                (int16_t)(inside ? upc_quant_load(p->params->weights, p->params->weights_type, at) - zero : 0);
        }
}

// [group][block][3][oc]
static upconv_status pack_factors(const packing *p, const upc_env *env, int32_t *to)
{
    const int64_t ocg = p->problem->ocg, oc = p->how->oc, blocks = upc_ceil_div(ocg, oc), all = p->problem->groups * ocg;
    upc_factor *factors = upc_alloc_array(env, (uint64_t)all, sizeof *factors);
    if (!factors)
        return upc_no_memory((uint64_t)all * sizeof *factors);
    upc_quant_factors(p->problem, p->params, factors);
    for (int64_t b = 0; b < p->problem->groups * blocks; b++)
        for (int64_t o = 0; o < oc; o++) {
            const int64_t c = b % blocks * oc + o;
            for (int w = 0; w < 3; w++)
                to[(b * 3 + w) * oc + o] = c < ocg ? factors[b / blocks * ocg + c].word[w] : 0;
        }
    upc_free(env, factors);
    return UPCONV_OK;
}

upconv_status upc_wide_q_pack(const upc_env *env, const upc_problem *problem, const upc_wide_q *how, const upconv_plan_params *params,
                              void *packed)
{
    upc_taps taps;
    const upconv_status status = upc_taps_init(&taps, env, problem, true);
    if (status)
        return status;
    packing p = {.problem = problem, .how = how, .params = params, .to = packed};
    upc_filter_strides_get(problem, params->order, &p.from);
    const int64_t kh = problem->axis[1].kernel, kw = problem->axis[2].kernel, all = problem->axis[0].kernel * kh * kw;
    const int64_t blocks = upc_ceil_div(problem->ocg, how->oc), tap = how->words * how->oc * 2;
    for (int64_t b = 0; b < problem->groups * blocks; b++)
        for (int64_t k = 0; k < all; k++) {
            const int64_t at[3] = {k / (kh * kw), k / kw % kh, k % kw}, c = b % blocks * how->oc;
            const int64_t from = b / blocks * p.from.group + c * p.from.out + at[0] * p.from.tap[0] + at[1] * p.from.tap[1] +
                                 at[2] * p.from.tap[2];
            pack_tap(&p, from, (b * all + upc_taps_position(&taps, problem, at)) * tap, UPC_MIN(problem->ocg - c, how->oc));
        }
    upc_taps_finish(&taps);
    memset((char *)packed + how->weights, 0, how->factors_at - how->weights);
    return pack_factors(&p, env, (int32_t *)((char *)packed + how->factors_at));
}
