// Max pooling that says where (shaders/pool.kernel, shaders/pool_strips.kernel, shaders/pool_lines.kernel).
#include "slabs.h"
#include "strips.h"
#include "vectors.h"

#include <stdio.h>
#include <string.h>

enum { GROUP_X, GROUP_Y, RUN, SPEC, STRIP, LINES };
enum {
    LINE_BYTES = 512 << 10, // that an item reads and writes that makes lines
    MOST_TAPS = 27,         // of a window whose taps are written out
};

static const int32_t runs[] = {1, 2, 4, 8, 16, 32, 64}, yes_no[] = {0, 1}, strips[] = {0, 512, 1024, 2048, 4096};

static const upc_knob knobs[] = {
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES}, // work-group
    [GROUP_Y] = {"y", upc_group_sizes, UPC_GROUP_SIZES},
    [RUN] = {"run", runs, UPC_COUNT(runs)},       // outputs of an item, along w
    [SPEC] = {"spec", yes_no, UPC_COUNT(yes_no)}, // 1: the geometry is compiled in
    [STRIP] = {"strip", strips, UPC_COUNT(strips)}, // outputs of an item that makes lines; 0: it makes `run` of them
    [LINES] = {"lines", yes_no, UPC_COUNT(yes_no)}, // 1: an item makes whole lines and keeps none of them
};

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    if (facts->info.backend != UPCONV_BACKEND_CPU)
        return upc_slab_refuse(problem, sentence);
    snprintf(sentence, UPC_SENTENCE, "it is for devices with work-groups");
    return sentence;
}

// Four channels at a time where they lie side by side, here and there.
static bool fours(const upc_problem *problem)
{
    upc_tensor_form in, out;
    upc_problem_form(problem, true, &in);
    upc_problem_form(problem, false, &out);
    return upc_tensor_fours(&in, &problem->in) && upc_tensor_fours(&out, &problem->out);
}

// An item in strips: how many channels and positions it has.
typedef struct shape {
    int32_t q; // channels, 0: up to q_most
    int64_t q_most, run;
} shape;

static shape shape_of(const upc_problem *problem, int32_t line)
{
    shape s;
    upc_strips_channels(problem, line / 4, &s.q_most, &s.q);
    s.run = UPC_MAX(UPC_MIN(line / s.q_most, problem->axis[2].out), 1);
    return s;
}

// NULL, or why this problem cannot be made in strips.
static const char *refuse_strips(const upc_problem *problem, const upc_facts *facts, int32_t line, char *sentence)
{
    const char *refusal = upc_strips_refuse(problem, facts, sentence);
    if (refusal)
        return refusal;
    // dispatches are not cut between taps
    double reach = (double)shape_of(problem, line).q_most;
    for (int i = 0; i < 3; i++)
        reach += (double)((problem->axis[i].kernel - 1) * problem->axis[i].dilation) * (double)problem->in.axis[i];
    if (reach * 4 <= (double)upc_slab_room(facts) / 2)
        return NULL;
    snprintf(sentence, UPC_SENTENCE, "windows are too large for strips of %d", line);
    return sentence;
}

// The most channels that an item has that makes whole lines.
static int64_t line_channels(const upc_problem *problem)
{
    const upc_strips_form form = upc_strips_form_of(problem);
    return form == UPC_STRIPS_PLANES ? 1 : form == UPC_STRIPS_BLOCKS ? 4 : problem->icg;
}

// NULL, or why this problem cannot be made in whole lines.
static const char *refuse_lines(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    const char *refusal = upc_strips_refuse(problem, facts, sentence), *why = NULL;
    if (refusal)
        return refusal;
    const bool pixels = upc_strips_form_of(problem) == UPC_STRIPS_PIXELS;
    const upc_axis *a = problem->axis;
    // dispatches are not cut between taps
    double reach = (double)line_channels(problem);
    bool apart = false;
    for (int i = 0; i < 3; i++) {
        const int64_t window = (a[i].kernel - 1) * a[i].dilation;
        reach += (double)window * (double)problem->in.axis[i];
        apart = apart || a[i].stride > 2 * (window + 1);
    }
    const double taps = (double)a[0].kernel * (double)a[1].kernel * (double)a[2].kernel;
    if (reach * 4 > (double)upc_slab_room(facts) / 2 || taps > MOST_TAPS)
        why = "windows are too large for whole lines";
    else if (apart) // all inputs are asked for, of which windows far apart need few
        why = "windows are too far apart for whole lines";
    else if (!pixels && a[2].stride > 2)
        why = "whole lines take strides of one and two, but where channels lie side by side";
    else if (pixels && problem->icg % upc_vector_guess(facts))
        why = "whole lines take whole vectors of channels that lie side by side";
    if (why)
        snprintf(sentence, UPC_SENTENCE, "%s", why);
    return why ? sentence : NULL;
}

