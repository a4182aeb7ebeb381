// The gathering solvers on the processor: the same algebra and tables as their kernels, sums in f32 and packed weights
// in f32. So the whole of the planner works, and can be tested, where there is no GPU.
#include "gather.h"

#include <string.h>

#include "../host.h"

enum { TILE = 8, MOST_OC = 16 };

typedef struct gathering {
    const upc_host_arg *arg;
    const upc_taps *taps;
    const void *input, *residual;
    const float *weights, *bias, *slopes;
    void *output;
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
    for (int64_t c = 0; c < g->oc && at->block * g->oc + c < p->ocg; c++) {
        const int64_t channel = at->group * p->ocg + at->block * g->oc + c;
        const int64_t to = upc_tensor_at(&p->out, at->image, channel, at->out[0], at->out[1], ow);
        const double residual = p->residual ? upc_host_load(g->residual, p->type, to) : 0;
        upc_host_store(g->output, p->type, to,
                       (float)upc_host_finish(p, sum[c] + g->bias[channel], g->slopes[channel], residual));
    }
}

// Adds one tap's products, for `count` positions whose inputs lie a step from each other from iw (outside the row: nothing).
static void add_tap(const gathering *g, const place *at, int64_t id, int64_t ih, int64_t iw, int64_t count,
                    const float *weights, float sums[TILE][MOST_OC])
{
    const upc_problem *p = g->arg->problem;
    const int64_t step = p->axis[2].step, first = UPC_MAX(upc_ceil_div(-iw, step), 0);
    const int64_t end = UPC_MIN(count, upc_ceil_div(p->axis[2].in - iw, step));
    for (int64_t i = 0; i < p->icg; i++, weights += g->oc) {
        const int64_t row = upc_tensor_at(&p->in, at->image, at->group * p->icg + i, id, ih, iw);
        for (int64_t t = first; t < end; t++) {
            const float x = upc_host_load(g->input, p->type, row + t * step * p->in.axis[2]);
            for (int64_t o = 0; o < g->oc; o++)
                sums[t][o] += x * weights[o];
        }
    }
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
        const int64_t id = at->q[0] * p->axis[0].step + r[0]->input - nth[0] * axis[0].input_step;
        const int64_t ih = at->q[1] * p->axis[1].step + r[1]->input - nth[1] * axis[1].input_step;
        const int64_t iw = qw * p->axis[2].step + r[2]->input - nth[2] * axis[2].input_step;
        if (id >= 0 && id < p->axis[0].in && ih >= 0 && ih < p->axis[1].in)
            add_tap(g, at, id, ih, iw, count, weights + k * p->icg * g->oc, sums);
    }
    for (int64_t t = 0; t < count; t++) {
        const int64_t ow = (qw + t) * axis[2].stride + (r[2] - axis[2].residue) - upc_axis_origin(&p->axis[2]);
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
        at.out[a] = at.q[a] * axis[a].stride + residue[a] - upc_axis_origin(&p->axis[a]);
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
            const int64_t ih = upc_axis_source(h, at.out[1], k / w->kernel % h->kernel);
            const int64_t iw = upc_axis_source(w, ow, k % w->kernel);
            if (id >= 0 && ih >= 0 && iw >= 0)
                add_tap(g, &at, id, ih, iw, 1, weights + k * p->icg * g->oc, sums);
        }
        store(g, &at, ow, sums[0]);
    }
}

// Where they come at execution: packed, in memory to upc_free.
static upconv_status pack_given(const upc_env *env, const upc_host_arg *arg, const upc_taps *taps, const void *given,
                                float **packed)
{
    float *f32;
    upconv_status status = upc_host_weights(env, arg, given, &f32);
    if (status)
        return status;
    const upc_packing packing = {arg->oc, arg->problem->icg, UPCONV_F32};
    const uint64_t bytes = upc_taps_packed_bytes(arg->problem, &packing);
    if ((*packed = upc_alloc(env, bytes)))
        status = upc_taps_pack(taps, arg->problem, &packing, f32 ? f32 : given, arg->order, *packed);
    else
        status = upc_no_memory(bytes);
    upc_free(env, f32);
    if (status) {
        upc_free(env, *packed);
        *packed = NULL;
    }
    return status;
}

static upconv_status gather(const upc_env *env, const upc_host_arg *arg, void *const *pointers, bool phases)
{
    const upc_problem *p = arg->problem;
    upc_taps taps;
    float *packed = NULL;
    upconv_status status = upc_taps_init(&taps, env, p, phases);
    if (status)
        return status;
    if (!arg->packed && (status = pack_given(env, arg, &taps, pointers[1], &packed))) {
        upc_taps_finish(&taps);
        return status;
    }
    gathering g = {.arg = arg, .taps = &taps, .input = pointers[0], .weights = packed ? packed : pointers[1],
                   .bias = pointers[2], .slopes = pointers[3], .output = pointers[4], .residual = pointers[5],
                   .oc = arg->oc, .blocks = upc_ceil_div(p->ocg, arg->oc)};
    for (int a = 0; a < 3; a++) {
        const int64_t origin = upc_axis_origin(&p->axis[a]);
        g.q0[a] = upc_floor_div(origin, taps.axis[a].stride);
        g.qn[a] = upc_floor_div(p->axis[a].out - 1 + origin, taps.axis[a].stride) - g.q0[a] + 1;
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
