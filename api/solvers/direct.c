// Gather that asks every tap (shaders/direct.kernel): any parameters, always there, never fast.
#include "gather.h"

#include <string.h>

enum { GROUP_X, GROUP_Y, OC = 4 };

static const upc_knob knobs[] = {
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES}, // work-group
    [GROUP_Y] = {"y", upc_group_sizes, UPC_GROUP_SIZES},
};

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    (void)facts;
    return upc_gather_refuse(problem, false, sentence);
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    memset(config, 0, sizeof *config);
    const int64_t items[3] = {problem->axis[2].out, problem->axis[0].out * problem->axis[1].out, 1};
    uint32_t local[2];
    upc_group_guess(facts, items, 64, local);
    config->value[GROUP_X] = (int32_t)local[0];
    config->value[GROUP_Y] = (int32_t)local[1];
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    (void)problem;
    return upc_group_legal(facts, config->value[GROUP_X], config->value[GROUP_Y], sentence);
}

// Every tap of every output is asked, four loads of weights and one of input for four multiply-adds.
static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    (void)config;
    const upc_axis *a = problem->axis;
    const double outputs = (double)problem->batch * (double)(problem->groups * upc_ceil_div(problem->ocg, 4)) *
                           (double)(a[0].out * a[1].out) * (double)a[2].out;
    if (facts->info.backend == UPCONV_BACKEND_CPU)
        return upc_problem_macs(problem) / 200 + outputs / 10 + 5;
    const double asked = outputs * (double)(a[0].kernel * a[1].kernel) * (double)a[2].kernel;
    const double waste = (double)(upc_ceil_div(problem->ocg, 4) * 4) / (double)problem->ocg;
    if (upc_gather_processor(facts)) { // of a subgroup of 8 on llvmpipe: a tap, and a channel where it hits some of the outputs
        const double hits = upc_problem_macs(problem) * waste / 4 / 8 * (double)upc_taps_stride(&a[2]);
        return (asked / 8 * 250 + hits * 72) / 2e3 + 75;
    }
    if (facts->info.kind == UPCONV_DEVICE_CPU)
        return (upc_problem_macs(problem) * waste * 2.25 / 4 + asked * 2) / 1e3 + 5;
    // one output of four channels an item: a load of each kind for four multiply-adds
    return (upc_gather_macs(problem) * waste * 3 / 4 + asked * 2) / 1e4 / upc_gather_busy(facts, outputs / 2) + 5;
}

static int64_t block(const upc_config *config)
{
    (void)config;
    return OC;
}

static upc_gather gather_of(const upc_config *config)
{
    return (upc_gather){
        .kernel = "direct", .oc = OC, .tile = 1,
        .local = {(uint32_t)config->value[GROUP_X], (uint32_t)config->value[GROUP_Y], 1},
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

const upc_solver upc_solver_direct = {
    .name = "direct", .version = 1, .ops = 1u << UPCONV_CONV_TRANSPOSE | 1u << UPCONV_CONV,
    .knobs = knobs, .knob_count = UPC_COUNT(knobs), .refuse = refuse, .guess = guess,
    .legal = legal, .cost_us = cost_us, .cook = cook, .block = block, .pack = pack,
};