// Whether lines have whole vectors.
static bool wide_lines(const upc_problem *problem, const upc_facts *facts)
{
    const upc_axis *w = &problem->axis[2];
    const int64_t reach = (w->kernel - 1) * w->dilation - w->pad, from = UPC_MAX(upc_ceil_div(w->pad, w->stride), 0);
    const int64_t end = reach < w->in ? UPC_MIN((w->in - 1 - reach) / w->stride + 1, w->out) : 0;
    return upc_strips_form_of(problem) == UPC_STRIPS_PIXELS ||
           (end - from) * line_channels(problem) >= upc_vector_guess(facts);
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    const bool processor = facts->info.kind == UPCONV_DEVICE_CPU;
    char sentence[UPC_SENTENCE];
    memset(config, 0, sizeof *config);
    if (!refuse_lines(problem, facts, sentence) && wide_lines(problem, facts)) {
        config->value[GROUP_X] = config->value[GROUP_Y] = config->value[RUN] = config->value[LINES] = 1;
        return;
    }
    if (!refuse_strips(problem, facts, 1024, sentence)) {
        config->value[GROUP_X] = config->value[GROUP_Y] = config->value[RUN] = 1;
        config->value[STRIP] = 1024;
        return;
    }
    config->value[RUN] = processor ? 16 : 1;
    config->value[SPEC] = !processor;
    const int64_t inner = upc_slab_inner(&problem->out) ? problem->icg / (fours(problem) ? 4 : 1) : 1;
    const int64_t items[3] = {upc_ceil_div(problem->axis[2].out, config->value[RUN]) * UPC_MAX(inner, 1),
                              problem->axis[0].out * problem->axis[1].out, 1};
    uint32_t local[2];
    upc_group_guess(facts, items, 64, local);
    config->value[GROUP_X] = (int32_t)local[0];
    config->value[GROUP_Y] = (int32_t)local[1];
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    const char *refusal = upc_group_legal(facts, config->value[GROUP_X], config->value[GROUP_Y], sentence);
    if (refusal || (!config->value[STRIP] && !config->value[LINES]))
        return refusal;
    const bool alone = config->value[GROUP_X] * config->value[GROUP_Y] * config->value[RUN] == 1;
    if (alone && !config->value[LINES])
        return refuse_strips(problem, facts, config->value[STRIP], sentence);
    if (alone && !config->value[STRIP])
        return refuse_lines(problem, facts, sentence);
    snprintf(sentence, UPC_SENTENCE,
             "items that make strips, or lines, are alone in their work-group, and have no run");
    return sentence;
}

static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    const upc_axis *a = problem->axis;
    const double outputs = (double)upc_output_elements(problem);
    const double taps = (double)(a[0].kernel * a[1].kernel) * (double)a[2].kernel;
    if (config->value[LINES])
        return (outputs * 2 + (double)upc_input_elements(problem)) / 8e3 + outputs * taps / 16e3 + 5;
    const double items = outputs / (double)(config->value[STRIP] ? config->value[STRIP] : config->value[RUN]);
    const double processor = facts->info.kind == UPCONV_DEVICE_CPU;
    return (outputs * (2 + taps) + items * 4) / (processor ? 1e3 : 1e4) / upc_gather_busy(facts, items) + 5;
}

// ---------------------------------------------------------------------------------------------------------- the recipe

