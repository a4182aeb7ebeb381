// The gradient of a filter with lanes along lines (shaders/runs.kernel), for processors: where groups have few channels, so
// that panels.c would copy as much as it multiplies.
#include "cheapest.h"
#include "gather.h"
#include "grad.h"
#include "slabs.h"
#include "vectors.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH, CHUNK, GROUP_X };

static const int32_t chunks[] = {256, 1024, 4096, 16384, 65536};

static const upc_knob knobs[] = {
    [WIDTH] = {"vec", upc_vector_widths, UPC_VECTOR_WIDTHS}, // inputs of a vector
    [CHUNK] = {"chunk", chunks, UPC_COUNT(chunks)},          // inputs that are added up at a time
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES},     // work-group
};

enum { MOST_TAPS = 9, MOST_SHARES = 4096, SEGMENT = 1024 /* positions of a piece of a line: as in the kernel */ };

typedef struct layout {
    int64_t items[3];    // lines of the kernel; groups and their pairs of channels; shares
    int64_t segments;    // pieces of a line
    int64_t units, each; // pieces of lines of inputs, all and of a share
    uint64_t parts;      // bytes
} layout;

static void lay_out(const upc_problem *p, const upc_config *config, layout *l)
{
    const int64_t width = UPC_MIN(p->axis[2].in, SEGMENT), chunk = config->value[CHUNK];
    l->segments = upc_ceil_div(p->axis[2].in, SEGMENT);
    l->units = p->batch * p->axis[0].in * p->axis[1].in * l->segments;
    l->each = UPC_MIN(UPC_MAX(chunk / width, 1), l->units);
    const int64_t shares = upc_ceil_div(l->units, l->each);
    l->each = upc_ceil_div(l->units, shares); // equally many, as far as that goes
    l->items[0] = p->axis[0].kernel * p->axis[1].kernel;
    l->items[1] = p->groups * p->icg * p->ocg;
    l->items[2] = upc_ceil_div(l->units, l->each);
    l->parts = l->items[2] > 1 ? (uint64_t)l->items[2] * upc_filter_elements(p) * 4 : 0;
}

// What the first tap reads, modulo the stride.
static int64_t ahead_of(const upc_axis *w) { return upc_ceil_div(w->pad, w->stride) * w->stride - w->pad; }

// --------------------------------------------------------------------------------------------------------------- choices

static const char *legal(const upc_problem *p, const upc_facts *facts, const upc_config *config, char *sentence)
{
    const char *refusal = upc_vector_legal(facts, config->value[WIDTH], sentence);
    if (!refusal)
        refusal = upc_group_legal(facts, config->value[GROUP_X], 1, sentence);
    if (refusal)
        return refusal;
    layout l;
    lay_out(p, config, &l);
    const double rounds = (double)l.each * (double)(UPC_MIN(p->axis[2].in, SEGMENT) + p->axis[2].kernel + 2);
    const uint64_t room = (uint64_t)UPC_MAX(upc_grad_room(facts), 0);
    if (l.parts > UPC_MIN(room, upc_workspace_default(p)) || l.parts / 4 > INT32_MAX / 4 || l.items[2] > MOST_SHARES)
        snprintf(sentence, UPC_SENTENCE, "it would add up in %lld shares of %llu bytes, which are too many",
                 (long long)l.items[2], (unsigned long long)(upc_filter_elements(p) * 4));
    else if (facts->loop_rounds && rounds > facts->loop_rounds)
        snprintf(sentence, UPC_SENTENCE, "its loops would make up to %.0f rounds; the device makes %u", rounds,
                 facts->loop_rounds);
    else
        return NULL;
    return sentence;
}

// Vectors of the gradient that a round reads: those of all taps, each once.
static int64_t vectors_of(const upc_axis *w)
{
    int64_t starts = 0, before = -1;
    for (int64_t k = 0; k < w->kernel; k++) {
        const int64_t at = (ahead_of(w) + k * w->dilation) / w->stride;
        starts += at != before;
        before = at;
    }
    return starts * w->stride;
}

