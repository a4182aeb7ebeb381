// Stride phases of quantised types for processors (shaders/wide_q.kernel): two products an instruction and lane, in words of two input
// channels. Where taps overlap, or lie beyond the input, items read a copy of the input in the workspace; where every output has one tap
// they make their own.
#include "cheapest.h"
#include "wide_q.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH, TILE, VECTORS, ALONG, ORDER, STAGE, GROUP_X, BYTES, SPEC };

static const int32_t tiles[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14}, vectors[] = {1, 2, 3, 4}, yes_no[] = {0, 1};

static const upc_knob knobs[] = {
    [WIDTH] = {"vec", upc_vector_widths, UPC_VECTOR_WIDTHS}, // elements of a vector
    [TILE] = {"tile", tiles, UPC_COUNT(tiles)},              // positions of an item along w; along=1: vectors of them
    [VECTORS] = {"vectors", vectors, UPC_COUNT(vectors)},    // vectors of output channels of an item; along=1: channels
    [ALONG] = {"along", yes_no, UPC_COUNT(yes_no)},          // vectors are of 0 output channels, 1 positions along w
    [ORDER] = {"order", yes_no, UPC_COUNT(yes_no)},          // what passes faster: 0 lines, 1 blocks of channels (and phases)
    [STAGE] = {"stage", yes_no, UPC_COUNT(yes_no)},          // 1: reads a copy of the input in the workspace
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES},     // work-group
    [BYTES] = {"bytes", yes_no, UPC_COUNT(yes_no)},          // 1: words of four channels, where the weights' type is one for it
    [SPEC] = {"spec", yes_no, UPC_COUNT(yes_no)},            // 1: the geometry is compiled in, a program per problem
};

enum {
    MOST_SUMS = 32,        // vectors of an item: what no processor's registers hold is not worth compiling
    OWN_COPY = 48 << 10,   // bytes of the copy that an item makes for itself
};

static upc_wide_q how_of(const upc_problem *problem, const upc_config *config, upconv_type weights_type)
{
    const int32_t *v = config->value;
    upc_wide_q how = {.vec = v[WIDTH], .tile = v[TILE], .vectors = v[VECTORS], .along = v[ALONG], .order = v[ORDER], .stage = v[STAGE],
                      .group = (uint32_t)v[GROUP_X], .spec = v[SPEC]};
    how.quads = v[BYTES] && upc_wide_q_bytes(problem, weights_type);
    upc_wide_q_fill(problem, &how);
    return how;
}

// With the type of weights that words of four channels can be of.
static upc_wide_q likely_how(const upc_problem *problem, const upc_config *config)
{
    return how_of(problem, config, problem->quant.weights_zero == 0 ? UPCONV_I8 : UPCONV_U8);
}

static bool bytes_possible(const upc_problem *problem)
{
    return upc_wide_q_bytes(problem, UPCONV_I8) || upc_wide_q_bytes(problem, UPCONV_U8);
}