typedef struct cooking {
    const upc_config *config;
    upc_recipe *recipe;
    upc_program_desc program;
    upc_tensor in, out; // with blocks of four channels where they lie so
    bool fours, inner;
    int32_t line; // elements of an item in strips, 1 of one that makes whole lines, or 0
    bool lines;
    shape shape;
    double bytes; // that an output reads and writes, if no inputs are read twice
    uint32_t units;
} cooking;

// Positions that the slab's outputs read with the slab's taps, clipped; an empty range becomes one position.
static void sources(const upc_problem *p, const upc_slab *slab, int64_t first[3], int64_t last[3])
{
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &p->axis[a];
        const int64_t o = slab->first[UPC_SLAB_OUT + a], k = slab->first[UPC_SLAB_BY + a];
        const int64_t from = o * axis->stride - axis->pad + k * axis->dilation;
        const int64_t to = from + (slab->count[UPC_SLAB_OUT + a] - 1) * axis->stride +
                           (slab->count[UPC_SLAB_BY + a] - 1) * axis->dilation;
        first[a] = UPC_MIN(UPC_MAX(from, 0), axis->in - 1);
        last[a] = UPC_MAX(UPC_MIN(to, axis->in - 1), first[a]);
    }
}

static void outputs(const upc_slab *slab, int64_t first[3], int64_t last[3])
{
    for (int a = 0; a < 3; a++) {
        first[a] = slab->first[UPC_SLAB_OUT + a];
        last[a] = first[a] + slab->count[UPC_SLAB_OUT + a] - 1;
    }
}

// Lines of an item: as many as it keeps, and fewer where that left processors without work.
static int64_t rows_of(const cooking *c, const upc_slab *slab)
{
    const int64_t *n = slab->count, lines = n[UPC_SLAB_OUT] * n[UPC_SLAB_OUT + 1];
    const int64_t planes = n[UPC_SLAB_N] * upc_ceil_div(n[UPC_SLAB_C], c->shape.q_most);
    if (c->shape.run < n[UPC_SLAB_OUT + 2])
        return 1;
    const int64_t line = n[UPC_SLAB_OUT + 2] * c->shape.q_most;
    const int64_t fitting = UPC_MAX(c->lines ? (int64_t)(LINE_BYTES / ((double)line * c->bytes)) : c->line / line, 1);
    return UPC_MIN(fitting, UPC_MAX(lines * planes / (4 * (int64_t)UPC_MAX(c->units, 1)), 1));
}

static void strips_grid(const cooking *c, const upc_slab *slab, int64_t items[3])
{
    const int64_t *n = slab->count, blocks = upc_ceil_div(n[UPC_SLAB_C], c->shape.q_most);
    items[0] = upc_ceil_div(n[UPC_SLAB_OUT + 2], c->shape.run) * (c->inner ? blocks : 1);
    items[1] = upc_ceil_div(n[UPC_SLAB_OUT] * n[UPC_SLAB_OUT + 1], rows_of(c, slab));
    items[2] = n[UPC_SLAB_N] * (c->inner ? 1 : blocks);
}

static void grid(const cooking *c, const upc_slab *slab, int64_t items[3])
{
    if (c->line) {
        strips_grid(c, slab, items);
        return;
    }
    const int64_t channels = upc_ceil_div(slab->count[UPC_SLAB_C], c->fours ? 4 : 1);
    items[0] = upc_ceil_div(slab->count[UPC_SLAB_OUT + 2], c->config->value[RUN]) * (c->inner ? channels : 1);
    items[1] = slab->count[UPC_SLAB_OUT] * slab->count[UPC_SLAB_OUT + 1];
    items[2] = slab->count[UPC_SLAB_N] * (c->inner ? 1 : channels);
}

static double taps_of(const upc_slab *slab)
{
    const int64_t *k = &slab->count[UPC_SLAB_BY];
    return (double)(k[0] * k[1]) * (double)k[2];
}

