// Convolution with a stride, lanes along rows (shaders/strided.kernel): for processors, where rows are long and
// channels few.
#include "cheapest.h"
#include "phase.h"
#include "vectors.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH, VECTORS, CHANNELS, ORDER, STAGE, GROUP_X };

static const int32_t vectors[] = {1, 2, 3, 4}, channels[] = {1, 2, 4, 8, 16}, yes_no[] = {0, 1};

static const upc_knob knobs[] = {
    [WIDTH] = {"vec", upc_vector_widths, UPC_VECTOR_WIDTHS}, // positions of a vector
    [VECTORS] = {"vectors", vectors, UPC_COUNT(vectors)},    // of positions, of an item
    [CHANNELS] = {"oc", channels, UPC_COUNT(channels)},      // output channels of an item
    [ORDER] = {"order", yes_no, UPC_COUNT(yes_no)},          // what passes faster: 0 lines, 1 blocks
    [STAGE] = {"stage", yes_no, UPC_COUNT(yes_no)},          // 1: reads a copy of the input with zeros around
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES},     // work-group
};

enum { MAX_TAPS = 16, MAX_SUMS = 32, MAX_CODE = 160 };

// Blocks of packed weights are read as vectors of four.
static int64_t block(const upc_config *config) { return UPC_MAX(config->value[CHANNELS], 4); }
static int64_t tile_of(const upc_config *config) { return (int64_t)config->value[WIDTH] * config->value[VECTORS]; }

// What the first tap of the first output reads, down to the multiple of the step at which vectors begin, and what the
// last one reads.
static void reach_of(const upc_axis *w, int64_t outputs, int64_t *least, int64_t *most)
{
    const int64_t ahead = w->pad - upc_axis_origin(w);
    *least = upc_floor_div(ahead - (w->kernel - 1) * w->dilation, w->step) * w->step;
    *most = upc_floor_div(ahead, w->step) * w->step + outputs * w->step - 1;
}

static void stage_of(const upc_problem *problem, const upc_config *config, upc_stage *stage)
{
    const upc_axis *w = &problem->axis[2];
    int64_t least, most;
    *stage = (upc_stage){.type = UPCONV_F32, .pack = 1};
    upc_vector_surround(problem, tile_of(config), stage->front, stage->back);
    reach_of(w, upc_ceil_div(w->out, tile_of(config)) * tile_of(config), &least, &most);
    stage->front[2] = UPC_MAX(stage->front[2], -least);
    stage->back[2] = UPC_MAX(stage->back[2], most - (w->in - 1));
    upc_stage_fill(stage, problem);
}

// Without a copy an item must find all it reads within its row, and no dispatch may be cut, which could leave less than
// a tile.
static const char *refuse_plain(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                                char *sentence)
{
    const upc_axis *w = &problem->axis[2];
    const upconv_limits *limits = &facts->info.limits;
    const uint64_t room = limits->binding_bytes - UPC_MIN(facts->info.offset_alignment, limits->binding_bytes);
    const upc_packing packing = {block(config), problem->icg, UPCONV_F32};
    int64_t least, most;
    reach_of(w, w->out, &least, &most);
    if (!upc_vector_dense(problem) || least < 0 || most > w->in - 1 || w->out < tile_of(config))
        snprintf(sentence, UPC_SENTENCE,
                 "without a copy, positions must lie side by side, no tap beyond them, and %lld outputs in a row",
                 (long long)tile_of(config));
    else if (upc_input_bytes(problem) > room || upc_output_bytes(problem) > room ||
             upc_taps_packed_bytes(problem, &packing) > room ||
             upc_problem_macs(problem) > (double)limits->dispatch_macs || w->out > limits->group_count)
        snprintf(sentence, UPC_SENTENCE,
                 "without a copy, it must be one dispatch: tensors of at most %llu bytes, %llu multiply-adds",
                 (unsigned long long)room, (unsigned long long)limits->dispatch_macs);
    else
        return NULL;
    return sentence;
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    const int32_t *value = config->value;
    const char *refusal = upc_vector_legal(facts, value[WIDTH], sentence);
    if (!refusal)
        refusal = upc_group_legal(facts, value[GROUP_X], 1, sentence);
    if (refusal)
        return refusal;
    const int64_t sums = (int64_t)value[VECTORS] * value[CHANNELS];
    if (sums > MAX_SUMS || sums * problem->axis[2].kernel > MAX_CODE) {
        snprintf(sentence, UPC_SENTENCE, "%d x %d vectors of sums, %lld taps each, are too much code for one item",
                 value[VECTORS], value[CHANNELS], (long long)problem->axis[2].kernel);
        return sentence;
    }
    if (value[CHANNELS] < 4 && problem->ocg > value[CHANNELS]) {
        snprintf(sentence, UPC_SENTENCE, "fewer than four channels must be all of a group; it has %lld",
                 (long long)problem->ocg);
        return sentence;
    }
    if (!value[STAGE])
        return refuse_plain(problem, facts, config, sentence);
    upc_stage stage;
    stage_of(problem, config, &stage);
    return upc_stage_refuse(&stage, problem, facts, sentence);
}

