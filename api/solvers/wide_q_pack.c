#include "wide_q.h"

#include <string.h>

void upc_wide_q_fill(const upc_problem *problem, upc_wide_q *how)
{
    const upc_axis *a = problem->axis;
    const uint64_t taps = (uint64_t)(a[0].kernel * a[1].kernel * a[2].kernel);
    how->oc = how->along ? how->vectors : how->vectors * how->vec;
    how->span = how->along ? how->tile * how->vec : how->tile;
    how->per = how->quads ? 4 : 2;
    how->words = upc_ceil_div(problem->icg, how->per);
    how->rows = how->words + how->quads;
    how->inner = how->stage && !how->along && upc_wide_q_dense(problem, how->per) >= 2;
    for (int i = 0; i < 3; i++) {
        int64_t least, most;
        upc_taps_reach(&a[i], 0, 0, &least, &most);
        how->lines[i] = i < 2 ? 1 - least : -least + (a[2].pad % upc_taps_stride(&a[2]) != 0);
    }
    const uint64_t blocks = (uint64_t)(problem->groups * upc_ceil_div(problem->ocg, how->oc));
    how->weights = blocks * taps * (uint64_t)(how->rows * how->oc) * 4;
    how->factors_at = upc_round_up(how->weights, 16);
    how->bytes = how->factors_at + blocks * (uint64_t)how->oc * 12;
}

bool upc_wide_q_bytes(const upc_problem *problem, upconv_type weights_type)
{
    return problem->type != UPCONV_I16 && !upc_quant_wide(problem) &&
           problem->quant.weights_zero == (weights_type == UPCONV_I8 ? 0 : 128);
}

int64_t upc_wide_q_own(const upc_wide_q *how) { return how->lines[0] * how->lines[1] * how->words * (how->span + how->lines[2]); }

typedef struct packing {
    const upc_problem *problem;
    const upc_wide_q *how;
    const upconv_plan_params *params;
    upc_filter_strides from;
    int16_t *to;
} packing;

// A tap of a block: [word][oc][2], zeros beyond the last channels. from: its first weight; to: its first word.
static void pack_tap(const packing *p, int64_t from, int64_t to, int64_t channels)
{
    const int32_t zero = p->problem->quant.weights_zero;
    for (int64_t i = 0; i < p->how->words * 2; i++)
        for (int64_t o = 0; o < p->how->oc; o++) {
            const int64_t at = from + i * p->from.in + o * p->from.out;
            const bool inside = o < channels && i < p->problem->icg;
            p->to[(to + i / 2 * p->how->oc + o) * 2 + i % 2] =
                (int16_t)(inside ? upc_quant_load(p->params->weights, p->params->weights_type, at) - zero : 0);
        }
}

// The same of bytes, after a row of what the inputs' zero point takes off.
static void pack_quads(const packing *p, int64_t from, int64_t to, int64_t channels)
{
    const int32_t zero = p->problem->quant.weights_zero, zero_in = upc_q_unsigned_zero(p->problem);
    const int64_t oc = p->how->oc;
    uint32_t *row = (uint32_t *)p->to + to;
    int8_t *words = (int8_t *)(row + oc);
    memset(row, 0, (size_t)(p->how->rows * oc) * sizeof *row);
    for (int64_t i = 0; i < p->problem->icg; i++)
        for (int64_t o = 0; o < channels; o++) {
            const int32_t w =
                upc_quant_load(p->params->weights, p->params->weights_type, from + i * p->from.in + o * p->from.out) -
                zero;
            words[(i / 4 * oc + o) * 4 + i % 4] = (int8_t)w;
            row[o] -= (uint32_t)(w * zero_in);
        }
}

// [group][block][3][oc]
static upconv_status pack_factors(const packing *p, const upc_env *env, int32_t *to)
{
    const int64_t ocg = p->problem->ocg, oc = p->how->oc, blocks = upc_ceil_div(ocg, oc),
                  all = p->problem->groups * ocg;
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

upconv_status upc_wide_q_pack(const upc_env *env, const upc_problem *problem, const upc_wide_q *how,
                              const upconv_plan_params *params, void *packed)
{
    upc_taps taps;
    packing p = {.problem = problem, .how = how, .params = params, .to = packed};
    if (!params->weights) // they come at execution, and the plan keeps the factors alone
        return pack_factors(&p, env, packed);
    const upconv_status status = upc_taps_init(&taps, env, problem, true);
    if (status)
        return status;
    upc_filter_strides_get(problem, params->order, &p.from);
    const int64_t kh = problem->axis[1].kernel, kw = problem->axis[2].kernel, all = problem->axis[0].kernel * kh * kw;
    const int64_t blocks = upc_ceil_div(problem->ocg, how->oc), tap = how->rows * how->oc;
    for (int64_t b = 0; b < problem->groups * blocks; b++)
        for (int64_t k = 0; k < all; k++) {
            const int64_t at[3] = {k / (kh * kw), k / kw % kh, k % kw}, c = b % blocks * how->oc;
            const int64_t from = b / blocks * p.from.group + c * p.from.out + at[0] * p.from.tap[0] +
                                 at[1] * p.from.tap[1] + at[2] * p.from.tap[2];
            (how->quads ? pack_quads : pack_tap)(&p, from, (b * all + upc_taps_position(&taps, problem, at)) * tap,
                                                 UPC_MIN(problem->ocg - c, how->oc));
        }
    upc_taps_finish(&taps);
    memset((char *)packed + how->weights, 0, how->factors_at - how->weights);
    return pack_factors(&p, env, (int32_t *)((char *)packed + how->factors_at));
}