static int check(const upc_slabs *slabs, const upc_slab *slab, const char **why)
{
    enum { N = UPC_SLAB_N, C = UPC_SLAB_C, D = UPC_SLAB_OUT, H, W, KD = UPC_SLAB_BY, KH, KW, NEVER = UPC_SLAB_NEVER };
    static const int outer[] = {N, C, D, H, W, KD, KH, KW, NEVER}, inner[] = {N, D, H, W, C, KD, KH, KW, NEVER};
    static const int for_y[] = {D, H, NEVER}, for_z[] = {N, C, NEVER}, for_x[] = {W, C, NEVER},
                     taps[] = {KD, KH, KW, NEVER};
    const cooking *c = slabs->user;
    const upconv_limits *limits = &slabs->facts->info.limits;
    const int64_t room = upc_slab_room(slabs->facts), element = (int64_t)upc_type_bytes(slabs->problem->type);
    int64_t first[3], last[3], items[3];
    *why = "the output's window"; // of the indices, which are never smaller
    outputs(slab, first, last);
    if (upc_slab_window(&c->out, slab, first, last).count * 4 > room)
        return upc_slab_choose(slabs, slab, c->inner ? inner : outer);
    *why = "the input's window";
    sources(slabs->problem, slab, first, last);
    if (upc_slab_window(&c->in, slab, first, last).count * element > room)
        return upc_slab_choose(slabs, slab, upc_slab_inner(&c->in) ? inner : outer);
    *why = "the grid";
    grid(c, slab, items);
    if (upc_ceil_div(items[0], c->config->value[GROUP_X]) > limits->group_count)
        return upc_slab_choose(slabs, slab, for_x);
    if (upc_ceil_div(items[1], c->config->value[GROUP_Y]) > limits->group_count)
        return upc_slab_choose(slabs, slab, for_y);
    if (items[2] > limits->group_count)
        return upc_slab_choose(slabs, slab, for_z);
    if (c->line) {
        static const int whole[] = {N, C, D, H, W, NEVER};
        const int64_t *n = slab->count;
        const double macs = (double)(n[N] * n[C]) * (double)(n[D] * n[H]) * (double)n[W] * taps_of(slab);
        const int cut = macs > (double)limits->dispatch_macs ? upc_slab_choose(slabs, slab, whole) : NEVER;
        return cut == NEVER ? UPC_SLAB_FITS : cut;
    }
    *why = "the loops of an item";
    const double rounds = (1 + 3 * taps_of(slab)) * c->config->value[RUN];
    if (slabs->facts->loop_rounds && rounds > slabs->facts->loop_rounds)
        return upc_slab_choose(slabs, slab, taps);
    const double work = (double)items[0] * (double)items[1] * (double)items[2] * taps_of(slab) * c->config->value[RUN];
    const int cut = work > (double)limits->dispatch_macs ? upc_slab_choose(slabs, slab, outer) : NEVER;
    return cut == NEVER ? UPC_SLAB_FITS : cut;
}

static const char *const arg_names[] = {"N_N",  "C_N",    "N_0",   "C_0",   "OD_0",   "OH_0",  "OH_N",
                                        "OW_0", "OW_N",   "LINES", "KD_0",  "KD_END", "KH_0",  "KH_END",
                                        "KW_0", "KW_END", "SRC_0", "DST_0", "FIRST",  "IN_C0", "OUT_C0"};

static const char *const strip_names[] = {"X_N",   "LINES",  "Z_N",  "BLOCKS", "C_N",   "N_0",   "C_0",
                                          "OD_0",  "OH_0",   "OH_N", "OW_0",   "OW_N",  "SRC_0", "DST_0",
                                          "IN_C0", "OUT_C0", "RUN",  "ROWS",   "Q_MOST"};

static void strip_values(const cooking *c, const upc_slab *slab, int64_t in_start, int64_t out_start, int32_t *args)
{
    const int64_t *f = slab->first, *n = slab->count;
    const int o = UPC_SLAB_OUT;
    int64_t items[3];
    strips_grid(c, slab, items);
    const int64_t values[UPC_COUNT(strip_names)] = {
        items[0],
        n[o] * n[o + 1],
        items[2],
        upc_ceil_div(n[UPC_SLAB_C], c->shape.q_most),
        n[UPC_SLAB_C],
        f[UPC_SLAB_N],
        f[UPC_SLAB_C],
        f[o],
        f[o + 1],
        n[o + 1],
        f[o + 2],
        n[o + 2],
        in_start,
        out_start,
        f[UPC_SLAB_C] % c->in.pack,
        f[UPC_SLAB_C] % c->out.pack,
        c->shape.run,
        rows_of(c, slab),
        c->shape.q_most,
    };
    for (size_t i = 0; i < UPC_COUNT(values); i++)
        args[i] = (int32_t)values[i];
}