// Of a processor's vector unit: two cycles for a vector that lies across two lines of the cache, one to take every other element out of two
// and for a multiply-add; three more a tap for a round at either end of a line.
static double cost_us(const upc_problem *p, const upc_facts *facts, const upc_config *config)
{
    layout l;
    lay_out(p, config, &l);
    const upc_axis *w = &p->axis[2];
    const double taps = (double)w->kernel, items = (double)l.items[0] * (double)l.items[1] * (double)l.items[2];
    if (facts->family != UPC_FAMILY_CPU)
        return upc_gather_macs(p) / 1e3 + 100; // made for others
    const double zips = w->stride == 4 ? 3 : w->stride == 2 ? 1 : 0;
    const double round =
        (2 + 2 * (double)vectors_of(w) + taps * (1 + zips)) * upc_vector_spills(facts, config->value[WIDTH], taps);
    const double rounds = (double)upc_ceil_div(UPC_MIN(w->in, SEGMENT), config->value[WIDTH]),
                 ends = UPC_MIN(rounds, 2) * 3 * taps;
    const double all = (double)upc_filter_elements(p) * 4;
    const upc_vector_work work = {
        .items = items,
        .cycles = 100 + 25 * taps + (double)l.each * (30 + rounds * round + ends),
        .read_bytes =
            4 * (double)(upc_input_elements(p) + upc_output_elements(p)) + 8 * (l.parts ? (double)l.items[2] * all : 0),
    };
    return upc_vector_us(facts, &work);
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    memset(config, 0, sizeof *config);
    config->value[WIDTH] = upc_vector_guess(facts);
    config->value[GROUP_X] = 1;
    config->value[CHUNK] = chunks[UPC_COUNT(chunks) - 1];
    upc_config tried = *config;
    upc_cheapest search = {problem, facts, cost_us, legal, tried, 0, false};
    for (size_t i = 0; i < UPC_COUNT(chunks); i++) {
        tried.value[CHUNK] = chunks[i];
        upc_cheapest_try(&search, &tried);
    }
    *config = search.best;
}

static const char *refuse_shape(const upc_problem *p, const upc_facts *facts, char *sentence)
{
    const upc_axis *w = &p->axis[2];
    if (facts->info.backend != UPCONV_BACKEND_OPENCL)
        snprintf(sentence, UPC_SENTENCE, "it is for OpenCL");
    else if (p->in.pack > 1 || p->out.pack > 1 || p->in.axis[2] != 1 || p->out.axis[2] != 1)
        snprintf(sentence, UPC_SENTENCE, "positions along w must lie side by side");
    else if ((w->stride != 1 && w->stride != 2 && w->stride != 4) || w->kernel > MOST_TAPS || w->dilation > INT16_MAX)
        snprintf(sentence, UPC_SENTENCE, "along w it takes strides of 1, 2 and 4, %d taps, and dilations up to %d",
                 MOST_TAPS, INT16_MAX);
    else
        return NULL;
    return sentence;
}

static const char *refuse(const upc_problem *p, const upc_facts *facts, char *sentence)
{
    if (refuse_shape(p, facts, sentence) || upc_slab_refuse(p, sentence))
        return sentence;
    const int64_t elements = UPC_MAX(p->in.elements, p->out.elements), room = upc_grad_room(facts);
    if (elements > room / (int64_t)upc_type_bytes(p->type) || elements > INT32_MAX / 4 ||
        upc_filter_elements(p) * 4 > (uint64_t)UPC_MAX(room, 0) || upc_filter_elements(p) > INT32_MAX / 4) {
        snprintf(sentence, UPC_SENTENCE, "tensors of up to %lld elements must each fit a binding of %lld bytes",
                 (long long)elements, (long long)room);
        return sentence;
    }
    upc_config config;
    guess(p, facts, &config);
    return legal(p, facts, &config, sentence);
}

