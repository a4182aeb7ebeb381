// Stride phases with lanes over output channels (shaders/wide.kernel): for processors, where images are small or channels many.
#include "cheapest.h"
#include "phase.h"
#include "vectors.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH, TILE, VECTORS, ORDER, STAGE, GROUP_X };

static const int32_t tiles[] = {1, 2, 4, 6, 7, 8, 12, 14}, vectors[] = {1, 2, 4}, yes_no[] = {0, 1};

static const upc_knob knobs[] = {
    [WIDTH] = {"vec", upc_vector_widths, UPC_VECTOR_WIDTHS}, // output channels of a vector
    [TILE] = {"tile", tiles, UPC_COUNT(tiles)},              // positions of an item along w
    [VECTORS] = {"vectors", vectors, UPC_COUNT(vectors)},    // of channels, of an item
    [ORDER] = {"order", yes_no, UPC_COUNT(yes_no)},          // what passes faster: 0 lines, 1 phases and blocks
    [STAGE] = {"stage", yes_no, UPC_COUNT(yes_no)},          // 1: reads a copy of the input with zeros around
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES},     // work-group
};

static int64_t block(const upc_config *config) { return (int64_t)config->value[WIDTH] * config->value[VECTORS]; }

static void stage_of(const upc_problem *problem, const upc_config *config, upc_stage *stage)
{
    *stage = (upc_stage){.type = UPCONV_F32, .pack = 1};
    upc_vector_surround(problem, config->value[TILE], stage->front, stage->back);
    upc_stage_fill(stage, problem);
}

// Without a copy an item must find all it reads within its row, and no dispatch may be cut, which could leave less than a tile.
static const char *refuse_plain(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                                char *sentence)
{
    const upc_axis *w = &problem->axis[2];
    int64_t front[3], back[3];
    upc_vector_surround(problem, 1, front, back);
    if (!upc_vector_dense(problem) || front[2] || back[2]) {
        snprintf(sentence, UPC_SENTENCE, "without a copy, positions must lie side by side and no tap beyond them");
        return sentence;
    }
    if (w->out / upc_taps_stride(w) < config->value[TILE]) {
        snprintf(sentence, UPC_SENTENCE, "without a copy, a row needs %d positions a phase; it has %lld",
                 config->value[TILE], (long long)(w->out / upc_taps_stride(w)));
        return sentence;
    }
    const upconv_limits *limits = &facts->info.limits;
    const uint64_t room = limits->binding_bytes - UPC_MIN(facts->info.offset_alignment, limits->binding_bytes);
    const upc_packing packing = {block(config), problem->icg, UPCONV_F32};
    // dispatches that take long are cut between images, blocks, lines and phases before they are cut within a row
    const double row = (double)w->out * (double)(problem->axis[0].kernel * problem->axis[1].kernel * w->kernel) *
                       (double)problem->icg * (double)block(config);
    if (upc_input_bytes(problem) > room || upc_output_bytes(problem) > room ||
        upc_taps_packed_bytes(problem, &packing) > room || row > (double)limits->dispatch_macs ||
        upc_ceil_div(w->out, (int64_t)config->value[TILE]) > limits->group_count) {
        snprintf(sentence, UPC_SENTENCE,
                 "without a copy, rows must be whole: tensors of at most %llu bytes, %llu multiply-adds",
                 (unsigned long long)room, (unsigned long long)limits->dispatch_macs);
        return sentence;
    }
    return NULL;
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    const char *refusal = upc_vector_legal(facts, config->value[WIDTH], sentence);
    if (!refusal)
        refusal = upc_group_legal(facts, config->value[GROUP_X], 1, sentence);
    if (refusal)
        return refusal;
    if (!config->value[STAGE])
        return refuse_plain(problem, facts, config, sentence);
    upc_stage stage;
    stage_of(problem, config, &stage);
    return upc_stage_refuse(&stage, problem, facts, sentence);
}

static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    const upc_axis *axis = problem->axis;
    const double tile = config->value[TILE], n = config->value[VECTORS], oc = (double)block(config);
    if (upc_gather_processor(facts)) // behind even the smallest tile of phase in all that was measured
        return 2 * upc_phase_processor_us(problem, 1, 4);
    if (facts->family != UPC_FAMILY_CPU || facts->info.backend != UPCONV_BACKEND_OPENCL) // made for others
        return upc_problem_macs(problem) / 1e3 + 20;
    double taps = 1, phases = 1;
    for (int a = 0; a < 3; a++) {
        phases *= (double)upc_taps_stride(&axis[a]);
        taps *= (double)axis[a].kernel;
    }
    const double rows = (double)(axis[0].out * axis[1].out * UPC_MIN(axis[2].out, upc_taps_stride(&axis[2])));
    const double blocks = (double)(problem->groups * upc_ceil_div(problem->ocg, (int64_t)oc));
    const int64_t in_row = upc_ceil_div(axis[2].out, upc_taps_stride(&axis[2]));
    const double lines = UPC_MAX(rows / phases, 1) * (double)problem->batch;
    const double rounds = taps / phases * (double)problem->icg;
    // loads of weights come from the second cache, an item's sums wait for one another where they are few
    const double round =
        UPC_MAX(UPC_MAX(tile * n, 2 * n + tile / 2), 4) * upc_vector_spills(facts, config->value[WIDTH], tile * n);
    const double apart = (double)upc_output_elements(problem) * 4 > 1 << 20 ? config->value[ORDER] ? 3 : 6 : 1.5;
    const upc_vector_work work = {
        .items = (double)problem->batch * blocks * rows * (double)upc_ceil_div(in_row, (int64_t)tile),
        .cycles = 80 + rounds * round + tile * oc * apart,
        .read_bytes = upc_vector_traffic(problem, config->value[ORDER], blocks * phases, lines),
        .staged_bytes = config->value[STAGE] ? 2.0 * (double)upc_input_elements(problem) * 4 : 0,
    };
    return upc_vector_us(facts, &work);
}