// Whether every output has one tap at most, of the input position that its phase's position is.
static bool one_tap(const upc_problem *problem)
{
    for (int a = 0; a < 3; a++)
        if (problem->axis[a].kernel != problem->axis[a].stride || problem->axis[a].dilation != 1)
            return false;
    return true;
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    const upc_wide_q how = likely_how(problem, config);
    const char *refusal = upc_vector_legal(facts, config->value[WIDTH], sentence);
    if (!refusal)
        refusal = upc_group_legal(facts, config->value[GROUP_X], 1, sentence);
    if (refusal)
        return refusal;
    if (config->value[BYTES] && !bytes_possible(problem))
        return "words of four channels are for inputs of 8 bits, sums of 32, and weights whose zero point leaves them "
               "signed bytes";
    if (how.tile * how.vectors > MOST_SUMS) {
        snprintf(sentence, UPC_SENTENCE, "%lld x %lld vectors of sums are above %d", (long long)how.tile,
                 (long long)how.vectors, MOST_SUMS);
        return sentence;
    }
    if (how.bytes > UPC_MIN((uint64_t)1 << 30, facts->info.limits.alloc_bytes)) {
        snprintf(sentence, UPC_SENTENCE, "its packed weights take %llu bytes", (unsigned long long)how.bytes);
        return sentence;
    }
    upc_strips_q strips;
    if (how.stage && !upc_strips_q_plan(problem, facts, &how, &strips)) {
        snprintf(sentence, UPC_SENTENCE,
                 "no strip of a copy of the input fits %llu bytes of workspace and the device's limits",
                 (unsigned long long)upc_workspace_default(problem));
        return sentence;
    }
    if (!how.stage && upc_wide_q_own(&how) * 4 > OWN_COPY) {
        snprintf(sentence, UPC_SENTENCE, "an item's own copy of %lld words is above %d bytes",
                 (long long)upc_wide_q_own(&how), OWN_COPY);
        return sentence;
    }
    return NULL;
}

// ------------------------------------------------------------------------------------------------------------ what is best

enum { BACK = 30 }; // cycles to bring a vector of sums back

// Cycles of an item for one phase: fitted to nothing finer than which of the tiles wins.
static double phase_cycles(const upc_problem *problem, const upc_facts *facts, const upc_wide_q *how, double words)
{
    const double t = (double)how->tile, n = (double)how->vectors, vec = (double)how->vec;
    const double loads = how->along ? 0.5 * t + 0.3 * n : 0.3 * (t + n);
    const double round = UPC_MAX(t * n + loads, 4) * upc_vector_spills(facts, (int32_t)how->vec, t * n);
    const bool whole = problem->out.pack == 1 && (how->along ? problem->out.axis[2] : problem->out.channel) == 1;
    return 60 + words * round + t * n * (BACK + (whole ? 4 : 1.5 * vec));
}

static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    const upc_wide_q how = likely_how(problem, config);
    const upc_axis *axis = problem->axis;
    double taps = 1, phases = 1, lines = (double)problem->batch;
    for (int a = 0; a < 3; a++) {
        phases *= (double)upc_taps_stride(&axis[a]);
        taps *= (double)axis[a].kernel;
        if (a < 2)
            lines *= (double)upc_ceil_div(axis[a].out, upc_taps_stride(&axis[a]));
    }
    const int64_t row = upc_ceil_div(axis[2].out, upc_taps_stride(&axis[2]));
    const double blocks = (double)(problem->groups * upc_ceil_div(problem->ocg, how.oc));
    const double items = lines * blocks * (double)upc_ceil_div(row, how.span);
    // copied by vectors of positions or channels, or one by one
    const int dense = upc_wide_q_dense(problem, how.per);
    const bool fast = dense == 1 ? row >= 8 : dense >= 2 && !how.along && problem->icg % (how.quads ? 4 : 16) == 0;
    const double own = how.stage ? 0 : (double)upc_wide_q_own(&how) * (fast ? 0.4 : 3);
    const double weights = (double)how.weights, in = (double)upc_input_elements(problem) * (how.stage ? 2 : 1);
    const double passes = blocks * (how.stage && !how.along ? phases : 1);
    const double slow = how.quads && !facts->byte_dots ? 8 : 1; // the same in many instructions
    const upc_vector_work work = {
        .items = items,
        .cycles = phases * phase_cycles(problem, facts, &how, taps / phases * (double)how.words * slow) + own,
        .read_bytes =
            (double)upc_output_elements(problem) + (how.order ? in + (weights > 384 << 10 ? weights * lines : weights)
                                                              : weights + (in > 384 << 10 ? in * passes : in)),
        .staged_bytes = how.stage ? 2.5 * (double)upc_input_elements(problem) : 0,
    };
    return upc_vector_us(facts, &work);
}

