// Which problems winograd takes, and with which tiles. The recipe is in winograd_cook.c.
#include "winograd.h"

#include "gather.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

enum { TILE, OC, VEC, OUTPUTS, GROUP_X, GROUP_Y };

enum {
    MOST_TILE = 12, MOST_OC = 64,
    MOST_SUMS = 28,        // vectors of an item; with weights and an input, as many as AVX-512 has registers
    MOST_TABLE = 512,      // bytes
    FIRST_CACHE = 24 << 10, SECOND_CACHE = 512 << 10, // of a processor: what weights may take of them
    OUTPUT_CACHE = 2 << 20,
};

static const int32_t tiles[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, MOST_TILE}, channels[] = {4, 8, 16, 32, MOST_OC};
static const int32_t widths[] = {4, 8, 16}, outputs[] = {2, 3};

static const upc_knob knobs[] = {
    [TILE] = {"tile", tiles, UPC_COUNT(tiles)},             // tiles of an item
    [OC] = {"oc", channels, UPC_COUNT(channels)},           // output channels of an item
    [VEC] = {"vec", widths, UPC_COUNT(widths)},             // width of its vectors
    [OUTPUTS] = {"m", outputs, UPC_COUNT(outputs)},         // outputs of a tile on axes with two taps
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES},    // work-group
    [GROUP_Y] = {"y", upc_group_sizes, UPC_GROUP_SIZES},
};

static int64_t taps_of(const upc_axis *axis) { return upc_ceil_div(axis->kernel, axis->stride); }

void upc_winograd_fill(const upc_problem *problem, int64_t m, int64_t tile, int64_t oc, int64_t vec, upc_winograd *made)
{
    *made = (upc_winograd){.tile = tile, .oc = oc, .vec = vec, .local = {1, 1}, .points = 1, .tiles = problem->batch,
                           .phases = 1, .blocks = upc_ceil_div(problem->ocg, oc)};
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        upc_winograd_axis *w = &made->axis[a];
        w->taps = taps_of(axis);
        w->outputs = w->taps == 1 ? 1 : w->taps == 2 ? m : 2;
        w->points = w->outputs + w->taps - 1;
        w->q0 = upc_floor_div(axis->pad, axis->stride);
        w->tiles = upc_ceil_div(upc_floor_div(axis->out - 1 + axis->pad, axis->stride) - w->q0 + 1, w->outputs);
        made->points *= w->points;
        made->tiles *= w->tiles;
        made->phases *= axis->stride;
    }
    made->panels = upc_ceil_div(made->tiles, tile);
}

// ---------------------------------------------------------------------------------------------------------- refusals

static const char *refuse_shape(const upc_problem *problem, char *sentence)
{
    if (upc_taps_stepped(problem)) {
        snprintf(sentence, UPC_SENTENCE, "outputs a step apart: windows of inputs would hardly overlap");
        return sentence;
    }
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        const int64_t most = a ? 3 : 1;
        if (axis->dilation > 1 && axis->kernel > 1) {
            snprintf(sentence, UPC_SENTENCE, "dilation %lld: the phases of a dilated kernel read different inputs",
                     (long long)axis->dilation);
            return sentence;
        }
        if (taps_of(axis) > most) {
            snprintf(sentence, UPC_SENTENCE, "kernel %lld with stride %lld makes %lld taps a phase; at most %lld here",
                     (long long)axis->kernel, (long long)axis->stride, (long long)taps_of(axis), (long long)most);
            return sentence;
        }
    }
    if (taps_of(&problem->axis[1]) == 1 && taps_of(&problem->axis[2]) == 1) {
        snprintf(sentence, UPC_SENTENCE, "every output has one tap: there is nothing to save");
        return sentence;
    }
    if (problem->sum_type != UPCONV_F32) {
        snprintf(sentence, UPC_SENTENCE, "its sums are f32");
        return sentence;
    }
    double phases = 1;
    for (int a = 0; a < 3; a++)
        phases *= (double)problem->axis[a].stride;
    if (phases > UPC_MAX_PHASES) {
        snprintf(sentence, UPC_SENTENCE, "its strides make %.0f phases; at most %d", phases, UPC_MAX_PHASES);
        return sentence;
    }
    return NULL;
}

