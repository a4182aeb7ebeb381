// Stride phases by whole subgroups (shaders/lanes.kernel): for processors that pose as Vulkan devices, whose loads are loops over the
// lanes of a subgroup, so that lanes load different things and shuffle them round.
#include "gather.h"

#include <stdio.h>
#include <string.h>

enum { WIDE, TILE, GROUP, UNROLL };

static const int32_t few[] = {1, 2}, tiles[] = {1, 2, 4}, groups[] = {1, 2, 4, 8}, rounds[] = {1, 2, 4};

static const upc_knob knobs[] = {
    [WIDE] = {"wide", few, UPC_COUNT(few)},          // vectors of four output channels of a lane
    [TILE] = {"tile", tiles, UPC_COUNT(tiles)},      // positions that a lane loads
    [GROUP] = {"y", groups, UPC_COUNT(groups)},      // subgroups of a work-group
    [UNROLL] = {"unroll", rounds, UPC_COUNT(rounds)}, // input channels of a round of the loop
};

static int64_t lanes_of(const upc_facts *facts) { return facts->info.subgroup_size; }
static int64_t channels_of(const upc_facts *facts, const upc_config *config) { return lanes_of(facts) * 4 * config->value[WIDE]; }
static int64_t positions_of(const upc_facts *facts, const upc_config *config) { return lanes_of(facts) * config->value[TILE]; }

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    const uint32_t lanes = facts->info.subgroup_size;
    const char *refusal = NULL;
    if (facts->info.backend != UPCONV_BACKEND_VULKAN || facts->family != UPC_FAMILY_CPU)
        refusal = "it is for processors under Vulkan";
    else if (!facts->subgroup_shuffle || (lanes != 4 && lanes != 8 && lanes != 16))
        refusal = "the device has no subgroups of 4, 8 or 16 items that see each other's values";
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
        const int64_t stride = upc_taps_stride(&problem->axis[a]);
        *positions *= upc_ceil_div(problem->axis[a].out, stride);
        *phases *= stride;
    }
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    int64_t positions, phases;
    memset(config, 0, sizeof *config);
    count(problem, &positions, &phases);
    const int64_t half = lanes_of(facts) * 4; // channels
    config->value[WIDE] = upc_ceil_div(problem->ocg, half) % 2 ? 1 : 2;
    config->value[TILE] = 1;
    config->value[UNROLL] = problem->icg >= 16 ? 4 : 1;
    config->value[GROUP] = 1;
    while (config->value[GROUP] < 4 && config->value[GROUP] * 4 * positions_of(facts, config) <= positions)
        config->value[GROUP] *= 2;
}

enum { MOST_SUMS = 32 }; // vectors of a lane: beyond it compiling takes longer than it can save

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    (void)problem;
    const int64_t sums = positions_of(facts, config) * config->value[WIDE];
    if (sums > MOST_SUMS) {
        snprintf(sentence, UPC_SENTENCE, "%lld vectors of sums are more than the %d that a lane may have", (long long)sums,
                 MOST_SUMS);
        return sentence;
    }
    return upc_group_legal(facts, config->value[GROUP] * (int32_t)facts->info.subgroup_size, 1, sentence);
}

// Nanoseconds on one of two cores, from measurements on llvmpipe: of a round, the loads of inputs and of weights, multiply-adds and
// blends; of an item, where its positions are, and the stores.
static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    int64_t positions, phases;
    count(problem, &positions, &phases);
    double taps = 1;
    for (int a = 0; a < 3; a++)
        taps *= (double)problem->axis[a].kernel;
    const double items = (double)(upc_ceil_div(positions, positions_of(facts, config)) * problem->batch * problem->groups) *
                         (double)upc_ceil_div(problem->ocg, channels_of(facts, config));
    const double sums = (double)positions_of(facts, config) * config->value[WIDE];
    const double round = 13.0 * config->value[TILE] + 2.0 * config->value[WIDE] + sums * (1.6 + 0.6 / config->value[UNROLL]);
    const double start = (double)phases * (400 + 60 * sums);
    return items * (taps * (double)problem->icg * round + start) / 2e3 + 5;
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
        .kernel = "lanes", .phases = true, .oc = channels_of(facts, config), .tile = positions_of(facts, config), .lanes = lanes,
        .local = {(uint32_t)config->value[GROUP] * lanes, 1, 1}, .defines = defines, .user = config,
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

static upconv_status pack(const upc_env *env, const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const float *weights, upconv_filter_order order, void *packed)
{
    const upc_gather gather = gather_of(facts, config);
    return upc_gather_pack(&gather, env, problem, facts, weights, order, packed);
}

const upc_solver upc_solver_lanes = {
    .name = "lanes", .version = 1, .knobs = knobs, .knob_count = UPC_COUNT(knobs), .refuse = refuse, .guess = guess,
    .legal = legal, .cost_us = cost_us, .cook = cook, .pack = pack,
};
