// The gradient of a filter by whole subgroups (shaders/squares.kernel): for processors that pose as Vulkan devices, whose
// loads are loops over the lanes of a subgroup.
#include "cheapest.h"
#include "gather.h"
#include "grad.h"
#include "panels.h"
#include "slabs.h"

#include <stdio.h>
#include <string.h>

enum { LANES, WIDE, ROWS, CHUNK, UNROLL };

static const int32_t lanes[] = {UPC_PANEL_OUT, UPC_PANEL_IN}, wides[] = {1, 2, 4}, rows[] = {1, 4},
                     chunks[] = {256, 1024, 4096, 16384}, rounds[] = {1, 2, 4};

static const upc_knob knobs[] = {
    [LANES] = {"lanes", lanes, UPC_COUNT(lanes)},     // columns: 0 output channels, 1 input channels
    [WIDE] = {"wide", wides, UPC_COUNT(wides)},       // vectors of four columns of a lane
    [ROWS] = {"rows", rows, UPC_COUNT(rows)},         // channels of the other tensor that a lane loads; four are woven
    [CHUNK] = {"chunk", chunks, UPC_COUNT(chunks)},   // inputs that are added up at a time
    [UNROLL] = {"unroll", rounds, UPC_COUNT(rounds)}, // positions of a round of the loop
};

enum { VECTOR = 4, MOST_SUMS = 64 /* vectors of a lane: beyond it compiling takes longer than it can save */ };

static void shape_of(const upc_facts *facts, const upc_config *config, upc_panel_shape *s)
{
    const int32_t *value = config->value;
    const int64_t subgroup = facts->info.subgroup_size;
    *s = (upc_panel_shape){.width = VECTOR,
                           .lanes = value[LANES],
                           .rows = subgroup * value[ROWS],
                           .columns = subgroup * value[WIDE],
                           .chunk = value[CHUNK],
                           .copy = value[ROWS] > 1};
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    const int32_t *value = config->value;
    const int64_t sums = (int64_t)facts->info.subgroup_size * value[ROWS] * value[WIDE];
    const upc_tensor *given = value[LANES] == UPC_PANEL_IN ? &problem->out : &problem->in;
    upc_panel_shape shape;
    upc_panel panel;
    shape_of(facts, config, &shape);
    if (sums > MOST_SUMS)
        snprintf(sentence, UPC_SENTENCE, "%lld vectors of sums are more than the %d that a lane may have",
                 (long long)sums, MOST_SUMS);
    else if (!shape.copy && (problem->type != UPCONV_F32 || given->pack > 1))
        snprintf(sentence, UPC_SENTENCE, "rows that are not f32, or in blocks of channels, must be woven");
    else if (!upc_panel_lay(problem, &shape, &panel))
        snprintf(sentence, UPC_SENTENCE, "its tensors, woven, are beyond 32-bit indices");
    else if (facts->loop_rounds && (double)panel.each * (double)(UPC_MIN(problem->axis[2].in, UPC_PANEL_SEGMENT) + 2) +
                                           UPC_PANEL_RUN * VECTOR >
                                       facts->loop_rounds)
        snprintf(sentence, UPC_SENTENCE, "its loops would make more than %u rounds", facts->loop_rounds);
    else
        return upc_panel_refuse_size(problem, facts, &panel, sentence);
    return sentence;
}