// The cheapest of the legal ones, as the model has it, with a copy of the input only where `stages` allows one.
static bool search(const upc_problem *problem, const upc_facts *facts, int32_t stages, upc_config *best)
{
    char sentence[UPC_SENTENCE];
    upc_cheapest search = {problem, facts, cost_us, legal, *best, 0, false};
    for (size_t t = 0; t < UPC_COUNT(tiles); t++)
        for (int32_t stage = 0; stage <= stages; stage++) {
            upc_config config = *best;
            config.value[TILE] = tiles[t];
            config.value[STAGE] = stage;
            if (legal(problem, facts, &config, sentence))
                continue;
            for (size_t i = 0; i < UPC_COUNT(vectors) * 2; i++) {
                config.value[VECTORS] = vectors[i / 2];
                config.value[ORDER] = (int32_t)(i % 2);
                upc_cheapest_try(&search, &config);
            }
            break; // where no copy is needed, none is made
        }
    *best = search.best;
    return search.found;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    memset(config, 0, sizeof *config);
    config->value[WIDTH] = upc_vector_guess(facts);
    config->value[TILE] = config->value[VECTORS] = 1;
    config->value[GROUP_X] = 1;
    // default plans need no workspace where no two taps of an output read different inputs
    if (upc_taps_overlap(problem) || !search(problem, facts, 0, config))
        search(problem, facts, 1, config);
    const upc_axis *w = &problem->axis[2];
    const int64_t row = upc_ceil_div(w->out, upc_taps_stride(w));
    config->value[GROUP_X] = upc_vector_group(facts, upc_ceil_div(row, (int64_t)config->value[TILE]));
}

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    const char *refusal = upc_vector_refuse(problem, facts, sentence);
    upc_config config;
    if (refusal)
        return refusal;
    guess(problem, facts, &config);
    return legal(problem, facts, &config, sentence);
}

static void defines(const upc_gather *gather, upc_program_desc *program)
{
    const upc_config *config = gather->user;
    upc_program_param(program, "VEC", UPC_PARAM_DEFINE, config->value[WIDTH]);
    upc_program_param(program, "NV", UPC_PARAM_DEFINE, config->value[VECTORS]);
    upc_program_param(program, "TILE", UPC_PARAM_DEFINE, config->value[TILE]);
    upc_program_param(program, "ORDER", UPC_PARAM_DEFINE, config->value[ORDER]);
}

static void gather_of(const upc_problem *problem, const upc_config *config, upc_stage *stage, upc_gather *gather)
{
    *gather = (upc_gather){
        .kernel = "wide", .phases = true, .oc = block(config), .tile = config->value[TILE],
        .local = {(uint32_t)config->value[GROUP_X], 1, 1}, .defines = defines, .user = config,
    };
    if (!config->value[STAGE])
        return;
    gather->stage = stage;
    stage_of(problem, config, stage);
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    upc_gather gather;
    upc_stage stage;
    char sentence[UPC_SENTENCE];
    if (legal(problem, facts, config, sentence))
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "%s", sentence);
    gather_of(problem, config, &stage, &gather);
    return upc_gather_cook(&gather, problem, facts, request, recipe);
}

static upconv_status pack(const upc_env *env, const upc_problem *problem, const upc_facts *facts,
                          const upc_config *config, const float *weights, upconv_filter_order order, void *packed)
{
    upc_gather gather;
    upc_stage stage;
    gather_of(problem, config, &stage, &gather);
    return upc_gather_pack(&gather, env, problem, facts, weights, order, packed);
}

const upc_solver upc_solver_wide = {
    .name = "wide", .version = 1, .ops = 1u << UPCONV_CONV_TRANSPOSE | 1u << UPCONV_CONV,
    .knobs = knobs, .knob_count = UPC_COUNT(knobs), .refuse = refuse, .guess = guess,
    .legal = legal, .cost_us = cost_us, .cook = cook, .block = block, .pack = pack,
};
