// The gradient of a filter by all taps of a line at a time (shaders/combs.kernel), for processors: where the output has few
// channels, so that panels.c would load a vector for one or two products.
#include "cheapest.h"
#include "gather.h"
#include "grad.h"
#include "panels.h"
#include "slabs.h"
#include "vectors.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH, ROWS, COLUMNS, CHUNK, GROUP_X };

static const int32_t rows[] = {1, 2, 3, 4}, columns[] = {1, 2, 3, 4}, chunks[] = {256, 1024, 4096, 16384, 65536};

static const upc_knob knobs[] = {
    [WIDTH] = {"vec", upc_vector_widths, UPC_VECTOR_WIDTHS}, // input channels of a vector
    [ROWS] = {"rows", rows, UPC_COUNT(rows)},                // of an item: output channels
    [COLUMNS] = {"columns", columns, UPC_COUNT(columns)},    // of an item: vectors
    [CHUNK] = {"chunk", chunks, UPC_COUNT(chunks)},          // inputs that are added up at a time
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES},     // work-group
};

enum { MOST_TAPS = 16, MOST_SUMS = 32 };

static void shape_of(const upc_config *config, upc_panel_shape *s)
{
    const int32_t *value = config->value;
    *s = (upc_panel_shape){.width = value[WIDTH],
                           .lanes = UPC_PANEL_IN,
                           .rows = value[ROWS],
                           .columns = value[COLUMNS],
                           .chunk = value[CHUNK]};
}

static const char *legal(const upc_problem *p, const upc_facts *facts, const upc_config *config, char *sentence)
{
    const char *refusal = upc_vector_legal(facts, config->value[WIDTH], sentence);
    if (!refusal)
        refusal = upc_group_legal(facts, config->value[GROUP_X], 1, sentence);
    if (refusal)
        return refusal;
    const int64_t sums = p->axis[2].kernel * config->value[ROWS] * config->value[COLUMNS];
    upc_panel_shape shape;
    upc_panel panel;
    shape_of(config, &shape);
    if (sums > MOST_SUMS) {
        snprintf(sentence, UPC_SENTENCE, "%lld vectors of sums are more than the %d that an item may have",
                 (long long)sums, MOST_SUMS);
        return sentence;
    }
    if (!upc_panel_lay(p, &shape, &panel)) {
        snprintf(sentence, UPC_SENTENCE, "its input, woven, is beyond 32-bit indices");
        return sentence;
    }
    const double rounds = (double)panel.each * (double)(UPC_MIN(p->axis[2].in, UPC_PANEL_SEGMENT) + 2) +
                          (double)(sums + UPC_PANEL_RUN) * (double)shape.width;
    if (facts->loop_rounds && rounds > facts->loop_rounds) {
        snprintf(sentence, UPC_SENTENCE, "its loops would make up to %.0f rounds; the device makes %u", rounds,
                 facts->loop_rounds);
        return sentence;
    }
    return upc_panel_refuse_size(p, facts, &panel, sentence);
}