// Whole tensors are bound; what is cut is the workspace, the transformed weights and the grid.
static const char *refuse_size(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    const upconv_limits *limits = &facts->info.limits;
    const int64_t room = (int64_t)limits->binding_bytes - (int64_t)facts->info.offset_alignment;
    const int64_t points = UPC_WINOGRAD_POINTS * UPC_WINOGRAD_POINTS;
    const int64_t channels_bytes = problem->groups * problem->ocg * 4;
    const int64_t tensor = (int64_t)UPC_MAX(upc_input_bytes(problem), upc_output_bytes(problem));
    const int64_t largest = UPC_MAX(tensor, channels_bytes);
    const int64_t item = points * problem->icg * MOST_OC * 4; // weights of an item; its panel of points is smaller
    if (largest > room || item > room || MOST_TABLE > room) {
        snprintf(sentence, UPC_SENTENCE,
                 "tensors (%lld bytes) and an item's weights (%lld) must each fit a binding of %lld bytes",
                 (long long)largest, (long long)item, (long long)room);
        return sentence;
    }
    upc_winograd w;
    upc_winograd_fill(problem, 2, 1, 4, 4, &w);
    const double channels_most = (double)(upc_ceil_div(problem->ocg, MOST_OC) * MOST_OC * problem->groups);
    const double packed = channels_most * (double)w.phases * (double)points * (double)problem->icg;
    const double positions = (double)w.tiles * 16;
    if (packed > INT32_MAX || positions > INT32_MAX || problem->in.elements > INT32_MAX / 4 ||
        problem->out.elements > INT32_MAX / 4) {
        snprintf(sentence, UPC_SENTENCE, "%.0f transformed weights or %.0f positions are beyond 32-bit indices", packed,
                 positions);
        return sentence;
    }
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        if (axis->out + UPC_MAX(axis->pad, -axis->pad) + axis->stride * 8 > INT32_MAX || axis->in > INT32_MAX / 8) {
            snprintf(sentence, UPC_SENTENCE, "positions up to %lld on an axis are beyond 32 bits",
                     (long long)axis->out);
            return sentence;
        }
    }
    if (points * problem->icg * MOST_TILE * 4 > (int64_t)UPC_MIN(upc_workspace_default(problem), limits->alloc_bytes)) {
        snprintf(sentence, UPC_SENTENCE, "an item's transformed inputs, of %lld channels, take more than the workspace",
                 (long long)problem->icg);
        return sentence;
    }
    if (facts->loop_rounds && points * problem->icg + 4096 > facts->loop_rounds) {
        snprintf(sentence, UPC_SENTENCE, "%lld input channels make more rounds of loops than the device's %u",
                 (long long)problem->icg, facts->loop_rounds);
        return sentence;
    }
    return NULL;
}

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    if (facts->info.backend == UPCONV_BACKEND_CPU) {
        snprintf(sentence, UPC_SENTENCE, "it has no host function");
        return sentence;
    }
    const char *refusal = refuse_shape(problem, sentence);
    return refusal ? refusal : refuse_size(problem, facts, sentence);
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    (void)problem;
    const int32_t vec = config->value[VEC], oc = config->value[OC], tile = config->value[TILE];
    if (vec > 4 && facts->info.backend != UPCONV_BACKEND_OPENCL) {
        snprintf(sentence, UPC_SENTENCE, "vectors of %d are OpenCL's; here they have 4", vec);
        return sentence;
    }
    if (oc % vec || oc / vec > 4) {
        snprintf(sentence, UPC_SENTENCE, "%d output channels are not 1, 2 or 4 vectors of %d", oc, vec);
        return sentence;
    }
    if (tile * (oc / vec) > MOST_SUMS) {
        snprintf(sentence, UPC_SENTENCE, "%d vectors of sums are more than the %d that an item may have",
                 tile * (oc / vec), MOST_SUMS);
        return sentence;
    }
    return upc_group_legal(facts, config->value[GROUP_X], config->value[GROUP_Y], sentence);
}

// -------------------------------------------------------------------------------------------------------- cost model

// In vector operations: of the loops over input channels, one a multiply-add and some for weights that come from the
// second cache, or from beyond it; of transforming inputs; and of transforming back and storing.
static double operations(const upc_problem *problem, const upc_winograd *w)
{
    const double vectors = (double)(w->oc / w->vec), sums = (double)w->tile * vectors;
    const double icg = (double)problem->icg, lanes = (double)w->vec;
    const double items = (double)(w->panels * w->phases * w->blocks * problem->groups);
    const double unit = (double)upc_winograd_unit(w, problem) * 4;
    const double weights = vectors * (unit > SECOND_CACHE ? 1.5 : unit > FIRST_CACHE ? 0.5 : 0);
    const double made = (double)(w->axis[1].outputs * w->axis[2].outputs);
    const double loops = items * (double)w->points * (icg * (UPC_MAX(sums, 8) + 1.5 + weights) + 30);
    const double input = (double)(w->panels * problem->groups) * icg * (double)(w->points * w->tile) * 2.5;
    // stores go to lines of as many channels as a vector has; where the output is larger than the caches, all of them
    // miss
    const double store = (double)upc_output_bytes(problem) > OUTPUT_CACHE ? 9 : 3;
    const double back = items * sums * ((double)w->points * 3 + made * (4 + lanes * store));
    return loops + input + back;
}