// The cheapest of the legal ones, as the model has it.
static bool search(const upc_problem *problem, const upc_facts *facts, int32_t stage, upc_config *best)
{
    upc_cheapest search = {problem, facts, cost_us, legal, *best, 0, false};
    for (size_t i = 0; i < UPC_COUNT(tiles) * UPC_COUNT(vectors) * 4; i++) {
        upc_config config = *best;
        config.value[STAGE] = stage;
        config.value[ORDER] = (int32_t)(i % 2);
        config.value[ALONG] = (int32_t)(i / 2 % 2);
        config.value[VECTORS] = vectors[i / 4 % UPC_COUNT(vectors)];
        config.value[TILE] = tiles[i / 4 / UPC_COUNT(vectors)];
        upc_cheapest_try(&search, &config);
    }
    *best = search.best;
    return search.found;
}

// Whether an item has so few channels that its own copy of what it reads is next to nothing beside bringing sums back, though it makes it
// for each of the lines that it reads; and its geometry is worth knowing.
static bool few_channels(const upc_problem *problem)
{
    enum { FEW = 4 };
    return problem->icg <= FEW && problem->ocg <= FEW && upc_wide_q_dense(problem, 1) == 1;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    memset(config, 0, sizeof *config);
    config->value[WIDTH] = upc_vector_guess(facts);
    config->value[BYTES] = facts->byte_dots && bytes_possible(problem) && problem->icg > 2;
    config->value[TILE] = config->value[VECTORS] = config->value[GROUP_X] = 1;
    if (!(one_tap(problem) || few_channels(problem)) || !search(problem, facts, 0, config))
        search(problem, facts, 1, config);
    config->value[SPEC] = few_channels(problem) && !config->value[STAGE];
    const upc_wide_q how = likely_how(problem, config);
    const int64_t row = upc_ceil_div(problem->axis[2].out, upc_taps_stride(&problem->axis[2]));
    config->value[GROUP_X] = upc_vector_group(facts, upc_ceil_div(row, how.span));
}

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    upc_config config;
    int32_t limits[2];
    if (facts->info.backend != UPCONV_BACKEND_OPENCL || facts->family != UPC_FAMILY_CPU)
        return "it is for processors behind OpenCL";
    const char *beyond = upc_gather_refuse(problem, true, sentence);
    if (beyond)
        return beyond;
    upc_quant_limits(problem->type, limits);
    const int64_t zero = problem->quant.in_zero;
    if (limits[1] - zero > INT16_MAX || limits[0] - zero < INT16_MIN) {
        snprintf(sentence, UPC_SENTENCE, "inputs from %lld to %lld without their zero point are beyond 16 bits",
                 (long long)(limits[0] - zero), (long long)(limits[1] - zero));
        return sentence;
    }
    if (problem->in.elements > INT32_MAX || problem->out.elements > INT32_MAX)
        return "its tensors are beyond 32-bit indices";
    if (facts->loop_rounds)
        return "its loops are not cut where a device limits their rounds";
    guess(problem, facts, &config);
    return legal(problem, facts, &config, sentence);
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    const upc_wide_q how = how_of(problem, config, request->weights_type);
    return upc_wide_q_cook(problem, facts, &how, request, recipe);
}

static int64_t block(const upc_config *config)
{
    return (int64_t)config->value[VECTORS] * (config->value[ALONG] ? 1 : config->value[WIDTH]);
}

static upconv_status pack(const upc_env *env, const upc_problem *problem, const upc_config *config,
                          const upconv_plan_params *params, void *packed)
{
    const upc_wide_q how = how_of(problem, config, params->weights_type);
    return upc_wide_q_pack(env, problem, &how, params, packed);
}

const upc_solver upc_solver_wide_q = {
    .name = "wide_q", .version = 1, .quantised = true, .knobs = knobs, .knob_count = UPC_COUNT(knobs), .refuse = refuse, .guess = guess,
    .legal = legal, .cost_us = cost_us, .cook = cook, .block = block, .pack_quantised = pack,
};
