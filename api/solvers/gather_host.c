// The gathering solvers on the processor, in f32: the same algebra, tables and packed weights as their kernels. So the whole of the
// planner works, and can be tested, where there is no GPU.
#include "gather.h"

#include <string.h>

#include "../host.h"

enum { TILE = 8, MOST_OC = 16 };

typedef struct gathering {
    const upc_host_arg *arg;
    const upc_taps *taps;
    const float *input, *weights, *bias, *slopes;
    float *output;
    int64_t oc, blocks;
    int64_t q0[3], qn[3]; // positions on each axis
} gathering;

// Where the item at hand is.
typedef struct place {
    int64_t image, group, block;
    int64_t q[3];
    int64_t out[3];
} place;

static void store(const gathering *g, const place *at, int64_t ow, const float *sum)
{
    const upc_problem *p = g->arg->problem;
    const int64_t plane = p->axis[0].out * p->axis[1].out * p->axis[2].out;
    const int64_t spatial = (at->out[0] * p->axis[1].out + at->out[1]) * p->axis[2].out + ow;
    for (int64_t c = 0; c < g->oc && at->block * g->oc + c < p->ocg; c++) {
        const int64_t channel = at->group * p->ocg + at->block * g->oc + c;
        const double a = p->act == UPCONV_ACT_PRELU ? g->slopes[channel] : p->act_param[0];
        g->output[(at->image * p->groups * p->ocg + channel) * plane + spatial] =
            (float)upc_activate(sum[c] + g->bias[channel], p->act, a, p->act_param[1]);
    }
}

// Adds one tap's products, for `count` positions whose inputs lie side by side from iw (outside the row: nothing).
static void add_tap(const gathering *g, const place *at, int64_t id, int64_t ih, int64_t iw, int64_t count,
                    const float *weights, float sums[TILE][MOST_OC])
{
    const upc_problem *p = g->arg->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const int64_t plane = d->in * h->in * w->in;
    const float *row = g->input + (at->image * p->groups + at->group) * p->icg * plane + (id * h->in + ih) * w->in;
    const int64_t first = UPC_MAX(-iw, 0), end = UPC_MIN(count, w->in - iw);
    for (int64_t i = 0; i < p->icg; i++, row += plane, weights += g->oc)
        for (int64_t t = first; t < end; t++)
            for (int64_t o = 0; o < g->oc; o++)
                sums[t][o] += row[iw + t] * weights[o];
}

static const float *block_weights(const gathering *g, const place *at)
{
    const upc_problem *p = g->arg->problem;
    const int64_t taps = p->axis[0].kernel * p->axis[1].kernel * p->axis[2].kernel;
    return g->weights + (at->group * g->blocks + at->block) * taps * p->icg * g->oc;
}

// One phase's positions qw .. qw + count - 1 of a row.
static void phase_tile(const gathering *g, const place *at, const upc_residue *const r[3], int64_t qw, int64_t count,
                       const float *weights)
{
    const upc_problem *p = g->arg->problem;
    const upc_tap_axis *axis = g->taps->axis;
    float sums[TILE][MOST_OC] = {{0}};
    for (int64_t k = 0; k < (int64_t)r[0]->count * r[1]->count * r[2]->count; k++) {
        const int64_t nth[3] = {k / r[2]->count / r[1]->count, k / r[2]->count % r[1]->count, k % r[2]->count};
        const int64_t id = at->q[0] + r[0]->input - nth[0] * axis[0].input_step;
        const int64_t ih = at->q[1] + r[1]->input - nth[1] * axis[1].input_step;
        const int64_t iw = qw + r[2]->input - nth[2] * axis[2].input_step;
        if (id >= 0 && id < p->axis[0].in && ih >= 0 && ih < p->axis[1].in)
            add_tap(g, at, id, ih, iw, count, weights + k * p->icg * g->oc, sums);
    }
    for (int64_t t = 0; t < count; t++) {
        const int64_t ow = (qw + t) * axis[2].stride + (r[2] - axis[2].residue) - p->axis[2].pad;
        if (ow >= 0 && ow < p->axis[2].out)
            store(g, at, ow, sums[t]);
    }
}