// ---------------------------------------------------------------------------------------------------------------- recipe

static upconv_status describe(const upc_problem *p, const upc_facts *facts, const layout *l,
                              const upc_filter_strides *f, const upc_config *config, upc_recipe *recipe,
                              upc_program_desc *program)
{
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const upc_number defines[] = {
        {"VEC", config->value[WIDTH]}, {"X", w->stride},       {"K", w->kernel},
        {"DIL", w->dilation},          {"AHEAD", ahead_of(w)}, {"IN_STORE", upc_store_of(facts, p->type)},
        {"OUT_STORE", UPC_STORE_F32},
    };
    const upc_number fixed[] = {
        {"DI", d->in}, {"HI", h->in}, {"WI", w->in}, {"DO", d->out}, {"HO", h->out}, {"WO", w->out},
        {"KH", h->kernel}, {"SD", d->stride}, {"SH", h->stride}, {"DD", d->dilation}, {"DH", h->dilation},
        {"PD", d->pad}, {"PH", h->pad}, {"PW", w->pad}, {"ICG", p->icg}, {"OCG", p->ocg},
        {"IN_ALL", p->in.elements}, {"OUT_ALL", p->out.elements}, {"IN_N", p->in.image}, {"IN_C", p->in.channel},
        {"IN_D", p->in.axis[0]}, {"IN_H", p->in.axis[1]}, {"OUT_N", p->out.image}, {"OUT_C", p->out.channel},
        {"OUT_D", p->out.axis[0]}, {"OUT_H", p->out.axis[1]}, {"SEGMENTS", l->segments}, {"UNITS", l->units},
        {"UNITS_EACH", l->each}, {"FILTER", (int64_t)upc_filter_elements(p)}, {"F_G", f->group}, {"F_I", f->in},
        {"F_O", f->out}, {"F_KD", f->tap[0]}, {"F_KH", f->tap[1]}, {"F_KW", f->tap[2]},
    };
    const uint32_t local[3] = {(uint32_t)config->value[GROUP_X], 1, 1};
    upc_program_desc_init(program, "runs", local, 4);
    upc_program_defines(program, defines, UPC_COUNT(defines));
    upc_grad_grid_args(program);
    return upc_program_fixed(recipe, program, fixed, UPC_COUNT(fixed), false);
}

static upconv_status cook(const upc_problem *p, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    char sentence[UPC_SENTENCE];
    if (legal(p, facts, config, sentence))
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "%s", sentence);
    layout l;
    upc_filter_strides filter;
    upc_program_desc program;
    lay_out(p, config, &l);
    upc_filter_strides_get(p, request->order, &filter);
    recipe->workspace_bytes = l.parts;
    const uint64_t bytes = upc_type_bytes(p->type);
    upc_step step = {.bind_count = 4};
    upconv_status status = describe(p, facts, &l, &filter, config, recipe, &program);
    step.bind[0] = (upc_bind){UPC_INPUT, 0, (uint64_t)p->in.elements * bytes};
    step.bind[1] = (upc_bind){UPC_OUTPUT_GRAD, 0, (uint64_t)p->out.elements * bytes};
    step.bind[2] =
        (upc_bind){l.parts ? UPC_WORKSPACE : UPC_OUTPUT, 0, (uint64_t)l.items[2] * upc_filter_elements(p) * 4};
    step.bind[3] = (upc_bind){UPC_TABLE, 0, recipe->table_count * 4};
    if (!status)
        status = upc_grad_grid(facts, &program, l.items, upc_gather_macs(p), &step, recipe);
    if (status || !l.parts)
        return status;
    return upc_total_cook(facts, 0, (int64_t)upc_filter_elements(p), l.items[2], recipe);
}

const upc_solver upc_solver_runs = {
    .name = "runs",
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
