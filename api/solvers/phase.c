// Stride phases (shaders/phase.kernel): any parameters, no tap that is not needed, dilation included. The workhorse.
#include "phase.h"

#include <stdio.h>
#include <string.h>

enum { TILE, OC, GROUP_X, GROUP_Y, SPEC, STAGE, TEXEL, UNROLL };

static const int32_t tiles[] = {1, 2, 3, 4, 5, 6, 7, 8}, channels[] = {4, 8, 16}, yes_no[] = {0, 1};
static const int32_t stages[] = {0, 1, 4}, unrolls[] = {1, 2, 4};

static const upc_knob knobs[] = {
    [TILE] = {"tile", tiles, UPC_COUNT(tiles)},       // positions of an item along w
    [OC] = {"oc", channels, UPC_COUNT(channels)},     // output channels of an item
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES},     // work-group
    [GROUP_Y] = {"y", upc_group_sizes, UPC_GROUP_SIZES},
    [SPEC] = {"spec", yes_no, UPC_COUNT(yes_no)},     // 1: the geometry is compiled in, a program per problem
    [STAGE] = {"stage", stages, UPC_COUNT(stages)},   // 0: the input as it is; else a copy, channels in a block
    [TEXEL] = {"texel", yes_no, UPC_COUNT(yes_no)},   // 1: weights through a texel buffer
    [UNROLL] = {"unroll", unrolls, UPC_COUNT(unrolls)}, // steps of the loop over input channels that are written out
};

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    upc_problem in_f32 = *problem;
    if (problem->sum_type == UPCONV_F16 && !facts->info.f16_math) {
        snprintf(sentence, UPC_SENTENCE, "the device has no arithmetic in f16");
        return sentence;
    }
    in_f32.sum_type = UPCONV_F32; // no other solver adds up in f16
    return upc_gather_refuse(&in_f32, true, sentence);
}

// Positions of a row, and rows of all phases.
static void grid(const upc_problem *problem, int64_t tile, int64_t items[3])
{
    int64_t q[3], phases = 1;
    for (int a = 0; a < 3; a++) {
        const int64_t stride = upc_taps_stride(&problem->axis[a]);
        q[a] = upc_ceil_div(problem->axis[a].out, stride);
        phases *= stride;
    }
    items[0] = upc_ceil_div(q[2], tile);
    items[1] = q[0] * q[1] * phases;
    items[2] = 1;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    memset(config, 0, sizeof *config);
    upc_phase_shape shape;
    if (upc_gather_processor(facts))
        upc_phase_processor_guess(problem, &shape);
    else
        upc_phase_guess(problem, facts, &shape);
    config->value[TILE] = shape.tile;
    config->value[OC] = shape.oc;
    config->value[STAGE] = shape.stage;
    config->value[TEXEL] = shape.texel;
    // compiled-in geometry saves a GPU registers and divisions; on a CPU compiling costs more than that is worth
    config->value[SPEC] = facts->family != UPC_FAMILY_CPU;
    config->value[UNROLL] = 1;
    uint32_t local[2];
    int64_t items[3];
    grid(problem, shape.tile, items);
    upc_group_guess(facts, items, 64, local);
    config->value[GROUP_X] = (int32_t)local[0];
    config->value[GROUP_Y] = (int32_t)local[1];
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    upc_stage stage;
    if (config->value[STAGE]) {
        upc_phase_stage_bound(problem, config->value[STAGE], config->value[TILE], &stage);
        if (facts->info.backend != UPCONV_BACKEND_CPU && upc_stage_refuse(&stage, problem, facts, sentence))
            return sentence;
    }
    if (config->value[TEXEL] && !facts->texel_elements) {
        snprintf(sentence, UPC_SENTENCE, "the device has no texel buffers");
        return sentence;
    }
    return upc_group_legal(facts, config->value[GROUP_X], config->value[GROUP_Y], sentence);
}