// Of a processor's vector unit: a multiply-add a cycle; a vector is loaded in one, two elements are.
static double cost_us(const upc_problem *p, const upc_facts *facts, const upc_config *config)
{
    upc_panel_shape s;
    upc_panel l;
    shape_of(config, &s);
    if (!upc_panel_lay(p, &s, &l))
        return 1e12;
    if (facts->family != UPC_FAMILY_CPU)
        return upc_gather_macs(p) / 1e3 + 100; // made for others
    const double k = (double)p->axis[2].kernel, r = (double)s.rows * k, n = (double)s.columns,
                 all = (double)upc_filter_elements(p);
    const double lines = (double)(p->axis[0].kernel * p->axis[1].kernel), width = (double)s.width;
    const double items = (double)(l.outers * l.tiles * l.blocks * l.shares) * lines;
    const double round =
        UPC_MAX(UPC_MAX(r * n, r / 2 + n) * upc_vector_spills(facts, config->value[WIDTH], r * n), r * n > 2 ? 4 : 2);
    const double bytes = (double)l.column.bytes + (double)p->out.elements * 4,
                 share = (double)l.column.bytes / (double)l.shares;
    const double reading = n * 64 / (share < 512 << 10 ? 24 : share < 8 << 20 ? 12 : 5);
    const double inputs = (double)UPC_MIN(p->axis[2].in, UPC_PANEL_SEGMENT),
                 parts = l.shares > 1 ? (double)l.shares * all * 4 : 0;
    const upc_vector_work work = {
        .items = items,
        .cycles = 100 + (double)l.each * (40 + inputs * (UPC_MAX(round, reading) + 1)) + 3 * r * n * width,
        .read_bytes = bytes + parts * 4,
        .staged_bytes = 2 * (double)l.column.bytes,
    };
    return upc_vector_us(facts, &work) + 20;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    enum { SHAPES = UPC_COUNT(rows) * UPC_COUNT(columns) };
    memset(config, 0, sizeof *config);
    config->value[WIDTH] = upc_vector_guess(facts);
    config->value[ROWS] = config->value[COLUMNS] = config->value[GROUP_X] = 1;
    config->value[CHUNK] = chunks[UPC_COUNT(chunks) - 1];
    upc_config tried = *config;
    upc_cheapest search = {problem, facts, cost_us, legal, tried, 0, false};
    for (size_t i = 0; i < SHAPES * UPC_COUNT(chunks); i++) {
        tried.value[ROWS] = rows[i % UPC_COUNT(rows)];
        tried.value[COLUMNS] = columns[i / UPC_COUNT(rows) % UPC_COUNT(columns)];
        tried.value[CHUNK] = chunks[i / SHAPES];
        upc_cheapest_try(&search, &tried);
    }
    *config = search.best;
}

static const char *refuse(const upc_problem *p, const upc_facts *facts, char *sentence)
{
    const upc_axis *w = &p->axis[2];
    if (facts->info.backend != UPCONV_BACKEND_OPENCL)
        snprintf(sentence, UPC_SENTENCE, "it is for OpenCL");
    else if (p->type != UPCONV_F32 || p->out.pack > 1)
        snprintf(sentence, UPC_SENTENCE, "its gradient is f32, and not in blocks of channels");
    else if (w->kernel > MOST_TAPS || w->dilation > INT16_MAX || w->stride > INT16_MAX || p->out.axis[2] > INT16_MAX)
        snprintf(sentence, UPC_SENTENCE, "along w it takes %d taps, and strides, dilations and pixels up to %d",
                 MOST_TAPS, INT16_MAX);
    else {
        upc_config config;
        if (upc_panel_refuse_far(p, sentence) || upc_slab_refuse(p, sentence))
            return sentence;
        guess(p, facts, &config);
        return legal(p, facts, &config, sentence);
    }
    return sentence;
}

static upconv_status cook(const upc_problem *p, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    char sentence[UPC_SENTENCE];
    if (legal(p, facts, config, sentence))
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "%s", sentence);
    upc_panel_shape shape;
    upc_panel panel;
    upc_filter_strides filter;
    upc_program_desc program;
    const upc_axis *w = &p->axis[2];
    const upc_number defines[] = {
        {"VEC", config->value[WIDTH]},
        {"TI", config->value[ROWS]},
        {"NV", config->value[COLUMNS]},
        {"K", w->kernel},
        {"X", w->stride},
        {"DIL", w->dilation},
        {"STEP", p->out.axis[2]},
        {"IN_STORE", UPC_STORE_F32},
        {"W_STORE", UPC_STORE_F32},
        {"OUT_STORE", UPC_STORE_F32},
    };
    const uint32_t local[3] = {(uint32_t)config->value[GROUP_X], 1, 1};
    shape_of(config, &shape);
    upc_panel_lay(p, &shape, &panel);
    upc_filter_strides_get(p, request->order, &filter);
    upc_program_desc_init(&program, "combs", local, 4);
    upc_program_defines(&program, defines, UPC_COUNT(defines));
    const int64_t items[3] = {panel.blocks * p->axis[0].kernel * p->axis[1].kernel, panel.outers * panel.tiles,
                              panel.shares};
    const upconv_status status = upc_panel_numbers(p, &panel, &filter, recipe, &program);
    return status ? status : upc_panel_cook(p, facts, &panel, &program, items, recipe);
}

const upc_solver upc_solver_combs = {
    .name = "combs",
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