static upconv_status emit(upc_slabs *slabs, const upc_slab *slab)
{
    cooking *c = slabs->user;
    const int64_t *f = slab->first, *n = slab->count, element = (int64_t)upc_type_bytes(slabs->problem->type);
    const int o = UPC_SLAB_OUT, k = UPC_SLAB_BY;
    int64_t first[3], last[3], items[3];
    sources(slabs->problem, slab, first, last);
    const upc_window in = upc_slab_window(&c->in, slab, first, last);
    outputs(slab, first, last);
    const upc_window out = upc_slab_window(&c->out, slab, first, last);
    grid(c, slab, items);
    const bool again = f[k] || f[k + 1] || f[k + 2];
    const int64_t values[] = {
        n[UPC_SLAB_N],
        upc_ceil_div(n[UPC_SLAB_C], c->fours ? 4 : 1),
        f[UPC_SLAB_N],
        f[UPC_SLAB_C],
        f[o],
        f[o + 1],
        n[o + 1],
        f[o + 2],
        n[o + 2],
        n[o] * n[o + 1],
        f[k],
        f[k] + n[k],
        f[k + 1],
        f[k + 1] + n[k + 1],
        f[k + 2],
        f[k + 2] + n[k + 2],
        upc_slab_start(&c->in, slab, &in),
        upc_slab_start(&c->out, slab, &out),
        !again,
        f[UPC_SLAB_C] % c->in.pack,
        f[UPC_SLAB_C] % c->out.pack,
    };
    upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = again, .bind_count = 4};
    for (size_t i = 0; i < UPC_COUNT(values); i++)
        step.args[i] = (int32_t)values[i];
    if (c->line)
        strip_values(c, slab, upc_slab_start(&c->in, slab, &in), upc_slab_start(&c->out, slab, &out), step.args);
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], c->program.local[i]);
    step.bind[0] = (upc_bind){UPC_INPUT, (uint64_t)(in.first * element), (uint64_t)(in.count * element)};
    step.bind[1] = (upc_bind){UPC_OUTPUT, (uint64_t)(out.first * element), (uint64_t)(out.count * element)};
    step.bind[2] = (upc_bind){UPC_INDICES, (uint64_t)out.first * 4, (uint64_t)out.count * 4};
    step.bind[3] = (upc_bind){UPC_TABLE, 0, c->recipe->table_count * 4};
    const upconv_status status = upc_recipe_program(c->recipe, &c->program, &step.program);
    return status ? status : upc_recipe_step(c->recipe, &step);
}