// Vector operations of one microsecond, from measurements under PoCL; on other devices it has not yet been measured
// to gain, so that it is left to tuning there.
static double rate(const upc_facts *facts)
{
    const bool measured = facts->info.kind == UPCONV_DEVICE_CPU && facts->info.backend == UPCONV_BACKEND_OPENCL;
    return measured ? 3e3 * UPC_MAX(facts->info.compute_units, 1) : 50;
}

static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    upc_winograd w;
    upc_winograd_fill(problem, config->value[OUTPUTS], config->value[TILE], config->value[OC], config->value[VEC], &w);
    // the transformed weights are several times those that other solvers read
    return operations(problem, &w) / rate(facts) + (double)upc_winograd_packed_bytes(&w, problem) / 4e4 + 40;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    const bool wide = facts->info.backend == UPCONV_BACKEND_OPENCL && facts->info.kind == UPCONV_DEVICE_CPU;
    const int32_t vec = !wide ? 4 : problem->ocg > 8 ? 16 : problem->ocg > 4 ? 8 : 4;
    const int32_t sums = wide ? 20 : UPC_MAX((int32_t)facts->sum_scalars / 8, 1);
    double least = DBL_MAX;
    memset(config, 0, sizeof *config);
    for (size_t m = 0; m < UPC_COUNT(outputs); m++)
        for (size_t t = 0; t < UPC_COUNT(tiles); t++)
            for (int32_t n = 1; n <= 4; n *= 2) {
                upc_winograd w;
                upc_winograd_fill(problem, outputs[m], tiles[t], vec * n, vec, &w);
                const double cost = operations(problem, &w);
                if ((tiles[t] * n > sums && (n > 1 || t)) || cost >= least)
                    continue;
                least = cost;
                config->value[TILE] = tiles[t];
                config->value[OC] = vec * n;
                config->value[OUTPUTS] = outputs[m];
            }
    upc_winograd w;
    uint32_t local[2];
    upc_winograd_fill(problem, config->value[OUTPUTS], config->value[TILE], config->value[OC], vec, &w);
    const int64_t items[3] = {w.panels, w.phases * w.blocks, problem->groups};
    upc_group_guess(facts, items, 64, local);
    if (wide) { // an item is long: groups only so large that every core has some
        local[0] = w.panels >= 32 ? 4 : 1;
        local[1] = 1;
    }
    config->value[VEC] = vec;
    config->value[GROUP_X] = (int32_t)UPC_MIN(local[0], facts->info.limits.group_size);
    config->value[GROUP_Y] = (int32_t)local[1];
}

// ------------------------------------------------------------------------------------------------------------- recipe

static void of_config(const upc_problem *problem, const upc_config *config, upc_winograd *w)
{
    upc_winograd_fill(problem, config->value[OUTPUTS], config->value[TILE], config->value[OC], config->value[VEC], w);
    w->local[0] = (uint32_t)config->value[GROUP_X];
    w->local[1] = (uint32_t)config->value[GROUP_Y];
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    upc_winograd w;
    of_config(problem, config, &w);
    return upc_winograd_cook(&w, problem, facts, request, recipe);
}

static int64_t block(const upc_config *config) { return config->value[OC]; }

static upconv_status pack(const upc_env *env, const upc_problem *problem, const upc_facts *facts,
                          const upc_config *config, const float *weights, upconv_filter_order order, void *packed)
{
    (void)facts;
    upc_winograd w;
    of_config(problem, config, &w);
    return upc_winograd_pack(&w, env, problem, weights, order, packed);
}

const upc_solver upc_solver_winograd = {
    .name = "winograd", .version = 1, .ops = 1u << UPCONV_CONV_TRANSPOSE | 1u << UPCONV_CONV,
    .knobs = knobs, .knob_count = UPC_COUNT(knobs), .refuse = refuse, .guess = guess,
    .legal = legal, .cost_us = cost_us, .cook = cook, .block = block, .pack = pack,
};