// Row number `index` over images, groups, blocks, phases, planes and lines of positions.
static void phase_row(void *data, int64_t index, int thread)
{
    (void)thread;
    const gathering *g = data;
    const upc_problem *p = g->arg->problem;
    const upc_tap_axis *axis = g->taps->axis;
    const int64_t phases = upc_taps_phases(g->taps);
    place at = {0};
    at.q[1] = g->q0[1] + index % g->qn[1];
    at.q[0] = g->q0[0] + index / g->qn[1] % g->qn[0];
    index /= g->qn[1] * g->qn[0];
    const int64_t phase = index % phases;
    at.block = index / phases % g->blocks;
    at.group = index / phases / g->blocks % p->groups;
    at.image = index / phases / g->blocks / p->groups;
    const int64_t residue[3] = {phase / (axis[1].stride * axis[2].stride), phase / axis[2].stride % axis[1].stride,
                                phase % axis[2].stride};
    const upc_residue *r[3];
    for (int a = 0; a < 3; a++) {
        r[a] = &axis[a].residue[residue[a]];
        at.out[a] = at.q[a] * axis[a].stride + residue[a] - p->axis[a].pad;
        if (a < 2 && (at.out[a] < 0 || at.out[a] >= p->axis[a].out))
            return;
    }
    const float *weights = block_weights(g, &at) + upc_taps_before(g->taps, p, phase) * p->icg * g->oc;
    for (int64_t q = 0; q < g->qn[2]; q += TILE)
        phase_tile(g, &at, r, g->q0[2] + q, UPC_MIN(TILE, g->qn[2] - q), weights);
}

// Row number `index` over images, groups, blocks, planes and lines of outputs; every tap is asked.
static void direct_row(void *data, int64_t index, int thread)
{
    (void)thread;
    const gathering *g = data;
    const upc_problem *p = g->arg->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const int64_t block = index / (d->out * h->out);
    const place at = {.image = block / g->blocks / p->groups, .group = block / g->blocks % p->groups,
                      .block = block % g->blocks, .out = {index / h->out % d->out, index % h->out, 0}};
    const float *weights = block_weights(g, &at);
    for (int64_t ow = 0; ow < w->out; ow++) {
        float sums[TILE][MOST_OC] = {{0}};
        for (int64_t k = 0; k < d->kernel * h->kernel * w->kernel; k++) {
            const int64_t id = upc_axis_source(d, at.out[0], k / (h->kernel * w->kernel));
            const int64_t ih = upc_axis_source(h, at.out[1], k / w->kernel % h->kernel), iw = upc_axis_source(w, ow, k % w->kernel);
            if (id >= 0 && ih >= 0 && iw >= 0)
                add_tap(g, &at, id, ih, iw, 1, weights + k * p->icg * g->oc, sums);
        }
        store(g, &at, ow, sums[0]);
    }
}

static upconv_status gather(const upc_env *env, const upc_host_arg *arg, void *const *pointers, bool phases)
{
    const upc_problem *p = arg->problem;
    upc_taps taps;
    float *packed = NULL;
    upconv_status status = upc_taps_init(&taps, env, p, phases);
    if (status)
        return status;
    gathering g = {.arg = arg, .taps = &taps, .input = pointers[0], .weights = pointers[1], .bias = pointers[2],
                   .slopes = pointers[3], .output = pointers[4], .oc = arg->oc, .blocks = upc_ceil_div(p->ocg, arg->oc)};
    const upc_packing packing = {arg->oc, p->icg, UPCONV_F32};
    if (!arg->packed) {
        const uint64_t bytes = upc_taps_packed_bytes(p, &packing);
        if (!(packed = upc_alloc(env, bytes))) {
            upc_taps_finish(&taps);
            return upc_no_memory(bytes);
        }
        upc_taps_pack(&taps, p, &packing, pointers[1], arg->order, packed);
        g.weights = packed;
    }
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &p->axis[a];
        g.q0[a] = upc_floor_div(axis->pad, taps.axis[a].stride);
        g.qn[a] = upc_floor_div(axis->out - 1 + axis->pad, taps.axis[a].stride) - g.q0[a] + 1;
    }
    const int64_t lines = phases ? upc_taps_phases(&taps) * g.qn[0] * g.qn[1] : p->axis[0].out * p->axis[1].out;
    const int threads = upc_problem_macs(p) < 1e6 ? 1 : upc_processors(); // starting a thread costs more
    upc_parallel(threads, p->batch * p->groups * g.blocks * lines, phases ? phase_row : direct_row, &g);
    upc_free(env, packed);
    upc_taps_finish(&taps);
    return UPCONV_OK;
}

upconv_status upc_host_phase(const upc_env *env, const void *arg, void *const *pointers)
{
    return gather(env, arg, pointers, true);
}

upconv_status upc_host_direct(const upc_env *env, const void *arg, void *const *pointers)
{
    return gather(env, arg, pointers, false);
}
