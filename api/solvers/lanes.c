// Stride phases by whole subgroups (shaders/lanes.kernel): for processors that pose as Vulkan devices, whose loads are
// loops over the lanes of a subgroup, so that lanes load different things and shuffle them round.
#include "gather.h"

#include <stdio.h>
#include <string.h>

enum { WIDE, TILE, GROUP, UNROLL };

static const int32_t wides[] = {1, 2, 4}, tiles[] = {1, 2, 4}, groups[] = {1, 2, 4, 8}, rounds[] = {1, 2, 4};

static const upc_knob knobs[] = {
    [WIDE] = {"wide", wides, UPC_COUNT(wides)},      // vectors of four output channels of a lane
    [TILE] = {"tile", tiles, UPC_COUNT(tiles)},      // positions that a lane loads
    [GROUP] = {"y", groups, UPC_COUNT(groups)},      // subgroups of a work-group
    [UNROLL] = {"unroll", rounds, UPC_COUNT(rounds)}, // input channels of a round of the loop
};

static int64_t lanes_of(const upc_facts *facts) { return facts->info.subgroup_size; }
static int64_t channels_of(const upc_facts *facts, const upc_config *config)
{
    return lanes_of(facts) * 4 * config->value[WIDE];
}
static int64_t positions_of(const upc_facts *facts, const upc_config *config)
{
    return lanes_of(facts) * config->value[TILE];
}
// Vectors of four that a lane keeps.
static int64_t sums_of(const upc_facts *facts, const upc_config *config)
{
    return positions_of(facts, config) * config->value[WIDE];
}

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    const uint32_t lanes = facts->info.subgroup_size;
    const char *refusal = NULL;
    if (facts->info.backend != UPCONV_BACKEND_VULKAN || facts->family != UPC_FAMILY_CPU)
        refusal = "it is for processors under Vulkan";
    else if (!facts->subgroup_shuffle || (lanes != 4 && lanes != 8 && lanes != 16))
        refusal = "the device has no subgroups of 4, 8 or 16 items that see each other's values";
    if (!refusal && upc_group_legal(facts, (int32_t)lanes, 1, sentence))
        return sentence;
    if (!refusal)
        return upc_gather_refuse(problem, true, sentence);
    snprintf(sentence, UPC_SENTENCE, "%s", refusal);
    return sentence;
}

// Positions of a phase, and phases.
static void count(const upc_problem *problem, int64_t *positions, int64_t *phases)
{
    *positions = *phases = 1;
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        int64_t first, last;
        upc_taps_range(axis, &first, &last);
        *positions *= last - first + 1;
        *phases *= upc_taps_stride(axis);
    }
}

enum { MOST_SUMS = 32 }; // vectors of a lane: beyond it compiling takes longer than it can save

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                         char *sentence)
{
    (void)problem;
    const int64_t sums = sums_of(facts, config);
    if (sums > MOST_SUMS) {
        snprintf(sentence, UPC_SENTENCE, "%lld vectors of sums are more than the %d that a lane may have",
                 (long long)sums, MOST_SUMS);
        return sentence;
    }
    return upc_group_legal(facts, config->value[GROUP] * (int32_t)facts->info.subgroup_size, 1, sentence);
}

