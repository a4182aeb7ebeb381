// Stride phases with the input channels split over a work-group (shaders/splitk.kernel): for tiny images with many channels, where
// other solvers have too few items to fill a GPU.
#include "gather.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { OC, LANES, SPEC };

static const int32_t channels[] = {4, 8}, lanes[] = {8, 16, 32, 64, 128}, yes_no[] = {0, 1};

static const upc_knob knobs[] = {
    [OC] = {"oc", channels, UPC_COUNT(channels)},  // output channels of a work-group
    [LANES] = {"lanes", lanes, UPC_COUNT(lanes)},  // items that share the input channels
    [SPEC] = {"spec", yes_no, UPC_COUNT(yes_no)},  // 1: the geometry is compiled in
};

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    memset(config, 0, sizeof *config);
    config->value[OC] = problem->ocg > 4 ? 8 : 4;
    config->value[SPEC] = facts->family != UPC_FAMILY_CPU;
    int32_t items = 8;
    while (items < 64 && items * 2 <= problem->icg && (uint32_t)items * 2 <= facts->info.limits.group_size &&
           (uint32_t)items * 2 <= facts->group_axis[0])
        items *= 2;
    config->value[LANES] = items;
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    (void)problem;
    const uint32_t shared = (uint32_t)(config->value[LANES] * config->value[OC]) * 4;
    if (shared > facts->info.limits.shared_bytes) {
        snprintf(sentence, UPC_SENTENCE, "%u bytes of shared memory are above the device's %u", shared,
                 facts->info.limits.shared_bytes);
        return sentence;
    }
    return upc_group_legal(facts, config->value[LANES], 1, sentence);
}

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    upc_config config;
    if (facts->info.backend == UPCONV_BACKEND_CPU) {
        snprintf(sentence, UPC_SENTENCE, "it is for devices with work-groups");
        return sentence;
    }
    if (upc_gather_refuse(problem, true, sentence))
        return sentence;
    guess(problem, facts, &config); // even the smallest work-group may be too large for lowered limits
    return legal(problem, facts, &config, sentence);
}

// As phase with a tile of one, and a round of the adding up for each halving.
static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    const double oc = config->value[OC], lanes_used = config->value[LANES];
    const double waste = (double)(upc_ceil_div(problem->ocg, (int64_t)oc) * (int64_t)oc) / (double)problem->ocg;
    const upc_axis *a = problem->axis;
    const double groups = (double)(problem->batch * problem->groups * upc_ceil_div(problem->ocg, (int64_t)oc)) *
                          (double)(a[0].out * a[1].out) * (double)a[2].out;
    if (upc_gather_processor(facts)) // of a subgroup of 8 on llvmpipe, most of it at barriers
        return groups * ceil(lanes_used / 8) * (7e3 + 60 * upc_gather_macs(problem) / oc / groups / lanes_used) / 2e3 +
               75;
    const double loads = (1 + oc / 4) / (oc / 4);
    const double work = upc_gather_macs(problem) * waste * (1 + loads) / 4 + groups * lanes_used * 8;
    return work / (facts->info.kind == UPCONV_DEVICE_CPU ? 5e2 : 1e4) / upc_gather_busy(facts, groups * lanes_used) + 5;
}

static void defines(const upc_gather *gather, upc_program_desc *program)
{
    upc_program_param(program, "OC", UPC_PARAM_DEFINE, (int32_t)gather->oc);
    upc_program_param(program, "TILE", UPC_PARAM_DEFINE, 1);
    upc_program_param(program, "SHARE", UPC_PARAM_DEFINE, (int32_t)gather->local[0]);
}

static upc_gather gather_of(const upc_config *config)
{
    return (upc_gather){
        .kernel = "splitk", .phases = true, .oc = config->value[OC], .tile = 1, .whole_groups = true,
        .local = {(uint32_t)config->value[LANES], 1, 1}, .spec = config->value[SPEC] != 0, .defines = defines,
    };
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    const upc_gather gather = gather_of(config);
    return upc_gather_cook(&gather, problem, facts, request, recipe);
}

static upconv_status pack(const upc_env *env, const upc_problem *problem, const upc_facts *facts,
                          const upc_config *config, const float *weights, upconv_filter_order order, void *packed)
{
    const upc_gather gather = gather_of(config);
    return upc_gather_pack(&gather, env, problem, facts, weights, order, packed);
}

const upc_solver upc_solver_splitk = {
    .name = "splitk", .version = 1, .ops = 1u << UPCONV_CONV_TRANSPOSE | 1u << UPCONV_CONV,
    .knobs = knobs, .knob_count = UPC_COUNT(knobs), .refuse = refuse, .guess = guess,
    .legal = legal, .cost_us = cost_us, .cook = cook, .pack = pack,
};