static upconv_status describe(cooking *c, const upc_problem *p, const upc_facts *facts)
{
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const uint32_t local[3] = {(uint32_t)c->config->value[GROUP_X], (uint32_t)c->config->value[GROUP_Y], 1};
    const upc_number defines[] =
        {
            {"IN_STORE", upc_store_of(facts, p->type)},
            {"OUT_STORE", upc_store_of(facts, p->type)},
            {"IN_PACK", c->in.pack},
            {"OUT_PACK", c->out.pack},
            {"FOURS", c->fours},
            {"INNER", c->inner},
            {"INDEX", (int)p->index},
            {"RUN", c->config->value[RUN]}, // last: an argument where there are lines
        },
                     fixed[] = {
                         {"DI", d->in},
                         {"HI", h->in},
                         {"WI", w->in},
                         {"KD", d->kernel},
                         {"KH", h->kernel},
                         {"KW", w->kernel},
                         {"SD", d->stride},
                         {"SH", h->stride},
                         {"SW", w->stride},
                         {"DD", d->dilation},
                         {"DH", h->dilation},
                         {"DW", w->dilation},
                         {"PD", d->pad},
                         {"PH", h->pad},
                         {"PW", w->pad},
                         {"IN_N", c->in.image},
                         {"IN_C", c->in.channel},
                         {"IN_D", c->in.axis[0]},
                         {"IN_H", c->in.axis[1]},
                         {"IN_W", c->in.axis[2]},
                         {"OUT_N", c->out.image},
                         {"OUT_C", c->out.channel},
                         {"OUT_D", c->out.axis[0]},
                         {"OUT_H", c->out.axis[1]},
                         {"OUT_W", c->out.axis[2]},
                         {"CHANNELS", p->icg},
                     };
    const upc_number strip_defines[] = {
        {"VEC", upc_vector_guess(facts)},
        {"Q", c->shape.q},
        {"STEP_W", w->stride <= 2 || c->lines ? w->stride : 0},
        {"ACT", 0},
        {"LINE", c->line}, // last: of strips only
    };
    upc_program_desc_init(&c->program, c->lines ? "pool_lines" : c->line ? "pool_strips" : "pool", local, 4);
    upc_program_defines(&c->program, defines, UPC_COUNT(defines) - (c->line ? 1 : 0));
    if (c->line)
        upc_program_defines(&c->program, strip_defines, UPC_COUNT(strip_defines) - (c->lines ? 1 : 0));
    // in strips and lines the loops over taps are written out: what they need is compiled in
    enum { TAPS = 3, BEHIND = 12 };
    const bool spec = c->config->value[SPEC];
    upconv_status status = upc_program_fixed(c->recipe, &c->program, fixed, c->line ? TAPS : UPC_COUNT(fixed), spec);
    if (c->line && !status) {
        upc_program_defines(&c->program, fixed + TAPS, BEHIND - TAPS);
        status = upc_program_fixed(c->recipe, &c->program, fixed + BEHIND, UPC_COUNT(fixed) - BEHIND, spec);
    }
    if (!c->recipe->table_count && !status) // a binding must have something
        return upc_recipe_table(c->recipe, 0);
    return status;
}

static void use_fours(upc_tensor *tensor)
{
    if (tensor->pack == 1)
        tensor->channel = tensor->pack = 4;
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    (void)request;
    cooking c = {
        .config = config, .recipe = recipe, .in = problem->in, .out = problem->out, .line = config->value[STRIP]};
    c.fours = !c.line && fours(problem);
    c.units = facts->info.compute_units;
    c.lines = config->value[LINES];
    if (c.lines) {
        const int64_t q = line_channels(problem);
        c.line = 1;
        c.shape = (shape){upc_strips_form_of(problem) == UPC_STRIPS_PIXELS ? 0 : (int32_t)q, q, problem->axis[2].out};
        const upc_axis *a = problem->axis;
        c.bytes = 8 + 4 * (double)a[0].stride * (double)a[1].stride * (double)a[2].stride;
    } else if (c.line) {
        c.shape = shape_of(problem, c.line);
    }
    if (c.fours) {
        use_fours(&c.in);
        use_fours(&c.out);
    }
    c.inner = upc_slab_inner(&c.out);
    const upconv_status status = describe(&c, problem, facts);
    if (status)
        return status;
    const size_t args = c.line ? UPC_COUNT(strip_names) : UPC_COUNT(arg_names);
    for (size_t i = 0; i < args; i++)
        upc_program_arg(&c.program, c.line ? strip_names[i] : arg_names[i]);
    upc_slabs slabs = {.problem = problem, .facts = facts, .check = check, .emit = emit, .user = &c};
    slabs.step = c.line && c.shape.q ? c.shape.q : c.lines ? upc_vector_guess(facts) : c.fours ? 4 : 1;
    upc_slab whole = {.count = {problem->batch, problem->icg}};
    for (int a = 0; a < 3; a++) {
        whole.count[UPC_SLAB_OUT + a] = problem->axis[a].out;
        whole.count[UPC_SLAB_BY + a] = problem->axis[a].kernel;
    }
    return upc_slabs_run(&slabs, &whole);
}

const upc_solver upc_solver_pool = {
    .name = "pool",
    .version = 1,
    .ops = 1u << UPCONV_MAX_POOL,
    .knobs = knobs,
    .knob_count = UPC_COUNT(knobs),
    .refuse = refuse,
    .guess = guess,
    .legal = legal,
    .cost_us = cost_us,
    .cook = cook,
};