// Nanoseconds on one of two cores, fitted to measurements on llvmpipe with subgroups of 8: of an item, finding its
// positions and storing its sums; of a tap, where it lies; of an input channel, its loads and those of the weights,
// multiply-adds, and the blends of each round of the loop.
static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    int64_t positions, phases;
    count(problem, &positions, &phases);
    double taps = 1;
    for (int a = 0; a < 3; a++)
        taps *= (double)problem->axis[a].kernel;
    const double wide = config->value[WIDE], tile = config->value[TILE], sums = (double)sums_of(facts, config);
    const int64_t channels = channels_of(facts, config), blocks = upc_ceil_div(problem->ocg, channels);
    const int64_t loops = problem->icg / config->value[UNROLL] + problem->icg % config->value[UNROLL];
    const double items = (double)upc_ceil_div(positions, positions_of(facts, config)) *
                         (double)(problem->batch * problem->groups * blocks);
    const double used = (double)problem->ocg / (double)(blocks * channels); // of the sums
    const double item = 330 + sums * (70 + 70 * used);
    const double tap = 15 * tile + (config->value[UNROLL] > 1 ? 10 * sums : 0) + 0.6 * sums * (double)loops;
    const double channel = 14.7 * tile + 4.7 * wide + 0.8 * sums;
    const double us = items * ((double)phases * item + taps * (tap + (double)problem->icg * channel)) / 2e3 + 70;
    return strstr(facts->info.name, "llvmpipe") ? us : 8 * us; // SwiftShader, whose loads are plainer, gains nothing
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    // Few programs, and small ones, serve all problems; of Mesa 22.3 and 25.0, which like different ones best, neither
    // dislikes these.
    static const int32_t wide[] = {1, 2}, unrolled[] = {2, 1};
    int64_t positions, phases;
    double best = 0;
    count(problem, &positions, &phases);
    for (size_t i = 0; i < UPC_COUNT(wide) * UPC_COUNT(tiles) * UPC_COUNT(unrolled); i++) {
        upc_config tried = {{0}};
        tried.value[WIDE] = wide[i % UPC_COUNT(wide)];
        tried.value[TILE] = tiles[i / UPC_COUNT(wide) % UPC_COUNT(tiles)];
        tried.value[UNROLL] = unrolled[i / UPC_COUNT(wide) / UPC_COUNT(tiles)];
        tried.value[GROUP] = 1;
        const int64_t sums = sums_of(facts, &tried);
        const double cost = cost_us(problem, facts, &tried);
        if (i && (sums > MOST_SUMS || cost >= best))
            continue;
        best = cost;
        *config = tried;
    }
    char sentence[UPC_SENTENCE];
    if (16 * positions_of(facts, config) <= positions &&
        !upc_group_legal(facts, 4 * (int32_t)lanes_of(facts), 1, sentence))
        config->value[GROUP] = 4;
}

static void defines(const upc_gather *gather, upc_program_desc *program)
{
    const upc_config *config = gather->user;
    upc_program_param(program, "OC", UPC_PARAM_DEFINE, (int32_t)gather->oc);
    upc_program_param(program, "WIDE", UPC_PARAM_DEFINE, config->value[WIDE]);
    upc_program_param(program, "TILE", UPC_PARAM_DEFINE, config->value[TILE]);
    upc_program_param(program, "LANES", UPC_PARAM_DEFINE, (int32_t)gather->lanes);
    upc_program_param(program, "UNROLL_BY", UPC_PARAM_DEFINE, config->value[UNROLL]);
}

static upc_gather gather_of(const upc_facts *facts, const upc_config *config)
{
    const uint32_t lanes = facts->info.subgroup_size;
    return (upc_gather){
        .kernel = "lanes", .phases = true, .oc = channels_of(facts, config), .tile = positions_of(facts, config),
        .lanes = lanes, .local = {(uint32_t)config->value[GROUP] * lanes, 1, 1}, .defines = defines, .user = config,
    };
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    upc_gather gather = gather_of(facts, config);
    // weights packed at execution may lie in the app's own buffer, which need not be usable as a texel buffer
    gather.texel = facts->texel_elements && !request->dynamic_weights;
    return upc_gather_cook(&gather, problem, facts, request, recipe);
}

static upconv_status pack(const upc_env *env, const upc_problem *problem, const upc_facts *facts,
                          const upc_config *config, const float *weights, upconv_filter_order order, void *packed)
{
    const upc_gather gather = gather_of(facts, config);
    return upc_gather_pack(&gather, env, problem, facts, weights, order, packed);
}

const upc_solver upc_solver_lanes = {
    .name = "lanes", .version = 1, .ops = 1u << UPCONV_CONV_TRANSPOSE | 1u << UPCONV_CONV,
    .knobs = knobs, .knob_count = UPC_COUNT(knobs), .refuse = refuse, .guess = guess,
    .legal = legal, .cost_us = cost_us, .cook = cook, .pack = pack,
};