static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    const upc_axis *axis = problem->axis, *w = &axis[2];
    if (upc_gather_processor(facts)) // never measured there
        return 2 * upc_phase_processor_us(problem, 1, 4);
    if (facts->family != UPC_FAMILY_CPU || facts->info.backend != UPCONV_BACKEND_OPENCL) // made for others
        return upc_problem_macs(problem) / 1e3 + 30;
    const double p = config->value[VECTORS], c = config->value[CHANNELS], k = (double)w->kernel, step = (double)w->step;
    const double lines = (double)(axis[0].out * axis[1].out * problem->batch);
    const double blocks = (double)(problem->groups * upc_ceil_div(problem->ocg, block(config)));
    const double rounds = (double)(axis[0].kernel * axis[1].kernel) * (double)problem->icg;
    // vectors that taps share, most of which cross lines of the cache; an unzipped one is one or two more instructions
    const double ragged = upc_floor_div(w->pad, w->step) * w->step != w->pad ? 1 : 0;
    const double read = (double)upc_ceil_div(w->kernel * w->dilation, w->step) + ragged;
    const double loads = 1.7 * p * UPC_MIN(read, k) * step + 0.5 * c * k, zips = p * k * (step - 1);
    const double round = UPC_MAX(UPC_MAX(p * c * k + zips, loads), 4 * k) *
                         upc_vector_spills(facts, config->value[WIDTH], p * c) + 2;
    const bool whole = problem->out.pack == 1 && problem->out.axis[2] == 1;
    const upc_vector_work work = {
        .items = lines * blocks * (double)upc_ceil_div(w->out, tile_of(config)),
        .cycles = 100 + rounds * round + p * c * (whole ? 8 : 2.0 * config->value[WIDTH]),
        .read_bytes = upc_vector_traffic(problem, config->value[ORDER], blocks, lines),
        .staged_bytes = config->value[STAGE] ? 2.0 * (double)upc_input_elements(problem) * 4 : 0,
    };
    return upc_vector_us(facts, &work);
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    enum { SHAPES = UPC_COUNT(vectors) * UPC_COUNT(channels) };
    memset(config, 0, sizeof *config);
    config->value[WIDTH] = upc_vector_guess(facts);
    config->value[VECTORS] = config->value[GROUP_X] = config->value[STAGE] = 1;
    config->value[CHANNELS] = 4;
    upc_cheapest search = {problem, facts, cost_us, legal, *config, 0, false};
    for (size_t i = 0; i < SHAPES * 4; i++) {
        upc_config tried = *config;
        tried.value[VECTORS] = vectors[i % UPC_COUNT(vectors)];
        tried.value[CHANNELS] = channels[i / UPC_COUNT(vectors) % UPC_COUNT(channels)];
        tried.value[ORDER] = (int32_t)(i / SHAPES % 2);
        tried.value[STAGE] = (int32_t)(i / SHAPES / 2);
        upc_cheapest_try(&search, &tried);
    }
    *config = search.best;
    config->value[GROUP_X] = upc_vector_group(facts, upc_ceil_div(problem->axis[2].out, tile_of(config)));
}

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    const upc_axis *w = &problem->axis[2];
    const char *refusal = upc_vector_refuse(problem, facts, sentence);
    if (refusal)
        return refusal;
    if ((w->step != 2 && w->step != 4) || w->kernel > MAX_TAPS || w->dilation > INT16_MAX) {
        snprintf(sentence, UPC_SENTENCE, "along w it takes strides of 2 and 4, %d taps, and dilations up to %d",
                 MAX_TAPS, INT16_MAX);
        return sentence;
    }
    upc_config config;
    guess(problem, facts, &config);
    return legal(problem, facts, &config, sentence);
}

static void defines(const upc_gather *gather, upc_program_desc *program)
{
    const upc_config *config = gather->user;
    upc_program_param(program, "VEC", UPC_PARAM_DEFINE, config->value[WIDTH]);
    upc_program_param(program, "PN", UPC_PARAM_DEFINE, config->value[VECTORS]);
    upc_program_param(program, "CN", UPC_PARAM_DEFINE, config->value[CHANNELS]);
    upc_program_param(program, "OC", UPC_PARAM_DEFINE, (int32_t)block(config));
    upc_program_param(program, "ORDER", UPC_PARAM_DEFINE, config->value[ORDER]);
}

// What the kernel knows of the problem when it is compiled.
static void geometry(const upc_problem *problem, upc_program_desc *program)
{
    const upc_axis *w = &problem->axis[2];
    upc_program_param(program, "X", UPC_PARAM_DEFINE, (int32_t)w->step);
    upc_program_param(program, "K", UPC_PARAM_DEFINE, (int32_t)w->kernel);
    upc_program_param(program, "DIL", UPC_PARAM_DEFINE, (int32_t)w->dilation);
    upc_program_param(program, "AHEAD", UPC_PARAM_DEFINE, (int32_t)(w->pad - upc_floor_div(w->pad, w->step) * w->step));
    upc_program_param(program, "DENSE", UPC_PARAM_DEFINE, problem->out.pack == 1 && problem->out.axis[2] == 1);
}

static void gather_of(const upc_problem *problem, const upc_config *config, upc_stage *stage, upc_gather *gather)
{
    *gather = (upc_gather){
        .kernel = "strided", .phases = true, .oc = block(config), .tile = tile_of(config), .beyond = problem->axis[2].step - 1,
        .local = {(uint32_t)config->value[GROUP_X], 1, 1}, .defines = defines, .geometry = geometry, .user = config,
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

const upc_solver upc_solver_strided = {
    .name = "strided", .version = 1, .ops = 1u << UPCONV_CONV,
    .knobs = knobs, .knob_count = UPC_COUNT(knobs), .refuse = refuse, .guess = guess,
    .legal = legal, .cost_us = cost_us, .cook = cook, .block = block, .pack = pack,
};