// Nanoseconds on one of two cores, fitted to measurements on llvmpipe with subgroups of 8: of an item, with the stores of its sums; of a
// line; of a position, its loads, multiply-adds, and the blends of each round of the loop; of an element that is woven.
static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    upc_panel_shape s;
    upc_panel l;
    shape_of(facts, config, &s);
    if (!upc_panel_lay(problem, &s, &l))
        return 1e12;
    const int32_t *value = config->value;
    const double all = (double)upc_filter_elements(problem), wide = value[WIDE];
    const double sums = (double)s.rows * wide, tiles = (double)(l.outers * l.tiles * l.blocks * l.taps),
                 items = tiles * (double)l.shares;
    const double positions = upc_gather_macs(problem) / all,
                 lines = (double)l.units * positions /
                         ((double)problem->batch * (double)problem->axis[0].in * (double)problem->axis[1].in *
                          (double)problem->axis[2].in);
    const double position = (value[ROWS] > 1 ? 20 : 15) + 20 * wide + sums * (0.8 + 0.6 / value[UNROLL]);
    const double woven = (double)(l.column.bytes + l.row.bytes) / 4, stored = all * (double)l.shares;
    const double us = (items * 500 + stored / (double)facts->info.subgroup_size * 35 +
                       tiles * (lines * 100 + positions * position) + 6 * woven + (l.shares > 1 ? 5 * stored : 0)) /
                          2e3 +
                      100;
    return strstr(facts->info.name, "llvmpipe") ? us : 8 * us; // SwiftShader, whose loads are plainer, gains nothing
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    enum { SHAPES = UPC_COUNT(lanes) * UPC_COUNT(wides) * UPC_COUNT(rows), ALL = SHAPES * UPC_COUNT(chunks) };
    upc_config best = {.value = {[WIDE] = 1, [ROWS] = 4, [CHUNK] = chunks[0], [UNROLL] = 2}};
    upc_cheapest search = {problem, facts, cost_us, legal, best, 0, false};
    for (size_t i = 0; i < ALL; i++) {
        upc_config tried = best;
        tried.value[LANES] = lanes[i % UPC_COUNT(lanes)];
        tried.value[WIDE] = wides[i / UPC_COUNT(lanes) % UPC_COUNT(wides)];
        tried.value[ROWS] = rows[i / UPC_COUNT(lanes) / UPC_COUNT(wides) % UPC_COUNT(rows)];
        tried.value[CHUNK] = chunks[i / SHAPES];
        upc_cheapest_try(&search, &tried);
    }
    *config = search.best;
}

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    const uint32_t subgroup = facts->info.subgroup_size;
    const char *refusal = NULL;
    if (!upc_gather_processor(facts))
        refusal = "it is for processors under Vulkan";
    else if (!facts->subgroup_shuffle || (subgroup != 4 && subgroup != 8))
        refusal = "the device has no subgroups of 4 or 8 items that see each other's values";
    if (refusal) {
        snprintf(sentence, UPC_SENTENCE, "%s", refusal);
        return sentence;
    }
    if (upc_group_legal(facts, (int32_t)subgroup, 1, sentence) || upc_panel_refuse_far(problem, sentence))
        return sentence;
    upc_config config;
    guess(problem, facts, &config);
    return legal(problem, facts, &config, sentence);
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    char sentence[UPC_SENTENCE];
    if (legal(problem, facts, config, sentence))
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "%s", sentence);
    upc_panel_shape shape;
    upc_panel panel;
    upc_filter_strides filter;
    upc_program_desc program;
    const int32_t *value = config->value;
    const uint32_t subgroup = facts->info.subgroup_size, local[3] = {subgroup, 1, 1};
    const upc_number defines[] = {
        {"LANES", subgroup},
        {"ROWS", value[ROWS]},
        {"WIDE", value[WIDE]},
        {"UNROLL_BY", value[UNROLL]},
        {"TURNED", value[LANES] == UPC_PANEL_IN},
        {"IN_STORE", UPC_STORE_F32},
        {"W_STORE", UPC_STORE_F32},
        {"OUT_STORE", UPC_STORE_F32},
    };
    shape_of(facts, config, &shape);
    upc_panel_lay(problem, &shape, &panel);
    upc_filter_strides_get(problem, request->order, &filter);
    upc_program_desc_init(&program, "squares", local, 4);
    upc_program_defines(&program, defines, UPC_COUNT(defines));
    const int64_t items[3] = {panel.blocks * panel.taps * subgroup, panel.outers * panel.tiles, panel.shares};
    const upconv_status status = upc_panel_numbers(problem, &panel, &filter, recipe, &program);
    return status ? status : upc_panel_cook(problem, facts, &panel, &program, items, recipe);
}

const upc_solver upc_solver_squares = {
    .name = "squares",
    .version = 1,
    .ops = 1u << UPCONV_GRAD_FILTER,
    .knobs = knobs,
    .knob_count = UPC_COUNT(knobs),
    .refuse = refuse,
    .guess = guess,
    .legal = legal,
    .cost_us = cost_us,
    .cook = cook,
};