// Multiply-adds, and the loads that they need, at a rate per item that only ranks: real rates come from tuning records.
static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    const double tile = config->value[TILE], oc = config->value[OC];
    const double blocks = (double)upc_ceil_div(problem->ocg, (int64_t)oc), waste = blocks * oc / (double)problem->ocg;
    if (facts->info.backend == UPCONV_BACKEND_CPU) // plain C: the reference is about as fast, and more precise
        return upc_problem_macs(problem) * waste / 400 + 5;
    if (upc_gather_processor(facts))
        return upc_phase_processor_us(problem, config->value[TILE], config->value[OC]);
    if (facts->info.kind == UPCONV_DEVICE_CPU) {
        const double loads = (tile + oc / 4) / (tile * oc / 4); // per four multiply-adds
        return upc_problem_macs(problem) * waste * (1 + loads) / 4 / 2e3 + 5;
    }
    int64_t row[3], cut[3];
    grid(problem, 1, row);
    grid(problem, (int64_t)tile, cut);
    const double values = config->value[STAGE] == 4 || upc_phase_fours(problem) ? 4 : 1; // of a load of the input
    const double loads = 4 * (tile / values + oc / 4) / (tile * oc);
    // sums that do not wait for each other hide latencies as items do
    const double items = tile * oc / 8 * (double)(cut[0] * cut[1] * problem->batch * problem->groups) * blocks;
    const double beyond = (double)cut[0] * tile / (double)row[0];
    const double copy = config->value[STAGE] ? 2 * (double)upc_input_elements(problem) / 1e4 + 5 : 0;
    return upc_gather_macs(problem) * waste * beyond * (1 + loads) / 4 / 1e4 / upc_gather_busy(facts, items) + copy + 5;
}

static int64_t block(const upc_config *config) { return config->value[OC]; }

static void defines(const upc_gather *gather, upc_program_desc *program)
{
    upc_program_param(program, "TILE", UPC_PARAM_DEFINE, (int32_t)gather->tile);
    upc_program_param(program, "OC", UPC_PARAM_DEFINE, (int32_t)gather->oc);
    upc_program_param(program, "SUM", UPC_PARAM_DEFINE, gather->f16_sums ? 16 : 32);
}

// stage: filled in where the configuration asks for a copy of the input.
static upconv_status gather_of(const upc_env *env, const upc_problem *problem, const upc_config *config,
                               upc_stage *stage, upc_gather *gather)
{
    *gather = (upc_gather){
        .kernel = "phase", .phases = true, .oc = config->value[OC], .tile = config->value[TILE],
        .local = {(uint32_t)config->value[GROUP_X], (uint32_t)config->value[GROUP_Y], 1},
        .spec = config->value[SPEC] != 0, .texel = config->value[TEXEL] != 0,
        .unroll = config->value[UNROLL], .f16_sums = problem->sum_type == UPCONV_F16, .defines = defines,
    };
    if (!config->value[STAGE])
        return UPCONV_OK;
    gather->stage = stage;
    *stage = (upc_stage){.type = problem->type, .pack = config->value[STAGE]};
    upc_taps taps;
    const upconv_status status = upc_taps_init(&taps, env, problem, true);
    if (status)
        return status;
    upc_stage_surround(stage, problem, &taps, gather->tile);
    upc_taps_finish(&taps);
    upc_stage_fill(stage, problem);
    return UPCONV_OK;
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    upc_gather gather;
    upc_stage stage;
    char sentence[UPC_SENTENCE];
    const upconv_status status = gather_of(recipe->env, problem, config, &stage, &gather);
    if (status)
        return status;
    if (gather.stage && upc_stage_refuse(&stage, problem, facts, sentence))
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "%s", sentence);
    // weights packed at execution may lie in the app's own buffer, which need not be usable as a texel buffer
    gather.texel = gather.texel && !request->dynamic_weights;
    return upc_gather_cook(&gather, problem, facts, request, recipe);
}

static upconv_status pack(const upc_env *env, const upc_problem *problem, const upc_facts *facts,
                          const upc_config *config, const float *weights, upconv_filter_order order, void *packed)
{
    upc_gather gather;
    upc_stage stage;
    const upconv_status status = gather_of(env, problem, config, &stage, &gather);
    return status ? status : upc_gather_pack(&gather, env, problem, facts, weights, order, packed);
}

const upc_solver upc_solver_phase = {
    .name = "phase", .version = 1, .ops = 1u << UPCONV_CONV_TRANSPOSE | 1u << UPCONV_CONV,
    .knobs = knobs, .knob_count = UPC_COUNT(knobs), .refuse = refuse, .guess = guess,
    .legal = legal, .cost_us = cost_us, .cook = cook, .block = block, .pack = pack,
};
